"""What a bend may do to a signal: five moves, each a channel of the input ``bend`` and some standard ONNX.

Bending and most of its moves come from network bending (Broad, Leymarie and Grierson, 2021) and torchbend
(IRCAM). Here they are integers, and the neutral value is the identity bit for bit:

- **scale**: ``x · g``, g in steps of 2⁻¹³, so that 1 is exactly 8192;
- **mask**: a gain for each channel by its rank; below noon the weakest go first, above it the strongest;
- **bias**: ``x + b``, b in the signal's own steps;
- **threshold**: ``max(x − t, 0) + min(x + t, 0)``: what is small becomes nothing;
- **swap**: ``x − a·x + a·P·x``, P a fixed rotation of the channels by half their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantize.bend.sites import Site

POINTS = 33
DETENT = 1
"""Points of the table on either side of noon that are neutral too: a knob at noon need not be exact."""
UNIT_STEP = 2.0**-13
"""Of gains: ±4, and 1 is 8192."""
MOST_GAIN = 4.0


@dataclass(frozen=True)
class Move:
    """One of the five.

    Attributes
    ----------
    name, words : str
    neutral : float
        The value that changes nothing.
    table : callable
        Site → values at `POINTS` places of the travel.
    step : callable
        Site → step of the channel's integers.
    least_channels : int
        Sites with fewer channels have none of it.
    """

    name: str
    words: str
    neutral: float
    table: Callable[[Site], np.ndarray]
    step: Callable[[Site], float]
    least_channels: int = 1


def _travel(low: Callable[[np.ndarray], np.ndarray], high: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Table of a low half and a high half, each a function of 0 (noon) … 1 (the end)."""
    middle = POINTS // 2
    share = np.clip((np.arange(1, middle + 1) - DETENT) / (middle - DETENT), 0.0, 1.0)
    neutral = high(np.zeros(1))
    return np.concatenate([low(share)[::-1], neutral, high(share)])


def _mask_step(site: Site) -> float:
    return float(2.0 ** -np.floor(np.log2(32767 / site.channels)))


MOVES = (
    Move(
        "scale",
        "Left: weaker, down to nothing; right: up to four times as strong.",
        1.0,
        lambda site: _travel(lambda s: 1.0 - s, lambda s: MOST_GAIN**s),
        lambda site: UNIT_STEP,
    ),
    Move(
        "bias",
        "Pushes all channels down or up by as much as they ever move.",
        0.0,
        lambda site: _travel(lambda s: -s * site.reach, lambda s: s * site.reach),
        lambda site: site.step,
    ),
    Move(
        "mask",
        "Takes channels away: left the weakest first, right the strongest first.",
        0.0,
        lambda site: _travel(lambda s: -s * site.channels, lambda s: s * site.channels),
        _mask_step,
        2,
    ),
    Move(
        "threshold",
        "Right of its middle: what is small becomes nothing, the rest moves nearer to it.",
        0.0,
        lambda site: _travel(lambda s: 0.0 * s, lambda s: s * site.reach),
        lambda site: site.step,
    ),
    Move(
        "swap",
        "Right: each channel is played by another; left: channels are pulled apart.",
        0.0,
        lambda site: _travel(lambda s: -s, lambda s: s),
        lambda site: UNIT_STEP,
        2,
    ),
)
BY_NAME = {move.name: move for move in MOVES}


def moves_at(site: Site, wanted: tuple[str, ...]) -> list[Move]:
    """Those of the wanted moves that the site has channels enough for."""
    return [move for move in MOVES if move.name in wanted and site.channels >= move.least_channels]
