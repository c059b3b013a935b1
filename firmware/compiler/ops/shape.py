"""Shapes: the integer arithmetic exporters write to compute them. It folds away while the file is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from common.refusal import Refusal
from firmware.compiler.graph import Constant
from firmware.compiler.ops.base import reader, shape_folder
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.evaluate import MAX_FOLDED_ELEMENTS
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import Entry, Frames, ShapeValue, exact, product, whole

MAX_ENTRIES = 64


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
    _keep(builder, node, ShapeValue(tuple(shape[slice(start, end)])))


@reader("Size")
def read_size(builder: Builder, node: OnnxNode) -> None:
    """Elements of an activation."""
    _keep(builder, node, ShapeValue((product(builder.act(node.input[0]).shape),), scalar=True))


def _keep(builder: Builder, node: OnnxNode, value: ShapeValue) -> None:
    """Store a shape; one without the signal's length is a constant like any other, of its own type."""
    known = value.known()
    builder.values[node.output[0]] = value if known is None else Constant(known)


def _shape(builder: Builder, name: str) -> ShapeValue:
    """Look up an operand: a shape, or a constant of at most one axis."""
    value = builder.value(name)
    if isinstance(value, ShapeValue):
        return value
    array = builder.const(name).values
    if array.ndim > 1 or array.size > MAX_ENTRIES or array.dtype.kind not in "iuf":
        raise Refusal(f"it computes with a shape and with {name!r}, which is no list of numbers.")
    numbers = array.reshape(-1).tolist()
    entries = tuple(exact(v) if array.dtype.kind == "f" else v for v in numbers)
    return ShapeValue(entries, array.ndim == 0, array.dtype)


def _list(builder: Builder, name: str) -> ShapeValue:
    value = _shape(builder, name)
    if value.scalar:
        raise Refusal(f"{name!r} is one number where a list is read.")
    return value


@shape_folder("Gather")
def fold_gather(builder: Builder, node: OnnxNode) -> None:
    """Pick entries of a shape."""
    value = _list(builder, node.input[0])
    index = builder.const(node.input[1]).values
    if index.ndim > 1:
        raise Refusal("it makes a shape of two axes.")
    picked = tuple(value.entries[int(i)] for i in index.reshape(-1))
    _keep(builder, node, replace(value, entries=picked, scalar=index.ndim == 0))


@shape_folder("Unsqueeze")
def fold_unsqueeze(builder: Builder, node: OnnxNode) -> None:
    """A scalar becomes a list of one."""
    value = _shape(builder, node.input[0])
    if not value.scalar or len(builder.ints(node.input[1])) != 1:
        raise Refusal("it makes a shape of two axes.")
    _keep(builder, node, replace(value, scalar=False))


@shape_folder("Squeeze")
def fold_squeeze(builder: Builder, node: OnnxNode) -> None:
    """A list of one becomes a scalar."""
    value = _shape(builder, node.input[0])
    if len(value.entries) != 1:
        if node.optional(1) and builder.ints(node.input[1]):
            raise Refusal(f"it takes a list of {len(value.entries)} numbers for one.")
        _keep(builder, node, value)
        return
    _keep(builder, node, replace(value, scalar=True))


@shape_folder("Identity")
def fold_same(builder: Builder, node: OnnxNode) -> None:
    """The same."""
    builder.values[node.output[0]] = builder.value(node.input[0])


@shape_folder("Reshape")
def fold_reshape(builder: Builder, node: OnnxNode) -> None:
    """Between a number and a list of it."""
    value, axes = _shape(builder, node.input[0]), len(builder.ints(node.input[1]))
    if axes > 1:
        raise Refusal("it makes a shape of two axes.")
    _keep(builder, node, replace(value, scalar=axes == 0))


@shape_folder("Cast")
def fold_cast(builder: Builder, node: OnnxNode) -> None:
    """To floats, or to whole numbers toward zero."""
    _cast(builder, node, onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"]))


@shape_folder("CastLike")
def fold_cast_like(builder: Builder, node: OnnxNode) -> None:
    """To the type of another."""
    _cast(builder, node, _shape(builder, node.input[1]).dtype)


def _cast(builder: Builder, node: OnnxNode, dtype: np.dtype) -> None:
    value = _shape(builder, node.input[0])
    if dtype.kind not in "iuf":
        raise Refusal(f"it turns a length along time into {dtype.name}; a stream has no length.")
    entries = value.entries
    if dtype.kind != "f":
        entries = tuple(_whole(e, math.floor) if isinstance(e, Frames) else math.trunc(e) for e in entries)
    _keep(builder, node, ShapeValue(entries, value.scalar, dtype))


def _whole(length: Frames, rounded: Callable[[Fraction], int]) -> Frames:
    """Round a length of whole hops: what is added to them."""
    return replace(length, offset=Fraction(rounded(length.offset)))


@shape_folder("Floor", "Ceil")
def fold_rounding(builder: Builder, node: OnnxNode) -> None:
    """To whole numbers; a length along time is counted in whole hops."""
    value = _shape(builder, node.input[0])
    rounded = math.floor if node.op_type == "Floor" else math.ceil
    entries = tuple(_whole(e, rounded) if isinstance(e, Frames) else rounded(e) for e in value.entries)
    _keep(builder, node, replace(value, entries=entries))


@shape_folder("Concat")
def fold_concat(builder: Builder, node: OnnxNode) -> None:
    """Join lists."""
    values = [_list(builder, name) for name in node.input]
    _keep(builder, node, replace(values[0], entries=tuple(e for v in values for e in v.entries)))


@shape_folder("Slice")
def fold_slice(builder: Builder, node: OnnxNode) -> None:
    """Take part of a shape."""
    value = _list(builder, node.input[0])
    start, end = (builder.const(node.input[i]).values.reshape(-1)[0] for i in (1, 2))
    step = builder.const(node.input[4]).values.reshape(-1)[0] if node.optional(4) else 1
    _keep(builder, node, replace(value, entries=value.entries[int(start) : int(end) : int(step)]))


@shape_folder("Add", "Sub", "Mul", "Div")
def fold_arithmetic(builder: Builder, node: OnnxNode) -> None:
    """Compute with lengths: whole numbers as whole numbers, floats exactly."""
    left, right = (_shape(builder, name) for name in node.input)
    count = max(len(left.entries), len(right.entries))
    if len(left.entries) not in (1, count) or len(right.entries) not in (1, count):
        raise Refusal("shapes of different ranks meet.")
    real = left.dtype.kind == "f"
    operation: Callable[[Any, Any], Any] = {
        "Add": lambda a, b: a + b,
        "Sub": lambda a, b: a - b,
        "Mul": lambda a, b: b * a if isinstance(b, Frames) else a * b,
        "Div": _divided if real else _divided_whole,
    }[node.op_type]
    pairs = zip(
        left.entries * (count // len(left.entries)),
        right.entries * (count // len(right.entries)),
        strict=True,
    )
    entries = tuple(operation(a, b) for a, b in pairs)
    _keep(builder, node, ShapeValue(entries, left.scalar and right.scalar, left.dtype))


def _divided(a: Entry, b: Entry) -> Entry:
    """Divide floats."""
    if isinstance(b, Frames):
        if isinstance(a, Frames) and a.symbol == b.symbol and not (a.offset or b.offset):
            return a.ratio / b.ratio
        raise Refusal("a shape divides by a length along time, which a stream does not have.")
    return a * (1 / Fraction(b))


def _divided_whole(a: Any, b: Any) -> Entry:
    """Divide whole numbers toward zero, as ONNX does."""
    if isinstance(a, Frames) or isinstance(b, Frames):
        found: Entry = a // b
        return found
    return math.trunc(Fraction(a, b))


@shape_folder("Equal")
def fold_equal(builder: Builder, node: OnnxNode) -> None:
    """Compare with a number below 1, such as the -1 of an Expand, which no length is."""
    left, right = (_shape(builder, name) for name in node.input)
    if len(left.entries) != len(right.entries):
        raise Refusal("shapes of different ranks meet.")
    found = []
    for a, b in zip(left.entries, right.entries, strict=True):
        lengths = [e for e in (a, b) if isinstance(e, Frames)]
        if lengths and not (len(lengths) == 1 and min(e for e in (a, b) if not isinstance(e, Frames)) < 1):
            raise Refusal("it compares a length along time, which a stream does not have.")
        found.append(not lengths and a == b)
    builder.values[node.output[0]] = Constant(np.array(found).reshape(() if left.scalar else -1))


@shape_folder("Where")
def fold_where(builder: Builder, node: OnnxNode) -> None:
    """Choose entries."""
    chosen = builder.const(node.input[0]).values.reshape(-1)
    yes, no = (_list(builder, name) for name in node.input[1:3])
    if not len(chosen) == len(yes.entries) == len(no.entries):
        raise Refusal("shapes of different ranks meet.")
    entries = tuple(a if c else b for c, a, b in zip(chosen, yes.entries, no.entries, strict=True))
    _keep(builder, node, replace(yes, entries=entries))


@shape_folder("Range")
def fold_range(builder: Builder, node: OnnxNode) -> None:
    """As many numbers as the signal has frames would need its length."""
    raise Refusal(
        "it counts the frames of the signal, and a stream has no length; torch's newer exporter writes "
        "linear upsampling so: use mode='nearest', or export with dynamo=False."
    )


@shape_folder("Neg")
def fold_negative(builder: Builder, node: OnnxNode) -> None:
    """Count from the end: x[..., -n:]."""
    value = _shape(builder, node.input[0])
    _keep(builder, node, replace(value, entries=tuple(-e for e in value.entries)))


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
