"""Shapes: the integer arithmetic exporters write to compute them. It folds away while the file is read."""

from __future__ import annotations

import math

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Constant
from firmware.compiler.ops.base import reader, shape_folder
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.evaluate import MAX_FOLDED_ELEMENTS
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import Dim, Frames, ShapeValue, whole


@reader("Constant")
def read_constant(builder: Builder, node: OnnxNode) -> None:
    """Constant nodes hold a tensor, a number or a list."""
    tensor = node.attributes["value"]
    if tensor is not None:
        array = builder.array(tensor)
    else:
        for key, dtype in (
            ("value_float", np.float32),
            ("value_floats", np.float32),
            ("value_int", np.int64),
            ("value_ints", np.int64),
        ):
            found = node.attributes[key]
            if found is not None:
                array = np.array(found, dtype)
                break
        else:
            raise Refusal("a constant that is neither a number nor a list of numbers.")
    builder.values[node.output[0]] = builder.constant(array)


@reader("Shape")
def read_shape(builder: Builder, node: OnnxNode) -> None:
    """Shape of an activation."""
    shape = builder.act(node.input[0]).shape
    start, end = node.attributes["start"], node.attributes["end"]
    builder.values[node.output[0]] = ShapeValue(tuple(shape[slice(start, end)]))


@shape_folder("Gather")
def fold_gather(builder: Builder, node: OnnxNode) -> None:
    """Pick entries of a shape."""
    entries = builder.ints(node.input[0])
    index = builder.const(node.input[1]).values
    picked = tuple(entries[int(i)] for i in index.reshape(-1))
    builder.values[node.output[0]] = ShapeValue(picked, scalar=index.ndim == 0)


@shape_folder("Unsqueeze")
def fold_unsqueeze(builder: Builder, node: OnnxNode) -> None:
    """A scalar becomes a list of one."""
    builder.values[node.output[0]] = ShapeValue(tuple(builder.ints(node.input[0])))


@shape_folder("Squeeze")
def fold_squeeze(builder: Builder, node: OnnxNode) -> None:
    """A list of one becomes a scalar."""
    builder.values[node.output[0]] = ShapeValue(tuple(builder.ints(node.input[0])), scalar=True)


@shape_folder("Cast", "Identity", "Floor", "Ceil", "Reshape", "CastLike")
def fold_same(builder: Builder, node: OnnxNode) -> None:
    """Casts and the like leave whole numbers as they are."""
    value = builder.value(node.input[0])
    builder.values[node.output[0]] = value


@shape_folder("Concat")
def fold_concat(builder: Builder, node: OnnxNode) -> None:
    """Join lists."""
    entries: list[Dim] = []
    for name in node.input:
        entries += builder.ints(name)
    builder.values[node.output[0]] = ShapeValue(tuple(entries))


@shape_folder("Slice")
def fold_slice(builder: Builder, node: OnnxNode) -> None:
    """Take part of a shape."""
    entries = builder.ints(node.input[0])
    start, end = (builder.const(node.input[i]).values.reshape(-1)[0] for i in (1, 2))
    step = builder.const(node.input[4]).values.reshape(-1)[0] if node.optional(4) else 1
    builder.values[node.output[0]] = ShapeValue(tuple(entries[int(start) : int(end) : int(step)]))


@shape_folder("Add", "Sub", "Mul", "Div")
def fold_arithmetic(builder: Builder, node: OnnxNode) -> None:
    """Compute with lengths."""
    left, right = builder.ints(node.input[0]), builder.ints(node.input[1])
    count = max(len(left), len(right))
    if len(left) not in (1, count) or len(right) not in (1, count):
        raise Refusal("shapes of different ranks meet.")
    left, right = left * (count // len(left)), right * (count // len(right))
    operation = {
        "Add": lambda a, b: a + b,
        "Sub": lambda a, b: a - b,
        "Mul": lambda a, b: b * a if isinstance(b, Frames) else a * b,
        "Div": lambda a, b: a // b,
    }[node.op_type]
    builder.values[node.output[0]] = ShapeValue(
        tuple(operation(a, b) for a, b in zip(left, right, strict=True))
    )


@shape_folder("Range")
def fold_range(builder: Builder, node: OnnxNode) -> None:
    """Whole numbers from shapes; as many as the signal has frames would need its length."""
    bounds = whole([dim for name in node.input for dim in builder.ints(name)])
    if bounds is None:
        raise Refusal(
            "it counts the frames of the signal, and a stream has no length; torch's newer exporter writes "
            "linear upsampling so: use mode='nearest', or export with dynamo=False."
        )
    if len(bounds) != 3 or bounds[2] == 0 or abs(bounds[1] - bounds[0]) > MAX_FOLDED_ELEMENTS:
        raise Refusal("it counts further than a constant can be kept.")
    builder.values[node.output[0]] = Constant(np.arange(bounds[0], bounds[1], bounds[2], dtype=np.int64))


@shape_folder("Neg")
def fold_negative(builder: Builder, node: OnnxNode) -> None:
    """Count from the end: x[..., -n:]."""
    value = builder.value(node.input[0])
    assert isinstance(value, ShapeValue)
    builder.values[node.output[0]] = ShapeValue(tuple(-e for e in builder.ints(node.input[0])), value.scalar)


@reader("ConstantOfShape")
@shape_folder("ConstantOfShape")
def read_constant_of_shape(builder: Builder, node: OnnxNode) -> None:
    """A constant of a known shape (most often the zeros of a causal padding)."""
    dims = whole(builder.ints(node.input[0]))
    tensor = node.attributes["value"]
    fill = builder.array(tensor).reshape(-1)[0] if tensor is not None else np.float32(0)
    if dims is None:
        raise Refusal("it makes a constant as long as the signal; a stream has no length.")
    if any(d < 0 for d in dims) or math.prod(float(d) for d in dims) > MAX_FOLDED_ELEMENTS:
        raise Refusal(f"it makes a constant of shape {dims}, too large to keep.")
    builder.values[node.output[0]] = Constant(np.full(dims, fill))
