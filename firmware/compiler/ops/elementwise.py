"""Sums and products, element by element: of two activations, or of one and a constant per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import WIDTH, Attributes, Constant, Graph, Node, Quant, Tensor, lanes
from firmware.compiler.judge import arithmetic
from firmware.compiler.ops.base import (
    FAMILIES,
    Family,
    Window,
    Work,
    family,
    reader,
)
from firmware.compiler.ops.conv import ConvAttributes
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.layout import Layout, broadcast_shape, common_time, lay, lay_constant, seen
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue, Dim, Frames
from firmware.compiler.write.writer import FULL_RANGE, Writer

HALVES = ((1 << 14, 1 << 14), 15)
"""Multipliers and shift of a mean of two on one scale."""


@dataclass(frozen=True)
class Held:
    """An operand of a slower rate, read where it lies (``passes/hold_rows.py``).

    Attributes
    ----------
    operand : int
    repeats : int
        Firings that each of its frames serves.
    first : int
        Channel from which on it is read.
    """

    operand: int
    repeats: int
    first: int


@dataclass(frozen=True, eq=False)
class PointwiseAttributes(Attributes):
    """A sum or a product.

    Attributes
    ----------
    product : Multiplier or None
        Requantization of a product of integers.
    blend : Blend or None
        Multipliers of a sum of integers.
    held : Held or None
    """

    product: arithmetic.Multiplier | None = None
    blend: arithmetic.Blend | None = None
    held: Held | None = None


@reader("Mean")
def read_mean(builder: Builder, node: OnnxNode) -> None:
    """Half the sum of two activations."""
    if len(node.input) != 2 or not all(isinstance(builder.value(name), ActValue) for name in node.input):
        raise Refusal("it takes two signals; write the mean of more as a sum times a number.")
    _two(builder, node)


@reader("Add", "Sub", "Mul", "Div", "Sum")
def read_binary(builder: Builder, node: OnnxNode) -> None:
    """Add, subtract, multiply; divide by a constant."""
    if len(node.input) != 2:
        raise Refusal("it takes two operands.")
    left, right = (builder.value(name) for name in node.input)
    swapped = not isinstance(left, ActValue)
    if node.op_type == "Div" and (swapped or isinstance(right, ActValue)):
        raise Refusal("it divides by an activation; multiply by a gain instead.")
    if isinstance(left, ActValue) and isinstance(right, ActValue):
        _two(builder, node)
        return
    name, constant = (node.input[1], node.input[0]) if swapped else (node.input[0], node.input[1])
    act = builder.act(name)
    operand = builder.const(constant)
    plain = builder.tensors[act.base].quant is None and operand.scale is None
    if operand.values.size == 1 and operand.values.ndim <= len(act.shape) and plain:
        # a number commutes with the pending moves
        rows = np.full((builder.shapes[act.base][1], 1), float(operand.real.reshape(-1)[0]))
        result = _with_constant(builder, node, act.base, rows, operand)
        builder.values[node.output[0]] = ActValue(result, act.shape, act.base_shape, act.chain)
        return
    shape = broadcast_shape(builder, [act.shape, operand.values.shape])
    layout = Layout.of(shape, common_time([act], shape))
    source = lay(builder, act, layout, name)
    rows, _ = lay_constant(operand, layout)
    result = _with_constant(
        builder, node, source, rows, operand, None if layout.time is None else shape[layout.time]
    )
    builder.values[node.output[0]] = seen(builder, result, layout)


def _with_constant(
    builder: Builder,
    node: OnnxNode,
    source: str,
    rows: np.ndarray,
    operand: Constant,
    frames: Dim | None = None,
) -> str:
    """Add, subtract, multiply or divide a tensor and constant ``rows`` [channels, 1 or frames]."""
    if not np.all(np.isfinite(rows)):
        raise Refusal("its constant is not a finite number.")
    channels, length = builder.shapes[source][1:]
    before = not isinstance(builder.value(node.input[0]), ActValue)
    op = node.op_type
    if op == "Div":
        if np.any(rows == 0):
            raise Refusal("it divides by zero.")
        op, rows, operand = "Mul", 1.0 / rows, Constant(rows)
    if rows.shape[1] > 1 or (isinstance(frames, int) and frames != length):
        return _event_constant(builder, node, source, op, rows, frames, before)
    row = rows[:, 0]
    constants: dict[str, Constant] = {}
    if op == "Mul":
        constants["gain"] = _row(row, operand)
    elif op == "Sub" and before:
        constants = {"gain": Constant(np.full(channels, -1.0)), "offset": Constant(row)}
    else:
        constants["offset"] = _row(-row if op == "Sub" else row, operand if op != "Sub" else None)
    return builder.add_node(
        "Affine",
        [source],
        channels=channels,
        length=length,
        hint=node.output[0],
        attrs=PointwiseAttributes(),
        constants=constants,
    )


def _row(row: np.ndarray, operand: Constant | None) -> Constant:
    """Keep the integers of a quantized constant beside its real values."""
    if operand is not None and operand.scale is not None and operand.scale.size == 1:
        integers = np.rint(row / float(operand.scale[0]))
        return Constant(integers.astype(np.int64), operand.scale)
    return Constant(row)


def stored(builder: Builder, source: str, rows: np.ndarray, frames: int, hint: str) -> str:
    """Add a constant activation of an event graph, [channels, frames]; ``source`` says when it is due."""
    whole = np.broadcast_to(rows, (rows.shape[0], frames))
    return builder.add_node(
        "Stored",
        [source],
        channels=rows.shape[0],
        length=frames,
        hint=hint,
        constants={"values": Constant(np.ascontiguousarray(whole))},
    )


def _event_constant(
    builder: Builder, node: OnnxNode, source: str, op: str, rows: np.ndarray, frames: Dim | None, before: bool
) -> str:
    """An event graph may have a constant that varies along its fixed time axis."""
    if builder.tensors[source].quant is not None or not isinstance(frames, int):
        raise Refusal("a constant that varies along time cannot meet integers; dequantize before it.")
    constant = stored(builder, source, rows, frames, f"{node.output[0]}_constant")
    operands = [constant, source] if before else [source, constant]
    return builder.add_node(
        {"Sum": "Add"}.get(op, op),
        operands,
        channels=rows.shape[0],
        length=frames,
        hint=node.output[0],
        attrs=PointwiseAttributes(),
    )


def _two(builder: Builder, node: OnnxNode) -> None:
    """Two activations of one rate; axes of size 1 are repeated over the other's."""
    acts = [builder.act(name) for name in node.input]
    shape = broadcast_shape(builder, [act.shape for act in acts])
    layout = Layout.of(shape, common_time(acts, shape))
    names = [lay(builder, a, layout, name) for a, name in zip(acts, node.input, strict=True)]
    lengths = [builder.shapes[n][2] for n in names]
    result = builder.add_node(
        {"Sum": "Add"}.get(node.op_type, node.op_type),
        names,
        channels=builder.shapes[names[0]][1],
        length=next((n for n in lengths if n != 1), 1),
        hint=node.output[0],
        attrs=PointwiseAttributes(),
    )
    builder.values[node.output[0]] = seen(builder, result, layout)


def _commuting(builder: Builder, node: OnnxNode, result: str) -> None:
    """Say that the output is a tensor made of the operand's base: its pending moves stay."""
    act = builder.act(node.input[0])
    builder.values[node.output[0]] = ActValue(result, act.shape, act.base_shape, act.chain)


@reader("Neg")
def read_neg(builder: Builder, node: OnnxNode) -> None:
    """A gain of −1."""
    source = builder.act(node.input[0]).base
    channels, length = builder.shapes[source][1:]
    result = builder.add_node(
        "Affine",
        [source],
        channels=channels,
        length=length,
        hint=node.output[0],
        attrs=PointwiseAttributes(),
        constants={"gain": Constant(np.full(channels, -1.0))},
    )
    _commuting(builder, node, result)


@reader("Pow")
def read_pow(builder: Builder, node: OnnxNode) -> None:
    """Squares and cubes are products."""
    act, exponent = builder.act(node.input[0]), builder.const(node.input[1]).real
    numbers = np.unique(exponent)
    if numbers.size != 1 or float(numbers[0]) not in (2.0, 3.0):
        raise Refusal("only squares and cubes of an activation are supported.")
    if broadcast_shape(builder, [act.shape, exponent.shape]) != act.shape:
        raise Refusal("its exponent has more axes than what it raises; give one number.")
    source = act.base
    channels, length = builder.shapes[source][1:]

    def times(x: str) -> str:
        return builder.add_node(
            "Mul",
            [x, source],
            channels=channels,
            length=length,
            hint=node.output[0],
            attrs=PointwiseAttributes(),
        )

    result = times(source)
    if float(numbers[0]) == 3.0:
        result = times(result)
    _commuting(builder, node, result)


@reader("BatchNormalization")
def read_batch_norm(builder: Builder, node: OnnxNode) -> None:
    """A gain and an offset per channel; ``passes/fold_affine.py`` folds them into the convolution before."""
    act = builder.act(node.input[0])
    shape = act.shape
    if len(shape) < 2:
        raise Refusal("its input has no second axis; normalize [1, channels, frames].")
    if isinstance(shape[1], Frames):
        raise Refusal("its second axis is time; normalize [1, channels, frames].")
    gamma, beta, mean, variance = (builder.const(name).real.reshape(-1) for name in node.input[1:5])
    if any(v.size != shape[1] for v in (gamma, beta, mean, variance)) or np.any(variance < 0):
        raise Refusal(f"its statistics are not one per channel of {shape[1]}.")
    gain = gamma / np.sqrt(variance + float(node.attributes["epsilon"]))
    offset = beta - mean * gain
    if not (np.all(np.isfinite(gain)) and np.all(np.isfinite(offset))):
        raise Refusal("its statistics are not finite numbers.")
    layout = Layout.of(shape, common_time([act], shape, apart=(1,)))
    source = lay(builder, act, layout, node.input[0])
    channels, length = builder.shapes[source][1:]
    deep = (-1,) + (1,) * (len(shape) - 2)
    result = builder.add_node(
        "Affine",
        [source],
        channels=channels,
        length=length,
        hint=node.output[0],
        attrs=PointwiseAttributes(),
        constants={
            name: Constant(lay_constant(Constant(values.reshape(deep)), layout)[0][:, 0])
            for name, values in (("gain", gain), ("offset", offset))
        },
    )
    builder.values[node.output[0]] = seen(builder, result, layout)


def _as_depthwise(node: Node, inputs: list[Quant], output: Quant, channels: int) -> Node | None:
    """A gain and offset of real numbers on integers: a depthwise convolution with one tap, rounded once."""
    gain = node.constants["gain"].real if "gain" in node.constants else np.ones(channels)
    offset = node.constants["offset"].real if "offset" in node.constants else np.zeros(channels)
    weight = np.where(gain == 0, 0, np.sign(gain) * 127).astype(np.int64)
    scale = np.where(gain == 0, 1.0, np.abs(gain)) / 127
    constants = {"weight": Constant(weight[:, None, None], scale, 0), "bias": Constant(offset)}
    conv = replace(node, op="Conv", attrs=ConvAttributes(groups=channels), constants=constants)
    return FAMILIES["Conv"].integer(conv, inputs, output, [channels])


@family(
    Add=PointwiseAttributes,
    Sub=PointwiseAttributes,
    Mul=PointwiseAttributes,
    Mean=PointwiseAttributes,
    Affine=PointwiseAttributes,
)
class Pointwise(Family):
    """In place in time; nothing is remembered. In an event graph one frame may be held over all frames."""

    def windows(self, node: Node) -> tuple[Window, ...]:
        """One frame of each operand."""
        held = node.attributes_as(PointwiseAttributes).held
        return tuple(
            Window(hold=held.repeats if held is not None and i == held.operand else 1)
            for i in range(len(node.inputs))
        )

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """A single frame is repeated over the other operand's."""
        held = node.attributes_as(PointwiseAttributes).held
        if held is not None:
            lengths = [n * held.repeats if i == held.operand else n for i, n in enumerate(lengths)]
        long = [n for n in lengths if n != 1]
        return min(long) if long else 1

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """``arithmetic.blend`` for sums, ``arithmetic.requantize`` for products."""
        quant = graph.tensors[node.outputs[0]].quant
        if node.op == "Affine":
            return self._affine(node, inputs[0], quant)
        attrs = node.attributes_as(PointwiseAttributes)
        if (held := attrs.held) is not None:
            rows = slice(held.first, held.first + graph.tensors[node.outputs[0]].channels)
            inputs = list(inputs)
            inputs[held.operand] = np.repeat(inputs[held.operand][rows], held.repeats, axis=1)
        a, b = inputs
        frames = (
            min(a.shape[1], b.shape[1]) if held is not None else self.length(node, [a.shape[1], b.shape[1]])
        )
        a, b = (v if v.shape[1] == 1 else v[:, :frames] for v in (a, b))
        if quant is None:
            return {"Add": a + b, "Sub": a - b, "Mul": a * b, "Mean": (a + b) / 2}[node.op]
        return _combined(attrs, a, b, quant)

    def _affine(self, node: Node, x: np.ndarray, quant: Quant | None) -> np.ndarray:
        if quant is None:
            gain, offset = node.constants.get("gain"), node.constants.get("offset")
            y = x if gain is None else x * gain.real[:, None]
            return y if offset is None else y + offset.real[:, None]
        row = np.broadcast_to(node.constants["row"].values.astype(np.int64)[:, None], x.shape)
        return _combined(node.attributes_as(PointwiseAttributes), x, row, quant)

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Choose the multipliers; a constant operand becomes a row of integers."""
        if any(q.dtype != output.dtype for q in inputs):
            return None
        where = f"node {node.name!r}"
        if node.op == "Affine":
            if any(c.scale is None for c in node.constants.values()):
                return _as_depthwise(node, inputs, output, channels[0])
            if len(node.constants) != 1:
                return None
            ((kind, constant),) = node.constants.items()
            row, scale = constant.values.astype(np.int64), float(np.asarray(constant.scale)[0])
            if np.abs(row).max(initial=0) > arithmetic.LIMITS[output.dtype][1]:
                return None
            # Multipliers are chosen as for any activation of this type: quantize/ does the same.
            bound = -arithmetic.LIMITS[output.dtype][0]
            if kind == "gain":
                factor = inputs[0].scale * scale / output.scale
                chosen = arithmetic.requantize_multiplier(np.array([factor]), inputs[0].bound * bound, where)
                attrs = PointwiseAttributes(product=chosen)
            else:
                factors = (inputs[0].scale / output.scale, scale / output.scale)
                blend = arithmetic.blend_multipliers(factors, (inputs[0].bound, bound), where)
                attrs = PointwiseAttributes(blend=blend)
            return replace(node, attrs=attrs, constants={"row": Constant(row, np.array([scale]))})
        a, b = inputs
        if node.op == "Mul":
            chosen = arithmetic.requantize_multiplier(
                np.array([a.scale * b.scale / output.scale]), a.bound * b.bound, where
            )
            return replace(node, attrs=PointwiseAttributes(product=chosen))
        first, second = {"Add": (1.0, 1.0), "Sub": (1.0, -1.0), "Mean": (0.5, 0.5)}[node.op]
        factors = (first * a.scale / output.scale, second * b.scale / output.scale)
        blend = arithmetic.blend_multipliers(factors, (a.bound, b.bound), where)
        return replace(node, attrs=PointwiseAttributes(blend=blend))

    def work(self, node: Node, graph: Graph) -> Work:
        """One element after the other."""
        y = graph.tensors[node.outputs[0]]
        suffix = {"int16": "s16", "int8": "s8", "float32": "f32"}[y.dtype]
        a = node.attributes_as(PointwiseAttributes)
        name = "mul" if node.op == "Mul" or a.product is not None else "add"
        if _is_halving(a, y):
            name = "mean"
        reads = sum(graph.tensors[n].channels * WIDTH[graph.tensors[n].dtype] for n in node.inputs)
        constants = sum(c.values.size * WIDTH[y.dtype] for c in node.constants.values())
        return Work(f"{name}_{suffix}", outputs=y.channels, reads=reads, weight_bytes=constants)

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_add_…``, ``vk_sub_f32``, ``vk_mul_…``; a step of 0 repeats a row."""
        y = graph.tensors[node.outputs[0]]
        suffix = out.suffix(y)
        if y.quant is None and node.op == "Affine":
            self._emit_float_affine(node, graph, out)
            return
        x = graph.tensors[node.inputs[0]]
        if node.op == "Affine":
            row = out.array("row", y.dtype, node.constants["row"].values, y)
            out.check("any", row)
            other, step, z = row, 0, x
        else:
            z = graph.tensors[node.inputs[1]]
            other, step = out.src(1), 0 if _held(z, y) else z.frame
        first_step = 0 if _held(x, y) else x.frame
        a = node.attributes_as(PointwiseAttributes)
        if a.held is not None:
            first_step, step = (0, step) if a.held.operand == 0 else (first_step, 0)
        operands = (out.src(0), first_step, other, step, out.dst(), y.frame, out.frames)
        if y.quant is None:
            kernel = "add" if node.op == "Mean" else node.op.lower()
            out.call(f"vk_{kernel}_f32", *operands, y.channels)
            if node.op == "Mean":
                half = out.array("half", "float32", np.array([0.5]), y)
                out.call("vk_mul_f32", out.dst(), y.frame, half, 0, *operands[4:], y.channels)
            return
        each = y.channels if 0 in (first_step, step) else lanes(x, z, y)
        bounds = x.bound, -FULL_RANGE[y.dtype][0] if node.op == "Affine" else z.bound
        if a.blend is not None:
            table, kernel = out.blend("add", a.blend, bounds), "vk_add"
        else:
            assert a.product is not None
            table, kernel = out.scale("mul", a.product, bounds[0] * bounds[1]), "vk_mul"
        out.call(f"{kernel}_{suffix}", f"&{table}", *operands, each)
        out.clip()

    def _emit_float_affine(self, node: Node, graph: Graph, out: Writer) -> None:
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        gain, offset = node.constants.get("gain"), node.constants.get("offset")
        rows = {k: out.array(k, "float32", c.real, y) for k, c in node.constants.items()}
        if gain is not None and offset is not None:
            out.call(
                "vk_scale_f32",
                rows["gain"],
                rows["offset"],
                out.src(0),
                x.frame,
                out.dst(),
                y.frame,
                out.frames,
                y.channels,
            )
            return
        kernel, row = ("vk_mul_f32", rows["gain"]) if gain is not None else ("vk_add_f32", rows["offset"])
        out.call(kernel, out.src(0), x.frame, row, 0, out.dst(), y.frame, out.frames, y.channels)


def _is_halving(a: PointwiseAttributes, y: Tensor) -> bool:
    """Whether a Cortex-M7 has code of its own for a sum: a mean of integers of 16 bits on one scale."""
    return y.dtype == "int16" and a.blend is not None and (a.blend.multipliers, a.blend.shift) == HALVES


def _combined(a: PointwiseAttributes, x: np.ndarray, y: np.ndarray, quant: Quant) -> np.ndarray:
    """Product or sum of integers, rounded once."""
    if a.product is not None:
        return arithmetic.requantize(x * y, a.product.multiplier, a.product.shift, quant.low, quant.high)
    assert a.blend is not None
    return arithmetic.blend((x, y), a.blend, quant.low, quant.high)


def _held(x: Tensor, y: Tensor) -> bool:
    """Tell whether a single frame of ``x`` is repeated over the frames of ``y`` (event graphs only)."""
    return x.length == 1 and (y.length or 1) != 1


@family(Stored=Attributes)
class Stored(Family):
    """A constant activation of an event graph."""

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """The values."""
        return node.constants["values"].real

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Copy them into their place."""
        y = graph.tensors[node.outputs[0]]
        assert y.length is not None
        table = out.flat("stored", "float32", node.constants["values"].real.T.reshape(-1))
        out.call("vk_copy_rows", table, y.frame_bytes, out.dst(), y.frame_bytes, y.length, y.frame_bytes)
