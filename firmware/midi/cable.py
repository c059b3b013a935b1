"""MIDI as it is played: an input of this computer, obeyed message by message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from firmware.midi.player import Message, MidiPlayer
from firmware.midi.ports import open_port
from firmware.play.live.osc import OscControl
from firmware.script.cv_script import command_of


class MidiFollower:
    """Obeys messages: each becomes the commands that its script columns stand for.

    Parameters
    ----------
    player : MidiPlayer
    control : OscControl
        Where commands go, beside those that come by OSC, and where they are written down.
    gates : sequence of str
        Gate functions of the instrument's kind, in its order.
    """

    def __init__(self, player: MidiPlayer, control: OscControl, gates: Sequence[str]):
        self.player, self.control, self.gates = player, control, gates

    def __call__(self, message: Message) -> None:
        """Obey one message."""
        for column, value in self.player.play(message):
            command = command_of(column, value, self.control.instrument.parameters, self.gates)
            if command is not None:
                self.control.command(command, column, value)


@contextmanager
def midi_input(name: str, follower: Callable[[Message], None]) -> Iterator[str]:
    """Open the MIDI input of this name, or the first whose name begins so; yields its whole name.

    Raises
    ------
    Refusal
        What `firmware.midi.ports.open_port` refuses.
    """
    found, port = open_port("input", name, follower)
    with port:
        yield found
