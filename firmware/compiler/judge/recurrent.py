"""Recurrent layers in integers: the judge of ``vk_lstm_s16``, ``vk_gru_s16`` and ``vk_gru_before_s16``.

An error of a state is heard for as long as the state lasts, so what is remembered is wide: cells and states
are int32 with 24 fractional bits, gates have 31. Only the state as it is multiplied is int16, in Q15.

Both layers are four sums a unit over one vector, states first and inputs behind, with int16 weights on one
power of two: the accumulators have q fractional bits, from 24 to 30, as many as fit. An LSTM's sums are its
gates i, o, f, c; a GRU's are z, r, and the input's and the state's part of n apart. Where the reset gate acts
before the recurrent weights, the state's part is a sum over states times their gates, which are int16 in Q15.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from firmware.compiler.judge.arithmetic import INT32_MAX

FRACTION = 24
"""Fractional bits of cells, states and whatever a function is looked up of."""
MOST_FRACTION = 30
STATE_SCALE = 2.0**-15
"""Of the int16 states that a layer gives away; a file with another scale computes in float."""
WEIGHT_MAX = 32767
MOST_COLUMNS = 480
"""States and inputs together: offsets in the M7's code reach no further."""
CELLS = 1024
"""Lines of a table, half of them for negative inputs."""
SIGMOID_BITS, TANH_BITS = 19, 18
"""A line is so many bits of the input wide: tables reach ±16 and ±8."""
INT32 = (-(2**31), INT32_MAX)


@dataclass(frozen=True, eq=False)
class RecurrentIntegers:
    """Weights of a layer whose sums are proven to stay below 2^31.

    Attributes
    ----------
    weight : ndarray of int64, shape (4 · hidden, inputs)
    recurrent : ndarray of int64, shape (4 · hidden, hidden)
    bias : ndarray of int64, shape (4 · hidden,)
    shift : int
        q - 24.
    bound : ndarray of int64, shape (4 · hidden,)
        Largest possible ``|accumulator|`` of each sum.
    """

    weight: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    shift: int
    bound: np.ndarray


def recurrent_integers(
    weight: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, scale: float, input_bound: int
) -> RecurrentIntegers | None:
    """Round a layer's weights to the finest power of two for which all sums fit 32 bits.

    Parameters
    ----------
    weight, recurrent : ndarray of float64, shapes (4 · hidden, inputs) and (4 · hidden, hidden)
    bias : ndarray of float64, shape (4 · hidden,)
    scale : float
        Of the input's integers.
    input_bound : int
        Largest magnitude of these.

    Returns
    -------
    RecurrentIntegers or None
        None where a sum can pass 128, a weight is too large, or there are more than ``MOST_COLUMNS``.
    """
    if weight.shape[1] + recurrent.shape[1] > MOST_COLUMNS:
        return None
    for shift in range(MOST_FRACTION - FRACTION, -1, -1):
        one = 2.0 ** (FRACTION + shift)
        driven, back = np.rint(weight * scale * one), np.rint(recurrent * STATE_SCALE * one)
        offset = np.floor(bias * one + 0.5)
        bound = np.abs(driven).sum(1) * input_bound + np.abs(back).sum(1) * 32768 + np.abs(offset)
        largest = max(np.abs(driven).max(initial=0), np.abs(back).max(initial=0))
        if largest <= WEIGHT_MAX and bound.max(initial=0) <= INT32_MAX:
            weights, states, biases = (values.astype(np.int64) for values in (driven, back, offset))
            return RecurrentIntegers(weights, states, biases, shift, bound.astype(np.int64))
    return None


def settled_integers(
    weight: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, scale: float, input_bound: int
) -> RecurrentIntegers | None:
    """The same, for weights that will be stored rounded: whoever reads them again finds these integers.

    Rounded weights sum up to a little less or more, so that they may fit a finer power of two.
    """
    found = recurrent_integers(weight, recurrent, bias, scale, input_bound)
    while found is not None:
        one = 2.0 ** (FRACTION + found.shift)
        stored = found.weight / (scale * one), found.recurrent / (STATE_SCALE * one)
        again = recurrent_integers(*stored, bias, scale, input_bound)
        assert again is not None
        if again.shift == found.shift:
            return found
        found = again
    return None


def _lines(function: Callable[[np.ndarray], np.ndarray], bits: int, one: float) -> np.ndarray:
    """Straight lines of least error over pieces of the input, int32 [lines, (value, slope)].

    Two neighbouring pieces share a knot between them, from which the fraction is counted.
    """
    cells = np.arange(-CELLS // 2, CELLS // 2)
    width = 2.0 ** (bits - FRACTION)
    within = np.linspace(0.0, 1.0, 65)
    exact = function((cells[:, None] + within) * width)
    rise = exact[:, -1] - exact[:, 0]
    off = exact - (exact[:, :1] + rise[:, None] * within)
    start = exact[:, 0] + 0.5 * (off.max(axis=1) + off.min(axis=1))
    at_knot = start + np.where(cells % 2 == 1, rise, 0.0)
    return np.rint(np.stack([at_knot, 2 * rise], axis=1) * one).astype(np.int64)


@cache
def sigmoid_lines() -> np.ndarray:
    """Sigmoid in Q31 of Q24, at most 1.2e-5 / 2 off: a fifth of a step of int16."""
    return _lines(lambda x: 1 / (1 + np.exp(-x)), SIGMOID_BITS, 2.0**31)


@cache
def tanh_lines() -> np.ndarray:
    """Tanh in Q24 of Q24, at most 1.2e-5 off: two fifths of a step of int16."""
    return _lines(np.tanh, TANH_BITS, 2.0**24)


def _high(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The upper half of a product, SMMUL."""
    return (a * b) >> 32


def look_up(x: np.ndarray, lines: np.ndarray, bits: int) -> np.ndarray:
    """Value and slope of a line by the upper bits of Q24, the fraction by the lower ones."""
    reach = CELLS // 2 << bits
    u = np.clip(x, -reach, reach - 1)
    fraction = ((u << (31 - bits)) + 2**31) % 2**32 - 2**31
    value, slope = lines[(u >> bits) + CELLS // 2].transpose(-1, *range(u.ndim))
    return np.asarray(value + _high(slope, fraction))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Q31 of Q24."""
    return look_up(x, sigmoid_lines(), SIGMOID_BITS)


def tanh(x: np.ndarray) -> np.ndarray:
    """Q24 of Q24."""
    return look_up(x, tanh_lines(), TANH_BITS)


def _sums(layer: RecurrentIntegers, x: np.ndarray) -> tuple[np.ndarray, Callable[..., np.ndarray]]:
    """What the inputs add to each sum, and the function that adds the rest and shifts."""
    driven = np.einsum("gi,tin->tgn", layer.weight.astype(np.float64), x.astype(np.float64))  # exact
    driven += layer.bias[:, None]
    recurrent = layer.recurrent.astype(np.float64)

    def total(t: int, h: np.ndarray) -> np.ndarray:
        acc = driven[t] + recurrent @ h.astype(np.float64)
        return acc.astype(np.int64) >> layer.shift

    return driven, total


def lstm(layer: RecurrentIntegers, x: np.ndarray) -> np.ndarray:
    """Run an LSTM from a reset: int64 [frames, inputs, batch] → Q15 [frames, hidden, batch].

    c' = sat(2·((f·c >> 32) + (i·g >> 32))), h' = sat16(((o·tanh(c') >> 32) + 2^7) >> 8).
    """
    hidden = layer.recurrent.shape[1]
    driven, total = _sums(layer, x)
    h = c = np.zeros((hidden, x.shape[2]), np.int64)
    made = np.zeros((x.shape[0], hidden, x.shape[2]), np.int64)
    for t in range(len(driven)):
        p = total(t, h)
        i, o, f = sigmoid(p[: 3 * hidden].reshape(3, hidden, -1))
        c = np.clip(2 * (_high(f, c) + _high(i, tanh(p[3 * hidden :]))), *INT32)
        h = made[t] = np.clip((_high(o, tanh(c)) + 128) >> 8, -32768, 32767)
    return made


def gru(layer: RecurrentIntegers, x: np.ndarray) -> np.ndarray:
    """Run a GRU from a reset, the reset gate behind the recurrent weights: shapes as of ``lstm``.

    n = tanh(sat(a + 2·(r·b >> 32))), s' = n + 2·(z·(s - n) >> 32), h' = sat16((s' + 2^8) >> 9).
    """
    hidden = layer.recurrent.shape[1]
    driven, total = _sums(layer, x)
    h = s = np.zeros((hidden, x.shape[2]), np.int64)
    made = np.zeros((x.shape[0], hidden, x.shape[2]), np.int64)
    for t in range(len(driven)):
        p = total(t, h)
        z, r = sigmoid(p[: 2 * hidden].reshape(2, hidden, -1))
        a, b = p[2 * hidden :].reshape(2, hidden, -1)
        n = tanh(np.clip(a + 2 * _high(r, b), *INT32))
        s = n + 2 * _high(z, s - n)
        h = made[t] = np.clip((s + 256) >> 9, -32768, 32767)
    return made


def gru_before(layer: RecurrentIntegers, x: np.ndarray) -> np.ndarray:
    """Run a GRU from a reset, the reset gate before the recurrent weights: shapes as of ``lstm``.

    k = sat16(((r·s >> 32) + 2^7) >> 8), n = tanh(sat(a + b)) with b summed over k, s' and h' as of ``gru``.
    """
    hidden = layer.recurrent.shape[1]
    driven, total = _sums(layer, x)
    h = s = np.zeros((hidden, x.shape[2]), np.int64)
    made = np.zeros((x.shape[0], hidden, x.shape[2]), np.int64)
    for t in range(len(driven)):
        p = total(t, h)
        z, r = sigmoid(p[: 2 * hidden].reshape(2, hidden, -1))
        kept = np.clip((_high(r, s) + 128) >> 8, -32768, 32767)
        n = tanh(np.clip(p[2 * hidden : 3 * hidden] + total(t, kept)[3 * hidden :], *INT32))
        s = n + 2 * _high(z, s - n)
        h = made[t] = np.clip((s + 256) >> 9, -32768, 32767)
    return made


def gru_rows(
    weight: np.ndarray,
    recurrent: np.ndarray,
    bias: np.ndarray,
    recurrent_bias: np.ndarray,
    *,
    resets_before: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A GRU's gates z, r, n as four sums a unit: the two parts of n apart.

    The reset gate acts on the state's part with its bias, or where it ``resets_before`` on the states alone.
    """
    both = 2 * recurrent.shape[1]
    if resets_before:
        bias, recurrent_bias = bias.copy(), recurrent_bias.copy()
        bias[both:] += recurrent_bias[both:]
        recurrent_bias[both:] = 0
    weights = np.concatenate([weight, np.zeros_like(weight[both:])])
    back = np.concatenate([recurrent[:both], np.zeros_like(recurrent[both:]), recurrent[both:]])
    offsets = np.concatenate([bias[:both] + recurrent_bias[:both], bias[both:], recurrent_bias[both:]])
    return weights, back, offsets


def gru_gates(rows: np.ndarray) -> np.ndarray:
    """Weights of four sums a unit as the gates z, r, n again."""
    hidden = len(rows) // 4
    return np.concatenate([rows[: 2 * hidden], rows[2 * hidden : 3 * hidden] + rows[3 * hidden :]])
