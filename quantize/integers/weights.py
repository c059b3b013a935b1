"""Weights as int8, and the scale of each output channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantize.operators.layer import along

TOP, TOP_16 = 127, 32767
"""Largest weight of 8 bits, and of the 16 that a joined sum allows beside its largest layer."""
# |bias| in accumulator units stays below this, leaving room for the products (sum below 2^31)
BIAS_TOP = float(1 << 29)


@dataclass
class QuantizedLayer:
    """Integers of one linear layer.

    Attributes
    ----------
    weight : ndarray int8
        In the layer's own layout.
    scale : ndarray float32 [Cout]
        Scale of each output channel (per index of `axis`).
    axis : int
        Axis of `weight` that counts output channels.
    bias : ndarray int32 or None
        At scale s_x·scale; one value per output channel of the layer.
    """

    weight: np.ndarray
    scale: np.ndarray
    axis: int
    bias: np.ndarray | None


def channel_scales(weight: np.ndarray, axis: int, method: str = "minmax") -> np.ndarray:
    """Symmetric scale of every output channel, float32; 1 where the channel is all zero.

    Parameters
    ----------
    weight : ndarray
        Float weights.
    axis : int
        Output-channel axis.
    method : {"minmax", "mse"}
        Largest magnitude at 127, or the scale (from 60 % to 100 % of that) with the least squared error.
    """
    other = tuple(a for a in range(weight.ndim) if a != axis)
    peak = np.abs(weight).max(axis=other).astype(np.float64)
    scale = np.where(peak > 0, peak / TOP, 1.0)
    if method == "mse":
        best = np.full(scale.shape, np.inf)
        chosen = scale.copy()
        for factor in np.linspace(0.6, 1.0, 41):
            trial = along(scale * factor, axis, weight.ndim)
            error = ((np.clip(np.rint(weight / trial), -TOP, TOP) * trial - weight) ** 2).sum(axis=other)
            better = error <= best
            best, chosen = np.where(better, error, best), np.where(better, scale * factor, chosen)
        scale = chosen
    return scale.astype(np.float32)


def room_for_bias(
    scale: np.ndarray, bias: np.ndarray | None, input_scale: float, groups: int = 1
) -> np.ndarray:
    """Widen the scales of channels whose bias would not fit int32 at s_x·s_w."""
    if bias is None:
        return scale
    worst = np.abs(bias.astype(np.float64)).reshape(groups, -1).max(axis=0) if groups > 1 else np.abs(bias)
    least = (worst / (input_scale * BIAS_TOP)).astype(np.float32)
    return np.maximum(scale, least)


def quantize_layer(
    weight: np.ndarray,
    bias: np.ndarray | None,
    input_scale: float,
    axis: int,
    groups: int = 1,
    scale: np.ndarray | None = None,
    top: int = TOP,
) -> QuantizedLayer:
    """Round a layer to int8 weights and int32 bias (nearest, ties to even).

    Parameters
    ----------
    weight, bias : ndarray
        Float parameters; bias [Cout] or None.
    input_scale : float
        Scale of the layer's input.
    axis : int
        Axis of the weight that counts output channels.
    groups : int
        How many times the scales of that axis repeat over the bias.
    scale : ndarray, optional
        Scales to use; the largest magnitude at 127 when absent.
    top : int
        Largest weight: `TOP` or `TOP_16`.
    """
    if scale is None:
        scale = room_for_bias(channel_scales(weight, axis), bias, input_scale, groups)
    scale = scale.astype(np.float32)
    integers = np.rint(weight.astype(np.float64) / along(scale.astype(np.float64), axis, weight.ndim))
    return QuantizedLayer(
        np.clip(integers, -top, top).astype(np.int8 if top == TOP else np.int16),
        scale,
        axis,
        None if bias is None else quantize_bias(bias, bias_scale(input_scale, scale, groups)),
    )


def bias_scale(input_scale: float, scale: np.ndarray, groups: int = 1) -> np.ndarray:
    """Scale of the accumulator, float32 [Cout]: what the file stores for the bias."""
    product = (np.float32(input_scale) * scale.astype(np.float32)).astype(np.float32)
    return np.tile(product, groups) if groups > 1 else product


def quantize_bias(bias: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Bias as int32, nearest, saturated."""
    integers = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    return np.clip(integers, -(2**31 - 1), 2**31 - 1).astype(np.int32)
