"""MIDI as a source: rules first, then what the instrument's own ``[midi]`` table does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from firmware.bridge.hub import Hub
from firmware.midi.player import Message, MidiPlayer

Named = Callable[[Message], tuple[str, float]]
"""Gives a message its name as a source, and its value."""
NAMED: dict[str, Named] = {
    "control_change": lambda m: (f"midi/cc/{m.control}", m.value / 127.0),  # type: ignore[attr-defined]
    "note_on": lambda m: (f"midi/note/{m.note}", m.velocity / 127.0),  # type: ignore[attr-defined]
    "note_off": lambda m: (f"midi/note/{m.note}", 0.0),  # type: ignore[attr-defined]
    "pitchwheel": lambda m: ("midi/pitch_bend", (m.pitch + 8192) / 16383.0),  # type: ignore[attr-defined]
    "aftertouch": lambda m: ("midi/pressure", m.value / 127.0),  # type: ignore[attr-defined]
    "clock": lambda m: ("midi/clock", 1.0),
    "start": lambda m: ("midi/start", 1.0),
    "stop": lambda m: ("midi/stop", 1.0),
}


class MidiSource:
    """Obeys the messages of one input.

    Parameters
    ----------
    hub : Hub
    player : MidiPlayer, optional
        Of the instrument; without one only rules are obeyed.
    """

    def __init__(self, hub: Hub, player: MidiPlayer | None):
        self.hub, self.player = hub, player

    def __call__(self, message: Message) -> None:
        """Obey one message."""
        named = NAMED.get(message.type)
        if named is not None and self.hub.receive(*named(message)):
            return
        for column, value in self._moves(message):
            self.hub.put(column, value)

    def _moves(self, message: Message) -> Iterator[tuple[str, float]]:
        if self.player is not None and self.hub.through:
            yield from self.player.play(message)
