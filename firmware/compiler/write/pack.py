"""From a convolution's graph weights to the kernel's tables and calls.

The byte order of packed weights is the kernels' own business (``firmware.kernelgen.packing``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from firmware.compiler.graph import Graph, Node, Tensor
from firmware.kernelgen import packing


def _with_pads(values: np.ndarray, phases: int, frame: int) -> np.ndarray:
    """Insert the pad lanes of each phase's frame as zero rows."""
    channels = values.shape[0] // phases
    if channels == frame or phases == 1:
        return values
    full = np.zeros((phases, frame, *values.shape[1:]), values.dtype)
    full[:, :channels] = values.reshape(phases, channels, *values.shape[1:])
    return full.reshape(phases * frame, *values.shape[1:])


def convolution_calls(node: Node, graph: Graph, out: Any) -> None:
    """Write the call (one per phase where groups and phases meet) of a convolution.

    A slice of rows, when the schedule asks for one, is in ``out.rows``.
    """
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    a = node.attrs
    phases, groups = a["phases"], a["groups"]
    weight = node.constants["weight"].values if a.get("integer") else node.constants["weight"].real
    rows = weight.shape[0]
    bias = node.constants["bias"].values if "bias" in node.constants else np.zeros(rows)
    bias = bias if a.get("integer") or "bias" not in node.constants else node.constants["bias"].real
    multiplier = node.constants["multiplier"].values if a.get("integer") else np.zeros(rows, np.int32)
    if groups > 1 and phases > 1:
        channels = rows // phases
        for phase in range(phases):
            part = slice(phase * channels, (phase + 1) * channels)
            _call(
                node,
                x,
                y,
                out,
                weight[part],
                bias[part],
                multiplier[part],
                phase * y.frame,
                phases,
                f"_{phase}",
            )
    else:
        weight, bias, multiplier = (_with_pads(v, phases, y.frame) for v in (weight, bias, multiplier))
        _call(node, x, y, out, weight, bias, multiplier, 0, phases, "")
    out.clip()


def _call(
    node: Node,
    x: Tensor,
    y: Tensor,
    out: Any,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    offset: int,
    phases: int,
    suffix: str,
) -> None:
    """Pack one kernel's tables and write its call."""
    a = node.attrs
    groups = a["groups"]
    shift = np.full(weight.shape[0], a.get("shift", 0), np.int32)
    steps = {"in_pitch": x.frame, "dilation": a["dilation"], "stride": a["stride"]}
    depthwise = groups > 1 and groups == x.channels == weight.shape[0]
    first, count = out.rows if out.rows is not None else ("0", str(weight.shape[0]))
    if groups > 1 and not depthwise:
        first, count = "0", str(groups)
    kind = {"int16": "w8a16", "int8": "w8a8", "float32": "f32"}[x.dtype]
    dst = f"{out.dst()} + {offset}" if offset else out.dst()
    if a.get("short") and out.layout == "quad":
        short = packing.pack_short(weight, bias, multiplier, shift, in_pitch=x.frame, dilation=a["dilation"])
        stream = out.flat(f"stream{suffix}", "int16", short.stream)
        layer = out.table("vk_short", f"layer{suffix}", short.initializer(stream, out.code(short.shape)))
        out.call("vk_conv_short", f"&{layer}", out.src(0), dst, phases * y.frame, out.frames, first, count)
        return
    if depthwise:
        if x.quant is None:
            packed: Any = packing.pack_depthwise_f32(weight, bias, **steps)
        else:
            packed = packing.pack_depthwise(weight, bias, multiplier, shift, **steps)
        ctype = "vk_depthwise_float" if x.quant is None else "vk_depthwise"
        kernel = f"vk_depthwise_{kind}"
    else:
        if x.quant is None:
            packed = packing.pack_conv_f32(weight, bias, groups=groups, **steps)
        else:
            layout = "byte8" if x.dtype == "int8" else out.layout
            packed = packing.pack_conv(weight, bias, multiplier, shift, layout=layout, groups=groups, **steps)
        ctype = "vk_conv_float" if x.quant is None else "vk_conv"
        kernel = "vk_conv_w8a16_wide" if a.get("wide") else f"vk_conv_{kind}"
    weights = out.flat(f"weights{suffix}", "float32" if x.quant is None else "int8", packed.weights)
    if packed.requant is None:
        table = out.flat(f"bias{suffix}", "float32", packed.bias)
    else:
        table = out.flat(f"requant{suffix}", "vk_requant", packed.requant)
    layer = out.table(ctype, f"layer{suffix}", packed.initializer(weights, table))
    out.call(kernel, f"&{layer}", out.src(0), dst, phases * y.frame, out.frames, first, count)


def float_dense(out: Any, hint: str, weight: np.ndarray, bias: np.ndarray) -> str:
    """Pack a float dense layer, ``weight`` [outputs, inputs]; return the name of its struct."""
    packed = packing.pack_conv_f32(weight[:, :, None], bias, in_pitch=weight.shape[1])
    weights, table = (
        out.flat(f"{hint}_weights", "float32", packed.weights),
        out.flat(f"{hint}_bias", "float32", packed.bias),
    )
    return out.table("vk_conv_float", hint, packed.initializer(weights, table))
