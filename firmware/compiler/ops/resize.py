"""Upsampling along time: nearest becomes a repetition, linear a blend of neighbouring frames per phase.

Linear upsampling holds the last frame at the end of the signal, so only a graph of fixed lengths may have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import WIDTH, Attributes, Graph, Node, Quant
from firmware.compiler.judge import arithmetic
from firmware.compiler.ops.base import Family, Window, Work, family, reader
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.layout import Layout, lay, seen
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue, Frames
from firmware.compiler.write.writer import Writer


@dataclass(frozen=True, eq=False)
class LerpAttributes(Attributes):
    """Linear upsampling.

    Attributes
    ----------
    times : int
        Output frames of an input frame, the phases.
    older : tuple of int
        Of each phase: the first of the two frames it blends, counted from the current one.
    share : tuple of float
        Of each phase: how much of the second.
    blends : tuple of Blend or None
        The same in integers.
    """

    times: int
    older: tuple[int, ...]
    share: tuple[float, ...]
    blends: tuple[arithmetic.Blend, ...] | None = None


@reader("Resize", "Upsample")
def read_resize(builder: Builder, node: OnnxNode) -> None:
    """Whole factors along time."""
    act = builder.act(node.input[0])
    axis = act.time_axis
    axis = len(act.shape) - 1 if axis is None else axis
    times = _factor(builder, node, act, axis)
    if times == 1:
        builder.values[node.output[0]] = act
        return
    mode, coordinates = node.attributes["mode"], node.attributes["coordinate_transformation_mode"]
    if mode == "nearest":
        size = act.shape[axis]
        shape = (*act.shape[:axis], size * times, *act.shape[axis + 1 :])
        builder.values[node.output[0]] = act.moved("repeat", (axis, times), shape)
        return
    if not builder.event:
        raise Refusal(
            "linear upsampling holds the last frame, and a stream has no last frame; use nearest, or a "
            "ConvTranspose with a triangle of weights for each channel, which is the same but for both ends."
        )
    if coordinates == "align_corners":
        raise Refusal("linear upsampling with align_corners is not supported; use half_pixel.")
    layout = Layout.of(act.shape, axis)
    source = lay(builder, act, layout, node.input[0])
    channels, length = builder.shapes[source][1:]
    position = (
        np.arange(times) / times if coordinates == "asymmetric" else (np.arange(times) + 0.5) / times - 0.5
    )
    older = np.floor(position).astype(int)
    result = builder.add_node(
        "Lerp",
        [source],
        channels=channels,
        length=length * times,
        hint=node.output[0],
        attrs=LerpAttributes(times, tuple(int(v) for v in older), tuple(float(v) for v in position - older)),
    )
    builder.values[node.output[0]] = seen(builder, result, layout)


def _factor(builder: Builder, node: OnnxNode, act: ActValue, axis: int) -> int:
    """The upsampling factor along time, the others being 1."""
    rank = len(act.shape)
    axes = node.attributes["axes"] or list(range(rank))
    axes = [a + rank if a < 0 else a for a in axes]
    scales = node.optional(2)
    factors: dict[int, Fraction] = {}
    if scales and builder.is_const(scales) and builder.const(scales).values.size:
        values = builder.const(scales).real.reshape(-1)
    else:
        sizes = node.optional(3)
        if sizes is None:
            raise Refusal("it has neither scales nor sizes.")
        for a, size in zip(axes, builder.ints(sizes), strict=True):
            old = act.shape[a]
            if isinstance(size, Frames) and isinstance(old, Frames):
                factors[a] = builder.root(size).ratio / builder.root(old).ratio
            elif isinstance(size, int) and isinstance(old, int):
                factors[a] = Fraction(size, old)
            else:
                raise Refusal("it fixes the length of the signal; upsample by a factor instead.")
        values = np.zeros(0)
    if not factors:
        if len(values) != len(axes) or not np.all(np.isfinite(values)):
            raise Refusal("its scales are not one finite number per axis.")
        factors = {
            a: Fraction(float(v)).limit_denominator(1 << 20) for a, v in zip(axes, values, strict=True)
        }
    for a, factor in factors.items():
        if a != axis and factor != 1:
            raise Refusal("it resizes another axis than time.")
    times = factors.get(axis, Fraction(1))
    if times.denominator != 1 or not 1 <= times <= 4096:
        raise Refusal(f"it resamples by {times}; upsample by a whole number, downsample with a strided Conv.")
    return int(times)


@family(Lerp=LerpAttributes)
class Lerp(Family):
    """Phase i blends frames t + older[i] and the one after; beyond the ends the outermost frame is held.

    Only event graphs have it.
    """

    def produce(self, node: Node) -> int:
        """The factor."""
        return node.attributes_as(LerpAttributes).times

    def windows(self, node: Node) -> tuple[Window, ...]:
        """The neighbours."""
        a = node.attributes_as(LerpAttributes)
        oldest, newest = min(a.older), max(a.older) + 1
        return (Window(1, -oldest, newest),)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """The factor times as long."""
        return lengths[0] * node.attributes_as(LerpAttributes).times

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Blend."""
        (x,) = inputs
        quant, attrs = graph.tensors[node.outputs[0]].quant, node.attributes_as(LerpAttributes)
        frames = np.arange(x.shape[1])
        phases = []
        for i, (older, share) in enumerate(zip(attrs.older, attrs.share, strict=True)):
            a = x[:, np.clip(frames + older, 0, x.shape[1] - 1)]
            b = x[:, np.clip(frames + older + 1, 0, x.shape[1] - 1)]
            if quant is None:
                phases.append(a * (1 - share) + b * share)
            else:
                assert attrs.blends is not None
                phases.append(arithmetic.blend((a, b), attrs.blends[i], quant.low, quant.high))
        return np.stack(phases, axis=2).reshape(x.shape[0], -1)

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Blend multipliers per phase."""
        (x,) = inputs
        if x.dtype != output.dtype:
            return None
        ratio, attrs = x.scale / output.scale, node.attributes_as(LerpAttributes)
        blends = tuple(
            arithmetic.blend_multipliers(
                ((1 - s) * ratio, s * ratio), (x.bound, x.bound), f"node {node.name!r}"
            )
            for s in attrs.share
        )
        return replace(node, attrs=replace(attrs, blends=blends))

    def work(self, node: Node, graph: Graph) -> Work:
        """Two multiplies an output."""
        y = graph.tensors[node.outputs[0]]
        suffix = {"int16": "s16", "int8": "s8", "float32": "f32"}[y.dtype]
        times = node.attributes_as(LerpAttributes).times
        count = y.channels * times
        name = f"add_{suffix}" if y.quant else "depthwise_f32"
        return Work(name, outputs=count, reads=2 * count * WIDTH[y.dtype], calls=times)

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_add_…`` (integers) or ``vk_depthwise_f32`` once per phase."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        a = node.attributes_as(LerpAttributes)
        suffix, times, oldest = out.suffix(y), a.times, min(a.older)
        out.hold_ends(x, -oldest)
        for i, (older, share) in enumerate(zip(a.older, a.share, strict=True)):
            at = (older - oldest) * x.frame
            first = f"{out.src(0)} + {at}" if at else out.src(0)
            dst = f"{out.dst()} + {i * y.frame}" if i else out.dst()
            if a.blends is not None:
                b = a.blends[i]
                table = out.blend(f"phase{i}", b, (x.bound, x.bound))
                out.call(
                    f"vk_add_{suffix}",
                    f"&{table}",
                    first,
                    x.frame,
                    f"{out.src(0)} + {at + x.frame}",
                    x.frame,
                    dst,
                    times * y.frame,
                    out.frames,
                    y.channels,
                )
            else:
                weights = out.flat(f"share{i}", "float32", np.repeat([1 - share, share], x.frame))
                bias = out.flat("zeros", "float32", np.zeros(x.frame))
                table = out.table(
                    "vk_depthwise_float",
                    f"phase{i}",
                    f"{{{weights}, {bias}, {x.frame}, {x.frame}, 2, {x.frame}}}",
                )
                out.call(
                    "vk_depthwise_f32", f"&{table}", first, dst, times * y.frame, out.frames, 0, y.channels
                )
        out.clip()
