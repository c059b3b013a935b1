"""A drive: audio through a learnt circuit."""

from __future__ import annotations

from collections.abc import Mapping

from common.refusal import Refusal
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.tone import UNIT, add_tone, tone_tables


class EffectModel(ModelRole):
    """A compiled effect (``engine/instruments/drive.h``); a capture is one without latents."""

    name = "drive"
    also: tuple[str, ...] = ("capture",)

    def source(self, model: CompiledModel) -> str:
        """Return the functions of a ``DriveModel``."""
        role, name = model.role, model.name
        audio, out = model.input("audio"), model.output("audio")
        hop, due, latents = 1, "0u", ""
        if model.model.about.input_with("latent", "condition") is not None:
            latent = model.input("latent", "condition")
            hop = model.model.hop(latent)
            due = f"{name}_frames_due(state, ticks, {model.input_order.index(latent)}u)"
            latents = f"\n        .{latent} = frames->latent, .{latent}_stride = DRIVE_FRAMES,"
            latents += model.bends("frames->knob", "DRIVE_FRAMES")
        unused = "" if latents else "    (void)state;\n    (void)ticks;\n"
        return f"""static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static size_t {role}_frames_due(const void *state, size_t ticks)
{{
{unused}    return {due};
}}

static void {role}_process(void *state, size_t ticks, DriveFrames *frames)
{{
    const {name}_inputs in = {{
        .{audio} = frames->in, .{audio}_stride = PORT_MAX_BLOCK,{latents}
    }};
    const {name}_outputs out = {{.{out} = frames->out, .{out}_stride = PORT_MAX_BLOCK}};
    {name}_process(state, ticks, &in, &out);
}}

static const DriveModel {model.table} = {{
    .hop = {hop},
    .latency_ticks = {model.latency_ticks},
    .reset = {role}_reset_model,
    .frames_due = {role}_frames_due,
    .process = {role}_process,
}};
"""


class SecondCapture(EffectModel):
    """Another capture that hears the same: the sound fades from the first to it."""

    name = "second"
    model_kind = "capture"
    also: tuple[str, ...] = ()
    required = False


class Drive(InstrumentKind):
    """Audio in, audio out."""

    gates = ("bypass",)
    cv_sources = ("envelope",)
    audio_sources = ("mix",)
    roles = (EffectModel(), SecondCapture())
    words: Mapping[str, str] = {
        "mix": "From the dry sound to the distorted one.",
        "gain": "How loud the sound goes into the circuit: more is dirtier.",
        "match": "How closely the distorted sound is held to the loudness of the dry one.",
        "level": "Loudness of everything that leaves the module.",
        "tone": "From dark to bright; at noon the sound is left as it is.",
        "blend": "From the first capture to the second.",
        "x": "Place on the map of circuits, from left to right.",
        "y": "Place on the map of circuits, from bottom to top.",
    }
    engine = ("tone",)
    struct_bytes = 11 * 1024
    callback_cycles, sample_cycles = 4_000, 135

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents; mix, gain, level match, level; a blend of two captures, and a tone where it is moved."""
        assignment.tones["drive"] = add_tone(assignment, assignment.models["drive"])
        add_layer(assignment, assignment.models["drive"])
        assignment.add("mix", UNIT, 1.0)
        assignment.add("gain", (0.0, 2.0), 0.5)
        assignment.add("match", UNIT, 1.0)
        assignment.add("level", UNIT, 1.0)
        if "second" in assignment.models:
            assignment.add("blend", UNIT, 0.0)
        if "tone" in assignment.moved:
            assignment.add("tone", (-1.0, 1.0), 0.5)

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Refuse two models that answer at different times: what is faded must be one sound."""
        late = {role: report["latency_samples"] for role, report in reports.items()}
        if len(set(late.values())) > 1:
            told = ", ".join(f"{assignment.models[role].path.name} {ticks}" for role, ticks in late.items())
            raise Refusal(
                f"the two models of a drive answer after different times ({told} samples); take two captures."
            )

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``DriveSpec``."""
        declared, tone = tone_tables(assignment, assignment.tones["drive"], "drive", "drive")
        layer, layered = layer_tables(assignment, models["drive"], "drive")
        second, blend = models.get("second"), assignment.index.get("blend", -1)
        other = f"&{second.table}, .second_state = &second_state" if second else "NULL"
        states = [models[role].state for role in models]
        spec = f"""{{
    .model = &{models["drive"].table},
    .state = &drive_state,
    .tone = {tone[:-1]}{layered}}},
    .mix = {assignment.index["mix"]},
    .gain = {assignment.index["gain"]},
    .match = {assignment.index["match"]},
    .level = {assignment.index["level"]},
    .second = {other},
    .blend = {blend},
    .tilt = {assignment.index.get("tone", -1)},
    .bends = {len(assignment.models["drive"].about.bends)},
    .outputs = OUTPUTS,
}}"""
        return KindTables([declared, *layer, *states], spec)


KIND = Drive()
