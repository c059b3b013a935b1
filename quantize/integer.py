"""DESIGN §3 in torch: forward is the integer arithmetic to the bit, backward passes straight through.

Integers travel in float64 tensors: a sum of int8 × int16 products below 2³¹ is exact there whatever its
order, and torch convolves float64 fast. What float64 can't hold (the 62-bit product of a requantization) is
done in int64. The integer parameters come from ``firmware.compiler.arithmetic``, the one place where they are
defined. Straight-through: Bengio et al., arXiv 1308.3432; learned scales: Esser et al., "LSQ", arXiv
1902.08153.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from firmware.compiler import arithmetic

Tensor = torch.Tensor
FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Tensor], Tensor]]] = {
    "Tanh": (np.tanh, torch.tanh),
    "Sigmoid": (lambda x: 1.0 / (1.0 + np.exp(-x)), torch.sigmoid),
}


def limits(bits: int) -> tuple[int, int]:
    """Smallest and largest activation of a width."""
    return arithmetic.LIMITS[f"int{bits}"]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, real: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(real: Tensor, exact: Tensor) -> Tensor:
    """Return `exact`, with the gradient of `real`."""
    return _StraightThrough.apply(real, exact.detach())


def as_float32(scale: Tensor) -> Tensor:
    """Round a float64 scale to the float32 the file stores, straight through."""
    return straight_through(scale, scale.detach().to(torch.float32).to(torch.float64))


def round_weight(weight: Tensor, scale: Tensor, top: float) -> Tensor:
    """Round to nearest even and saturate at ±top; the gradient stops where it saturates."""
    real = torch.clamp(weight / scale, -top, top)
    return straight_through(real, torch.round(real.detach()))


def _per_channel(vector: Tensor, rank: int, axis: int) -> Tensor:
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape) if vector.numel() > 1 else vector.reshape([1] * rank)


def requantize(acc: Tensor, factor: Tensor, bits: int, low: int | None = None, axis: int = 1) -> Tensor:
    """Accumulators to activations with one rounding, half up.

    Parameters
    ----------
    acc : Tensor float64 [N, C, ...]
        Integers.
    factor : Tensor float64 [C] or [1]
        s_x·s_w/s_y.
    bits : int
        Width of the result.
    low : int, optional
        Raised lower clamp (0 for a fused ReLU).
    axis : int
        Channel axis.
    """
    bottom, top = limits(bits)
    bottom = bottom if low is None else max(bottom, low)
    # the overflow proof is the compiler's; here only k and M are wanted
    integers = arithmetic.requantize_multiplier(factor.detach().numpy().reshape(-1), 0)
    multiplier = _per_channel(torch.from_numpy(integers.multiplier.astype(np.int64)), acc.ndim, axis)
    with torch.no_grad():
        wide = (acc.to(torch.int64) << integers.shift).clamp_(-(2**31), 2**31 - 1)
        exact = ((wide * multiplier + 2**31) >> 32).clamp_(bottom, top).to(torch.float64)
    real = torch.clamp(acc * _per_channel(factor, acc.ndim, axis), bottom, top)
    return straight_through(real, exact)


def blend(
    operands: tuple[Tensor, Tensor], factors: tuple[Tensor, Tensor], bits: int, widths: tuple[int, int]
) -> Tensor:
    """Sum two scaled operands with one rounding.

    Parameters
    ----------
    operands : (Tensor, Tensor)
        Integers a and b.
    factors : (Tensor, Tensor)
        s_a/s_y and ±s_b/s_y.
    bits : int
        Width of the result.
    widths : (int, int)
        Widths of the operands.
    """
    bottom, top = limits(bits)
    integers = arithmetic.blend_multipliers(
        tuple(float(f.detach()) for f in factors), tuple(-limits(w)[0] for w in widths)
    )
    with torch.no_grad():
        first, second = (x.to(torch.int64) * m for x, m in zip(operands, integers.multipliers, strict=True))
        total = first + second
        exact = ((total + ((1 << integers.shift) >> 1)) >> integers.shift).clamp(bottom, top)
    real = torch.clamp(operands[0] * factors[0] + operands[1] * factors[1], bottom, top)
    return straight_through(real, exact.to(torch.float64))


def leaky(x: Tensor, slope: float, bits: int) -> Tensor:
    """Leaky ReLU that keeps its scale: Q15 slope, half up."""
    bottom, top = limits(bits)
    integers = arithmetic.leaky_multipliers(np.array([slope]), 1.0, -bottom)
    with torch.no_grad():
        whole = x.to(torch.int64)
        factor = torch.where(whole >= 0, integers.positive, int(integers.negative[0]))
        exact = ((whole * factor + ((1 << integers.shift) >> 1)) >> integers.shift).clamp(bottom, top)
    real = torch.clamp(torch.where(x >= 0, x, x * slope), bottom, top)
    return straight_through(real, exact.to(torch.float64))


def clip(x: Tensor, bounds: tuple[float, float], scale: Tensor, bits: int) -> Tensor:
    """Clamp integers to bounds in the tensor's unit, each rounded to the nearest integer, ties to even."""
    bottom, top = limits(bits)
    step = float(scale.detach())
    low, high = (float(np.clip(np.rint(bound / step), bottom, top)) for bound in bounds)
    return torch.clamp(x, low, high)


def table(x: Tensor, name: str, scale_in: Tensor, scale_out: Tensor, bits_in: int, bits_out: int) -> Tensor:
    """Tanh or sigmoid through its table: 513 knots with interpolation from int16, 256 entries from int8."""
    vector, function = FUNCTIONS[name]
    bottom, top = limits(bits_out)
    with torch.no_grad():
        whole = x.to(torch.int64)
        if bits_in == 16:
            knots = arithmetic.table_int16(vector, float(scale_in), float(scale_out), bottom, top)
            t = torch.from_numpy(knots.astype(np.int64))
            index, fraction = (whole + 32768) >> 7, whole & 127
            exact = (t[index] * (128 - fraction) + t[index + 1] * fraction + 64) >> 7
        else:
            entries = arithmetic.table_int8(vector, float(scale_in), float(scale_out), bottom, top)
            exact = torch.from_numpy(entries.astype(np.int64))[whole + 128]
    real = torch.clamp(function(x * scale_in) / scale_out, bottom, top)
    return straight_through(real, exact.to(torch.float64))


def quantize(x: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Float tensor to integers as the C code does it: a float32 division, round half to even."""
    bottom, top = limits(bits)
    with torch.no_grad():
        divided = x.to(torch.float32) / scale.to(torch.float32)
        exact = torch.round(torch.clamp(divided, bottom, top)).to(torch.float64)
    real = torch.clamp(x.to(torch.float64) / scale, bottom, top)
    return straight_through(real, exact)


def dequantize(x: Tensor, scale: Tensor) -> Tensor:
    """Integers to float32: one exact conversion, one float32 multiply."""
    return x.to(torch.float32) * scale.to(torch.float32)
