"""A rhythm: a clock in, nine parts' gates and velocities out; no sound of its own."""

from __future__ import annotations

from collections.abc import Mapping

from common.drums import PARTS
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.literals import integers, number
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.ratios import RATIO_ONE
from firmware.instruments.tone import UNIT, add_tone, tone_tables

GENERAL_MIDI = (36, 38, 42, 46, 43, 47, 50, 49, 51)
"""Of the parts, in their order: General MIDI's percussion key map."""

SHOWN_LATENTS = 8
"""How many latents are parameters without a control: a pattern has 32, a module no room for all."""


class PatternModel(ModelRole):
    """A decoder of whole patterns, a slice of it per callback (``engine/instruments/rhythm.h``)."""

    name = "rhythm"

    def source(self, model: CompiledModel) -> str:
        """Return the functions of a ``RhythmModel``."""
        pattern = model.output("pattern")
        role, name = model.role, model.name
        return f"""{model.decoder()}
static void {role}_result(void *state, Pattern *pattern)
{{
    const {name}_outputs out = {{.{pattern} = &pattern->onset[0][0], .{pattern}_stride = RHYTHM_STEPS}};
    {name}_event_result(state, &out);
}}

static const RhythmModel {model.table} = {{
    .decoder = &{role}_decoder,
    .result = {role}_result,
}};
"""


class Rhythm(InstrumentKind):
    """A clock in, gates and velocities out."""

    gates = ("clock", "reset", "fill", "freeze")
    gate_sources = (*PARTS, "accent", "step", "start")
    cv_sources = (*(f"velocity.{part}" for part in PARTS), "velocity", "phase")
    midi_notes: Mapping[str, int] = dict(zip(PARTS, GENERAL_MIDI, strict=True))
    roles = (PatternModel(),)
    audition: Mapping[str, float] = {"clock": 8.0}
    words: Mapping[str, str] = {
        **{f"density.{part}": f"How many hits of the {part.replace('_', ' ')} are played." for part in PARTS},
        "ratio": "Steps per clock pulse, from a twelfth to eight.",
        "tempo": "Speed where no clock is plugged in, from 40 to 240 beats a minute.",
        "swing": "Delays every second step, from straight to shuffled.",
        "timing": "How much of the drummers' early and late playing is kept.",
        "accent": "How many of the hits count as loud, from none to all.",
        "fill": "How full the fill is while its gate is held.",
        "x": "Place on the map of patterns, from left to right.",
        "y": "Place on the map of patterns, from bottom to top.",
    }
    groups = ("density",)
    engine = ("decision", "step_clock", "tone")
    struct_bytes = 12 * 1024
    callback_cycles, sample_cycles = 4_000, 155

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents and attributes; a density per part; the clock's and the hits' own."""
        assignment.tones["rhythm"] = add_tone(assignment, assignment.models["rhythm"], SHOWN_LATENTS)
        add_layer(assignment, assignment.models["rhythm"])
        for part in PARTS:
            assignment.add(f"density.{part}", UNIT, 0.5)
        assignment.add("ratio", UNIT, RATIO_ONE)
        assignment.add("tempo", (40.0, 240.0), 0.4)
        assignment.add("swing", UNIT, 0.0)
        assignment.add("timing", UNIT, 1.0)
        assignment.add("accent", UNIT, 0.25)
        assignment.add("fill", UNIT, 0.7)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``RhythmSpec``."""
        declared, tone = tone_tables(assignment, assignment.tones["rhythm"], "rhythm", "rhythm")
        layer, layered = layer_tables(assignment, models["rhythm"], "rhythm")
        at = assignment.index
        spec = f"""{{
    .model = &{models["rhythm"].table},
    .state = &rhythm_state,
    .tone = {tone[:-1]}{layered}}},
    .sample_rate_hz = {number(assignment.board.audio.sample_rate_hz)},
    .density = {integers(at[f"density.{part}"] for part in PARTS)},
    .ratio = {at["ratio"]}, .tempo = {at["tempo"]}, .swing = {at["swing"]},
    .timing = {at["timing"]}, .accent = {at["accent"]}, .fill = {at["fill"]},
    .clocked = {"true" if assignment.is_patched("clock") else "false"},
    .outputs = OUTPUTS,
}}"""
        return KindTables([declared, *layer, models["rhythm"].state], spec)


KIND = Rhythm()
