"""MIDI as a sink: controllers, notes, bend, pressure and clock, to a port of this computer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from firmware.midi.ports import open_port
from firmware.play.live.outbox import Outbox

WAIT_S = 0.1
AT_ONCE = 64
PULSES = ("clock", "start", "stop")


def takes_midi(target: str) -> bool:
    """Whether a target goes out by MIDI."""
    return target.startswith("midi/")


def message_of(target: str, value: float) -> Any:
    """Return the message of a target: ``midi/cc/74@1``, ``midi/note/36@10``; the channel stands behind the @.

    Parameters
    ----------
    value : float
        0 to 1.
    """
    import mido

    name, _, channel_text = target.partition("@")
    _, kind, *number = name.split("/")
    channel = int(channel_text or 1) - 1
    seven = round(127 * min(1.0, max(0.0, value)))
    if kind in PULSES:
        return mido.Message(kind)
    if kind == "cc":
        return mido.Message("control_change", channel=channel, control=int(number[0]), value=seven)
    if kind == "pitch_bend":
        return mido.Message(
            "pitchwheel", channel=channel, pitch=round(16383 * min(1.0, max(0.0, value))) - 8192
        )
    if kind == "pressure":
        return mido.Message("aftertouch", channel=channel, value=seven)
    velocity = max(1, seven) if value > 0.0 else 0
    return mido.Message("note_on", channel=channel, note=int(number[0]), velocity=velocity)


class MidiOut:
    """Sends what waits in an outbox through a port; notes that sound are ended when it is closed."""

    def __init__(self, port: Any, outbox: Outbox):
        self.port, self.outbox = port, outbox
        self._held: set[str] = set()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="MIDI out", daemon=True)

    def _work(self) -> None:
        while not self._ended:
            if self.outbox.wait(WAIT_S):
                for target, value in self.outbox.take(AT_ONCE):
                    self._send(target, value)

    def _send(self, target: str, value: float) -> None:
        if target.startswith("midi/note/"):
            (self._held.add if value > 0.0 else self._held.discard)(target)
        self.port.send(message_of(target, value))

    def __enter__(self) -> MidiOut:
        """Begin to send."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and let no note hang."""
        self._ended = True
        self._thread.join()
        for target in sorted(self._held):
            self.port.send(message_of(target, 0.0))


@contextmanager
def midi_output(name: str, outbox: Outbox) -> Iterator[str]:
    """Open the MIDI output of this name, or the first whose name begins so; yields its whole name.

    Raises
    ------
    Refusal
        What `firmware.midi.ports.open_port` refuses.
    """
    found, port = open_port("output", name)
    with port, MidiOut(port, outbox):
        yield found
