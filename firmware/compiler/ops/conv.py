"""Convolution, transposed convolution and dense layers: one inner loop for all of them.

A transposed convolution of stride s is a convolution with s·channels outputs per input frame (polyphase);
``lower`` rewrites it so. Gemm and MatMul are convolutions with one tap. Graph weights are always
``[outputs, inputs / groups, taps]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import WIDTH, Attributes, Constant, Graph, Node, Quant
from firmware.compiler.judge import arithmetic
from firmware.compiler.ops.base import FAMILIES, Family, Window, Work, family, reader
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.layout import (
    Layout,
    Shape,
    broadcast_shape,
    common_time,
    lay,
    lay_constant,
    reshaped,
    seen,
    shown,
)
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import Dim, Frames, product
from firmware.compiler.write.pack import Layer, convolution_call
from firmware.compiler.write.writer import Writer
from firmware.kernelgen import packing

MAX_TAPS = 65_536


@dataclass(frozen=True, eq=False)
class Sums:
    """How a convolution's sums become integers of its output.

    Attributes
    ----------
    shift : int
        k of the requantization.
    wide : bool
        Accumulators of 64 bits, where the proof finds that 32 could overflow.
    bound : ndarray of int64, shape (phases·channels,)
        Largest possible ``|accumulator|`` of each output.
    """

    shift: int
    wide: bool
    bound: np.ndarray


@dataclass(frozen=True, eq=False)
class Convolving(Attributes):
    """What a convolution and a transposed one have in common.

    Attributes
    ----------
    stride, dilation, groups : int
        As in ONNX.
    sums : Sums or None
        None: in float32.
    """

    stride: int = 1
    dilation: int = 1
    groups: int = 1
    sums: Sums | None = None


@dataclass(frozen=True, eq=False)
class ConvAttributes(Convolving):
    """A convolution; by default a dense layer of one tap.

    Attributes
    ----------
    before : int
        Frames of the window before the one that a firing is counted by.
    padded : int
        Frames of zeros around an offline signal, on both sides together.
    phases : int
        Output frames of one firing; its outputs are (phase, channel).
    short : bool
        Straight-line code on a Cortex-M7 (``passes/mark_short.py``).
    """

    before: int = 0
    padded: int = 0
    phases: int = 1
    short: bool = False


@dataclass(frozen=True, eq=False)
class ConvTransposeAttributes(Convolving):
    """A transposed convolution; ``crop`` and ``trim`` frames are left out at its start and its end."""

    crop: int = 0
    trim: int = 0


def _ints(node: OnnxNode, name: str, count: int = 1) -> list[int]:
    """Read a list attribute of a 1-D convolution."""
    values = node.attributes[name]
    if len(values) != count:
        raise Refusal(
            f"its {name} have {len(values)} entries; this compiler streams 1-D convolutions, [1, "
            "channels, frames]."
        )
    return [int(v) for v in values]


def read_weights(builder: Builder, node: OnnxNode, channels: int) -> tuple[Constant, Constant | None]:
    """Check the constants of a convolution."""
    weight = builder.const(node.input[1])
    if weight.values.ndim != 3:
        raise Refusal(
            f"its weights have {weight.values.ndim} axes; this compiler streams 1-D convolutions with "
            "weights "
            "[outputs, inputs, taps]."
        )
    if 0 in weight.values.shape or weight.values.shape[2] > MAX_TAPS:
        raise Refusal(f"its weights have the shape {list(weight.values.shape)}.")
    if not np.all(np.isfinite(weight.real)):
        raise Refusal("its weights are not all finite numbers; train or export the model again.")
    bias_name = node.optional(2)
    bias = builder.const(bias_name) if bias_name else None
    if bias is not None and (bias.values.ndim != 1 or not np.all(np.isfinite(bias.real))):
        raise Refusal("its bias is not one finite number per output channel.")
    return weight, bias


def check_bias(bias: Constant | None, outputs: int) -> None:
    """One bias per output."""
    if bias is not None and bias.values.size != outputs:
        raise Refusal(f"it has {bias.values.size} biases for {outputs} output channels.")


def _strides(node: OnnxNode) -> tuple[int, int, int, list[int]]:
    """Stride, dilation, groups and pads."""
    (stride,), (dilation,) = _ints(node, "strides"), _ints(node, "dilations")
    groups = int(node.attributes["group"])
    pads = _ints(node, "pads", 2)
    if stride < 1 or dilation < 1 or groups < 1 or stride > MAX_TAPS or dilation > MAX_TAPS:
        raise Refusal("its stride, dilation and groups must be at least 1.")
    if min(pads) < 0 or max(pads) > MAX_TAPS * 16:
        raise Refusal("its pads must be zero or more.")
    return stride, dilation, groups, pads


@reader("Conv")
def read_conv(builder: Builder, node: OnnxNode) -> None:
    """Any kernel, stride, dilation, groups, asymmetric pads."""
    source = builder.canonical(node.input[0])
    channels, length = builder.shapes[source][1:]
    weight, bias = read_weights(builder, node, channels)
    stride, dilation, groups, pads = _strides(node)
    outputs, inputs, taps = weight.values.shape
    if channels != inputs * groups or outputs % groups:
        raise Refusal(
            f"its weights take {inputs * groups} channels in {groups} groups, but its input has {channels}."
        )
    check_bias(bias, outputs)
    reach = (taps - 1) * dilation + 1
    if reach > MAX_TAPS * 16:
        raise Refusal(f"it reaches over {reach} frames.")
    auto = node.attributes["auto_pad"]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = max(reach - stride, 0)
        if isinstance(length, int):
            total = max((-(-length // stride) - 1) * stride + reach - length, 0)
        half = total // 2
        pads = [half, total - half] if auto == "SAME_UPPER" else [total - half, half]
    elif auto == "VALID":
        pads = [0, 0]
    result = builder.add_node(
        "Conv",
        [source],
        channels=outputs,
        length=_out_length(length, stride, reach, sum(pads)),
        hint=node.output[0],
        attrs=ConvAttributes(stride, dilation, groups, before=pads[0], padded=sum(pads)),
        constants={"weight": weight} | ({"bias": bias} if bias else {}),
    )
    builder.result(node, result)


def _out_length(length: Dim, stride: int, reach: int, padded: int) -> Dim:
    """Frames a convolution gives."""
    return (length + (padded - reach)) // stride + 1


@reader("ConvTranspose")
def read_conv_transpose(builder: Builder, node: OnnxNode) -> None:
    """Any kernel and stride, also kernel > stride."""
    source = builder.canonical(node.input[0])
    channels, length = builder.shapes[source][1:]
    weight, bias = read_weights(builder, node, channels)
    stride, dilation, groups, pads = _strides(node)
    inputs, per_group, taps = weight.values.shape
    (extra,) = _ints(node, "output_padding")
    if inputs != channels or inputs % groups:
        raise Refusal(f"its weights take {inputs} channels in {groups} groups, but its input has {channels}.")
    if not 0 <= extra < max(stride, dilation):
        raise Refusal("its output_padding must be smaller than its stride.")
    check_bias(bias, per_group * groups)
    reach = (taps - 1) * dilation + 1
    auto = node.attributes["auto_pad"]
    shape = node.attributes["output_shape"]
    if auto in ("SAME_UPPER", "SAME_LOWER") or shape is not None:
        target = length * stride if shape is None else int(shape[-1])
        if shape is not None and isinstance(length, Frames):
            raise Refusal("its output_shape fixes the length of the signal; use pads instead.")
        total = (
            max((length - 1) * stride + extra + reach - target, 0)
            if isinstance(length, int)
            else max(reach + extra - stride, 0)
        )
        half = total // 2
        pads = [half, total - half] if auto == "SAME_UPPER" else [total - half, half]
    elif auto == "VALID":
        pads = [0, 0]
    folded: np.ndarray = weight.values.reshape(groups, inputs // groups, per_group, taps).transpose(
        0, 2, 1, 3
    )
    folded = np.ascontiguousarray(folded).reshape(groups * per_group, inputs // groups, taps)
    if weight.scale is None:
        kernel = Constant(folded)
    elif weight.scale.size == 1:
        kernel = Constant(folded, weight.scale, 0)
    elif weight.axis == 1:
        kernel = Constant(folded, np.tile(weight.scale, groups), 0)
    else:
        raise Refusal(
            "its weights are quantized along their input channels; quantize along axis 1, the outputs."
        )
    result = builder.add_node(
        "ConvTranspose",
        [source],
        channels=per_group * groups,
        length=(length + (-1)) * stride + (reach + extra - sum(pads)),
        hint=node.output[0],
        attrs=ConvTransposeAttributes(stride, dilation, groups, crop=pads[0], trim=pads[1] - extra),
        constants={"weight": kernel} | ({"bias": bias} if bias else {}),
    )
    builder.result(node, result)


def _dense(builder: Builder, node: OnnxNode, source: str, weight: Constant, bias: Constant | None) -> str:
    """Add a dense layer, ``weight`` being [outputs, inputs]."""
    channels, length = builder.shapes[source][1:]
    outputs, inputs = weight.values.shape
    if inputs != channels:
        raise Refusal(f"its weights take {inputs} channels, but its input has {channels}.")
    if not np.all(np.isfinite(weight.real)) or (bias is not None and not np.all(np.isfinite(bias.real))):
        raise Refusal("its weights are not all finite numbers; train or export the model again.")
    check_bias(bias, outputs)
    kernel = Constant(weight.values[:, :, None], weight.scale, weight.axis)
    return builder.add_node(
        "Conv",
        [source],
        channels=outputs,
        length=length,
        hint=node.output[0],
        attrs=ConvAttributes(),
        constants={"weight": kernel} | ({"bias": bias} if bias else {}),
    )


def transposed(constant: Constant) -> Constant:
    """Transpose a 2-D constant, its scale axis too."""
    return Constant(constant.values.T, constant.scale, 1 - constant.axis)


@reader("Gemm")
def read_gemm(builder: Builder, node: OnnxNode) -> None:
    """A dense layer over ``[rows, features]``, or ``[features, rows]`` transposed."""
    act, weight = builder.act(node.input[0]), builder.const(node.input[1])
    if len(act.shape) != 2 or weight.values.ndim != 2:
        raise Refusal("it must multiply [1, features] by a matrix of weights.")
    weight = weight if node.attributes["transB"] else transposed(weight)
    alpha, beta = float(node.attributes["alpha"]), float(node.attributes["beta"])
    if alpha != 1.0:
        weight = Constant(weight.real * alpha)
    rows_axis = 1 if node.attributes["transA"] else 0
    source = lay(builder, act, Layout.of(act.shape, _unless_one(act.shape, rows_axis)), node.input[0])
    outputs, rows = weight.values.shape[0], act.shape[rows_axis]
    made = Layout.of((rows, outputs), _unless_one((rows, outputs), 0))
    bias = None
    if (name := node.optional(2)) is not None:
        bias = builder.const(name)
        if bias.values.ndim != 1 or bias.values.size != outputs or beta != 1.0:
            if broadcast_shape(builder, [made.shape, bias.values.shape]) != made.shape:
                raise Refusal(
                    f"its bias of shape {list(bias.values.shape)} does not fit {shown(made.shape)}."
                )
            laid, varies = lay_constant(bias, made)
            if varies:
                raise Refusal("its bias differs from row to row; add it behind.")
            bias = Constant(laid[:, 0] * beta)
    builder.values[node.output[0]] = seen(builder, _dense(builder, node, source, weight, bias), made)


def _unless_one(shape: Shape, axis: int) -> int | None:
    """An axis to lay along time, unless it is of size 1."""
    return None if shape[axis] == 1 else axis


@reader("ReduceMean", "ReduceSum", "GlobalAveragePool")
def read_sum(builder: Builder, node: OnnxNode) -> None:
    """Over channels a dense layer, over the time of an event graph a depthwise one."""
    act = builder.act(node.input[0])
    shape, rank = act.shape, len(act.shape)
    mean, keeps = node.op_type != "ReduceSum", True
    if node.op_type == "GlobalAveragePool":
        over = set(range(2, rank))
    else:
        axes, keeps = node.optional(1), bool(node.attributes["keepdims"])
        listed = [int(a) for a in builder.const(axes).values.reshape(-1)] if axes is not None else []
        if not listed and node.attributes["noop_with_empty_axes"]:
            builder.values[node.output[0]] = act
            return
        if any(not -rank <= a < rank for a in listed):
            raise Refusal("it looks over an axis that is not there.")
        over = {a % rank for a in listed} if listed else set(range(rank))
    time = common_time([act], shape)
    if time in over and time is not None and isinstance(shape[time], Frames):
        raise Refusal("it looks over all frames, and a stream has no end to look over; use a strided Conv.")
    layout = Layout.of(shape, time, front=[a for a in range(rank) if a not in over and shape[a] != 1])
    result = lay(builder, act, layout, node.input[0])
    channels, length = builder.shapes[result][1:]
    if time in over and isinstance(length, int) and length > 1:
        taps = np.full((channels, 1, length), 1.0 / length if mean else 1.0)
        result = builder.add_node(
            "Conv",
            [result],
            channels=channels,
            length=1,
            hint=node.output[0],
            attrs=ConvAttributes(length, groups=channels),
            constants={"weight": Constant(taps)},
        )
        length = 1
    left = tuple(1 if a in over else d for a, d in enumerate(shape))
    kept = product(tuple(d for a, d in enumerate(left) if a != time))
    assert isinstance(kept, int)
    if channels != kept:
        reach = channels // kept
        result = builder.add_node(
            "Conv",
            [result],
            channels=kept,
            length=length,
            hint=node.output[0],
            attrs=ConvAttributes(groups=kept),
            constants={"weight": Constant(np.full((kept, reach, 1), 1.0 / reach if mean else 1.0))},
        )
    value = seen(builder, result, layout.resized(left))
    if not keeps:
        rest = tuple(d for a, d in enumerate(left) if a not in over)
        value = reshaped(value, rest)
    builder.values[node.output[0]] = value


@reader("MatMul")
def read_matmul(builder: Builder, node: OnnxNode) -> None:
    """A dense layer over the last axis (``x @ W``), or over channels (``W @ x``)."""
    left_is_const, right_is_const = builder.is_const(node.input[0]), builder.is_const(node.input[1])
    if left_is_const == right_is_const:
        raise Refusal(
            "it multiplies two activations; only weights known beforehand can be compiled (no attention)."
        )
    weight = builder.const(node.input[0 if left_is_const else 1])
    name = node.input[1 if left_is_const else 0]
    rank = weight.values.ndim
    if rank > 2 and set(weight.values.shape[:-2]) == {1} and (weight.scale is None or weight.scale.size == 1):
        weight = Constant(weight.values.reshape(weight.values.shape[-2:]), weight.scale, 0)
    if weight.values.ndim != 2:
        raise Refusal("its weights must be a matrix.")
    act = builder.act(name)
    if len(act.shape) < 2:
        raise Refusal("it multiplies a list; give it an axis of size 1.")
    act = reshaped(act, (1,) * (rank - len(act.shape)) + act.shape)
    *others, before, last = act.shape
    if left_is_const:
        if any(d != 1 for d in others):
            raise Refusal("weights on the left must multiply [1, channels, frames].")
        if isinstance(before, Frames):
            raise Refusal("it mixes frames along time; a stream has no fixed number of them.")
        layout = Layout.of(act.shape, _unless_one(act.shape, -1 % len(act.shape)))
        made = layout.resized((*others, weight.values.shape[0], last))
        result = _dense(builder, node, lay(builder, act, layout, name), weight, None)
        builder.values[node.output[0]] = seen(builder, result, made)
        return
    if isinstance(last, Frames):
        raise Refusal("it mixes frames along time; a stream has no fixed number of them.")
    rows = [a for a, d in enumerate(act.shape[:-1]) if d != 1]
    flat = act if len(rows) < 2 else reshaped(act, (product(act.shape[:-1]), last))
    time = rows[0] if len(rows) == 1 else 0 if rows else None
    layout = Layout.of(flat.shape, time)
    result = _dense(builder, node, lay(builder, flat, layout, name), transposed(weight), None)
    value = seen(builder, result, layout.resized((*flat.shape[:-1], weight.values.shape[1])))
    builder.values[node.output[0]] = reshaped(value, (*act.shape[:-1], weight.values.shape[1]))


def convolve(
    x: np.ndarray, weight: np.ndarray, stride: int, dilation: int, groups: int, before: int, after: int
) -> np.ndarray:
    """Plain convolution: ``x`` [inputs, frames], ``weight`` [outputs, inputs / groups, taps], float64.

    Integers up to 2^53 are exact here, so the same code judges integer layers.
    """
    outputs, inputs, taps = weight.shape
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (max(before, 0), max(after, 0))))
    padded = padded[:, max(-before, 0) :]
    if after < 0:
        padded = padded[:, : padded.shape[1] + after]
    count = (padded.shape[1] - (taps - 1) * dilation - 1) // stride + 1
    if count <= 0:
        return np.zeros((outputs, 0))
    kernel = np.asarray(weight, np.float64).reshape(groups, outputs // groups, inputs, taps)
    result = np.zeros((groups, outputs // groups, count))
    for tap in range(taps):
        start = tap * dilation
        frames = padded[:, start : start + (count - 1) * stride + 1 : stride]
        result += kernel[..., tap] @ frames.reshape(groups, inputs, count)
    return result.reshape(outputs, count)


def convolve_transposed(
    x: np.ndarray, weight: np.ndarray, stride: int, dilation: int, groups: int, crop: int, trim: int
) -> np.ndarray:
    """Plain transposed convolution: ``weight`` [outputs, inputs / groups, taps], float64."""
    outputs, inputs, taps = weight.shape
    frames = x.shape[1]
    kernel = np.asarray(weight, np.float64).reshape(groups, outputs // groups, inputs, taps)
    source = np.asarray(x, np.float64).reshape(groups, inputs, frames)
    full = (frames - 1) * stride + (taps - 1) * dilation + 1
    result = np.zeros((groups, outputs // groups, full + max(0, -trim)))
    for tap in range(taps):
        start = tap * dilation
        result[:, :, start : start + (frames - 1) * stride + 1 : stride] += kernel[..., tap] @ source
    result = result.reshape(outputs, -1)
    return result[:, crop : full - trim]


def lower_transposed(node: Node) -> Node:
    """Rewrite a transposed convolution as a convolution with (phase, channel) outputs.

    Output frame t·s + i takes input frame t + m through tap κ with κ·d = i + crop − m·s; the taps of all
    phases are laid over one range of m, with zeros where a phase has none.
    """
    weight, a = node.constants["weight"], node.attributes_as(ConvTransposeAttributes)
    stride, dilation, crop = a.stride, a.dilation, a.crop
    outputs, inputs, taps = weight.values.shape
    newest = (stride - 1 + crop) // stride
    oldest = -(((taps - 1) * dilation - crop) // stride)
    oldest = min(oldest, newest)
    count = newest - oldest + 1
    rows = np.zeros((stride, outputs, inputs, count), weight.values.dtype)
    for phase in range(stride):
        for tap in range(taps):
            distance = phase + crop - tap * dilation
            if distance % stride == 0:
                rows[phase, :, :, distance // stride - oldest] = weight.values[:, :, tap]
    used = np.flatnonzero(np.any(rows != 0, axis=(0, 1, 2)))
    if used.size:  # leave out what no phase reaches at either end
        newest = oldest + int(used[-1])
        oldest, rows = oldest + int(used[0]), rows[..., used[0] : used[-1] + 1]
        count = rows.shape[-1]
    kernel = Constant(rows.reshape(stride * outputs, inputs, count), weight.scale, weight.axis)
    attrs = ConvAttributes(groups=a.groups, sums=a.sums, before=-oldest, padded=count - 1, phases=stride)
    constants = {**node.constants, "weight": kernel}
    return replace(node, op="Conv", attrs=attrs, constants=constants)


def _integers(node: Node, x: Quant, output: Quant, kernel: np.ndarray, phases: int) -> Node | None:
    """Quantize the bias, prove the accumulator, choose the multipliers.

    Parameters
    ----------
    kernel : ndarray, shape (phases·outputs, inputs / groups, taps)
        The weights that really reach an output, phase by phase.
    phases : int
    """
    weight = node.constants["weight"]
    if weight.scale is None:
        return None
    values = weight.values.astype(np.int64)
    if values.min() < -128 or values.max() > 127:
        raise Refusal(
            f"node {node.name!r}: its weights need more than 8 bits once their zero point is taken off; "
            "quantize weights symmetrically (int8, zero point 0)."
        )
    outputs = values.shape[0]
    scale = np.broadcast_to(np.asarray(weight.scale, np.float64), (outputs,)) * x.scale
    bias = node.constants.get("bias")
    real = np.zeros(outputs) if bias is None else bias.real
    whole = np.floor(real / scale + 0.5)
    if np.any(np.abs(whole) > arithmetic.INT32_MAX):
        worst = int(np.argmax(np.abs(whole)))
        raise Refusal(
            f"node {node.name!r}: the bias of channel {worst}, {real[worst]:.3g}, does not fit 32 bits at "
            f"the scale {scale[worst]:.3g}; calibrate again."
        )
    sums = np.abs(kernel.astype(np.int64)).sum(axis=(1, 2))
    bound = sums * x.bound + np.tile(np.abs(whole).astype(np.int64), phases)
    # The rounding of the high multiply needs no headroom, so the accumulator may use all 31 bits.
    wide = bool(np.any(bound > arithmetic.INT32_MAX))
    chosen = arithmetic.requantize_multiplier(
        scale / output.scale, 0 if wide else bound, f"node {node.name!r}"
    )
    constants = {
        "weight": Constant(values.astype(np.int8), weight.scale, 0),
        "bias": Constant(whole.astype(np.int64)),
        "multiplier": Constant(chosen.multiplier),
    }
    attrs = replace(node.attributes_as(Convolving), sums=Sums(chosen.shift, wide, bound))
    return replace(node, attrs=attrs, constants=constants)


def _settled(total: np.ndarray, node: Node, graph: Graph) -> np.ndarray:
    """Add the bias; in integers, requantize once."""
    sums, bias = node.attributes_as(Convolving).sums, node.constants.get("bias")
    if sums is None:
        return total if bias is None else total + bias.real[:, None]
    quant = graph.tensors[node.outputs[0]].quant
    assert quant is not None and bias is not None
    acc = np.rint(total).astype(np.int64) + bias.values.astype(np.int64)[:, None]
    multiplier = node.constants["multiplier"].values
    return arithmetic.requantize(acc, multiplier, sums.shift, quant.low, quant.high)


@family(Conv=ConvAttributes)
class Convolution(Family):
    """Reads a window of (taps − 1)·dilation + 1 frames every ``stride`` frames."""

    def produce(self, node: Node) -> int:
        """One frame, or one a phase."""
        return node.attributes_as(ConvAttributes).phases

    def windows(self, node: Node) -> tuple[Window, ...]:
        """The window's newest frame may lie in the future: that becomes latency."""
        a = node.attributes_as(ConvAttributes)
        reach = (node.constants["weight"].values.shape[2] - 1) * a.dilation
        return (Window(a.stride, a.before, reach - a.before),)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """ONNX's length."""
        a = node.attributes_as(ConvAttributes)
        reach = (node.constants["weight"].values.shape[2] - 1) * a.dilation + 1
        return ((lengths[0] + a.padded - reach) // a.stride + 1) * a.phases

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Sum in float64 (exact for integers), add the bias, requantize once; lay phases out along time."""
        (x,) = inputs
        a, weight = node.attributes_as(ConvAttributes), node.constants["weight"]
        values = weight.real if a.sums is None else weight.values
        per_phase = values.reshape(a.phases, -1, *values.shape[1:])  # the groups of each phase apart
        after, length = a.padded - a.before, graph.tensors[node.outputs[0]].length
        if length is not None and a.stride == 1:
            # A transposed convolution may reach beyond its last input frame, by firings that read zeros.
            reach = (values.shape[2] - 1) * a.dilation + 1
            after += -(-length // a.phases) - (x.shape[1] + a.padded - reach + 1)
        total = np.concatenate(
            [convolve(x, w, a.stride, a.dilation, a.groups, a.before, after) for w in per_phase]
        )
        rows = _settled(total, node, graph)
        unfolded = rows.reshape(a.phases, -1, rows.shape[1]).transpose(1, 2, 0)
        return unfolded.reshape(rows.shape[0] // a.phases, -1)[:, :length]

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Quantize the bias, prove the accumulator, choose the multipliers."""
        (x,) = inputs
        return _integers(node, x, output, node.constants["weight"].values, 1)

    def work(self, node: Node, graph: Graph) -> Work:
        """Multiply-accumulates of one firing."""
        a = node.attributes_as(ConvAttributes)
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        rows, inputs, taps = node.constants["weight"].values.shape
        depthwise = a.groups == x.channels == y.channels
        kind = {"int16": "w8a16", "int8": "w8a8", "float32": "f32"}[x.dtype]
        name = f"depthwise_{kind}" if depthwise else f"conv_{kind}"
        channels = rows // (a.groups * (a.phases if a.groups > 1 else 1))
        odd_groups = a.groups > 1 and not depthwise and (channels % 2 or inputs % 2)
        if (a.sums is not None and a.sums.wide) or (name == "conv_w8a16" and odd_groups):
            name = "conv_w8a16_wide"
        whole = a.dilation == 1 and a.groups == 1
        pitch = x.frame if a.groups == 1 else inputs
        weight_bytes = rows * inputs * taps * (4 if a.sums is None else 1) + rows * (
            4 if a.sums is None else 12
        )
        shape = (1, taps * pitch, channels, a.groups) if whole else (taps, pitch, channels, a.groups)
        if a.short:
            name, shape = "conv_w8a16_short", (taps, pitch, channels, a.groups)
            weight_bytes = -(-rows // 2) * packing.short_bytes(taps, pitch)
        return Work(
            name,
            macs=rows * inputs * taps,
            outputs=rows,
            reads=inputs * a.groups * taps * WIDTH[x.dtype],
            weight_bytes=weight_bytes,
            rows=rows if a.groups == 1 or (depthwise and a.phases == 1) else 1,
            shape=shape,
            calls=a.phases if a.groups > 1 else 1,
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_conv_…`` or ``vk_depthwise_…``, once a phase where groups and phases meet."""
        a = node.attributes_as(ConvAttributes)
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        weight = node.constants["weight"]
        bias = node.constants.get("bias", Constant(np.zeros(weight.values.shape[0])))
        layer = Layer(
            weight.real if a.sums is None else weight.values,
            bias.real if a.sums is None else bias.values,
            None if a.sums is None else node.constants["multiplier"].values,
            shift=0 if a.sums is None else a.sums.shift,
            stride=a.stride,
            dilation=a.dilation,
            groups=a.groups,
            is_wide=a.sums is not None and a.sums.wide,
            is_short=a.short,
        )
        step = a.phases * y.frame
        if a.groups > 1 and a.phases > 1:
            for phase, part in enumerate(layer.split(a.phases)):
                convolution_call(part, x, y, out, step, phase * y.frame, f"_{phase}")
        else:
            convolution_call(layer.with_pads(a.phases, y.frame), x, y, out, step)
        out.clip()


@family(ConvTranspose=ConvTransposeAttributes)
class TransposedConvolution(Family):
    """``stride`` frames per input frame; ``passes/lower.py`` makes a convolution of it."""

    def produce(self, node: Node) -> int:
        """The stride."""
        return node.attributes_as(ConvTransposeAttributes).stride

    def windows(self, node: Node) -> tuple[Window, ...]:
        """Those of the convolution that it becomes."""
        return FAMILIES["Conv"].windows(lower_transposed(node))

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """ONNX's length."""
        a = node.attributes_as(ConvTransposeAttributes)
        reach = (node.constants["weight"].values.shape[2] - 1) * a.dilation + 1
        return (lengths[0] - 1) * a.stride + reach - a.crop - a.trim

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Sum in float64 (exact for integers), add the bias, requantize once."""
        (x,) = inputs
        a, weight = node.attributes_as(ConvTransposeAttributes), node.constants["weight"]
        values = weight.real if a.sums is None else weight.values
        total = convolve_transposed(x, values, a.stride, a.dilation, a.groups, a.crop, a.trim)
        return _settled(total, node, graph)[:, : graph.tensors[node.outputs[0]].length]

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Only every stride-th tap reaches an output: each phase is bounded apart."""
        (x,) = inputs
        kernel = lower_transposed(node).constants["weight"].values
        return _integers(node, x, output, kernel, node.attributes_as(ConvTransposeAttributes).stride)

    def work(self, node: Node, graph: Graph) -> Work:
        """That of the convolution that it becomes."""
        return FAMILIES["Conv"].work(lower_transposed(node), graph)
