"""The integer arithmetic in torch (docs/design.md#arithmetic): forward to the bit, backward straight through.

Activations are float32 tensors, which hold 16-bit integers; accumulators are worked out in float64,
where a sum of int8 × int16 products below 2³¹ is exact whatever its order and torch convolves fast. The
62-bit product of a requantization is done in two halves. What the gradient needs is worked out beside it in
float32, and only where gradients are wanted. The integer parameters come from
``firmware.compiler.judge.arithmetic``, the one place where they are defined. Straight-through: Bengio et al.,
arXiv 1308.3432; learned scales: Esser et al., "LSQ", arXiv 1902.08153.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from firmware.compiler.judge import arithmetic, tables

Tensor = torch.Tensor
HALF = 2.0**16
Function = tuple[Callable[[np.ndarray], np.ndarray], Callable[[Tensor], Tensor]]
"""The same function in numpy and in torch."""


def limits(bits: int) -> tuple[int, int]:
    """Smallest and largest activation of a width."""
    return arithmetic.LIMITS[f"int{bits}"]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, real: Tensor, exact: list[Tensor]) -> Tensor:
        return exact[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(real: Callable[[], Tensor], exact: Tensor) -> Tensor:
    """Return `exact`, with the gradient of what `real` gives, which is asked for only if gradients are on."""
    if not torch.is_grad_enabled():
        return exact
    return _StraightThrough.apply(real(), [exact.detach()])


def as_float32(scale: Tensor) -> Tensor:
    """Round a float64 scale to the float32 the file stores, straight through."""
    return straight_through(lambda: scale, scale.detach().to(torch.float32).to(torch.float64))


def round_weight(weight: Tensor, scale: Tensor, top: float) -> Tensor:
    """Round to nearest even and saturate at ±top; the gradient stops where it saturates."""
    real = torch.clamp(weight / scale, -top, top)
    return straight_through(lambda: real, torch.round(real.detach()))


def _per_channel(vector: Tensor, rank: int, axis: int) -> Tensor:
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape) if vector.numel() > 1 else vector.reshape([1] * rank)


def requantize(
    accumulate: Callable[[torch.dtype], Tensor],
    factor: Tensor,
    bits: int,
    low: int | None = None,
    axis: int = 1,
) -> Tensor:
    """Accumulators to activations with one rounding, half up.

    Parameters
    ----------
    accumulate : callable
        dtype → accumulators [N, C, ...]: whole numbers in float64, and their likeness in float32, whose
        gradient is taken.
    factor : Tensor float64 [C] or [1]
        s_x·s_w/s_y.
    bits : int
        Width of the result.
    low : int, optional
        Raised lower clamp (0 for a fused ReLU).
    axis : int
        Channel axis.

    Returns
    -------
    Tensor float32 [N, C, ...]
        Whole numbers.
    """
    bottom, top = limits(bits)
    bottom = bottom if low is None else max(bottom, low)
    # the overflow proof is the compiler's; here only k and M are wanted
    integers = arithmetic.requantize_multiplier(factor.detach().numpy().reshape(-1), 0)
    with torch.no_grad():
        acc = accumulate(torch.float64)
        whole = torch.from_numpy(integers.multiplier.astype(np.float64))
        high = torch.floor(whole / HALF)
        high, rest = (_per_channel(m, acc.ndim, axis) for m in (high, whole - high * HALF))
        wide = (acc * 2.0**integers.shift).clamp_(-(2.0**31), 2.0**31 - 1)
        # (wide·M + 2³¹) >> 32 with M = high·2¹⁶ + rest: no term reaches 2⁴⁸
        carry = (wide * rest).add_(2.0**31).div_(HALF).floor_()
        exact = wide.mul_(high).add_(carry).div_(HALF).floor_().clamp_(bottom, top).to(torch.float32)

    def real() -> Tensor:
        likeness = accumulate(torch.float32)
        return torch.clamp(
            likeness * _per_channel(factor.to(torch.float32), likeness.ndim, axis), bottom, top
        )

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
        first, second = (
            x.to(torch.float64) * float(m) for x, m in zip(operands, integers.multipliers, strict=True)
        )
        exact = _shifted(first.add_(second), integers.shift, bottom, top)

    def real() -> Tensor:
        first, second = (x * f.to(torch.float32) for x, f in zip(operands, factors, strict=True))
        return torch.clamp(first + second, bottom, top)

    return straight_through(real, exact)


def _shifted(total: Tensor, shift: int, bottom: int, top: int) -> Tensor:
    """``(total + half) >> shift``, saturated, of whole numbers in float64; in place."""
    return total.add_((1 << shift) >> 1).mul_(2.0**-shift).floor_().clamp_(bottom, top).to(torch.float32)


def leaky(x: Tensor, slope: float, bits: int) -> Tensor:
    """Leaky ReLU that keeps its scale: Q15 slope, half up."""
    bottom, top = limits(bits)
    integers = arithmetic.leaky_multipliers(np.array([slope]), 1.0, -bottom)
    with torch.no_grad():
        factor = torch.where(x >= 0, float(integers.positive), float(integers.negative[0]))
        exact = _shifted(x.to(torch.float64) * factor, integers.shift, bottom, top)
    return straight_through(lambda: torch.clamp(functional.leaky_relu(x, slope), bottom, top), exact)


def clip(x: Tensor, bounds: tuple[float, float], scale: Tensor, bits: int) -> Tensor:
    """Clamp integers to bounds in the tensor's unit, each rounded to the nearest integer, ties to even."""
    bottom, top = limits(bits)
    step = float(scale.detach())
    low, high = (float(np.clip(np.rint(bound / step), bottom, top)) for bound in bounds)
    return torch.clamp(x, low, high)


def table(x: Tensor, function: Function, scales: tuple[Tensor, Tensor], bits: tuple[int, int]) -> Tensor:
    """Look a function up: from int16 between knots, from int8 in 256 entries.

    Parameters
    ----------
    x : Tensor
        Integers.
    function : (callable, callable)
        In numpy, which the table is made of, and in torch, for the gradient.
    scales : (Tensor, Tensor)
        Of what is read and of what is made.
    bits : (int, int)
        Widths of both.
    """
    vector, smooth = function
    (scale_in, scale_out), (bits_in, bits_out) = scales, bits
    bottom, top = limits(bits_out)
    with torch.no_grad():
        whole, of_both = x.to(torch.int64).numpy(), (float(scale_in), float(scale_out))
        if bits_in == 16:
            found = tables.function_table(vector, of_both, limits(16), (bottom, top))
            exact = tables.look_up(whole, found)
        else:
            exact = tables.look_up_int8(whole, tables.table_int8(vector, of_both, (bottom, top)))

    def real() -> Tensor:
        return torch.clamp(smooth(x * scale_in.to(torch.float32)) / scale_out.to(torch.float32), bottom, top)

    return straight_through(real, torch.from_numpy(exact).to(torch.float32))


def quantize(x: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Float tensor to integers as the C code does it: a float32 division, round half to even."""
    bottom, top = limits(bits)
    with torch.no_grad():
        divided = x.to(torch.float32) / scale.to(torch.float32)
        exact = torch.round(torch.clamp(divided, bottom, top))

    def real() -> Tensor:
        return torch.clamp(x.to(torch.float32) / scale.to(torch.float32), bottom, top)

    return straight_through(real, exact)


def dequantize(x: Tensor, scale: Tensor) -> Tensor:
    """Integers to float32: one exact conversion, one float32 multiply."""
    return x.to(torch.float32) * scale.to(torch.float32)
