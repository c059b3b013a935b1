"""A beep: a sine whose pitch and level are controls. What a new kind of instrument starts from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.kinds.base import InstrumentKind
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.tone import UNIT

LOWEST_HZ, HIGHEST_HZ = 55.0, 1760.0


def turn_table(sample_rate_hz: float, points: int = 33) -> list[float]:
    """What a sine turns by per sample, over the travel: five octaves, so that the C needs no exponential."""
    hz = np.geomspace(LOWEST_HZ, HIGHEST_HZ, points)
    return [float(value) for value in 2.0 * np.sin(np.pi * hz / sample_rate_hz)]


class Beep(InstrumentKind):
    """A sine, and a gate that silences it."""

    # Names that an instrument file uses, in the order of the enums of beep.h
    gates = ("mute",)
    gate_sources = ("open",)
    cv_sources = ("level",)
    audio_sources = ("mix",)
    # What each parameter does to the sound, for pages and manuals
    words: Mapping[str, str] = {
        "pitch": "From a low sine to a high one.",
        "level": "How loud it is.",
    }
    # Models: a ModelRole each, with the C that calls it; `kinds/drive.py` is the shortest that has one
    roles = ()
    # Further files of engine/instruments, beside beep.c
    engine = ()
    # sizeof(Beep) on a 32-bit processor, rounded up: a test measures it
    struct_bytes = 16
    # What the engine takes: `vaectrol emulate` counts, `build` adds them up
    callback_cycles, sample_cycles = 1_500, 94

    def add_parameters(self, assignment: Assignment) -> None:
        """What a control can move: pitch and level."""
        assignment.add("pitch", turn_table(assignment.board.audio.sample_rate_hz), 0.5)
        assignment.add("level", UNIT, 0.5)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``BeepSpec``: where the C finds its parameters and its jacks."""
        spec = f"""{{
    .pitch = {assignment.index["pitch"]},
    .level = {assignment.index["level"]},
    .outputs = OUTPUTS,
}}"""
        return KindTables([], spec)


KIND = Beep()
