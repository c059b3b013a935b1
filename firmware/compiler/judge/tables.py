"""Functions that integers look up: tables whose error over the range that is really read is known.

An int8 function has one entry a value. An int16 function is linear between knots: 513 of them over all
integers where that is near enough, else more of them over the part where the function moves. The choice is
made here for the compiler, its reference and the quantizer alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal

Curve = Callable[[np.ndarray], np.ndarray]
"""A real function, vectorised, in float64."""
PLAIN_FIRST, PLAIN_SHIFT, PLAIN_KNOTS = -32768, 7, 513
"""The table that suits most: a knot every 2^7 input steps, from the least int16 on."""
MOST_OFF = 2.0
"""Steps of the output that a looked-up value may differ from the function."""
MOST_KNOTS = 16_385
"""Longest table: 32 KB."""
EVERY_VALUE = 255
"""Inputs of no larger magnitude (8 bits and a zero point) get a knot each."""


@dataclass(frozen=True, eq=False)
class FunctionTable:
    """Knots of an int16 function; beyond the first and the last it is constant.

    Attributes
    ----------
    knots : ndarray of int16
    first : int
        Input of the first knot.
    shift : int
        Knots are 2^shift inputs apart.
    off : float
        Largest difference from the function over the inputs there are, in steps of the output.
    """

    knots: np.ndarray
    first: int
    shift: int
    off: float

    @property
    def is_plain(self) -> bool:
        """Whether ``vk_table_s16`` reads it, which clamps nothing."""
        return (self.first, self.shift, self.knots.size) == (PLAIN_FIRST, PLAIN_SHIFT, PLAIN_KNOTS)

    @property
    def span(self) -> int:
        """Inputs from the first knot to the last."""
        return (self.knots.size - 1) << self.shift


def function_table(
    function: Curve,
    scales: tuple[float, float],
    inputs: tuple[int, int],
    outputs: tuple[int, int],
    where: str = "a function",
) -> FunctionTable:
    """Make the smallest table of an int16 function that is within ``MOST_OFF`` steps of it.

    Parameters
    ----------
    function : callable
    scales : (float, float)
        s_x and s_y.
    inputs : (int, int)
        Least and largest input there is.
    outputs : (int, int)
        Clamp of the knots (and so of every interpolated value).
    where : str
        Name of the layer, for the refusal.

    Returns
    -------
    FunctionTable
        ``T[i] = clamp(round_half_up(f((first + i·2^shift)·s_x)/s_y))``.

    Raises
    ------
    Refusal
        With the error of the longest table.
    """
    x = np.arange(inputs[0], inputs[1] + 1, dtype=np.int64)
    exact = _real(function, x, scales, outputs)

    def made(first: int, shift: int, knots: int) -> FunctionTable:
        at = first + (np.arange(knots, dtype=np.int64) << shift)
        values = np.floor(_real(function, at, scales, outputs) + 0.5).astype(np.int16)
        table = FunctionTable(values, first, shift, 0.0)
        return FunctionTable(values, first, shift, float(np.abs(look_up(x, table) - exact).max()))

    if max(abs(inputs[0]), abs(inputs[1])) <= EVERY_VALUE:
        return made(inputs[0], 0, len(x))
    best = made(PLAIN_FIRST, PLAIN_SHIFT, PLAIN_KNOTS)
    if best.off <= MOST_OFF:
        return best
    moves = np.flatnonzero(np.diff(np.floor(exact + 0.5)))  # outside of these the output is one integer
    first, last = inputs[0] + int(moves[0]), inputs[0] + int(moves[-1]) + 1
    for shift in range(PLAIN_SHIFT, -1, -1):
        steps = -(-(last - first) >> shift)
        if steps + 1 > MOST_KNOTS:
            break
        for start in (first, last - (steps << shift)):  # a bend, where it saturates at once, lies on a knot
            best = made(start, shift, steps + 1)
            if best.off <= MOST_OFF:
                return best
    raise Refusal(
        f"{where}: over inputs of {inputs[0] * scales[0]:.3g} to {inputs[1] * scales[0]:.3g} its table is "
        f"{best.off:.3g} steps of the output off, and {MOST_OFF:.0f} are the most; calibrate a narrower "
        "input range, or leave the quantization before it out, so that it computes in float32."
    )


def _real(
    function: Curve, x: np.ndarray, scales: tuple[float, float], outputs: tuple[int, int]
) -> np.ndarray:
    """The function of integers, in steps of the output, clamped and not rounded."""
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.asarray(function(x.astype(np.float64) * scales[0]), np.float64) / scales[1]
    return np.clip(np.nan_to_num(y, nan=0.0, posinf=1e9, neginf=-1e9), *outputs)


def look_up(x: np.ndarray, table: FunctionTable) -> np.ndarray:
    """Interpolate linearly between knots, half up: ``T[i] + (((T[i+1] - T[i])·f + 2^(shift-1)) >> shift)``.

    C: ``vk_table_s16``, ``vk_table_fine_s16``.
    """
    u = np.clip(np.asarray(x, np.int64) - table.first, 0, table.span)
    knots = np.asarray(table.knots, np.int64)
    left, fraction = u >> table.shift, u & ((1 << table.shift) - 1)
    right = np.minimum(left + 1, knots.size - 1)
    half = (1 << table.shift) >> 1
    return knots[left] + (((knots[right] - knots[left]) * fraction + half) >> table.shift)


def table_int8(function: Curve, scales: tuple[float, float], outputs: tuple[int, int]) -> np.ndarray:
    """All 256 values of an int8 function: ``T[x + 128] = clamp(round_half_up(f(x·s_x)/s_y))``."""
    return np.floor(_real(function, np.arange(-128, 128), scales, outputs) + 0.5).astype(np.int8)


def look_up_int8(x: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Read an int8 table. C: ``vk_table_s8``."""
    return np.asarray(table, np.int64)[np.asarray(x, np.int64) + 128]
