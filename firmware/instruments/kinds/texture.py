"""A texture: sound becomes latents, hands bend them, latents become sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from common.pitch import lowpass
from common.refusal import Refusal
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment, ToneAssignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.literals import floats, integers
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.schema import InstrumentFile, Table
from firmware.instruments.tone import UNIT, position_of, tone_tables
from firmware.kernelgen.ear import tables as bin_tables
from firmware.models.model_file import ModelFile
from hardware.board import Board

HOP = 256
STEP_CYCLES = {"track": 44_000, "hear": 66_000, "pulses": 39_000, "gains": 24_000, "sound": 30_000}
"""What the engine's own steps of a hop take on a Cortex-M7, counted by `vaectrol emulate`."""
ORDER = ("track", "hear", "encoder", "pulses", "decoder", "gains", "sound")
"""Steps of a hop: TEXTURE_STEP_… of engine/instruments/texture.h; the two networks by their roles."""
SPREADS = tuple(range(16, HOP + 1, 16))
"""Samples over which a hop's steps may be spread; the instrument is later by as many."""
BUSIEST = 0.85
LATENTS = 16
VOLTS_PER_OCTAVE_SPAN = 2.0


class Options(Table):
    """What is neither a knob nor a jack."""

    latency: Literal["fit", "flat"] = "fit"
    """The least latency whose worst callback the board has time for, or the flattest load."""


class TextureFile(InstrumentFile):
    """The whole file."""

    options: Options = Options()


class Half(ModelRole):
    """Encoder or decoder; either may be absent, not both."""

    model_kind = "texture"
    required = False

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """A callback's share of a hop; the kind knows the worst (`Texture.load`)."""
        cycles = report["cycles_per_callback"]
        return cycles["mean"], cycles["mean"]


def hop_cycles(report: Report) -> float:
    """Cycles of one hop of a network: its tick is a hop, and all is done in one callback."""
    return report["cycles_per_callback"]["worst"]


class EncoderHalf(Half):
    """Hears."""

    name = "encoder"

    def source(self, model: CompiledModel) -> str:
        """Return the functions and tables of a ``TextureEncoder``."""
        assert model.ends.ear is not None
        role, name, ear = model.role, model.name, model.ends.ear
        bins = bin_tables(ear.bank)
        latents = len(model.model.about.latents)
        return f"""static const uint8_t ear_band[] = {integers(int(b) for b in bins.band)};
static const float ear_lower[] = {floats(bins.lower)};
static const float ear_upper[] = {floats(bins.upper)};
static const float ear_weight[] = {floats(ear.weight)};

static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, const float *heard, float *latent)
{{
    float loudness;
    const {name}_inputs in = {{.heard = heard, .heard_stride = 1}};
    const {name}_outputs out = {{
        .latent = latent, .latent_stride = 1,
        .loudness = &loudness, .loudness_stride = 1,
    }};
    {name}_process(state, 1, &in, &out);
}}

_Static_assert({latents} <= TEXTURE_LATENTS, "latents");
static const TextureEncoder {model.table} = {{
    .ear = {{ear_band, ear_lower, ear_upper, ear_weight, {len(ear.bank)}}},
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""


class DecoderHalf(Half):
    """Makes sound."""

    name = "decoder"

    def source(self, model: CompiledModel) -> str:
        """Return the functions and tables of a ``TextureDecoder``."""
        assert model.ends.source is not None
        role, name, source = model.role, model.name, model.ends.source
        bins = bin_tables(source.share)
        return f"""static const uint8_t source_band[] = {integers(int(b) for b in bins.band)};
static const float source_upper[] = {floats(bins.upper)};

static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, const float *latent, const float *control, float *numbers)
{{
    const {name}_inputs in = {{
        .latent = latent, .latent_stride = 1,
        .control = control, .control_stride = 1,
    }};
    const {name}_outputs out = {{.numbers = numbers, .numbers_stride = 1}};
    {name}_process(state, 1, &in, &out);
}}

static const TextureDecoder {model.table} = {{
    .filter = {{source_band, source_upper, {source.seed % 2**32}u, {len(source.share)}}},
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""


class Texture(InstrumentKind):
    """Audio in, latents, audio out."""

    schema = TextureFile
    gates = ("freeze",)
    gate_sources = ("onset",)
    cv_sources = (*(f"latent.{i + 1}" for i in range(LATENTS)), "pitch", "voicing", "loudness")
    audio_sources = ("mix",)
    roles = (EncoderHalf(), DecoderHalf())
    words: Mapping[str, str] = {
        "blend": "From what the encoder hears to what the hands say.",
        "scale": "How far the latents are from the mean: none, as heard, twice.",
        "pitch": "Pitch that the hands say, from C1 to C6, as far as they are blended in.",
        "transpose": "Pitch, two octaves down to two up.",
        "quantize": "Draws the pitch to the nearest semitone.",
        "loudness": "Loudness that the hands say, as far as they are blended in.",
        "gain": "How loud the sound goes in.",
        "mix": "From the dry sound, as late as the made one, to the made one.",
        "level": "Loudness of everything that leaves the module.",
    }
    engine = ("tone",)
    struct_bytes = 44 * 1024
    callback_cycles, sample_cycles = 4_000, 165

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents; what is done to them and to the pitch; levels."""
        if not assignment.models:
            raise Refusal(f"{assignment.loaded.name}: a texture needs an encoder, a decoder or both.")
        codecs = {role: model.about.codec for role, model in assignment.models.items()}
        if len(set(codecs.values())) > 1:
            raise Refusal(
                f"{assignment.loaded.name}: its encoder and decoder are of different runs "
                f"({', '.join(f'{role} {codec[:8]}' for role, codec in codecs.items())}); take both of one."
            )
        for role, model in assignment.models.items():
            if model.about.part != role:
                raise Refusal(
                    f"{assignment.loaded.name}: {model.path.name} is the {model.about.part or 'whole'} of a "
                    f"texture, and it stands for the {role}; exchange them."
                )
        latents = self.model_behind(assignment, "").about.latents
        tone = ToneAssignment()
        for number, latent in enumerate(latents, 1):
            rest = position_of(latent.quantiles, latent.mean)
            tone.latent_rest.append(
                float(np.interp(rest, np.linspace(0, 1, len(latent.quantiles)), latent.quantiles))
            )
            tone.latent.append(assignment.add(f"latent.{number}", latent.quantiles, rest))
        assignment.tones["texture"] = tone
        assignment.add("blend", UNIT, 0.0)
        assignment.add("scale", (0.0, 2.0), 0.5)
        assignment.add("pitch", (-2.75, 2.25), 0.55)
        assignment.add("transpose", (-VOLTS_PER_OCTAVE_SPAN, VOLTS_PER_OCTAVE_SPAN), 0.5)
        assignment.add("quantize", UNIT, 0.0)
        assignment.add("loudness", UNIT, 0.55)
        assignment.add("gain", (0.0, 2.0), 0.5)
        assignment.add("mix", UNIT, 1.0)
        assignment.add("level", UNIT, 1.0)

    def model_behind(self, assignment: Assignment, parameter: str) -> ModelFile:
        """Either half knows the latents."""
        return next(iter(assignment.models.values()))

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Choose over how many samples a hop is spread: the fewest that fit, or a whole hop."""
        cycles = step_cycles(assignment, reports)
        board = assignment.board
        room = BUSIEST * board.processor.clock_hz * block / board.audio.sample_rate_hz
        room -= self.engine_cycles(block, 1)
        spec = assignment.loaded.spec
        assert isinstance(spec, TextureFile)
        fits = (s for s in SPREADS if peak(dues(cycles, s), cycles, block) <= room)
        spread = next(fits, HOP) if spec.options.latency == "fit" else HOP
        assignment.dues = (*dues(cycles, spread), spread)

    def wait_ticks(self, assignment: Assignment) -> int:
        """A hop is collected and worked at, and the model itself is late."""
        late = max((int(model.about.latency_samples) for model in assignment.models.values()), default=0)
        return HOP + assignment.dues[-1] + late

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Of a hop's steps, as they are due."""
        cycles = step_cycles(assignment, reports)
        return sum(cycles) * block / HOP, peak(assignment.dues[:-1], cycles, block)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``TextureSpec``."""
        some = next(iter(models))
        declared, tone = tone_tables(assignment, assignment.tones["texture"], "texture", some)
        latents = models[some].model.about.latents
        points = len(latents[0].quantiles)
        table = floats([value for latent in latents for value in latent.quantiles])
        used = {
            role: (f"&{models[role].table}", f"&{role}_state") if role in models else ("NULL", "NULL")
            for role in ("encoder", "decoder")
        }
        names = ("blend", "scale", "pitch", "transpose", "quantize", "loudness", "gain", "mix", "level")
        parameters = "\n".join(f"    .{name} = {assignment.index[name]}," for name in names)
        constants = f"""{declared}
static const float texture_quantiles[] = {table};
static const float pitch_taps[] = {floats(lowpass())};"""
        spec = f"""{{
    .encoder = {used["encoder"][0]},
    .decoder = {used["decoder"][0]},
    .encoder_memory = {used["encoder"][1]},
    .decoder_memory = {used["decoder"][1]},
    .pitch_taps = pitch_taps,
    .tone = {tone},
    .quantiles = texture_quantiles,
    .points = {points},
{parameters}
    .due = {integers(assignment.dues[:-1])},
    .sounds = {assignment.dues[-1]},
    .behind = {self.wait_ticks(assignment)},
    .outputs = OUTPUTS,
}}"""
        return KindTables([constants, *(model.state for model in models.values())], spec)


def step_cycles(assignment: Assignment, reports: Mapping[str, Report]) -> list[float]:
    """Cycles of every step of a hop, in order; nothing for a half that is absent."""
    needs = {
        "track": "encoder",
        "hear": "encoder",
        "pulses": "decoder",
        "gains": "decoder",
        "sound": "decoder",
    }
    return [
        (hop_cycles(reports[step]) if step in reports else 0.0)
        if step not in needs
        else float(STEP_CYCLES[step]) * (needs[step] in reports)
        for step in ORDER
    ]


def dues(cycles: list[float], spread: int) -> tuple[int, ...]:
    """Samples after which each step is due: the share of the spread that matches the cost before it."""
    total = sum(cycles) or 1.0
    before = np.concatenate([[0.0], np.cumsum(cycles)[:-1]])
    return tuple(int(v) for v in np.minimum(np.floor(spread * before / total), spread - 1))


def peak(due: tuple[int, ...], cycles: list[float], block: int) -> float:
    """Most cycles of steps that fall into one callback, wherever in it a hop ends."""
    worst = 0.0
    for first in range(0, HOP):
        worst = max(worst, sum(c for d, c in zip(due, cycles, strict=True) if (d - first) % HOP < block))
    return worst


KIND = Texture()
