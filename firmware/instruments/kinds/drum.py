"""A drum: one trigger, one sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from common.refusal import Refusal
from firmware.compiler.ops.hit import EVALUATION_TICKS, RESTING_TICKS, HitConstants
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import Held, KindTables
from firmware.instruments.c.literals import floats, integers
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.schema import InstrumentFile, Table
from firmware.instruments.tone import UNIT, add_tone, tone_tables
from firmware.kernelgen.bands import tables
from firmware.models.model_file import ModelFile
from hardware.board import Board

VOICE_CYCLES = 60
"""Per sample and sounding voice, beside its modes and noise: transient, envelope, sum."""
START_CYCLES = 6_000
"""Of a hit: the noise before it, its first states, its transient."""
VOICE_BYTES = 5 * 1024
"""Of a ``Voice``."""
SET_BYTES = 10 * 1024
"""Of a ``HitSet``."""


class Options(Table):
    """What is neither a knob nor a jack."""

    voices: int = Field(1, ge=1, le=4)
    """Hits that may sound at once."""
    retrigger: Literal["ring", "cut"] = "ring"
    """Whether a hit lets the one before it ring (where there is a voice left) or ends it."""


class DrumFile(InstrumentFile):
    """The whole file."""

    options: Options = Options()


class HitModel(ModelRole):
    """A network that says what a hit is made of, asked all the time (``engine/instruments/hit.h``)."""

    name = "drum"
    resting_ticks = RESTING_TICKS
    shared_recipe = "drum_electronic"

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """Mean and worst cycles per callback: an evaluation is cut evenly."""
        if "sound" not in report:
            raise Refusal(
                f"{report['name']}: the model ends in no HitSound, and the engine plays no other drum; train "
                "it again with this version."
            )
        whole = report["cycles_per_event"] + report["sound"]["cycles_per_evaluation"]
        portions = [whole * report["block"] / ticks for ticks in (self.resting_ticks, EVALUATION_TICKS)]
        return portions[0], portions[1] + report["cycles_per_step"]["worst"]

    def voice_cycles(self, report: Report) -> tuple[float, float]:
        """Modes and noise, a frame at a time."""
        sound = report["sound"]
        sounding = sound["cycles_per_frame"] * report["block"] / sound["frame_samples"]
        return sounding, sounding + START_CYCLES

    def wait_ticks(self, model: ModelFile) -> int:
        """A hit sounds when its evaluation is over."""
        return EVALUATION_TICKS

    def source(self, model: CompiledModel) -> str:
        """Return the functions of a ``HitModel``, and its sound."""
        assert model.sound is not None  # else `cycles` would have refused it
        role, name = model.role, model.name
        return f"""{sound_tables(model.sound, model.sample_rate_hz)}
{model.event_calls("class")}
static void {role}_reach(void *state, uint32_t part, uint32_t whole)
{{
    {name}_event_reach(state, part, whole);
}}

static void {role}_result(void *state, float *modes, float *glide, float *noise)
{{
    const {name}_outputs out = {{
        .modes = modes, .modes_stride = 1,
        .glide = glide, .glide_stride = 1,
        .noise = noise, .noise_stride = 1,
    }};
    {name}_event_result(state, &out);
}}

static void {role}_stroke(void *state, float *transient)
{{
    const {name}_outputs out = {{.transient = transient, .transient_stride = 1}};
    {name}_event_result(state, &out);
}}

static const HitModel {model.table} = {{
    .sound = &hit_sound,
    .reset = {role}_reset_model,
    .begin = {role}_begin,
    .reach = {role}_reach,
    .result = {role}_result,
    .stroke = {role}_stroke,
}};
"""


def sound_tables(sound: HitConstants, sample_rate_hz: float) -> str:
    """Return the C of a ``HitSound``, ``hit_sound``, and what it points to."""
    bands = tables(sound.filters)
    half = np.char.mod("%d", np.append(bands.half.ravel(), np.zeros(6, np.int16)))
    return f"""static const float hit_anchors[] = {floats(sound.anchors_hz / sample_rate_hz)};
static const float hit_spreads[] = {floats(sound.spreads)};
static const _Alignas(4) int16_t hit_bands[] = {{{", ".join(half)}}};
static const float hit_peaks[] = {floats(bands.peak_logs)};
static const uint16_t hit_grid[] = {integers(int(frame) for frame in sound.grid_frames)};
static const float hit_fade[] = {floats(sound.fade)};
static const HitSound hit_sound = {{
    .modes = {{hit_anchors, hit_spreads, {len(sound.anchors_hz)}, {sound.gliding}}},
    .bands = {{hit_bands, hit_peaks, {len(sound.filters)}}},
    .grid = hit_grid,
    .fade = hit_fade,
    .points = {len(sound.grid_frames)},
    .transient = {len(sound.fade)},
    .seed = {sound.seed % 2**32}u,
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
    roles = (HitModel(),)
    audition: Mapping[str, float] = {"trigger": 1.5}
    words: Mapping[str, str] = {
        "class": "Chooses the drum, one class after the other.",
        "decay": "How long a hit may ring: fully right as long as the drum itself.",
        "accent": "How hard the next hit is struck.",
        "level": "Loudness of everything that leaves the module.",
        "x": "Place on the map of sounds, from left to right.",
        "y": "Place on the map of sounds, from bottom to top.",
    }
    engine = ("voice", "hit", "tone")
    struct_bytes = 24 * 1024
    callback_cycles, sample_cycles, voice_cycles = 3_500, 200, VOICE_CYCLES

    def voices(self, spec: InstrumentFile) -> int:
        """How many the options ask for."""
        assert isinstance(spec, DrumFile)
        return spec.options.voices

    def memory_bytes(self, assignment: Assignment) -> dict[str, int]:
        """The voices beside the struct."""
        return {"dtcm": self.struct_bytes + assignment.voices * VOICE_BYTES}

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents, class and attributes; decay, accent, level."""
        assignment.tones["drum"] = add_tone(assignment, assignment.models["drum"])
        add_layer(assignment, assignment.models["drum"])
        assignment.add("decay", decay_table(assignment.board.audio.sample_rate_hz), 1.0)
        assignment.add("accent", UNIT, 0.6)
        assignment.add("level", UNIT, 0.8)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``DrumSpec``."""
        file = assignment.loaded.spec
        assert isinstance(file, DrumFile)
        declared, tone = tone_tables(assignment, assignment.tones["drum"], "drum", "drum")
        layer, layered = layer_tables(assignment, models["drum"], "drum")
        spec = f"""{{
    .model = &{models["drum"].table},
    .state = &drum_state,
    .voice = drum_voices,
    .voices = {assignment.voices},
    .cut = {"true" if file.options.retrigger == "cut" else "false"},
    .tone = {tone[:-1]}{layered}}},
    .level = {assignment.index["level"]},
    .decay = {assignment.index["decay"]},
    .accent = {assignment.index["accent"]},
    .outputs = OUTPUTS,
}}"""
        voices = Held("Voice", "drum_voices", assignment.voices)
        return KindTables([declared, *layer, models["drum"].state, voices], spec)


KIND = Drum()
