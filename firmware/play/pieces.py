"""A rendering of any length in the memory of a second: read, rendered and kept piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from common.spool import release, spooled
from firmware.play.cv_script import Event, Signals
from firmware.play.host import HostInstrument, Rendered

PIECE_TICKS = 48_000
"""About a second; a piece is a whole number of blocks."""


def spans(ticks: int, step: int = PIECE_TICKS, through: Sequence[NDArray[Any]] = ()) -> Iterator[slice]:
    """Split 0 … `ticks` into slices of `step`; the arrays gone `through` leave the memory behind each."""
    for begin in range(0, ticks, step):
        yield slice(begin, min(begin + step, ticks))
        for array in through:
            release(array)


def rendered_pieces(
    host: HostInstrument,
    ticks: int,
    block: int,
    readings: Callable[[slice], Signals],
    events: Sequence[Event],
) -> Iterator[tuple[slice, Rendered]]:
    """Render piece by piece, exactly what one rendering of the whole gives.

    Parameters
    ----------
    readings : callable
        What the board reads in a span; its events are not looked at.
    events : sequence of Event
        Of the whole, sorted by tick.
    """
    waiting: list[Event] = []
    following = 0
    for span in spans(ticks, max(1, PIECE_TICKS // block) * block):
        while following < len(events) and events[following].tick < span.stop:
            waiting.append(events[following])
            following += 1
        due = [replace(event, tick=max(0, event.tick - span.start)) for event in waiting]
        rendered, posted = host.render_counted(replace(readings(span), events=due), block)
        waiting = waiting[posted:]
        yield span, rendered


def blank(host: HostInstrument, ticks: int, block: int) -> Rendered:
    """Room on the disk for a rendering."""
    return Rendered(
        spooled((host.info.audio_out, ticks), "float32"),
        spooled((host.info.cv_outs, ticks), "float32"),
        spooled((ticks,), "uint32"),
        spooled((-(-ticks // block), host.info.parameters), "float32"),
    )


def put(whole: Rendered, span: slice, part: Rendered, block: int) -> None:
    """Put a piece that begins with a block into its place."""
    whole.audio[:, span] = part.audio
    whole.cv[:, span] = part.cv
    whole.gates[span] = part.gates
    first = span.start // block
    whole.positions[first : first + len(part.positions)] = part.positions
    for array in (whole.audio, whole.cv, whole.gates, whole.positions):
        release(array)
