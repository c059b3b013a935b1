"""A drum: one trigger, one sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from common.model_metadata import DECAYS_AND_TONES
from common.refusal import Refusal
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c_text import floats, number
from firmware.instruments.kinds.base import InstrumentKind, ModelRole, state_region
from firmware.instruments.model_calls import CompiledModel
from firmware.instruments.model_file import ModelFile
from firmware.instruments.schema import InstrumentFile, Table
from firmware.instruments.tone import UNIT, add_tone, tone_tables
from hardware.board import Board

MAX_TIMES = 160  # VOICE_TIMES in engine/instruments/voice.h
CLEAR_CYCLES_PER_BYTE = 0.3
"""Of a state that a hit clears, in tightly coupled memory."""
VOICE_CYCLES = 65
"""Per sample and sounding voice: time basis, envelope, sum."""


class Options(Table):
    """What is neither a knob nor a jack."""

    voices: int = Field(1, ge=1, le=4)
    """Hits that may sound at once."""
    retrigger: Literal["ring", "cut"] = "ring"
    """Whether a hit lets the one before it ring (where there is a voice left) or ends it."""


class DrumFile(InstrumentFile):
    """The whole file."""

    options: Options = Options()


class VoiceModel(ModelRole):
    """A decoder that is told how long ago it was struck (``engine/instruments/voice.h``)."""

    name = "drum"
    per_voice = True
    shared_recipe = "drum_electronic"

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """Mean and worst cycles per callback of one voice.

        The worst callback is the one in which it is struck: the hit begins a frame after its trigger and so
        computes none more (``engine/instruments/voice.h``), but it clears the model's state.
        """
        mean, worst = super().cycles(report, board)
        if board.processor.core != "cortex-m7":
            return mean, worst
        region = board.region(state_region(report))
        fill = 0 if region.kind == "tcm" else region.line_fill_cycles or 0
        per_byte = CLEAR_CYCLES_PER_BYTE + fill / (board.processor.cache_line_bytes or 32)
        return mean, worst + per_byte * report["state_bytes"]

    def wait_ticks(self, model: ModelFile) -> int:
        """One frame of its own: so long a hit waits, always."""
        latent = model.about.input_with("latent")
        return model.hop(latent.name) if latent else 0

    def source(self, model: CompiledModel) -> str:
        """Return the functions of a ``VoiceModel``."""
        z, knobs = model.input("latent"), model.input("class", "attribute", "condition")
        time, audio = model.input("time"), model.output("audio")
        hop, role, name = model.model.hop(z), model.role, model.name
        return f"""{_time_basis(model, hop)}
static void {role}_reset_model(void *state, uint32_t seed)
{{
    {name}_reset(state);
    {name}_noise_at(state, seed * 48000u); /* no two hits alike */
}}

static size_t {role}_frames_due(const void *state, size_t ticks)
{{
    return {name}_frames_due(state, ticks, {model.input_order.index(z)}u);
}}

static void {role}_process(void *state, size_t ticks, VoiceFrames *frames)
{{
    const {name}_inputs in = {{
        .{z} = frames->latent, .{z}_stride = VOICE_FRAMES,
        .{knobs} = frames->knob, .{knobs}_stride = VOICE_FRAMES,
        .{time} = frames->time, .{time}_stride = VOICE_FRAMES,
    }};
    const {name}_outputs out = {{.{audio} = frames->audio, .{audio}_stride = PORT_MAX_BLOCK}};
    {name}_process(state, ticks, &in, &out);
}}

static const VoiceModel {model.table} = {{
    .hop = {hop},
    .tail_frames = {max(1, -(-model.latency_ticks // hop)) + 8},
    .time = &time_basis,
    .reset = {role}_reset_model,
    .frames_due = {role}_frames_due,
    .process = {role}_process,
}};
"""


def _time_basis(model: CompiledModel, hop: int) -> str:
    about = model.model.about.time_basis
    constants = about.constants if about else None
    if constants is None:
        raise Refusal(
            f"{model.file.name}: its time basis is {about.kind if about else None!r}, and the engine knows "
            f"{DECAYS_AND_TONES!r}; train it again with this version."
        )
    frame_s = hop / model.sample_rate_hz
    decays = np.exp(-frame_s / np.asarray(constants.decays_s, np.float64))
    angles = 2.0 * np.pi * np.asarray(constants.frequencies_hz, np.float64) * frame_s
    rotations = np.column_stack([np.cos(angles), np.sin(angles)]).ravel()
    if 2 + len(decays) + 2 * len(angles) > MAX_TIMES:
        raise Refusal(f"{model.file.name}: its time basis has more than {MAX_TIMES} channels.")
    return f"""static const float time_decays[] = {floats(decays)};
static const float time_rotations[] = {floats(rotations)};
static const TimeBasisSpec time_basis = {{
    .frames_per_window = {number(constants.window_s / frame_s)},
    .frames_per_fade = {number(constants.fade_s / frame_s)},
    .decays = {len(decays)},
    .tones = {len(angles)},
    .decay = time_decays,
    .rotation = time_rotations,
}};
"""


def decay_table(sample_rate_hz: float, points: int = 33) -> list[float]:
    """Share of the level lost per sample over the travel: time constants 15 ms … 8 s, and none at the end."""
    seconds = 0.015 * (8.0 / 0.015) ** np.linspace(0.0, 1.0, points)
    loss = -np.expm1(-1.0 / (seconds * sample_rate_hz))
    loss[-1] = 0.0
    return [float(value) for value in loss]


class Drum(InstrumentKind):
    """One trigger, one sound."""

    schema = DrumFile
    gates = ("trigger", "accent", "choke")
    gate_sources = ("trigger",)
    cv_sources = ("envelope",)
    audio_sources = ("mix",)
    roles = (VoiceModel(),)
    engine = ("voice", "tone", "time_basis")
    struct_bytes = 13 * 1024
    callback_cycles, sample_cycles, voice_cycles = 3_500, 200, VOICE_CYCLES

    def voices(self, spec: InstrumentFile) -> int:
        """How many the options ask for."""
        assert isinstance(spec, DrumFile)
        return spec.options.voices

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents, class and attributes; decay, accent, level."""
        assignment.tones["drum"] = add_tone(assignment, assignment.models["drum"])
        assignment.add("decay", decay_table(assignment.board.audio.sample_rate_hz), 1.0)
        assignment.add("accent", UNIT, 0.6)
        assignment.add("level", UNIT, 0.8)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> str:
        """Return a ``DrumSpec``."""
        spec = assignment.loaded.spec
        assert isinstance(spec, DrumFile)
        declared, tone = tone_tables(assignment, assignment.tones["drum"], "drum", "drum")
        states = models["drum"].states(assignment.voices)
        return f"""{declared}
{states.declaration}
static void *const drum_states[] = {{{", ".join(states.addresses)}}};
static const DrumSpec spec = {{
    .model = &{models["drum"].table},
    .state = drum_states,
    .voices = {assignment.voices},
    .cut = {"true" if spec.options.retrigger == "cut" else "false"},
    .tone = {tone},
    .level = {assignment.index["level"]},
    .decay = {assignment.index["decay"]},
    .accent = {assignment.index["accent"]},
    .outputs = OUTPUTS,
}};
static Drum instrument;
"""


KIND = Drum()
