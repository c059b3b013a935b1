"""An oscillator that follows one volt per octave, whose timbre a network says."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from pydantic import Field

from common.refusal import Refusal
from firmware.compiler.passes.split_sound import TICKS_PER_HOP
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import Held, KindTables
from firmware.instruments.c.literals import floats, integers
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.roles import expression
from firmware.instruments.schema import InstrumentFile, Table
from firmware.instruments.tone import UNIT, add_latents, tone_tables
from firmware.kernelgen.bands import tables as band_tables
from hardware.board import Board

HABITS = ("peak", "depth", "attack", "decay", "release")
"""Rows of a model's habits, in the order of the enum in ``engine/instruments/oscillator.h``."""
QUARTER, QUARTERS = 48, 4
CALLS, CALL_CYCLES = 16, 400
"""Calls of the network in a frame, and what each takes beside the layers."""
POINTS = 33
GLIDES_S = tuple(2.0 * (at / (POINTS - 1)) ** 3 for at in range(POINTS))
RATES_HZ = (2.0, 9.0)
QUIETEST_DB, LOUDEST_DB = -30.0, 6.0
SLOWER = (-2.5, 2.5)
BREATH = (-4.0, 4.0)
STRUCK_DB = (-24.0, -13.0, -6.0, 0.0, 6.0)
"""What velocity does to the loudness where no network hears it; nothing, exactly, at rest."""
MOST_VOICES, MOST_HARMONICS = 4, 64
CHORDS = (
    "in turn", "unison", "octaves", "fifths", "fifths and ninth", "fourth", "minor", "major", "minor seventh",
    "seventh", "major seventh", "diminished",
)  # fmt: skip
"""What the first gate plays, in the order of ``CHORD`` in ``engine/instruments/oscillator.c``."""
SPREADS = tuple(0.05 * (at / (POINTS - 1)) ** 2 for at in range(POINTS))
"""Octaves between a voice and the pitch that is asked for: at most 60 cents."""
VOICE_BYTES = 4 * 1024
"""Of an ``OscillatorVoice``."""
STATE_BYTES = 10 * 1024
"""Of a further voice's states of the networks, at most."""


class Options(Table):
    """What is neither a knob nor a jack."""

    voices: int = Field(1, ge=1, le=MOST_VOICES)
    """Notes that may sound at once."""
    harmonics: int = Field(MOST_HARMONICS, ge=8, le=MOST_HARMONICS, multiple_of=4)
    """The lowest that are played of each, where the model has more: fewer take less time."""


class OscillatorFile(InstrumentFile):
    """The whole file."""

    options: Options = Options()


def options_of(assignment: Assignment) -> Options:
    """Options of the file."""
    file = assignment.loaded.spec
    assert isinstance(file, OscillatorFile)
    return file.options


class OscillatorModel(ModelRole):
    """A decoder of harmonics and noise, told pitch and loudness (``engine/instruments/oscillator.h``)."""

    name = "voice"

    def source(self, model: CompiledModel) -> str:
        """Return the functions and tables of a ``OscillatorModel``."""
        bank = model.ends.bank
        if bank is None:
            raise Refusal(f"{model.file.name}: a voice ends in HarmonicBank; export the model again.")
        role, name = model.role, model.name
        tables = band_tables(bank.filters)
        half = integers([*(int(v) for v in tables.half.ravel()), *[0] * 6])  # six more are read
        return f"""_Alignas(4) static const int16_t {role}_band_half[] = {half};
static const float {role}_band_peak[] = {floats(tables.peak_logs)};
static const float {role}_habit[] = {floats(np.ravel(model.model.about.habits))};

static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, uint8_t ticks, const float *latent, const float *control,
                           float *numbers)
{{
    const {name}_inputs in = {{
        .latent = latent, .latent_stride = 1,
        .control = control, .control_stride = 1,
    }};
    const {name}_outputs out = {{.numbers = numbers, .numbers_stride = 1}};
    {name}_process(state, ticks, &in, &out);
}}

_Static_assert(OSCILLATOR_TICKS == {TICKS_PER_HOP}u && OSCILLATOR_HABITS == {len(HABITS)}u, "of the engine");
_Static_assert({bank.harmonics + len(bank.filters)} <= VK_HARMONICS + VK_BANDS, "of the engine");
static const OscillatorModel {model.table} = {{
    .bands = {{{role}_band_half, {role}_band_peak, {len(bank.filters)}}},
    .seed = {bank.seed % 2**32}u,
    .harmonics = {bank.harmonics},
    .habit = {role}_habit,
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """Nothing beside the voices; the kind knows the worst (`Oscillator.load`)."""
        return 0.0, 0.0

    def voice_cycles(self, report: Report) -> tuple[float, float]:
        """A callback's share of a frame; a voice alone has twice as much where a note begins."""
        mean = report["cycles_per_callback"]["mean"]
        return mean, 2 * mean

    def states(self, assignment: Assignment) -> int:
        """One a voice."""
        return assignment.voices


class Oscillator(InstrumentKind):
    """Volts and gates in, one to four notes out."""

    schema = OscillatorFile
    gates = ("gate", "accent", "gate_2", "gate_3", "gate_4")
    gate_sources = ("note",)
    cv_sources = ("envelope", "pitch")
    audio_sources = ("mix", "left", "right")
    roles = (OscillatorModel(), expression.ExpressionModel())
    audition: Mapping[str, float] = {"gate": 1.0}
    words: Mapping[str, str] = {
        "pitch": "Pitch, one volt per octave; 0 V is the lowest C of a cello.",
        "tune": "Tunes by up to two octaves down or up.",
        "fine": "Tunes by up to a semitone down or up.",
        "glide": "How long the pitch takes to a new note.",
        "dynamics": "How loud it is played, which changes the timbre too.",
        "attack": "Left: quicker than this timbre begins by itself; right: slower.",
        "decay": "Left: a note keeps its loudness; middle: as this timbre does; right: it dies away.",
        "release": "Left: it stops sooner than this timbre does by itself; right: later.",
        "vibrato": "How deep the vibrato is, up to a semitone either way.",
        "rate": "How quick the vibrato is, from two to nine turns a second.",
        "breath": "How much noise is in the sound.",
        "level": "Loudness of everything that leaves the module.",
        **{f"pitch.{n}": f"Pitch of voice {n}, one volt per octave." for n in range(2, MOST_VOICES + 1)},
        "chord": "Left: each note takes the next voice; then unison, octaves, ever richer chords.",
        "spread": "How far voices are out of tune with each other, up to 60 cents.",
        "width": "How far voices stand apart between left and right.",
        **expression.WORDS,
    }
    engine = ("oscillator_voice", "expression", "tone")
    struct_bytes = 3 * 1024
    callback_cycles, sample_cycles, voice_cycles = 4_000, 330, 470

    def voices(self, spec: InstrumentFile) -> int:
        """How many the options ask for."""
        assert isinstance(spec, OscillatorFile)
        return spec.options.voices

    def gates_of(self, spec: InstrumentFile) -> tuple[str, ...]:
        """A gate for every voice, and accent."""
        return self.gates[: 1 + self.voices(spec)]

    def memory_bytes(self, assignment: Assignment) -> dict[str, int]:
        """The voices beside the struct, and the states that the compiler does not know of."""
        voices = assignment.voices
        return {"dtcm": self.struct_bytes + voices * VOICE_BYTES + (voices - 1) * STATE_BYTES}

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents; pitch, dynamics and how notes begin and end."""
        model = assignment.models["voice"]
        latents = len(model.about.latents)
        habits = model.about.habits
        if [len(row) for row in habits] != [latents + 3] * len(HABITS):
            raise Refusal(
                f"{model.path.name}: it does not say how its loudness moves; train it with this version."
            )
        assignment.tones["voice"] = add_latents(assignment, model, plane=False)
        add_layer(assignment, model)
        assignment.add("pitch", (-5.0, 5.0), 0.5)
        assignment.add("tune", (-2.0, 2.0), 0.5)
        assignment.add("fine", (-1.0, 1.0), 0.5)
        assignment.add("glide", GLIDES_S, 0.0)
        assignment.add("dynamics", (QUIETEST_DB, LOUDEST_DB), -QUIETEST_DB / (LOUDEST_DB - QUIETEST_DB))
        assignment.add("attack", SLOWER, 0.5)
        assignment.add("decay", (0.0, 2.0), 0.5)
        assignment.add("release", SLOWER, 0.5)
        assignment.add("vibrato", UNIT, 0.0)
        assignment.add("rate", RATES_HZ, 0.5)
        assignment.add("breath", BREATH, 0.5)
        several = assignment.voices > 1
        assignment.add("level", UNIT, 0.5 if several else 1.0)
        if several:
            for number in range(2, assignment.voices + 1):
                assignment.add(f"pitch.{number}", (-5.0, 5.0), 0.5)
            assignment.add("chord", (0.0, float(len(CHORDS) - 1)), 0.0)
            assignment.add("spread", SPREADS, 0.0)
            assignment.add("width", UNIT, 0.5)
        if "control" in assignment.models:
            expression.add_parameters(assignment)
        else:
            assignment.add("velocity", STRUCK_DB, expression.VELOCITY_REST)

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Of a frame's ticks, a quarter at a time.

        Where a note of a voice alone begins, nearly twice as many; of several voices never more.
        """
        report = reports["voice"]
        ticks = max(1, int(report["block"] * Fraction(report["ticks_per_sample"])))
        frame = report["cycles_per_callback"]["mean"] * TICKS_PER_HOP / ticks + CALLS * CALL_CYCLES
        if "control" in reports:
            frame += expression.frame_cycles(reports["control"])
        voices = assignment.voices
        mean = voices * frame * block / (QUARTERS * QUARTER)
        worst = -(-block // QUARTER) * voices * frame / QUARTERS
        return mean, worst * (2 - 1 / CALLS) if voices == 1 else worst

    def words_of(self, assignment: Assignment, parameter: str) -> str:
        """Those of how a note is played too."""
        return expression.words_of(parameter) or super().words_of(assignment, parameter)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``OscillatorSpec``."""
        declared, tone = tone_tables(assignment, assignment.tones["voice"], "voice", "voice")
        layer, layered = layer_tables(assignment, models["voice"], "voice")
        at = assignment.index
        voices = assignment.voices
        bank = models["voice"].ends.bank
        assert bank is not None  # else the role would have refused it
        harmonics = min(bank.harmonics, options_of(assignment).harmonics)
        names = (
            *("tune", "fine", "glide", "dynamics", "attack", "decay", "release"),
            *("vibrato", "rate", "breath", "level", "velocity"),
            *(("chord", "spread", "width") if voices > 1 else ()),
        )
        pitches = integers(at["pitch" if v == 0 else f"pitch.{v + 1}"] for v in range(voices))
        parameters = "\n".join(f"    .{name} = {at[name]}," for name in names)
        spec = f"""{{
    .model = &{models["voice"].table},
    .voice = oscillator_voices,
    .voices = {voices},
    .harmonics = {harmonics},
    .state = {{{", ".join(models["voice"].state.addresses)}}},{expression.spec_text(assignment, models)}
    .tone = {tone[:-1]}{layered}}},
{parameters}
    .pitch = {pitches},
    .outputs = OUTPUTS,
}}"""
        states = [model.state for model in models.values()]
        states.append(Held("OscillatorVoice", "oscillator_voices", voices))
        return KindTables([declared, *layer, *states], spec)


KIND = Oscillator()
