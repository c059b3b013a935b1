"""What was read of a capture file, whatever its format: the graph, and what the file says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from captures.graph import Sketch

ASSUMED_RATE_HZ = 48_000.0
"""Of files that do not say: the rate of every trainer of these formats unless it is told otherwise."""


@dataclass(frozen=True)
class Capture:
    """A capture.

    Attributes
    ----------
    format : str
        Of the file, with its version: ``NAM 0.5.4``.
    architecture : str
        In words.
    sketch, result : Sketch, str
        The graph, and the name of the signal that leaves it.
    weights : int
        Numbers that the file holds for it.
    reach : int
        Samples of the past that a sample depends on; 0: all of them.
    rate_hz : float or None
        None: the file does not say.
    title, author, licence : str
        "" where it does not say.
    facts : dict
        What else it says of itself: loudness, gain, gear.
    """

    format: str
    architecture: str
    sketch: Sketch
    result: str
    weights: int
    reach: int
    rate_hz: float | None = None
    title: str = ""
    author: str = ""
    licence: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def played_hz(self) -> float:
        """The rate it is played at."""
        return ASSUMED_RATE_HZ if self.rate_hz is None else self.rate_hz
