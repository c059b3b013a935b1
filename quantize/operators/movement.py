"""Operators that move numbers and compute nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from common.refusal import Refusal
from quantize.graph.graph import Graph, Node
from quantize.operators.record import Movement, Operator, Trim, all_inputs, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor


def ints(value: Any) -> list[int]:
    """Shape-like operand as a list of Python integers."""
    return [int(v) for v in value.reshape(-1).tolist()]


def _given(inputs: list[Any], index: int) -> Any:
    return inputs[index] if len(inputs) > index else None


# Joining and dividing --------------------------------------------------------------------------------


def concat(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Concat; a constant part is repeated over the batch."""
    if len(inputs) == 1:
        first: Tensor = inputs[0]
        return first
    batch = max(t.shape[0] for t in inputs)
    parts = [t.expand(max(t.shape[0], batch), *t.shape[1:]) if t.ndim == 3 else t for t in inputs]
    return torch.cat(parts, node.attributes["axis"])


def _concat_obstacle(node: Node, graph: Graph) -> str:
    numbers = [n for n in node.inputs if n in graph.constants and np.ndim(graph.constants[n]) == 0]
    return "it joins a number" if numbers else ""


def _write_concat(w: Writer, node: Node) -> None:
    axis = w.axes(node.inputs[0])[node.attributes["axis"] % w.rank(node.inputs[0])]
    parts = [w.read(name) for name in node.inputs]
    w.add("CONCATENATION", parts, [w.result(node.outputs[0])], "ConcatenationOptions", axis=axis)


def split(node: Node, inputs: list[Any]) -> tuple[Tensor, ...]:
    """ONNX Split, into parts of given or of equal length."""
    x, axis = inputs[0], node.attributes["axis"]
    if len(inputs) > 1 and inputs[1] is not None:
        given: tuple[Tensor, ...] = x.split(ints(inputs[1]), axis)
        return given
    equal: tuple[Tensor, ...] = x.split(-(-x.shape[axis] // len(node.outputs)), axis)
    return equal


def _shrink_split(trim: Trim, node: Node, original: Node) -> None:
    if trim.untouched(original.inputs[0]):
        return
    axis = node.attributes["axis"]
    parts = [trim.left(name, axis) for name in original.outputs]
    node.attributes["num_outputs"] = None
    trim.give(node, 1, parts, "parts")


def _write_split(w: Writer, node: Node) -> None:
    source = node.inputs[0]
    axis, start = w.axes(source)[node.attributes["axis"] % w.rank(source)], 0
    for name in node.outputs:
        size = w.layout(name)
        begin = [0] * len(size)
        begin[axis] = start
        w.slice(w.read(source), w.result(name), begin, size, name)
        start += size[axis]


def take_slice(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Slice, steps of any sign."""
    x: Tensor = inputs[0]
    starts, ends = ints(inputs[1]), ints(inputs[2])
    axes = ints(inputs[3]) if _given(inputs, 3) is not None else list(range(len(starts)))
    steps = ints(inputs[4]) if _given(inputs, 4) is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index = torch.tensor(range(x.shape[axis])[slice(start, end, step)], dtype=torch.long)
        x = x.index_select(axis, index)
    return x


def _slice_pins(node: Node, graph: Graph) -> bool:
    """Steps leave places out: which ones would change with the channels before them."""
    if len(node.inputs) <= 4 or not node.inputs[4]:
        return False
    return bool((graph.constants[node.inputs[4]] != 1).any())


def _shrink_slice(trim: Trim, node: Node, original: Node) -> None:
    source = original.inputs[0]
    if trim.untouched(source):
        return
    starts, ends = (ints(trim.graph.constants[original.inputs[k]]) for k in (1, 2))
    named = len(original.inputs) > 3 and original.inputs[3]
    axes = ints(trim.graph.constants[original.inputs[3]]) if named else list(range(len(starts)))
    for place, axis in enumerate(axes):
        mask = trim.along(source, axis)
        if mask.all():
            continue
        first, last, _ = slice(starts[place], ends[place]).indices(len(mask))
        starts[place], ends[place] = int(mask[:first].sum()), int(mask[:last].sum())
    trim.give(node, 1, starts, "starts")
    trim.give(node, 2, ends, "ends")


def _write_slice(w: Writer, node: Node) -> None:
    source, out, constants = node.inputs[0], node.outputs[0], w.graph.constants
    rank, axes = w.rank(source), w.axes(source)
    begin = [0] * len(w.layout(source))
    which = constants[node.inputs[3]].reshape(-1) if len(node.inputs) > 3 else np.arange(rank)
    starts = constants[node.inputs[1]].reshape(-1).tolist()
    for axis, start in zip(which.tolist(), starts, strict=True):
        length = w.shapes[source][axis % rank]
        begin[axes[axis % rank]] = slice(start, None).indices(length)[0]
    w.slice(w.read(source), w.result(out), begin, w.layout(out), out)


def crops_time(node: Node, graph: Graph) -> bool:
    """Whether a node takes a piece along time and nothing else."""
    axes = graph.constants.get(node.inputs[3]) if node.op == SLICE and len(node.inputs) > 3 else None
    return axes is not None and all(int(axis) in (2, -1) for axis in axes.reshape(-1))


def pad(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Pad: a constant, the reflected signal or its edge."""
    x, pads = inputs[0], ints(inputs[1])
    axes = ints(inputs[3]) if _given(inputs, 3) is not None else list(range(x.ndim))
    value = float(inputs[2]) if _given(inputs, 2) is not None else 0.0
    mode = node.attributes["mode"]
    table = [0, 0] * x.ndim
    for i, axis in enumerate(axes):
        place = 2 * (x.ndim - 1 - axis % x.ndim)
        table[place], table[place + 1] = pads[i], pads[i + len(axes)]
    if mode == "constant":
        return F.pad(x, table, value=value)
    if any(table[2:]):
        raise Refusal(f"node {node.name!r} (Pad) pads other axes than time by {mode}; pad along time only.")
    return F.pad(x, table[:2], mode={"reflect": "reflect", "edge": "replicate"}[mode])


def _pad_obstacle(node: Node, graph: Graph) -> str:
    if node.attributes["mode"] != "constant":
        return "it pads with other values than a constant"
    value = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    return "it pads with another value than 0" if value is not None and np.any(value != 0) else ""


def _write_pad(w: Writer, node: Node) -> None:
    raise Refusal(f"node {node.name!r} (Pad) stands alone; put the padding into the convolution after it.")


# Shapes ----------------------------------------------------------------------------------------------


def reshape(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Reshape; a leading 1 follows the batch."""
    x, shape = inputs[0], ints(inputs[1])
    if not node.attributes["allowzero"]:
        shape = [x.shape[i] if s == 0 else s for i, s in enumerate(shape)]
    if x.ndim > 1 and len(shape) > 1 and shape[0] == 1 and x.shape[0] > 1:
        shape[0] = x.shape[0]
    made: Tensor = x.reshape(shape)
    return made


def _shrink_shape(trim: Trim, node: Node, original: Node, broadcasts: bool) -> None:
    """Say the size of every axis anew that the node says."""
    out = original.outputs[0]
    target = trim.graph.constants.get(original.inputs[1])
    if not trim.knows(out) or target is None or trim.untouched(out):
        return
    offset = trim.rank(out) - len(target)
    values = [
        int(t) if t in (-1, 0, 1) or (broadcasts and axis + offset < 0) else trim.left(out, axis + offset)
        for axis, t in enumerate(target.tolist())
    ]
    trim.give(node, 1, values, "shape")


def _shrink_reshape(trim: Trim, node: Node, original: Node) -> None:
    _shrink_shape(trim, node, original, False)


def _shrink_expand(trim: Trim, node: Node, original: Node) -> None:
    _shrink_shape(trim, node, original, True)


def flatten(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Flatten: two axes, what lies before ``axis`` and what lies from it on."""
    x, axis = inputs[0], node.attributes["axis"]
    made: Tensor = x.reshape(math.prod(x.shape[: axis + x.ndim if axis < 0 else axis]), -1)
    return made


def transpose(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Transpose."""
    return inputs[0].permute(node.attributes["perm"] or list(range(inputs[0].ndim))[::-1])


def squeeze(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Squeeze."""
    x, axes = inputs[0], ints(inputs[1]) if _given(inputs, 1) is not None else []
    gone = [a % x.ndim for a in axes] if axes else [i for i, s in enumerate(x.shape) if s == 1]
    made: Tensor = x.reshape([s for i, s in enumerate(x.shape) if i not in gone])
    return made


def unsqueeze(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Unsqueeze."""
    y: Tensor = inputs[0]
    axes = ints(inputs[1])
    rank = y.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        y = y.unsqueeze(axis)
    return y


def expand(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Expand: a two-way broadcast."""
    x, shape = inputs[0], ints(inputs[1])
    shape = [1] * (x.ndim - len(shape)) + shape
    own = [1] * (len(shape) - x.ndim) + list(x.shape)
    made: Tensor = x.expand([max(s, o) for s, o in zip(shape, own, strict=True)])
    return made


def _write_reshape(w: Writer, node: Node) -> None:
    """By way of ONNX's own order of axes."""
    x, flat, shape = w.unfolded(node)
    target = w.constant(f"{node.outputs[0]}/shape", np.array(shape, np.int32))
    w.add("RESHAPE", [x, target], [flat], "ReshapeOptions", newShape=list(shape))
    w.folded(node, flat)


def _write_transpose(w: Writer, node: Node) -> None:
    x, flat, _ = w.unfolded(node)
    perm = node.attributes["perm"] or list(range(w.rank(node.inputs[0])))[::-1]
    order = w.constant(f"{node.outputs[0]}/order", np.array(perm, np.int32))
    w.add("TRANSPOSE", [x, order], [flat], "TransposeOptions")
    w.folded(node, flat)


def _write_expand(w: Writer, node: Node) -> None:
    x, flat, shape = w.unfolded(node)
    target = w.constant(f"{node.outputs[0]}/shape", np.array(shape, np.int32))
    w.add("BROADCAST_TO", [x, target], [flat])
    w.folded(node, flat)


# Upsampling ------------------------------------------------------------------------------------------


def resize(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Resize along time by a whole number, nearest or linear."""
    x = inputs[0]
    scales = inputs[2] if len(inputs) > 2 and inputs[2] is not None and inputs[2].numel() else None
    axes = [axis % x.ndim for axis in node.attributes["axes"] or range(x.ndim)]
    if scales is not None:
        factors = dict(zip(axes, scales.tolist(), strict=True))
    else:
        factors = {a: size / x.shape[a] for a, size in zip(axes, ints(inputs[3]), strict=True)}
    if any(factor != 1 for axis, factor in factors.items() if axis != x.ndim - 1):
        raise Refusal(f"node {node.name!r} (Resize) resizes another axis than time, the last one.")
    factor = factors.get(x.ndim - 1, 1.0)
    repeat = round(factor)
    if repeat < 1 or abs(factor - repeat) > 1e-6:
        raise Refusal(f"node {node.name!r} (Resize) scales time by {factor:g}; use a whole number.")
    shape = x.shape
    if not _interpolates(node):
        held: Tensor = x.unsqueeze(-1).expand(*shape, repeat).reshape(*shape[:-1], -1)
        return held
    aligned = node.attributes["coordinate_transformation_mode"]
    flat = x.reshape(-1, 1, shape[-1])
    if aligned == "asymmetric":
        tail = torch.cat([flat, flat[..., -1:]], -1)
        step = torch.arange(repeat, dtype=x.dtype) / repeat
        y = tail[..., :-1, None] * (1 - step) + tail[..., 1:, None] * step
        return y.reshape(*shape[:-1], -1)
    y = F.interpolate(flat, scale_factor=repeat, mode="linear", align_corners=aligned == "align_corners")
    return y.reshape(*shape[:-1], -1)


def _interpolates(node: Node) -> bool:
    return bool(node.attributes["mode"] != "nearest")


def _write_resize(w: Writer, node: Node) -> None:
    out = node.outputs[0]
    size = w.constant(f"{out}/size", np.array([1, w.shapes[out][2]], np.int32))
    x = w.read(node.inputs[0])
    w.add("RESIZE_NEAREST_NEIGHBOR", [x, size], [w.result(out)], "ResizeNearestNeighborOptions")


SLICE = "Slice"

register(
    Operator(
        "Concat",
        concat,
        operands=all_inputs,
        movement=Movement(),
        obstacle=_concat_obstacle,
        tflite=_write_concat,
    ),
    Operator("Split", split, movement=Movement(), shrink=_shrink_split, tflite=_write_split),
    Operator(
        SLICE,
        take_slice,
        movement=Movement(pins=_slice_pins),
        shrink=_shrink_slice,
        tflite=_write_slice,
    ),
    Operator(
        "Pad",
        pad,
        trainable_settings=False,
        movement=Movement(padding=2),
        obstacle=_pad_obstacle,
        tflite=_write_pad,
    ),
    Operator("Reshape", reshape, movement=Movement(), shrink=_shrink_reshape, tflite=_write_reshape),
    Operator("Flatten", flatten, movement=Movement(), tflite=_write_reshape),
    Operator("Transpose", transpose, movement=Movement(), tflite=_write_transpose),
    Operator("Squeeze", squeeze, movement=Movement(), tflite=_write_reshape),
    Operator("Unsqueeze", unsqueeze, movement=Movement(), tflite=_write_reshape),
    Operator("Expand", expand, movement=Movement(), shrink=_shrink_expand, tflite=_write_expand),
    Operator(
        "Resize",
        resize,
        trainable_settings=False,
        movement=Movement(blends=_interpolates),
        obstacle=lambda node, graph: "it interpolates" if _interpolates(node) else "",
        tflite=_write_resize,
    ),
)
