"""From what a source says to where a target stands: range in, middle, law, range out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LAWS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "square": lambda x: x * x,
    "cube": lambda x: x * x * x,
    "root": math.sqrt,
    "s": lambda x: x * x * (3.0 - 2.0 * x),
}
"""The laws of a control (engine/control/law.h)."""


@dataclass(frozen=True)
class Curve:
    """How a value becomes another.

    Attributes
    ----------
    source : (float, float)
        What the source says at its ends.
    dead_zone : float
        Part of the travel, 0 to 1, around its middle that counts as the middle.
    law : str
        One of `LAWS`.
    target : (float, float)
        Where the target stands at the ends; the first may be the larger one.
    """

    source: tuple[float, float] = (0.0, 1.0)
    dead_zone: float = 0.0
    law: str = "linear"
    target: tuple[float, float] = (0.0, 1.0)

    def __call__(self, value: float) -> float:
        """Shape one value; what is beyond the source's ends counts as the end."""
        low, high = self.source
        part = min(1.0, max(0.0, (value - low) / (high - low)))
        if self.dead_zone > 0.0:
            away = part - 0.5
            left = max(0.0, abs(away) - self.dead_zone / 2.0) / (1.0 - self.dead_zone)
            part = 0.5 + math.copysign(left, away)
        begin, end = self.target
        return begin + (end - begin) * LAWS[self.law](part)
