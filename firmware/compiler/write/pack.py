"""From a convolution's graph weights to the kernel's tables and its call.

The byte order of packed weights is the kernels' own business (``firmware.kernelgen.packing``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from firmware.compiler.graph import Tensor
from firmware.compiler.write.writer import Writer
from firmware.kernelgen import packing


@dataclass(frozen=True, eq=False)
class Layer:
    """The weights of one kernel call, before they are packed.

    Attributes
    ----------
    weight : ndarray, shape (rows, inputs / groups, taps)
        Integers or floats.
    bias : ndarray, shape (rows,)
    multiplier : ndarray of int32, shape (rows,), or None
        Of the requantization; None: in float32.
    shift, stride, dilation, groups : int
    is_wide : bool
        Accumulators of 64 bits.
    is_short : bool
        Straight-line code, where the target has it.
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray | None
    shift: int
    stride: int
    dilation: int
    groups: int
    is_wide: bool
    is_short: bool

    @property
    def rows(self) -> int:
        """Outputs."""
        return self.weight.shape[0]

    def split(self, phases: int) -> list[Layer]:
        """Cut the rows, (phase, channel), into the phases."""
        count = self.rows // phases
        return [self._part(slice(phase * count, (phase + 1) * count)) for phase in range(phases)]

    def _part(self, rows: slice) -> Layer:
        """Some of the rows."""
        multiplier = None if self.multiplier is None else self.multiplier[rows]
        return replace(self, weight=self.weight[rows], bias=self.bias[rows], multiplier=multiplier)

    def with_pads(self, phases: int, frame: int) -> Layer:
        """Insert the pad lanes of each phase's frame as zero rows."""
        if phases == 1 or self.rows // phases == frame:
            return self

        def padded(values: np.ndarray) -> np.ndarray:
            full = np.zeros((phases, frame, *values.shape[1:]), values.dtype)
            full[:, : self.rows // phases] = values.reshape(phases, -1, *values.shape[1:])
            return full.reshape(phases * frame, *values.shape[1:])

        multiplier = None if self.multiplier is None else padded(self.multiplier)
        return replace(self, weight=padded(self.weight), bias=padded(self.bias), multiplier=multiplier)


def convolution_call(
    layer: Layer, x: Tensor, y: Tensor, out: Writer, step: int, offset: int = 0, suffix: str = ""
) -> None:
    """Pack a layer's tables and write its call.

    A slice of rows, when the schedule asks for one, is in ``out.rows``.

    Parameters
    ----------
    step, offset : int
        Elements between the frames written, and before the first.
    suffix : str
        Tells the tables of several calls of one node apart.
    """
    groups = layer.groups
    is_depthwise = groups > 1 and groups == x.channels == layer.rows
    first, count = out.rows if out.rows is not None else ("0", str(layer.rows))
    if groups > 1 and not is_depthwise:
        first, count = "0", str(groups)
    dst = f"{out.dst()} + {offset}" if offset else out.dst()
    if layer.is_short and out.packing == "quad":
        assert layer.multiplier is not None
        short = packing.pack_short(
            layer.weight,
            layer.bias,
            layer.multiplier,
            _shifts(layer),
            in_pitch=x.frame,
            dilation=layer.dilation,
        )
        stream = out.flat(f"stream{suffix}", "int16", short.stream)
        out.check("stream", stream, size=packing.short_bytes(*short.shape), reach=x.bound)
        table = out.table("vk_short", f"layer{suffix}", short.initializer(stream, out.code(short.shape)))
        out.call("vk_conv_short", f"&{table}", out.src(0), dst, step, out.frames, first, count)
        return
    packed = _packed(layer, x, is_depthwise, out.packing)
    kind = {"int16": "w8a16", "int8": "w8a8", "float32": "f32"}[x.dtype]
    if is_depthwise:
        ctype, kernel = "vk_depthwise", f"vk_depthwise_{kind}"
    else:
        ctype, kernel = "vk_conv", "vk_conv_w8a16_wide" if layer.is_wide else f"vk_conv_{kind}"
    if packed.requant is None:
        assert packed.bias is not None
        ctype = f"{ctype}_float"
        weights = out.flat(f"weights{suffix}", "float32", packed.weights)
        rows = out.flat(f"bias{suffix}", "float32", packed.bias)
    else:
        weights = out.flat(f"weights{suffix}", "int8", packed.weights)
        rows = out.flat(f"requant{suffix}", "vk_requant", packed.requant)
        is_plain = is_depthwise or x.dtype == "int8"
        order = ("depthwise" if is_depthwise else "byte8") if is_plain else out.packing
        size = packed.pitch if isinstance(packed, packing.PackedDepthwise) else packed.stored_taps(order)
        kind = f"{order}_wide" if layer.is_wide else order
        out.check(kind, weights, rows, size=size, reach=x.bound)
    table = out.table(ctype, f"layer{suffix}", packed.initializer(weights, rows))
    out.call(kernel, f"&{table}", out.src(0), dst, step, out.frames, first, count)


def _shifts(layer: Layer) -> np.ndarray:
    """The shift, once a row."""
    return np.full(layer.rows, layer.shift, np.int32)


def _packed(
    layer: Layer, x: Tensor, is_depthwise: bool, order: str
) -> packing.PackedConv | packing.PackedDepthwise:
    """Order the weights as the kernel reads them."""
    pitch, dilation, stride, groups = x.frame, layer.dilation, layer.stride, layer.groups
    if layer.multiplier is None:
        if is_depthwise:
            return packing.pack_depthwise_f32(
                layer.weight, layer.bias, in_pitch=pitch, dilation=dilation, stride=stride
            )
        return packing.pack_conv_f32(
            layer.weight, layer.bias, in_pitch=pitch, dilation=dilation, stride=stride, groups=groups
        )
    integers = (layer.weight, layer.bias, layer.multiplier, _shifts(layer))
    if is_depthwise:
        return packing.pack_depthwise(*integers, in_pitch=pitch, dilation=dilation, stride=stride)
    return packing.pack_conv(
        *integers,
        packing="byte8" if x.dtype == "int8" else order,
        in_pitch=pitch,
        dilation=dilation,
        stride=stride,
        groups=groups,
    )


def float_dense(out: Writer, hint: str, weight: np.ndarray, bias: np.ndarray) -> str:
    """Pack a float dense layer, ``weight`` [outputs, inputs]; return the name of its struct."""
    packed = packing.pack_conv_f32(weight[:, :, None], bias, in_pitch=weight.shape[1])
    assert packed.bias is not None
    weights, table = (
        out.flat(f"{hint}_weights", "float32", packed.weights),
        out.flat(f"{hint}_bias", "float32", packed.bias),
    )
    return out.table("vk_conv_float", hint, packed.initializer(weights, table))
