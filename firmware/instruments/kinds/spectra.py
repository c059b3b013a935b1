"""Spectra: volts and a gate in; a network says magnitudes on an axis of harmonics, and they sound."""

from __future__ import annotations

from collections.abc import Mapping

from common.refusal import Refusal
from firmware.compiler.passes.split_sound import TICKS_PER_HOP
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.hops import HOP, Step, load_of, network_steps, placed
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.tone import UNIT, add_latents, tone_tables
from hardware.board import Board

BINS, CONTROLS, MOST_LATENTS = 512, 7, 16
"""VK_SPSI_BINS, SPECTRA_CONTROLS and SPECTRA_LATENTS of the engine."""
FIT_CYCLES = (3_900, 3_900)
SOUND_CYCLES = (
    *(8_400, 4_400, 10_500, 10_500, 10_500, 10_500, 6_600, 11_200, 4_500),
    *(6_900, 6_900, 10_100, 2_500, 5_700, 5_900, 6_700, 9_100, 6_300),
)
"""Of the parts of a frame with the most partials (``engine/dsp/spsi.h``) on a Cortex-M7, as counted."""
BEGIN_CYCLES = 5_500
"""What happens at once when a hop begins: hands are read, and what was made sounds."""
POINTS = 33
GLIDES_S = tuple(2.0 * (at / (POINTS - 1)) ** 3 for at in range(POINTS))
SWELLS_S = tuple(4.0 * (at / (POINTS - 1)) ** 3 for at in range(POINTS))
SMOOTHS_S = tuple(3.0 * (at / (POINTS - 1)) ** 3 for at in range(POINTS))
STRUCK_DB = (-24.0, -13.0, -6.0, 0.0, 6.0)
STRUCK_REST = 0.75
"""Where velocity does nothing."""
NOISES = (-6.0, 2.0)
PULLS = (0.0, 1.0)
STRETCHES = (-0.02, 0.0, 0.04)
BODIES = (-1.5, 1.5)


class SpectraRole(ModelRole):
    """A network that says magnitudes (``engine/instruments/spectra.h``)."""

    name = "spectra"

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """A callback's share of a hop; the kind knows the worst (`Spectra.load`)."""
        mean = report["cycles_per_callback"]["mean"]
        return mean, mean

    def source(self, model: CompiledModel) -> str:
        """Return the functions and the table of a ``SpectraModel``."""
        about = model.model.about
        said = {spec.name: (len(spec.channels), spec.rate) for spec in (*about.inputs, *about.outputs)}
        wanted = {"control": (CONTROLS, f"1/{HOP}"), "magnitudes": (BINS, f"1/{HOP}")}
        if any(said.get(name) != each for name, each in wanted.items()):
            raise Refusal(
                f"{model.file.name}: it does not say {BINS} magnitudes a hop by {CONTROLS} controls; train "
                "one by `vaectrol train spectra`."
            )
        if not 1 <= len(about.latents) <= MOST_LATENTS:
            raise Refusal(
                f"{model.file.name}: it has {len(about.latents)} latents; the engine has room for 1 to "
                f"{MOST_LATENTS}."
            )
        role, name = model.role, model.name
        return f"""static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, uint8_t ticks, const float *latent, const float *control,
                           float *magnitudes)
{{
    const {name}_inputs in = {{
        .latent = latent, .latent_stride = 1,
        .control = control, .control_stride = 1,
    }};
    const {name}_outputs out = {{.magnitudes = magnitudes, .magnitudes_stride = 1}};
    {name}_process(state, ticks, &in, &out);
}}

_Static_assert(SPECTRA_TICKS == {TICKS_PER_HOP}u && VK_SPSI_BINS == {BINS}u, "of the engine");
_Static_assert(VK_SPSI_PIECES == {len(SOUND_CYCLES)}u && SPECTRA_PARTS == {len(FIT_CYCLES)}u, "as counted");
static const SpectraModel {model.table} = {{
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""


class Spectra(InstrumentKind):
    """Volts and a gate in, the sound of a spectrum out."""

    gates = ("gate", "accent")
    gate_sources = ("note",)
    cv_sources = ("envelope", "pitch")
    audio_sources = ("mix",)
    roles = (SpectraRole(),)
    audition: Mapping[str, float] = {"gate": 1.0}
    words: Mapping[str, str] = {
        "pitch": "Pitch, one volt per octave; 0 V is the lowest C of a cello.",
        "tune": "Tunes by up to two octaves down or up.",
        "fine": "Tunes by up to a semitone down or up.",
        "glide": "How long the pitch takes to a new note.",
        "body": "Left: as if a larger instrument played the note; right: a smaller one.",
        "attack": "How long a note takes to swell, up to four seconds.",
        "release": "How long a note takes to fade, up to four seconds.",
        "life": "How fast a note grows old. Left: its spectrum stands still; right: twice as fast.",
        "velocity": "How hard a note is struck, where MIDI says it.",
        "level": "Loudness of everything that leaves the module.",
        "tonality": "Left: every partial is a band of noise; right: a tone.",
        "noise": "How loud the noise between the partials is.",
        "harmonic": "Left: partials lie where they were learnt; right: all are drawn to harmonics.",
        "stretch": "Left: partials lie closer than harmonics; right: farther apart, as a bell's.",
        "smooth": "How slowly the spectrum follows the hands and the note.",
    }
    engine = ("tone",)
    struct_bytes = 43 * 1024
    callback_cycles, sample_cycles = 2_500, 30

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents; pitch; how notes begin and end; what is done to the spectrum."""
        model = assignment.models["spectra"]
        assignment.tones["spectra"] = add_latents(assignment, model, plane=False)
        add_layer(assignment, model)
        assignment.add("pitch", (-5.0, 5.0), 0.5)
        assignment.add("tune", (-2.0, 2.0), 0.5)
        assignment.add("fine", (-1.0, 1.0), 0.5)
        assignment.add("glide", GLIDES_S, 0.0)
        assignment.add("body", BODIES, 0.5)
        assignment.add("attack", SWELLS_S, 0.0)
        assignment.add("release", SWELLS_S, 0.4)
        assignment.add("life", (0.0, 2.0), 0.5)
        assignment.add("velocity", STRUCK_DB, STRUCK_REST)
        assignment.add("level", UNIT, 1.0)
        assignment.add("tonality", UNIT, 1.0)
        assignment.add("noise", NOISES, 0.75)
        assignment.add("harmonic", PULLS, 0.2)
        assignment.add("stretch", STRETCHES, 0.5)
        assignment.add("smooth", SMOOTHS_S, 0.0)

    def wait_ticks(self, assignment: Assignment) -> int:
        """A hop's work, and half a window."""
        return 3 * HOP

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Spread the steps of a hop evenly over it."""
        assignment.steps = placed(steps(reports), BEGIN_CYCLES)

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Of a hop's steps, as they are due."""
        return load_of(steps(reports), BEGIN_CYCLES, assignment.steps, block)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``SpectraSpec``."""
        model = models["spectra"]
        declared, tone = tone_tables(assignment, assignment.tones["spectra"], "spectra", "spectra")
        layer, layered = layer_tables(assignment, model, "spectra")
        names = (
            *("pitch", "tune", "fine", "glide", "body", "attack", "release", "life", "velocity", "level"),
            *("tonality", "noise", "harmonic", "stretch", "smooth"),
        )
        parameters = "\n".join(f"    .{name} = {assignment.index[name]}," for name in names)
        steps_text = "\n".join(
            f"    {{{due}, SPECTRA_STAGE_{stage.upper()}, {part}}}," for due, stage, part in assignment.steps
        )
        constants = f"""{declared}
static const SpectraStep spectra_steps[] = {{
{steps_text}
}};"""
        spec = f"""{{
    .model = &{model.table},
    .memory = &{model.state.name},
    .tone = {tone[:-1]}{layered}}},
{parameters}
    .steps = spectra_steps,
    .count = {len(assignment.steps)},
    .outputs = OUTPUTS,
}}"""
        return KindTables([constants, *layer, model.state], spec)


def steps(reports: Mapping[str, Report]) -> list[Step]:
    """All steps of a hop, in order."""
    return [
        *network_steps("say", reports["spectra"]),
        *(Step("fit", part, float(cycles)) for part, cycles in enumerate(FIT_CYCLES)),
        *(Step("sound", part, float(cycles)) for part, cycles in enumerate(SOUND_CYCLES)),
    ]


KIND = Spectra()
