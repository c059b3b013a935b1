"""MIDI as it is played: an input of this computer, obeyed message by message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from common.refusal import Refusal, ToolMissing
from firmware.midi.player import Message, MidiPlayer
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
    ToolMissing
        The library for MIDI inputs is not installed.
    Refusal
        There is no such input, or it is taken.
    """
    import mido

    try:
        names: list[str] = mido.get_input_names()
    except ImportError:
        raise ToolMissing("a MIDI input needs the library for MIDI: pip install python-rtmidi.") from None
    except OSError as error:
        raise Refusal(f"this computer has no MIDI inputs to open: {error}.") from None
    found = next((one for one in names if one.casefold().startswith(name.casefold())), None)
    if found is None:
        there = f"there are {', '.join(names)}" if names else "no MIDI input is connected"
        raise Refusal(f"there is no MIDI input called {name!r}; {there}.")
    try:
        port: Any = mido.open_input(found, callback=follower)
    except OSError as error:
        raise Refusal(f"cannot open the MIDI input {found}: {error}.") from None
    with port:
        yield found
