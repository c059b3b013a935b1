"""The integer arithmetic of every target, written once in numpy: the judge of the C kernels.

Everything the compiler, the reference interpreter, the quantizer and the kernels must agree on to the bit
stands here: how a real factor becomes an integer multiplier, how a wide accumulator becomes an activation,
and where each rounding happens. The C side of each function is named in its docstring. Functions that are
looked up are in ``tables.py``.

Conventions
-----------
Values are ``int64`` arrays while they are computed with, so that numpy itself never wraps; the proofs in
``bounds.py`` guarantee that the C code, which uses ``int32``, never wraps either. ``>>`` is an arithmetic
shift: it rounds toward minus infinity, so adding half first rounds half up (toward plus infinity).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal

INT32_MAX = 2**31 - 1
LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767)}


@dataclass(frozen=True)
class Multiplier:
    """Integers that stand for a vector of real factors in a requantization.

    Attributes
    ----------
    multiplier : ndarray of int32, shape (channels,)
        M, each in [0, 2^31).
    shift : int
        k, the left shift of the accumulator before the high multiply; one for the whole layer.
    """

    multiplier: np.ndarray
    shift: int


def requantize_multiplier(factor: np.ndarray, bound: np.ndarray | int, where: str = "a layer") -> Multiplier:
    """Choose k and M of ``y = (acc·2^k·M + 2^31) >> 32`` for real factors m: M = round(m·2^(32-k)) < 2^31.

    The smallest k whose multipliers fit is taken, because M loses one bit with each step of k; it is 0
    whenever every factor is below one half, which also spares the shift. ``bound`` is what the overflow
    proof found for the accumulator; acc·2^k must stay below 2^31.

    Parameters
    ----------
    factor : ndarray, shape (channels,)
        m = s_x·s_w/s_y, positive (0 on channels that are padding).
    bound : ndarray or int
        Largest possible ``|acc|`` of each channel.
    where : str
        Name of the layer, for the refusal.

    Returns
    -------
    Multiplier

    Raises
    ------
    Refusal
        When a factor is not finite, or no k satisfies both conditions.
    """
    factor = np.atleast_1d(np.asarray(factor, np.float64))
    if not np.all(np.isfinite(factor)) or np.any(factor < 0):
        raise Refusal(f"{where}: a scale is not a positive finite number; quantize the model again.")
    shift = 0
    while np.any(np.floor(factor * 2.0 ** (32 - shift) + 0.5) > INT32_MAX):
        shift += 1
    if shift > 30 or np.any(np.asarray(bound, np.float64) * 2.0**shift > INT32_MAX):
        raise Refusal(
            f"{where}: its output scale is too small against its input scales (ratio up to "
            f"{factor.max():.3g}): "
            " the requantization cannot be done in 32 bits; calibrate the output range again."
        )
    return Multiplier(np.floor(factor * 2.0 ** (32 - shift) + 0.5).astype(np.int32), shift)


def requantize(
    acc: np.ndarray, multiplier: np.ndarray, shift: int, low: int, high: int, axis: int = 0
) -> np.ndarray:
    """Round accumulators to activations, once, half up: ``clamp((acc·2^k·M + 2^31) >> 32)``.

    In C one 64-bit multiply; on the M7 (LSL,) SMMULR, SSAT.

    Parameters
    ----------
    acc : ndarray of int
        Accumulators with the bias in.
    multiplier : ndarray of int, shape (channels,) or (1,)
        M of each channel along ``axis``.
    shift : int
        k.
    low, high : int
        Clamp of the result.
    axis : int
        Channel axis of ``acc``.

    Returns
    -------
    ndarray of int64, the shape of ``acc``
    """
    acc = np.asarray(acc, np.int64)
    scale = np.asarray(multiplier, np.int64)
    if scale.size > 1:
        scale = scale.reshape([-1 if i == axis else 1 for i in range(acc.ndim)])
    # A split (64-bit) accumulation may pass 2^31, and its product 2^63: M is taken in two halves, exactly.
    wide = acc << shift
    upper, lower = wide * (scale >> 16), wide * (scale & 0xFFFF)
    return np.clip((upper + ((lower + 2**31) >> 16)) >> 16, low, high)


@dataclass(frozen=True)
class Blend:
    """Integers of ``y = (a·Ma + b·Mb + 2^(q-1)) >> q`` (or of one operand alone)."""

    multipliers: tuple[int, ...]
    shift: int


def blend_multipliers(
    factors: tuple[float, ...], bounds: tuple[int, ...], where: str = "an addition"
) -> Blend:
    """Choose the largest q in 1..30 for which every ``round(m·2^q)`` is an int16 and no sum overflows.

    Parameters
    ----------
    factors : tuple of float
        s_a/s_y, s_b/s_y (negative for the subtracted operand).
    bounds : tuple of int
        Largest ``|a|``, ``|b|``.
    where : str
        Name of the layer, for the refusal.

    Returns
    -------
    Blend

    Raises
    ------
    Refusal
        When a factor is not finite or exceeds int16 already at q = 1.
    """
    if not all(math.isfinite(f) for f in factors):
        raise Refusal(f"{where}: a scale is not a finite number; quantize the model again.")
    for q in range(30, 0, -1):
        rounded = tuple(math.floor(f * 2.0**q + 0.5) for f in factors)
        half = (1 << q) >> 1
        total = sum(abs(m) * b for m, b in zip(rounded, bounds, strict=True)) + half
        if all(abs(m) <= 32767 for m in rounded) and total <= INT32_MAX:
            return Blend(rounded, q)
    raise Refusal(
        f"{where}: its output scale is {max(abs(f) for f in factors):.3g} times smaller than an input scale, "
        "more than 16-bit multipliers can express; calibrate the output range again."
    )


def blend(operands: tuple[np.ndarray, ...], blend: Blend, low: int, high: int) -> np.ndarray:
    """Add scaled operands with one rounding, half up: ``clamp((Σ x·M + 2^(q-1)) >> q)``.

    C: ``vk_add_s16``, ``vk_add_s8``.
    """
    half = (1 << blend.shift) >> 1
    total = sum(np.asarray(x, np.int64) * m for x, m in zip(operands, blend.multipliers, strict=True))
    return np.clip((total + half) >> blend.shift, low, high)


@dataclass(frozen=True)
class Leaky:
    """Integers of a leaky ReLU: the factor of positive inputs, those of negative ones, the shift."""

    positive: int
    negative: np.ndarray
    shift: int


def leaky_multipliers(slope: np.ndarray, ratio: float, bound: int, where: str = "a leaky ReLU") -> Leaky:
    """Turn slopes into Q15 integers (fewer fractional bits only where s_x/s_y ≥ 2 would overflow).

    With equal scales the positive factor is exactly 2^15, so positive inputs pass unchanged.

    Parameters
    ----------
    slope : ndarray, shape (1,) or (channels,)
        Slope of negative inputs.
    ratio : float
        s_x/s_y.
    bound : int
        Largest ``|x|``.
    where : str
        Name of the layer, for the refusal.
    """
    factors = np.concatenate([[ratio], np.atleast_1d(np.asarray(slope, np.float64)) * ratio])
    if not np.all(np.isfinite(factors)):
        raise Refusal(f"{where}: a slope or scale is not a finite number; check the model's weights.")
    for q in range(15, -1, -1):
        rounded = np.floor(factors * 2.0**q + 0.5)
        if np.max(np.abs(rounded)) * bound + ((1 << q) >> 1) <= INT32_MAX:
            whole = rounded.astype(np.int64)
            return Leaky(int(whole[0]), whole[1:].astype(np.int32), q)
    raise Refusal(f"{where}: its slope {np.max(np.abs(slope)):.3g} is too steep for 32 bits; rescale it.")


def leaky(x: np.ndarray, params: Leaky, low: int, high: int, axis: int = 0) -> np.ndarray:
    """Leaky ReLU, one rounding, half up.

    C: ``vk_leaky_s16``, ``vk_leaky_s8`` for equal scales and a slope in [0, 1); else there is a table.
    """
    x = np.asarray(x, np.int64)
    negative = np.asarray(params.negative, np.int64)
    if negative.size > 1:
        negative = negative.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    half = (1 << params.shift) >> 1
    return np.clip((x * np.where(x >= 0, params.positive, negative) + half) >> params.shift, low, high)


def quantize(x: np.ndarray, scale: float, low: int, high: int) -> np.ndarray:
    """Float to integer, round half to even, in float32 like the C code. C: ``vk_quantize_f32_s16``, ``_s8``.

    ONNX's QuantizeLinear: a float32 division, as onnxruntime does it. NaN becomes 0.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        v = np.rint(np.asarray(x, np.float32) / np.float32(scale))
    return np.clip(np.nan_to_num(v, nan=0.0), low, high).astype(np.int64)


def dequantize(q: np.ndarray, scale: float) -> np.ndarray:
    """Integer to float32: an exact conversion, one float32 multiply. C: ``vk_dequantize_s16_f32``."""
    return np.asarray(q).astype(np.float32) * np.float32(scale)
