"""OSC as a source: rules first, then what the instrument's own addresses do, with their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from firmware.bridge.hub import Hub
from firmware.play.live.columns import Columns
from firmware.play.live.osc import OscControl, Playable


class OscSource:
    """Answers an `OscServer`.

    Parameters
    ----------
    hub : Hub
    instrument : Playable
    describe : callable
        Returns title, kind, board and version.

    Attributes
    ----------
    faults : Counter
        What was wrong with messages, in words, and how often.
    """

    def __init__(self, hub: Hub, instrument: Playable, describe: Callable[[], list[str]]):
        self.hub = hub
        self.control = OscControl(Columns(instrument, hub.put), describe, keep=False)
        self.faults: Counter[str] = self.control.faults

    def answer(self, address: str, arguments: tuple[Any, ...]) -> list[tuple[str, list[Any]]]:
        """Obey one message; return the replies, address and arguments each."""
        taken = False
        for number, value in enumerate(arguments, 1):
            name = f"osc{address}" if number == 1 else f"osc{address}:{number}"
            if isinstance(value, bool | int | float):
                taken |= self.hub.receive(name, float(value))
        if not arguments and self.hub.names(f"osc{address}"):
            taken = self.hub.receive(f"osc{address}", 1.0)  # a bang
        if taken or not self.hub.through:
            return []
        return self.control.answer(address, arguments)

    def in_words(self) -> list[str]:
        """A line for each kind of message that did not come as it should, or came to nothing."""
        return [*self.control.faults_in_words(), *self.control.unknown_in_words()]
