"""A compiled model as an instrument's C sees it: names, states, and the calls that kinds share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from common.model_metadata import TensorSpec
from common.refusal import Refusal
from firmware.compiler.ops.hit import HitConstants
from firmware.compiler.passes.split_sound import Ends
from firmware.compiler.slots.part import Part
from firmware.instruments.c.held import Held
from firmware.models.model_file import ModelFile, knob_channels


@dataclass(frozen=True)
class CompiledModel:
    """One compiled model of an instrument.

    Attributes
    ----------
    role : str
        What the instrument uses it for; prefix of the functions that call it.
    file : Path
        The ONNX file, for the hash of the image.
    name : str
        Prefix of the compiled model's names.
    model : ModelFile
        Its metadata.
    latency_ticks : int
        Samples from input to output, of the model alone.
    input_order : list of str
        Inputs as the compiled model numbers them.
    state_region : str
        Where the memory plan wants the state.
    is_placed : bool
        Whether the target's linker knows the board's regions.
    sound : HitConstants or None
        What the engine plays with the results of a drum's network.
    ends : Ends
        What the engine does before and after a texture's network.
    copies : tuple of str
        Regions whose tables an instance has copies of, as ``NAME_copy`` takes them.
    states : int
        How many states the instrument keeps of it.
    part : Part or None
        What a slot may replace of it; None: nothing.
    """

    role: str
    file: Path
    name: str
    model: ModelFile
    latency_ticks: int
    sample_rate_hz: float
    input_order: list[str]
    state_region: str = ""
    is_placed: bool = False
    sound: HitConstants | None = None
    ends: Ends = field(default_factory=Ends)
    copies: tuple[str, ...] = ()
    states: int = 1
    part: Part | None = None

    @property
    def header(self) -> str:
        """Header of the compiled model."""
        return f"{self.name}.h"

    @property
    def table(self) -> str:
        """Name of the engine's table of functions."""
        return f"{self.role}_model"

    @property
    def state(self) -> Held:
        """Memory for the model's state, ``ROLE_state``; an array where there are several."""
        count = None if self.states == 1 else self.states
        return self.held(f"{self.name}_state", f"{self.role}_state", count, region=self.state_region)

    def held(self, ctype: str, name: str, count: int | None = None, *, region: str) -> Held:
        """Memory for something that changes; in `region` where the target's linker knows regions."""
        return Held(ctype, name, count, region if self.is_placed else "")

    def input(self, *roles: str) -> str:
        """C name of the model's input with one of these roles; a `Refusal` where it has none."""
        return self._named("input", self.model.about.input_with(*roles), roles)

    def output(self, *roles: str) -> str:
        """C name of the model's output with one of these roles; a `Refusal` where it has none."""
        return self._named("output", self.model.about.output_with(*roles), roles)

    def bends(self, knobs: str, stride: str = "1") -> str:
        """C that hands over what bends the model, which lies behind its knobs; "" where it can't be bent.

        Parameters
        ----------
        knobs : str
            C expression of the array that begins with the model's knobs.
        stride : str
            From channel to channel.
        """
        spec = self.model.about.input_with("bend")
        if spec is None:
            return ""
        taken = len(knob_channels(self.model))
        behind = f"{knobs} + {taken}" + ("" if stride == "1" else f" * {stride}") if taken else knobs
        return f"\n        .{spec.name} = {behind}, .{spec.name}_stride = {stride},"

    def event_calls(self, knobs: str) -> str:
        """C functions ``ROLE_reset_model`` and ``ROLE_begin`` of a model that is asked, not streamed.

        Parameters
        ----------
        knobs : str
            Role by which a `Refusal` asks for the input that is no latent; any role of knobs will do.
        """
        z, told = self.input("latent"), self.input(knobs, "attribute", "class", "condition")
        return f"""static void {self.role}_reset_model(void *state)
{{
    {self.name}_reset(state);
}}

static void {self.role}_begin(void *state, const float *latents, const float *knobs)
{{
    const {self.name}_inputs in = {{
        .{z} = latents, .{z}_stride = 1,
        .{told} = knobs, .{told}_stride = 1,{self.bends("knobs")}
    }};
    {self.name}_event_begin(state, &in);
}}
"""

    def decoder(self) -> str:
        """C of a ``Decoder``, ``ROLE_decoder`` (``engine/instruments/decision.h``), and its functions."""
        return f"""{self.event_calls("attribute")}
static bool {self.role}_step(void *state, uint32_t cycles)
{{
    return {self.name}_event_step(state, cycles);
}}

static const Decoder {self.role}_decoder = {{
    .reset = {self.role}_reset_model,
    .begin = {self.role}_begin,
    .step = {self.role}_step,
}};
"""

    def _named(self, side: str, found: TensorSpec | None, roles: tuple[str, ...]) -> str:
        if found is None:
            raise Refusal(f"{self.file.name}: no {side} has the role {roles[0]}.")
        return found.name
