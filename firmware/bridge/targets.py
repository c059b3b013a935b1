"""What can be moved here, and in what manner: levels, gates, strokes, pulses, numbers and notes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from firmware.script.cv_script import STROKE

Manner = Literal["level", "gate", "stroke", "pulse", "number", "note"]
"""A level stands where it was put; a gate is 0 or 1; a stroke has a strength; a pulse has none; a number is
that of a preset; a note has a velocity, and ends with 0."""
MIDI_LEVEL = re.compile(r"midi/(cc/(12[0-7]|1[01][0-9]|[1-9]?[0-9])|pitch_bend|pressure)")
MIDI_NOTE = re.compile(r"midi/note/(12[0-7]|1[01][0-9]|[1-9]?[0-9])")
MIDI_PULSE = re.compile(r"midi/(clock|start|stop)")
OSC_ADDRESS = re.compile(r"osc(/[^\s#*,/?\[\]{}]+)+")
NAMED = 4


@dataclass(frozen=True)
class Targets:
    """What an instrument has, and which ways lead out of here.

    Attributes
    ----------
    parameters : sequence of str
        OSC addresses without the first stroke.
    gates : sequence of str
        Gate functions by name.
    presets : int
    osc, midi : bool
        Whether OSC and MIDI go out.
    """

    parameters: Sequence[str]
    gates: Sequence[str] = ()
    presets: int = 0
    osc: bool = False
    midi: bool = False

    def manner(self, target: str) -> Manner | None:
        """How a target is moved; None where nothing here is called so."""
        if target in self.parameters or OSC_ADDRESS.fullmatch(target) or MIDI_LEVEL.fullmatch(target):
            return "level"
        if target.startswith("gate/") and target.removeprefix("gate/") in self.gates:
            return "gate"
        if STROKE.fullmatch(target):
            return "stroke"
        if target in ("clock", "reset") or MIDI_PULSE.fullmatch(target):
            return "pulse"
        if target in ("preset", "save"):
            return "number"
        return "note" if MIDI_NOTE.fullmatch(target) else None

    def complaint(self, target: str) -> str:
        """Say what is wrong with a target, as the end of a sentence; "" for nothing."""
        manner = self.manner(target)
        if manner is None:
            return f"there is no {target!r} here; {self._near(target)}"
        if target.startswith("osc/") and not self.osc:
            return f"{target} goes out by OSC; say where to: --osc-out HOST:PORT"
        if target.startswith("midi/") and not self.midi:
            return f"{target} goes out by MIDI; say where to: --midi-out NAME"
        if manner == "number" and not self.presets:
            return "this instrument has no presets"
        return ""

    def names(self) -> list[str]:
        """What the instrument has, as a mapping may call it."""
        strokes = ["trigger/1", "clock", "reset", "preset", "save"]
        return [*self.parameters, *(f"gate/{gate}" for gate in self.gates), *strokes]

    def _near(self, target: str) -> str:
        near = difflib.get_close_matches(target, self.names(), NAMED, 0.5)
        if near:
            return f"nearest {'are' if len(near) > 1 else 'is'} {', '.join(near)}"
        return f"there are {', '.join(self.names())}, osc/ADDRESS, midi/cc/N and midi/note/N"
