"""The instrument that a bridge plays, wherever it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from firmware.bridge.hub import Hub
from firmware.midi.player import MidiPlayer
from firmware.play.live.outbox import Outbox
from firmware.script.cv_script import Script

Say = Callable[[str, float], object]
"""Takes an address without the first stroke, as ``gate_out/kick``, and a value."""


@dataclass(frozen=True)
class Length:
    """How long is played: seconds, None for no end; and what ends it before."""

    seconds: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)


def takes_columns(target: str) -> bool:
    """Whether a target is the instrument's own."""
    return not target.startswith(("osc/", "midi/"))


class Instrument(Protocol):
    """What the bridge asks of it, beside what OSC does (`firmware.play.live.osc.Playable`)."""

    parameters: dict[str, int]
    info: Any

    @property
    def gates(self) -> Sequence[str]:
        """Gate functions by name, in the instrument's order."""

    @property
    def presets(self) -> int:
        """How many presets it has."""

    def position(self, name: str) -> float:
        """Position of a parameter."""

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Hand a command over."""

    def describe(self) -> list[str]:
        """Title, kind, board and version."""

    def midi_player(self) -> MidiPlayer:
        """Return what knows the instrument's MIDI table; refuses where there is none."""

    def values(self) -> Mapping[str, float | None]:
        """What it says of itself, by address."""

    def perform(self, outbox: Outbox, length: Length, say: Say, started: Callable[[], None]) -> None:
        """Obey an outbox for so long, or until interrupted; tell `started` when it begins."""

    def script(self) -> Script:
        """Write down what it was played by."""

    def close(self) -> None:
        """Let go of it, after the last question."""

    def in_words(self) -> list[str]:
        """Say what was played, and what went wrong."""


def hub_says(hub: Hub) -> Say:
    """Return what tells the hub of an instrument's own events."""
    return lambda address, value: hub.receive(f"instrument/{address}", value)
