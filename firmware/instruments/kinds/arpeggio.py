"""An arpeggio: a clock in, the notes of a learnt progression out as volts and gates; no sound of its own."""

from __future__ import annotations

from collections.abc import Mapping

from common.chords import QUALITIES
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.literals import integers, number
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import InstrumentKind, ModelRole, Pitch
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.ratios import RATIO_ONE
from firmware.instruments.tone import UNIT, add_tone, tone_tables

PACES = (2, 4, 8, 16)
"""Steps of half a bar."""
TWO_OCTAVES, FIVE_OCTAVES = (-24.0, 24.0), (-60.0, 60.0)
"""Semitones."""


class ChordsModel(ModelRole):
    """A decoder of whole progressions, a slice of it per callback (``engine/instruments/arpeggio.h``)."""

    name = "chords"

    def source(self, model: CompiledModel) -> str:
        """Return the functions of an ``ArpeggioModel``."""
        scores = model.output("pattern")
        role, name = model.role, model.name
        return f"""{model.decoder()}
static void {role}_result(void *state, float scores[ARPEGGIO_SCORES][ARPEGGIO_SLOTS])
{{
    const {name}_outputs out = {{.{scores} = &scores[0][0], .{scores}_stride = ARPEGGIO_SLOTS}};
    {name}_event_result(state, &out);
}}

static const ArpeggioModel {model.table} = {{
    .decoder = &{role}_decoder,
    .result = {role}_result,
}};
"""


class Arpeggio(InstrumentKind):
    """A clock in, notes of a progression out."""

    gates = ("clock", "reset", "freeze")
    gate_sources = ("note", "change", "start", "snapped")
    cv_sources = ("melody", "bass", "quantized")
    pitched: Mapping[str, Pitch] = {"note": Pitch("melody"), "change": Pitch("bass", until_next=True)}
    roles = (ChordsModel(),)
    audition: Mapping[str, float] = {"clock": 8.0}
    words: Mapping[str, str] = {
        "ratio": "Steps per clock pulse, from a twelfth to eight.",
        "tempo": "Speed where no clock is plugged in, from 40 to 240 beats a minute.",
        "swing": "Delays every second step, from straight to shuffled.",
        "pattern": "Order of the notes: up, down, up and down, from both ends, in turn, at random.",
        "range": "Over how many octaves the notes go: one, two or three.",
        "length": "How long a note's gate is; fully right ties the notes.",
        "density": "How many steps play a note, from none to all.",
        "pace": "Steps to half a bar: two, four, eight or sixteen.",
        "voicing": "Left: every chord from its root up; right: the inversion with the least way to go.",
        "transpose": "Moves everything, by whole semitones.",
        "input": "A voltage to be quantized, one volt per octave.",
        "x": "Place on the map of progressions, from left to right.",
        "y": "Place on the map of progressions, from bottom to top.",
        "snap": "What the quantizer lets through: left the chord's notes, right a scale that holds them.",
    }
    engine = ("decision", "step_clock", "tone")
    struct_bytes = 6 * 1024
    callback_cycles, sample_cycles = 6_000, 120

    def add_parameters(self, assignment: Assignment) -> None:
        """Latents and attributes; the clock's, the notes' and the quantizer's own."""
        assignment.tones["chords"] = add_tone(assignment, assignment.models["chords"])
        add_layer(assignment, assignment.models["chords"])
        assignment.add("ratio", UNIT, RATIO_ONE)
        assignment.add("tempo", (40.0, 240.0), 0.4)
        assignment.add("swing", UNIT, 0.0)
        assignment.add("pattern", UNIT, 0.0)
        assignment.add("range", UNIT, 0.5)
        assignment.add("length", (0.05, 1.0), 0.5)
        assignment.add("density", UNIT, 1.0)
        assignment.add("pace", UNIT, PACES.index(8) / (len(PACES) - 1))
        assignment.add("voicing", UNIT, 1.0)
        assignment.add("transpose", TWO_OCTAVES, 0.5)
        assignment.add("input", FIVE_OCTAVES, 0.5)
        assignment.add("snap", UNIT, 0.0)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return an ``ArpeggioSpec``."""
        declared, tone = tone_tables(assignment, assignment.tones["chords"], "chords", "chords")
        layer, layered = layer_tables(assignment, models["chords"], "chords")
        at = assignment.index
        rows = ", ".join(f"{{{len(notes)}, {integers(notes)}}}" for notes in QUALITIES.values())
        qualities = f"static const Quality qualities[ARPEGGIO_QUALITIES] = {{{rows}}};"
        spec = f"""{{
    .model = &{models["chords"].table},
    .state = &chords_state,
    .tone = {tone[:-1]}{layered}}},
    .sample_rate_hz = {number(assignment.board.audio.sample_rate_hz)},
    .quality = qualities,
    .ratio = {at["ratio"]}, .tempo = {at["tempo"]}, .swing = {at["swing"]},
    .pattern = {at["pattern"]}, .range = {at["range"]}, .length = {at["length"]},
    .density = {at["density"]}, .pace = {at["pace"]}, .voicing = {at["voicing"]},
    .transpose = {at["transpose"]}, .input = {at["input"]}, .snap = {at["snap"]},
    .clocked = {"true" if assignment.is_patched("clock") else "false"},
    .outputs = OUTPUTS,
}}"""
        return KindTables([declared, *layer, qualities, models["chords"].state], spec)


KIND = Arpeggio()
