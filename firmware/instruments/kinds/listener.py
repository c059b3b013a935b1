"""A listener: strokes in a sound become gates, and what they are becomes voltages."""

from __future__ import annotations

from collections.abc import Mapping

from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.hops import load_of, placed
from firmware.instruments.kinds.base import InstrumentKind
from firmware.instruments.roles import ear
from firmware.instruments.tone import UNIT


class Listener(InstrumentKind):
    """Audio in, gates out."""

    gates = ("learn",)
    gate_sources = ("onset", *ear.GROUPS, "user")
    cv_sources = (*gate_sources, "group", "confidence", "velocity", "scene", "likeness")
    audio_sources = ("mix",)
    roles = (ear.EarRole(),)
    midi_notes: Mapping[str, int] = {"kick": 36, "snare": 38, "hat": 42, "tom": 45, "perc": 56, "user": 39}
    words: Mapping[str, str] = {
        **ear.WORDS,
        "gain": "How loud the sound goes in.",
        "monitor": "From the sound as it came in to a beep for each stroke, of another pitch for each group.",
        "level": "Loudness of everything that leaves the module.",
    }
    engine = ("listening",)
    struct_bytes = 32 * 1024
    callback_cycles, sample_cycles = 3_700, 85

    def add_parameters(self, assignment: Assignment) -> None:
        """What is decided, and levels."""
        ear.add_parameters(assignment)
        assignment.add("gain", (0.0, 2.0), 0.5)
        assignment.add("monitor", UNIT, 0.0)
        assignment.add("level", UNIT, 1.0)

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Spread the steps of a hop evenly over it."""
        assignment.steps = placed(ear.steps(reports["ear"]), ear.BEGIN_CYCLES)

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Of a hop's steps, as they are due."""
        return load_of(ear.steps(reports["ear"]), ear.BEGIN_CYCLES, assignment.steps, block)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``ListenerSpec``."""
        model = models["ear"]
        own = "\n".join(f"    .{name} = {assignment.index[name]}," for name in ("gain", "monitor", "level"))
        listening = ear.spec_text(assignment, model, "listener_steps", len(assignment.steps))
        spec = f"""{{
    .ear = {listening},
{own}
    .outputs = OUTPUTS,
}}"""
        return KindTables([ear.steps_text("listener_steps", assignment.steps), model.state], spec)


KIND = Listener()
