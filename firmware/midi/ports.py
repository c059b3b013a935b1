"""MIDI inputs and outputs of this computer: found by the beginning of a name, or refused in a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from common.refusal import Refusal, ToolMissing

Way = Literal["input", "output"]


def open_port(way: Way, name: str, callback: Callable[[Any], None] | None = None) -> tuple[str, Any]:
    """Open the input or output of this name, or the first whose name begins so.

    Parameters
    ----------
    callback : callable, optional
        Told every message of an input.

    Returns
    -------
    str
        Its whole name.
    mido port
        To be closed by who asked.

    Raises
    ------
    ToolMissing
        The library for MIDI is not installed.
    Refusal
        There is no such port, or it is taken.
    """
    import mido

    try:
        with _quiet():
            names: list[str] = mido.get_input_names() if way == "input" else mido.get_output_names()
    except ImportError:
        raise ToolMissing(f"a MIDI {way} needs the library for MIDI: pip install python-rtmidi.") from None
    except OSError:
        raise Refusal(
            f"this computer has no MIDI {way} {name!r}, and none at all: no driver answers (on Linux, "
            "/dev/snd/seq)."
        ) from None
    found = next((one for one in names if one.casefold().startswith(name.casefold())), None)
    if found is None:
        there = f"there are {', '.join(names)}" if names else f"no MIDI {way} is connected"
        raise Refusal(f"there is no MIDI {way} called {name!r}; {there}.")
    try:
        with _quiet():
            return found, mido.open_input(found, callback=callback) if way == "input" else mido.open_output(
                found
            )
    except OSError as error:
        raise Refusal(f"cannot open the MIDI {way} {found}: {error}.") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ALSA's own lines off the terminal: what it means is said in a sentence."""
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
