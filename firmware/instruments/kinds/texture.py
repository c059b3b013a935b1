"""A texture: sound becomes latents, hands bend them, latents become sound."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.model_metadata import ModelMetadata
from common.pitch import lowpass
from common.refusal import Refusal
from firmware.compiler.passes.split_sound import TICKS_PER_HOP
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment, ToneAssignment
from firmware.instruments.c.hearing import ear_of, ear_tables
from firmware.instruments.c.held import Held, KindTables
from firmware.instruments.c.literals import floats, integers
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.hops import HEAR_CYCLES, HOP, Step, load_of, network_steps, placed
from firmware.instruments.kinds.base import InstrumentKind, ModelRole, PriorRole
from firmware.instruments.latents import prior
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.roles import ear
from firmware.instruments.tone import UNIT, add_bends, position_of, tone_tables
from firmware.kernelgen.ear import tables as bin_tables
from firmware.models.model_file import ModelFile
from hardware.board import Board

STAGES: Mapping[str, tuple[int, ...]] = {
    "track": (6_100, 5_700, 4_000, 4_500, 4_500, 4_500, 4_800, 6_900),
    "hear": HEAR_CYCLES,
    "encode": (),
    "play": (800,),
    "pulses": (5_600, 5_600, 5_600, 5_600, 2_900, 3_500, 3_500, 3_500, 3_500, 8_900),
    "decode": (),
    "gains": (5_400, 5_400, 5_400, 4_100, 4_100, 2_800),
    "frame": (3_000, 3_000, 5_500, 3_300, 3_300, 3_300, 3_300, 3_100),
}
"""Stages of a hop, TEXTURE_STAGE_… of engine/instruments/texture.h; what their pieces take on a Cortex-M7.

Counted by `vaectrol emulate`. The networks cut themselves into ticks.
"""
NEEDS = {
    **dict.fromkeys(("track", "hear", "encode"), "encoder"),
    **dict.fromkeys(("pulses", "decode", "gains", "frame"), "decoder"),
}
"""The half without which a stage is left out."""
BEGIN_CYCLES = 12_400
"""What happens at once when a hop is complete: its loudness, and the frame that sounds at that."""
EAR = "ear."
"""Prefix of the parameters of what listens beside a texture."""
CATCHES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
"""LISTENER_OUT_… of engine/instruments/listening.h."""
CAUGHT_HOPS = (1.0, 375.0)
LISTENING_BYTES, LISTENING_REGION = 16 * 1024, "axi"
"""What it keeps, and where: it would take the place of weights in fast memory."""
LATENTS = 16
VOLTS_PER_OCTAVE_SPAN = 2.0
STRAY = 1.0
"""How far a latent may be beyond the ends of its quantile table, as `play` of the C bounds it."""


class Half(ModelRole):
    """Encoder or decoder; either may be absent, not both."""

    model_kind = "texture"
    required = False

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """A callback's share of a hop; the kind knows the worst (`Texture.load`)."""
        cycles = report["cycles_per_callback"]
        return cycles["mean"], cycles["mean"]


class EncoderHalf(Half):
    """Hears."""

    name = "encoder"

    def source(self, model: CompiledModel) -> str:
        """Return the functions and tables of a ``TextureEncoder``."""
        assert model.ends.ear is not None
        role, name, bank = model.role, model.name, model.ends.ear
        latents = len(model.model.about.latents)
        return f"""{ear_tables(bank, role)}
static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, uint8_t ticks, const float *heard, float *latent)
{{
    float loudness; /* known before */
    const {name}_inputs in = {{.heard = heard, .heard_stride = 1}};
    const {name}_outputs out = {{
        .latent = latent, .latent_stride = 1,
        .loudness = &loudness, .loudness_stride = 1,
    }};
    {name}_process(state, ticks, &in, &out);
}}

_Static_assert({latents} <= TEXTURE_LATENTS && TEXTURE_TICKS == {TICKS_PER_HOP}u, "of the engine");
static const TextureEncoder {model.table} = {{
    .ear = {ear_of(bank, role)},
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
        bent = model.model.about.input_with("bend")
        bends = "" if bent is None else f"\n        .{bent.name} = knobs, .{bent.name}_stride = 1,"
        bins = bin_tables(source.share)
        return f"""static const uint8_t source_band[] = {integers(int(b) for b in bins.band)};
static const float source_upper[] = {floats(bins.upper)};

static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, uint8_t ticks, const float *latent, const float *control,
                           const float *knobs, float *numbers)
{{
    (void)knobs;
    const {name}_inputs in = {{
        .latent = latent, .latent_stride = 1,
        .control = control, .control_stride = 1,{bends}
    }};
    const {name}_outputs out = {{.numbers = numbers, .numbers_stride = 1}};
    {name}_process(state, ticks, &in, &out);
}}

_Static_assert(TEXTURE_TICKS == {TICKS_PER_HOP}u, "of the engine");
static const TextureDecoder {model.table} = {{
    .filter = {{source_band, source_upper, {source.seed % 2**32}u, {len(source.share)}}},
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""


class Texture(InstrumentKind):
    """Audio in, latents, audio out."""

    gates = ("freeze",)
    gate_sources = ("onset",)
    cv_sources = (
        *(f"{what}.{i + 1}" for what in ("latent", "played") for i in range(LATENTS)),
        "pitch",
        "voicing",
        "loudness",
    )
    audio_sources = ("mix",)
    roles = (EncoderHalf(), DecoderHalf(), PriorRole("texture"), ear.EarRole(required=False))
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
        "catch": "Which strokes are caught: any, kicks, snares, hats, toms, percussion.",
        "caught": "How long the sound of a stroke that was caught goes on, up to two seconds.",
        **{f"{EAR}{name}": words for name, words in ear.WORDS.items()},
    }
    engine = ("tone", "listening")
    struct_bytes = 44 * 1024
    callback_cycles, sample_cycles = 4_000, 165

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents; what is done to them and to the pitch; levels."""
        if not {"encoder", "decoder"} & assignment.models.keys():
            raise Refusal(f"{assignment.loaded.name}: a texture needs an encoder, a decoder or both.")
        halves = {role: model for role, model in assignment.models.items() if role != "ear"}
        codecs = {role: model.about.codec for role, model in halves.items()}
        if len(set(codecs.values())) > 1:
            raise Refusal(
                f"{assignment.loaded.name}: its {' and '.join(codecs)} are of different runs "
                f"({', '.join(f'{role} {codec[:8]}' for role, codec in codecs.items())}); take those of one."
            )
        for role, model in halves.items():
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
        decoder = assignment.models.get("decoder")
        add_bends(assignment, decoder.about if decoder else ModelMetadata(), tone)
        assignment.tones["texture"] = tone
        add_layer(assignment, self.model_behind(assignment, ""))
        assignment.add("blend", UNIT, 0.0)
        assignment.add("scale", (0.0, 2.0), 0.5)
        assignment.add("pitch", (-2.75, 2.25), 0.55)
        assignment.add("transpose", (-VOLTS_PER_OCTAVE_SPAN, VOLTS_PER_OCTAVE_SPAN), 0.5)
        assignment.add("quantize", UNIT, 0.0)
        assignment.add("loudness", UNIT, 0.55)
        assignment.add("gain", (0.0, 2.0), 0.5)
        assignment.add("mix", UNIT, 1.0)
        assignment.add("level", UNIT, 1.0)
        if "ear" in assignment.models:
            assignment.add("catch", CATCHES, 1 / (len(CATCHES) - 1))
            assignment.add("caught", CAUGHT_HOPS, 0.25)
            ear.add_parameters(assignment, EAR, learns=False)

    def model_behind(self, assignment: Assignment, parameter: str) -> ModelFile:
        """Either half knows the latents."""
        return next(model for role, model in assignment.models.items() if role != "ear")

    def wait_ticks(self, assignment: Assignment) -> int:
        """A hop is collected, and the model itself is late."""
        halves = [model for role, model in assignment.models.items() if role != "ear"]
        late = max((int(model.about.latency_samples) for model in halves), default=0)
        return HOP + late

    def memory_bytes(self, assignment: Assignment) -> dict[str, int]:
        """Beside the struct, what an ear keeps."""
        more = {LISTENING_REGION: LISTENING_BYTES} if "ear" in assignment.models else {}
        return {"dtcm": self.struct_bytes, **more}

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Spread the steps of a hop evenly over it."""
        assignment.steps = placed(steps(reports), BEGIN_CYCLES)
        if "ear" in reports:
            assignment.ear_steps = placed(ear.steps(reports["ear"]), ear.BEGIN_CYCLES)

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Of a hop's steps, as they are due."""
        mean, worst = load_of(steps(reports), BEGIN_CYCLES, assignment.steps, block)
        if "ear" in reports:
            more = load_of(ear.steps(reports["ear"]), ear.BEGIN_CYCLES, assignment.ear_steps, block)
            mean, worst = mean + more[0], worst + more[1]
        if prior.ROLE in reports:
            more = prior.load(assignment, reports[prior.ROLE], block)
            mean, worst = mean + more[0], worst + more[1]
        return mean, worst

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``TextureSpec``."""
        some = next(role for role in models if role != "ear")
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
        steps_text = "\n".join(
            f"    {{{due}, TEXTURE_STAGE_{stage.upper()}, {part}}}," for due, stage, part in assignment.steps
        )
        listening, listened = _listening_tables(assignment, models)
        layer, layered = layer_tables(assignment, models[some], "texture", STRAY)
        constants = f"""{declared}
static const float texture_quantiles[] = {table};
static const float pitch_taps[] = {floats(lowpass())};
static const TextureStep texture_steps[] = {{
{steps_text}
}};"""
        spec = f"""{{
    .encoder = {used["encoder"][0]},
    .decoder = {used["decoder"][0]},
    .encoder_memory = {used["encoder"][1]},
    .decoder_memory = {used["decoder"][1]},
    .pitch_taps = pitch_taps,
    .tone = {tone}{layered},{listened}
    .quantiles = texture_quantiles,
    .points = {points},
{parameters}
    .steps = texture_steps,
    .count = {len(assignment.steps)},
    .behind = {self.wait_ticks(assignment)},
    .outputs = OUTPUTS,
}}"""
        held = [*layer, *(model.state for model in models.values())]
        return KindTables([constants, *held, *listening], spec)


def _listening_tables(
    assignment: Assignment, models: Mapping[str, CompiledModel]
) -> tuple[list[str | Held], str]:
    """What a texture with an ear has beside, and its members of a ``TextureSpec``."""
    if "ear" not in models:
        return [], ""
    model = models["ear"]
    count = len(assignment.ear_steps)
    about = ear.spec_text(assignment, model, "listening_steps", count, EAR)
    state = model.held("Listening", "listening", region=LISTENING_REGION)
    spec = f"static const ListeningSpec listening_spec = {about};"
    members = f"""
    .ear = &listening_spec,
    .listening = {state.addresses[0]},
    .catch = {assignment.index["catch"]},
    .caught = {assignment.index["caught"]},"""
    return [ear.steps_text("listening_steps", assignment.ear_steps), state, spec], members


def steps(reports: Mapping[str, Report]) -> list[Step]:
    """All steps of a hop, in order; those of a half that is absent are left out."""
    found: list[Step] = []
    for stage, pieces in STAGES.items():
        half = NEEDS.get(stage)
        if half is not None and half not in reports:
            continue
        if pieces:
            found += [Step(stage, part, float(cycles)) for part, cycles in enumerate(pieces)]
        else:
            assert half is not None
            found += network_steps(stage, reports[half])
    return found


KIND = Texture()
