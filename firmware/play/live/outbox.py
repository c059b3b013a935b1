"""What waits to be obeyed: of a level the last value, of strokes and gates every one, and never too many."""

from __future__ import annotations

import threading

from firmware.script.cv_script import EVENTS, STROKE

MOST_EVENTS = 1024
"""Strokes and edges that wait at once; a sender that is faster than that plays nothing anybody hears."""


def keeps_each(column: str) -> bool:
    """Whether every value of a column counts, and not only the last one."""
    return column in EVENTS or column.startswith(("gate/", "midi/note/")) or bool(STROKE.fullmatch(column))


class Outbox:
    """Moves that wait: many threads put, one takes.

    A level that moves again before it was taken keeps its place and takes the new value, so that no last
    value is lost however fast a sender is. Where too many events wait, a stroke is dropped and counted, and
    of a gate the last value is kept: none stays held.

    Attributes
    ----------
    dropped : int
        Events that found no room.
    """

    def __init__(self) -> None:
        self._some = threading.Condition()
        self._waiting: dict[tuple[str, int], float] = {}
        self._numbered = 0
        self._events = 0
        self.dropped = 0

    def put(self, column: str, value: float) -> bool:
        """Let a move wait; False where it was dropped."""
        with self._some:
            key = (column, 0)
            if keeps_each(column):
                if self._events < MOST_EVENTS:
                    self._events += 1
                    self._numbered += 1
                    key = (column, self._numbered)
                elif not column.startswith(("gate/", "midi/note/")):
                    self.dropped += 1
                    return False
            self._waiting[key] = value
            self._some.notify()
            return True

    def take(self, most: int) -> list[tuple[str, float]]:
        """Return the first `most` moves in their order; they wait no longer."""
        with self._some:
            keys = list(self._waiting)[:most] if len(self._waiting) > most else list(self._waiting)
            self._events -= sum(1 for _, number in keys if number)
            return [(key[0], self._waiting.pop(key)) for key in keys]

    def give_back(self, column: str, value: float) -> None:
        """Let a level or gate that could not be obeyed wait again, unless a newer value waits already."""
        with self._some:
            if (column, 0) not in self._waiting and not STROKE.fullmatch(column):
                self._waiting[column, 0] = value

    def wait(self, timeout_s: float) -> bool:
        """Wait until something is there, at most so long."""
        with self._some:
            return bool(self._waiting) or (self._some.wait(timeout_s) and bool(self._waiting))
