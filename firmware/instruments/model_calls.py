"""Between a compiled model and the engine: the lines of C that call it as a voice, a rhythm or a drive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.refusal import Refusal
from firmware.instruments.model_file import ModelFile

MAX_BASIS = 160  # VOICE_TIMES in engine/instruments/voice.h


@dataclass(frozen=True)
class States:
    """Memory of a model's instances: its declaration in C and the address of each."""

    declaration: str
    addresses: list[str]


@dataclass(frozen=True)
class ModelGlue:
    """One compiled model and how its instrument calls it.

    Attributes
    ----------
    role : str
        ``drum``, ``rhythm`` or ``drive``.
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
        Where the memory plan wants the state; empty where nothing has to be said.
    """

    role: str
    file: Path
    name: str
    model: ModelFile
    latency_ticks: int
    sample_rate_hz: float
    input_order: list[str]
    state_region: str = ""

    @property
    def header(self) -> str:
        """Header of the compiled model."""
        return f"{self.name}.h"

    @property
    def table(self) -> str:
        """Name of the engine's table of functions."""
        return f"{self.role}_model"

    def states(self, count: int) -> States:
        """Declare memory for `count` instances."""
        names = [f"{self.role}_state_{n}" for n in range(count)]
        places = [
            f'__attribute__((section(".{self.state_region}.{name}"))) ' if self.state_region else ""
            for name in names
        ]
        declared = [
            f"{place}static {self.name}_state {name};" for place, name in zip(places, names, strict=True)
        ]
        return States("\n".join(declared), [f"&{name}" for name in names])

    def source(self) -> str:
        """Return the functions and the table."""
        return {"drum": self._voice, "rhythm": self._rhythm, "drive": self._drive}[self.role]()

    def _tensor(self, *roles: str, outputs: bool = False) -> str:
        """C name of the model's tensor with one of these roles."""
        entries = self.model.about.get("outputs" if outputs else "inputs", [])
        for entry in entries:
            if entry.get("role") in roles:
                return str(entry["name"])
        raise Refusal(f"{self.file.name}: no {'output' if outputs else 'input'} has the role {roles[0]}.")

    def _voice(self) -> str:
        z, knobs, time = (
            self._tensor("latent"),
            self._tensor("class", "attribute", "condition"),
            self._tensor("time"),
        )
        audio = self._tensor("audio", outputs=True)
        hop = self.model.hop(z)
        return f"""{self._time_basis(hop)}
static void {self.role}_reset_model(void *state, uint32_t seed)
{{
    {self.name}_reset(state);
    {self.name}_noise_at(state, seed * 48000u); /* no two hits alike */
}}

static size_t {self.role}_frames_due(const void *state, size_t ticks)
{{
    return {self.name}_frames_due(state, ticks, {self.input_order.index(z)}u);
}}

static void {self.role}_process(void *state, size_t ticks, VoiceFrames *frames)
{{
    const {self.name}_inputs in = {{
        .{z} = frames->latent, .{z}_stride = VOICE_FRAMES,
        .{knobs} = frames->knob, .{knobs}_stride = VOICE_FRAMES,
        .{time} = frames->time, .{time}_stride = VOICE_FRAMES,
    }};
    const {self.name}_outputs out = {{.{audio} = frames->audio, .{audio}_stride = PORT_MAX_BLOCK}};
    {self.name}_process(state, ticks, &in, &out);
}}

static const VoiceModel {self.table} = {{
    .hop = {hop},
    .tail_frames = {max(1, -(-self.latency_ticks // hop)) + 8},
    .time = &time_basis,
    .reset = {self.role}_reset_model,
    .frames_due = {self.role}_frames_due,
    .process = {self.role}_process,
}};
"""

    def _time_basis(self, hop: int) -> str:
        from firmware.instruments.c_text import floats, number

        about: dict[str, Any] = self.model.about.get("time_basis") or {}
        if about.get("kind") != "decays_and_tones":
            raise Refusal(
                f"{self.file.name}: its time basis is {about.get('kind')!r}, and the engine knows "
                "'decays_and_tones'; train it again with this version."
            )
        constants = about["constants"]
        frame_s = hop / self.sample_rate_hz
        decays = np.exp(-frame_s / np.asarray(constants["decays_s"], np.float64))
        angles = 2.0 * np.pi * np.asarray(constants["frequencies_hz"], np.float64) * frame_s
        rotations = np.column_stack([np.cos(angles), np.sin(angles)]).ravel()
        if 2 + len(decays) + 2 * len(angles) > MAX_BASIS:
            raise Refusal(f"{self.file.name}: its time basis has more than {MAX_BASIS} channels.")
        return f"""static const float time_decays[] = {floats(decays)};
static const float time_rotations[] = {floats(rotations)};
static const TimeBasisSpec time_basis = {{
    .frames_per_window = {number(constants["window_s"] / frame_s)},
    .frames_per_fade = {number(constants["fade_s"] / frame_s)},
    .decays = {len(decays)},
    .tones = {len(angles)},
    .decay = time_decays,
    .rotation = time_rotations,
}};
"""

    def _rhythm(self) -> str:
        z, attributes = self._tensor("latent"), self._tensor("attribute", "class", "condition")
        pattern = self._tensor("pattern", outputs=True)
        return f"""static void {self.role}_reset_model(void *state)
{{
    {self.name}_reset(state);
}}

static void {self.role}_begin(void *state, const float *latents, const float *attributes)
{{
    const {self.name}_inputs in = {{
        .{z} = latents, .{z}_stride = 1,
        .{attributes} = attributes, .{attributes}_stride = 1,
    }};
    {self.name}_event_begin(state, &in);
}}

static bool {self.role}_step(void *state, uint32_t cycles)
{{
    return {self.name}_event_step(state, cycles);
}}

static void {self.role}_result(void *state, Pattern *pattern)
{{
    const {self.name}_outputs out = {{.{pattern} = &pattern->onset[0][0], .{pattern}_stride = RHYTHM_STEPS}};
    {self.name}_event_result(state, &out);
}}

static const RhythmModel {self.table} = {{
    .reset = {self.role}_reset_model,
    .begin = {self.role}_begin,
    .step = {self.role}_step,
    .result = {self.role}_result,
}};
"""

    def _drive(self) -> str:
        audio, latent = self._tensor("audio"), self._tensor("latent", "condition")
        out = self._tensor("audio", outputs=True)
        hop = self.model.hop(latent)
        return f"""static void {self.role}_reset_model(void *state)
{{
    {self.name}_reset(state);
}}

static size_t {self.role}_frames_due(const void *state, size_t ticks)
{{
    return {self.name}_frames_due(state, ticks, {self.input_order.index(latent)}u);
}}

static void {self.role}_process(void *state, size_t ticks, DriveFrames *frames)
{{
    const {self.name}_inputs in = {{
        .{audio} = frames->in, .{audio}_stride = PORT_MAX_BLOCK,
        .{latent} = frames->latent, .{latent}_stride = DRIVE_FRAMES,
    }};
    const {self.name}_outputs out = {{.{out} = frames->out, .{out}_stride = PORT_MAX_BLOCK}};
    {self.name}_process(state, ticks, &in, &out);
}}

static const DriveModel {self.table} = {{
    .hop = {hop},
    .latency_ticks = {self.latency_ticks},
    .reset = {self.role}_reset_model,
    .frames_due = {self.role}_frames_due,
    .process = {self.role}_process,
}};
"""
