"""A rendering of any length in the memory of a second: read, rendered and kept piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from common.spool import PIECE_TICKS, release, spans, spooled
from firmware.play.host import HostInstrument, Rendered
from firmware.script.cv_script import Event, Signals


def rendered_pieces(
    host: HostInstrument,
    ticks: int,
    block: int,
    readings: Callable[[slice], Signals],
    events: Sequence[Event],
) -> Iterator[tuple[slice, Rendered]]:
    """Render in pieces of whole blocks, exactly what one rendering of the whole gives.

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
