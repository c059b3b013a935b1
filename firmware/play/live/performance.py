"""An instrument rendered while it is played, and what it was played by, as a script that renders the same.

Moves are posted at the beginning of a chunk, each at a sample of its own, and kept under that sample: the
script's events are then those of the performance, in their order, and so is every sample that comes of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from firmware.build import Built
from firmware.play.host import HostInstrument, Rendered
from firmware.play.live.outbox import Outbox
from firmware.play.render import resting_knobs
from firmware.script.cv_script import LONGEST_S, Event, Script, Signals, command_of, readings

QUEUE = 16
"""Commands that an instrument takes a block: ``instrument_post`` of engine/port.h."""
MOST_KEPT = 2_000_000
"""Moves of a performance that are kept: half an hour at a thousand a second."""


class Performance:
    """Renders the next samples by what waits in an outbox.

    Parameters
    ----------
    built : Built
    host : HostInstrument
        From power on.
    outbox : Outbox
    block : int
        Samples per callback.

    Attributes
    ----------
    rate_hz : float
        Samples a second.
    ticks : int
        Samples rendered.
    obeyed : int
        Moves that were posted.
    forgotten : int
        Moves that were obeyed and are not in the script: it was full, or longer than a script may be.
    """

    def __init__(self, built: Built, host: HostInstrument, outbox: Outbox, block: int):
        self.built, self.host, self.outbox, self.block = built, host, outbox, block
        self.ticks = 0
        self.obeyed = 0
        self.forgotten = 0
        self.rate_hz = float(built.board.audio.sample_rate_hz)
        self._gates = built.assignment.gate_names
        self._resting = resting_knobs(built)
        self._late: list[Event] = []
        self._still: dict[int, Signals] = {}
        self._kept: dict[str, list[tuple[float, float]]] = {}

    def render(self, ticks: int, audio: NDArray[np.float32] | None = None) -> Rendered:
        """Render so many samples, a multiple of the block.

        Parameters
        ----------
        audio : array, shape (channels, ticks), float32, optional
            What comes in, one row for each audio input, ±1 = full scale; silence when omitted.
        """
        events = [*self._late, *self._events(ticks)]
        signals = replace(self._quiet(ticks), events=events)
        if audio is not None:
            signals.audio = audio
        rendered, posted = self.host.render_counted(signals, self.block)
        self._late = [replace(event, tick=0) for event in events[posted:]]
        self.ticks += ticks
        return rendered

    def script(self) -> Script:
        """Write down what was played so far."""
        points = {column: np.array(self._kept[column], np.float64) for column in sorted(self._kept)}
        return Script(
            columns={column: (knots[:, 0], knots[:, 1]) for column, knots in points.items()},
            seconds=min(self.ticks / self.rate_hz, LONGEST_S),
        )

    def _quiet(self, ticks: int) -> Signals:
        """Nothing patched, every knob at rest: the same for every chunk of a length."""
        if ticks not in self._still:
            self._still[ticks] = readings(Script(), self.built.board, slice(0, ticks), {}, self._resting)
        return self._still[ticks]

    def _events(self, ticks: int) -> list[Event]:
        """Post what waits, at most as much as fits: each at its own sample, so that the order is told."""
        each = min(QUEUE, self.block)
        room = max(0, ticks // self.block * each - len(self._late))
        events = []
        for number, (column, value) in enumerate(self.outbox.take(room)):
            command = command_of(column, value, self.host.parameters, self._gates)
            if command is None:
                continue
            tick = number // each * self.block + number % each
            events.append(Event(tick, *command))
            self._keep(column, (self.ticks + tick) / self.rate_hz, value)
        return events

    def _keep(self, column: str, at_s: float, value: float) -> None:
        self.obeyed += 1
        if self.obeyed - self.forgotten > MOST_KEPT or at_s > LONGEST_S:
            self.forgotten += 1
        else:
            self._kept.setdefault(column, []).append((at_s, value))
