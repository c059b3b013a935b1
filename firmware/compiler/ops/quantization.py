"""Quantize, Dequantize, Rescale: the borders between float32 and integers, and between two scales."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import WIDTH, Attributes, Constant, Graph, Node, Quant, Tensor
from firmware.compiler.judge import arithmetic
from firmware.compiler.ops.base import Family, Work, family, reader
from firmware.compiler.ops.elementwise import PointwiseAttributes
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue
from firmware.compiler.write.writer import Writer


@dataclass(frozen=True, eq=False)
class RescaleAttributes(Attributes):
    """A change of scale; ``factor`` is the one of the two scales."""

    factor: arithmetic.Multiplier


RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
NARROW = ("int4", "uint4")
"""Types of weights alone; numpy does not count them among its integers."""


def quant_of(scale: float, zero: int, kind: str) -> Quant:
    """Fold a zero point: integers shifted by it, in the smallest type that holds them.

    Where even int16 is too small (16-bit activations whose zero point is off the middle) the scale grows
    until it is not, by less than a factor of 2; such tensors differ from the file's by up to half a step.

    Raises
    ------
    Refusal
        When the scale is not a positive finite number, or the type is unknown.
    """
    if not np.isfinite(scale) or not 1e-30 < scale < 1e30:
        raise Refusal(
            f"its scale is {scale:.3g}; a scale must be positive and finite, quantize the model again."
        )
    if kind not in RANGES:
        raise Refusal(f"its quantized type is {kind}; int8, uint8, int16 and uint16 are understood.")
    low, high = (limit - zero for limit in RANGES[kind])
    if low > 0 or high < 0:
        raise Refusal(f"its zero point {zero} is outside of {kind}.")
    widest = max(-low, high)
    if widest > 32767 and (low, high) != (-32768, 32767):
        # A 16-bit zero point off the middle: the range needs up to 17 bits, so the step grows a little.
        stretch = widest / 32767
        return Quant(float(scale) * stretch, "int16", math.ceil(low / stretch), math.floor(high / stretch))
    for dtype, (bottom, top) in arithmetic.LIMITS.items():
        if bottom <= low and high <= top:
            return Quant(float(scale), dtype, low, high)
    raise AssertionError("int16 holds every stretched range")


def _parameters(builder: Builder, node: OnnxNode) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Scale, zero point and type of a Q or DQ node."""
    scale = builder.const(node.input[1]).real
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        raise Refusal(f"its scale is {float(np.min(scale)):.3g}; a scale must be positive and finite.")
    zero = node.optional(2)
    if zero is None:
        kind = "uint8"
        if node.op_type == "QuantizeLinear" and node.attributes["output_dtype"]:
            import onnx

            kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(node.attributes["output_dtype"])).name
        return scale, None, kind
    points = builder.const(zero).values
    if points.size not in (1, scale.size):
        raise Refusal("its scale and zero point differ in number.")
    return scale, points.astype(np.int64), points.dtype.name


@reader("QuantizeLinear")
def read_quantize(builder: Builder, node: OnnxNode) -> None:
    """Integers from floats; on a constant it is folded."""
    scale, zero, kind = _parameters(builder, node)
    value = builder.value(node.input[0])
    if not isinstance(value, ActValue):
        low, high = RANGES.get(kind, (-(2**31), 2**31 - 1))
        axis = node.attributes["axis"]
        real = builder.const(node.input[0]).real
        shaped = _along(scale, axis, real.ndim)
        shift = 0 if zero is None else _along(zero, axis, real.ndim)
        integers = np.clip(np.rint(real / shaped) + shift, low, high)
        builder.values[node.output[0]] = Constant(integers.astype(kind))
        return
    if scale.size != 1:
        raise Refusal("activations are quantized per channel; quantize them per tensor.")
    quant = quant_of(float(scale.reshape(-1)[0]), 0 if zero is None else int(zero.reshape(-1)[0]), kind)
    _on_base(builder, node, value, "Quantize", quant)


@reader("DequantizeLinear")
def read_dequantize(builder: Builder, node: OnnxNode) -> None:
    """Floats from integers; a constant keeps its integers and their scale."""
    scale, zero, kind = _parameters(builder, node)
    value = builder.value(node.input[0])
    if isinstance(value, ActValue):
        tensor = builder.tensors[value.base]
        if tensor.quant is None:
            raise Refusal("it dequantizes floats.")
        if zero is None and kind == "uint8" and tensor.quant.low < 0:
            kind = tensor.dtype
        wanted = quant_of(float(scale.reshape(-1)[0]), 0 if zero is None else int(zero.reshape(-1)[0]), kind)
        if scale.size != 1 or (wanted.low, wanted.high) != (tensor.quant.low, tensor.quant.high):
            raise Refusal("its zero point or type is not that of the QuantizeLinear before it.")
        if wanted.scale != tensor.quant.scale:
            raise Refusal("its scale is not that of the QuantizeLinear before it.")
        _on_base(builder, node, value, "Dequantize", None)
        return
    integers = builder.const(node.input[0]).values
    if integers.dtype.kind not in "iu" and integers.dtype.name not in NARROW:
        raise Refusal("it dequantizes floats.")
    axis = node.attributes["axis"]
    axis = axis + integers.ndim if axis < 0 else axis
    if scale.size > 1 and (axis >= integers.ndim or integers.shape[axis] != scale.size):
        raise Refusal("its scales do not match the weight's axis.")
    shifted = integers.astype(np.int64)
    if zero is not None:
        shifted = shifted - _along(zero, axis, integers.ndim)
    builder.values[node.output[0]] = Constant(shifted, np.asarray(scale, np.float64).reshape(-1), axis)


def _along(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Reshape per-channel values to broadcast along ``axis``."""
    if values.size == 1:
        return values.reshape(())
    axis = axis + rank if axis < 0 else axis
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def _on_base(builder: Builder, node: OnnxNode, value: ActValue, op: str, quant: Quant | None) -> None:
    """Apply an element-wise node before the pending moves: the two commute."""
    base = builder.tensors[value.base]
    key = (op, value.base, quant)
    if key not in builder.borders:
        name = builder.add_node(
            op,
            [value.base],
            channels=base.channels,
            length=builder.shapes[value.base][2],
            hint=node.output[0],
        )
        builder.tensors[name] = Tensor(name, base.channels, base.length, None, quant)
        builder.borders[key] = name
    builder.values[node.output[0]] = ActValue(
        builder.borders[key], value.shape, value.base_shape, value.chain
    )


@family(Quantize=Attributes, Dequantize=Attributes, Rescale=RescaleAttributes, Integers=Attributes)
class Borders(Family):
    """Element by element, in place in time. ``Integers`` hands integers over as floats of the same value."""

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """See ``arithmetic.quantize``, ``dequantize`` and ``requantize``."""
        (x,) = inputs
        before, after = graph.tensors[node.inputs[0]].quant, graph.tensors[node.outputs[0]].quant
        if node.op == "Quantize":
            assert after is not None
            return arithmetic.quantize(x, after.scale, after.low, after.high)
        assert before is not None
        if node.op == "Integers":
            return x.astype(np.float64)
        if node.op == "Dequantize":
            return arithmetic.dequantize(x, before.scale).astype(np.float64)
        assert after is not None
        factor = node.attributes_as(RescaleAttributes).factor
        return arithmetic.requantize(x, factor.multiplier, factor.shift, after.low, after.high)

    def work(self, node: Node, graph: Graph) -> Work:
        """One element after the other."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        kernel = "dequantize" if node.op == "Integers" else node.op.lower()
        return Work(kernel, outputs=y.channels, reads=x.channels * WIDTH[x.dtype])

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_quantize_…``, ``vk_dequantize_…`` or ``vk_rescale_…`` (and a clip for odd bounds)."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        sx, sy = out.suffix(x), out.suffix(y)
        if node.op == "Quantize":
            assert y.quant is not None
            out.call(
                f"vk_quantize_f32_{sy}",
                out.number("scale", y.quant.scale),
                out.src(0),
                x.frame,
                1,
                out.dst(),
                y.frame,
                out.frames,
                y.channels,
            )
            out.clip()
        elif node.op in ("Dequantize", "Integers"):
            assert x.quant is not None
            out.call(
                f"vk_dequantize_{sx}_f32",
                out.number("scale", x.quant.scale) if node.op == "Dequantize" else out.real(1.0),
                out.src(0),
                x.frame,
                out.dst(),
                y.frame,
                1,
                out.frames,
                y.channels,
            )
        else:
            kernel = f"vk_rescale_{sx}" if sx == sy else f"vk_rescale_{sx}_{sy}"
            scale = out.scale("rescale", node.attributes_as(RescaleAttributes).factor, x.bound)
            out.call(kernel, f"&{scale}", out.src(0), x.frame, out.dst(), y.frame, out.frames, y.channels)
            out.clip()


def integers_of(builder: Builder, name: str, kind: np.dtype) -> str:
    """Hand an output of integers over as the file has them, zero point and all, in floats.

    Parameters
    ----------
    builder : Builder
    name : str
        Tensor of integers.
    kind : numpy dtype
        Element type of the file's output.

    Raises
    ------
    Refusal
        Where the integers were stretched to fit (16 bits with a zero point off the middle).
    """
    tensor, (_, channels, length) = builder.tensors[name], builder.shapes[name]
    assert tensor.quant is not None
    limits = np.iinfo(kind)
    zero = limits.min - tensor.quant.low
    if tensor.quant.high - tensor.quant.low != limits.max - limits.min:
        raise Refusal(
            f"{builder.where}: its integers have a zero point off the middle of {kind.name}; put a "
            "DequantizeLinear behind them."
        )
    result = builder.add_node("Integers", [name], channels=channels, length=length, hint=f"{name}_integers")
    if zero:
        result = builder.add_node(
            "Affine",
            [result],
            channels=channels,
            length=length,
            hint=f"{name}_zero",
            attrs=PointwiseAttributes(),
            constants={"offset": Constant(np.full(channels, float(zero)))},
        )
    return result


def rescale(name: str, source: Tensor, target: Tensor, origin: str) -> Node:
    """Make the node that takes integers from one scale to another, for the layer of that origin."""
    assert source.quant is not None and target.quant is not None
    factor = source.quant.scale / target.quant.scale
    integers = arithmetic.requantize_multiplier(np.array([factor]), source.quant.bound, name)
    return Node(name, "Rescale", (source.name,), (target.name,), RescaleAttributes(integers), origin=origin)
