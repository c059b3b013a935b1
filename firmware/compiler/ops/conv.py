"""Convolution, transposed convolution and dense layers: one inner loop for all of them.

A transposed convolution of stride s is a convolution with s·channels outputs per input frame (polyphase);
``lower`` rewrites it so. Gemm and MatMul are convolutions with one tap. Graph weights are always
``[outputs, inputs / groups, taps]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import WIDTH, Constant, Graph, Node, Quant
from firmware.compiler.judge import arithmetic
from firmware.compiler.ops.base import Family, Window, Work, family, reader
from firmware.compiler.read.values import Dim, Frames
from firmware.kernelgen import packing

MAX_TAPS = 65_536


def _ints(node: Any, name: str, count: int = 1) -> list[int]:
    """Read a list attribute of a 1-D convolution."""
    values = node.attributes[name]
    if len(values) != count:
        raise Refusal(
            f"its {name} have {len(values)} entries; this compiler streams 1-D convolutions, [1, "
            "channels, frames]."
        )
    return [int(v) for v in values]


def _weights(builder: Any, node: Any, channels: int) -> tuple[Constant, Constant | None]:
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


def _check_bias(bias: Constant | None, outputs: int) -> None:
    """One bias per output."""
    if bias is not None and bias.values.size != outputs:
        raise Refusal(f"it has {bias.values.size} biases for {outputs} output channels.")


def _strides(node: Any) -> tuple[int, int, int, list[int]]:
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
def read_conv(builder: Any, node: Any) -> None:
    """Any kernel, stride, dilation, groups, asymmetric pads."""
    source = builder.canonical(node.input[0])
    channels, length = builder.shapes[source][1:]
    weight, bias = _weights(builder, node, channels)
    stride, dilation, groups, pads = _strides(node)
    outputs, inputs, taps = weight.values.shape
    if channels != inputs * groups or outputs % groups:
        raise Refusal(
            f"its weights take {inputs * groups} channels in {groups} groups, but its input has {channels}."
        )
    _check_bias(bias, outputs)
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
        attrs={
            "stride": stride,
            "dilation": dilation,
            "groups": groups,
            "before": pads[0],
            "padded": sum(pads),
            "phases": 1,
        },
        constants={"weight": weight} | ({"bias": bias} if bias else {}),
    )
    builder.result(node, result)


@reader("CausalConvWithState")
def read_causal_conv(builder: Any, node: Any) -> None:
    """ONNX's depthwise causal convolution; the stream keeps its state itself, beginning with silence."""
    source = builder.canonical(node.input[0])
    channels, length = builder.shapes[source][1:]
    weight, bias = _weights(builder, node, channels)
    past = node.optional(3)
    if past is not None and (not builder.is_const(past) or np.any(builder.const(past).real != 0)):
        raise Refusal(
            "its past state is an input; leave it out, a stream keeps its own state from one block to "
            "the next."
        )
    if weight.values.shape[:2] != (channels, 1):
        raise Refusal(f"its weights must be [{channels}, 1, taps].")
    _check_bias(bias, channels)
    before = weight.values.shape[2] - 1
    attrs = {"stride": 1, "dilation": 1, "groups": channels, "before": before, "padded": before, "phases": 1}
    constants = {"weight": weight} | ({"bias": bias} if bias else {})
    name = node.output[0]
    result = builder.add_node(
        "Conv", [source], channels=channels, length=length, hint=name, attrs=attrs, constants=constants
    )
    activation = node.attributes["activation"]
    if activation in ("silu", "swish"):
        gate = builder.add_node("Sigmoid", [result], channels=channels, length=length, hint=f"{name}_gate")
        result = builder.add_node(
            "Mul", [result, gate], channels=channels, length=length, hint=f"{name}_silu"
        )
    elif activation != "none":
        raise Refusal(f"its activation {activation!r} is not known; use none or silu.")
    builder.result(node, result)


def _out_length(length: Dim, stride: int, reach: int, padded: int) -> Dim:
    """Frames a convolution gives."""
    return (length + (padded - reach)) // stride + 1


@reader("ConvTranspose")
def read_conv_transpose(builder: Any, node: Any) -> None:
    """Any kernel and stride, also kernel > stride."""
    source = builder.canonical(node.input[0])
    channels, length = builder.shapes[source][1:]
    weight, bias = _weights(builder, node, channels)
    stride, dilation, groups, pads = _strides(node)
    inputs, per_group, taps = weight.values.shape
    (extra,) = _ints(node, "output_padding")
    if inputs != channels or inputs % groups:
        raise Refusal(f"its weights take {inputs} channels in {groups} groups, but its input has {channels}.")
    if not 0 <= extra < max(stride, dilation):
        raise Refusal("its output_padding must be smaller than its stride.")
    _check_bias(bias, per_group * groups)
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
        attrs={
            "stride": stride,
            "dilation": dilation,
            "groups": groups,
            "crop": pads[0],
            "trim": pads[1] - extra,
        },
        constants={"weight": kernel} | ({"bias": bias} if bias else {}),
    )
    builder.result(node, result)


def _dense(builder: Any, node: Any, source: str, weight: Constant, bias: Constant | None) -> str:
    """Add a dense layer, ``weight`` being [outputs, inputs]."""
    channels, length = builder.shapes[source][1:]
    outputs, inputs = weight.values.shape
    if inputs != channels:
        raise Refusal(f"its weights take {inputs} channels, but its input has {channels}.")
    if not np.all(np.isfinite(weight.real)) or (bias is not None and not np.all(np.isfinite(bias.real))):
        raise Refusal("its weights are not all finite numbers; train or export the model again.")
    _check_bias(bias, outputs)
    kernel = Constant(weight.values[:, :, None], weight.scale, weight.axis)
    return builder.add_node(
        "Conv",
        [source],
        channels=outputs,
        length=length,
        hint=node.output[0],
        attrs={"stride": 1, "dilation": 1, "groups": 1, "before": 0, "padded": 0, "phases": 1},
        constants={"weight": kernel} | ({"bias": bias} if bias else {}),
    )


def transposed(constant: Constant) -> Constant:
    """Transpose a 2-D constant, its scale axis too."""
    return Constant(constant.values.T, constant.scale, 1 - constant.axis)


@reader("Gemm")
def read_gemm(builder: Any, node: Any) -> None:
    """A dense layer over ``[1, features]``."""
    if node.attributes["transA"]:
        raise Refusal("it transposes its activation; transpose the weights instead.")
    act = builder.act(node.input[0])
    weight = builder.const(node.input[1])
    if len(act.shape) != 2 or weight.values.ndim != 2:
        raise Refusal("it must multiply [1, features] by a matrix of weights.")
    weight = weight if node.attributes["transB"] else transposed(weight)
    alpha, beta = float(node.attributes["alpha"]), float(node.attributes["beta"])
    if alpha != 1.0:
        weight = Constant(weight.real * alpha)
    bias = None
    if (name := node.optional(2)) is not None:
        bias = builder.const(name)
        flat = np.broadcast_to(bias.real.reshape(-1) * beta, (weight.values.shape[0],))
        bias = Constant(flat) if beta != 1.0 or bias.values.ndim != 1 else bias
        if bias.values.size == 1 != weight.values.shape[0]:
            bias = Constant(flat)
    builder.result(node, _dense(builder, node, builder.canonical(node.input[0]), weight, bias), flat=True)


@reader("MatMul")
def read_matmul(builder: Any, node: Any) -> None:
    """A dense layer over the last axis (``x @ W``), or over channels (``W @ x``)."""
    left_is_const, right_is_const = builder.is_const(node.input[0]), builder.is_const(node.input[1])
    if left_is_const == right_is_const:
        raise Refusal(
            "it multiplies two activations; only weights known beforehand can be compiled (no attention)."
        )
    weight = builder.const(node.input[0 if left_is_const else 1])
    name = node.input[1 if left_is_const else 0]
    values = weight.values
    if values.ndim == 3 and values.shape[0] == 1 and (weight.scale is None or weight.scale.size == 1):
        weight = Constant(values[0], weight.scale, 0)
    if weight.values.ndim != 2:
        raise Refusal("its weights must be a matrix.")
    source, ntc = builder.either(name)
    rank = len(builder.act(name).shape)
    if left_is_const:
        if ntc or rank != 3:
            raise Refusal("weights on the left must multiply [1, channels, frames].")
        builder.result(node, _dense(builder, node, source, weight, None))
        return
    if rank == 2:
        builder.result(node, _dense(builder, node, source, transposed(weight), None), flat=True)
    elif ntc or builder.shapes[source][2] == 1:
        builder.result(node, _dense(builder, node, source, transposed(weight), None), ntc=True)
    else:
        raise Refusal("it mixes frames along time; a stream has no fixed number of them.")


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
    weight = node.constants["weight"]
    stride, dilation, crop = node.attrs["stride"], node.attrs["dilation"], node.attrs["crop"]
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
    attrs = {
        "stride": 1,
        "dilation": 1,
        "groups": node.attrs["groups"],
        "before": -oldest,
        "padded": count - 1,
        "phases": stride,
        "transposed": True,
    }
    for key in ("integer", "shift", "wide", "bound"):
        if key in node.attrs:
            attrs[key] = node.attrs[key]
    constants = {**node.constants, "weight": kernel}
    return replace(node, op="Conv", attrs=attrs, constants=constants)


@family
class Convolution(Family):
    """Reads a window of (taps − 1)·dilation + 1 frames every ``stride`` frames."""

    ops = ("Conv", "ConvTranspose")

    def produce(self, node: Node) -> int:
        """Transposed: ``stride`` frames per input frame."""
        return node.attrs["stride"] if node.op == "ConvTranspose" else node.attrs["phases"]

    def windows(self, node: Node) -> tuple[Window, ...]:
        """The window's newest frame may lie in the future: that becomes latency."""
        if node.op == "ConvTranspose":
            return self.windows(lower_transposed(node))
        reach = (node.constants["weight"].values.shape[2] - 1) * node.attrs["dilation"]
        return (Window(node.attrs["stride"], node.attrs["before"], reach - node.attrs["before"]),)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """ONNX's length."""
        reach = (node.constants["weight"].values.shape[2] - 1) * node.attrs["dilation"] + 1
        if node.op == "ConvTranspose":
            return (lengths[0] - 1) * node.attrs["stride"] + reach - node.attrs["crop"] - node.attrs["trim"]
        count = (lengths[0] + node.attrs["padded"] - reach) // node.attrs["stride"] + 1
        return count * node.attrs["phases"]

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Sum in float64 (exact for integers), add the bias, requantize once."""
        (x,) = inputs
        a, weight = node.attrs, node.constants["weight"]
        integer = bool(a.get("integer"))
        values = weight.values if integer else weight.real
        length = graph.tensors[node.outputs[0]].length
        if node.op == "ConvTranspose":
            total = convolve_transposed(
                x, values, a["stride"], a["dilation"], a["groups"], a["crop"], a["trim"]
            )
        else:
            total = self._rows(x, values, a, length)
        bias = node.constants.get("bias")
        if not integer:
            return self._unfold(total if bias is None else total + bias.real[:, None], node)[:, :length]
        quant = graph.tensors[node.outputs[0]].quant
        assert quant is not None and bias is not None
        acc = np.rint(total).astype(np.int64) + bias.values.astype(np.int64)[:, None]
        multiplier = node.constants["multiplier"].values
        result = arithmetic.requantize(acc, multiplier, a["shift"], quant.low, quant.high)
        return self._unfold(result, node)[:, :length]

    @staticmethod
    def _rows(x: np.ndarray, values: np.ndarray, a: Any, length: int | None) -> np.ndarray:
        """Convolve; with phases, the groups of each phase apart: [phases·channels, firings].

        ``length`` is that of an event graph's result: a transposed convolution may reach beyond its last
        input frame, by firings that read zeros.
        """
        after = a["padded"] - a["before"]
        if length is not None and a["phases"] > 1:
            reach = (values.shape[2] - 1) * a["dilation"] + 1
            after += -(-length // a["phases"]) - (x.shape[1] + a["padded"] - reach + 1)
        per_phase = values.reshape(a["phases"], -1, *values.shape[1:])
        return np.concatenate(
            [convolve(x, w, a["stride"], a["dilation"], a["groups"], a["before"], after) for w in per_phase]
        )

    @staticmethod
    def _unfold(rows: np.ndarray, node: Node) -> np.ndarray:
        """Lay the phases out along time."""
        phases = node.attrs.get("phases", 1)
        if phases == 1:
            return rows
        return rows.reshape(phases, -1, rows.shape[1]).transpose(1, 2, 0).reshape(rows.shape[0] // phases, -1)

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Quantize the bias, prove the accumulator, choose the multipliers."""
        weight = node.constants["weight"]
        if weight.scale is None:
            return None
        values = weight.values.astype(np.int64)
        if values.min() < -128 or values.max() > 127:
            raise Refusal(
                f"node {node.name!r}: its weights need more than 8 bits once their zero point is taken off; "
                "quantize weights symmetrically (int8, zero point 0)."
            )
        (x,) = inputs
        outputs = values.shape[0]
        scale = np.broadcast_to(np.asarray(weight.scale, np.float64), (outputs,)) * x.scale
        bias = node.constants.get("bias")
        real = np.zeros(outputs) if bias is None else bias.real
        whole = np.floor(real / scale + 0.5)
        if np.any(np.abs(whole) > arithmetic.INT32_MAX):
            worst = int(np.argmax(np.abs(whole)))
            raise Refusal(
                f"node {node.name!r}: the bias of channel {worst}, {real[worst]:.3g}, does not fit 32 "
                "bits at the "
                f"scale {scale[worst]:.3g}; calibrate again."
            )
        # Only every stride-th tap of a transposed convolution reaches an output: bound each phase apart.
        kernel, phases = (values, 1)
        if node.op == "ConvTranspose":
            kernel, phases = lower_transposed(node).constants["weight"].values, node.attrs["stride"]
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
        attrs = {**node.attrs, "integer": True, "shift": chosen.shift, "wide": wide, "bound": bound}
        return replace(node, attrs=attrs, constants=constants)

    def work(self, node: Node, graph: Graph) -> Work:
        """Multiply-accumulates of one firing."""
        if node.op == "ConvTranspose":
            return self.work(lower_transposed(node), graph)
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        rows, inputs, taps = node.constants["weight"].values.shape
        integer = bool(node.attrs.get("integer"))
        depthwise = node.attrs["groups"] == x.channels == y.channels
        kind = {"int16": "w8a16", "int8": "w8a8", "float32": "f32"}[x.dtype]
        name = f"depthwise_{kind}" if depthwise else f"conv_{kind}"
        groups, phases = node.attrs["groups"], node.attrs["phases"]
        channels = rows // (groups * (phases if groups > 1 else 1))
        odd_groups = groups > 1 and not depthwise and (channels % 2 or inputs % 2)
        if node.attrs.get("wide") or (name == "conv_w8a16" and odd_groups):
            name = "conv_w8a16_wide"
        whole = node.attrs["dilation"] == 1 and groups == 1
        pitch = x.frame if groups == 1 else inputs
        weight_bytes = rows * inputs * taps * (1 if integer else 4) + rows * (12 if integer else 4)
        shape = (1, taps * pitch, channels, groups) if whole else (taps, pitch, channels, groups)
        if node.attrs.get("short"):
            name, shape = "conv_w8a16_short", (taps, pitch, channels, groups)
            weight_bytes = -(-rows // 2) * packing.short_bytes(taps, pitch)
        return Work(
            name,
            macs=rows * inputs * taps,
            outputs=rows,
            reads=inputs * node.attrs["groups"] * taps * WIDTH[x.dtype],
            weight_bytes=weight_bytes,
            rows=rows if node.attrs["groups"] == 1 or (depthwise and node.attrs["phases"] == 1) else 1,
            shape=shape,
            calls=node.attrs["phases"] if node.attrs["groups"] > 1 else 1,
        )

    def emit(self, node: Node, graph: Graph, out: Any) -> None:
        """Call ``vk_conv_…`` or ``vk_depthwise_…``; weights are packed for the target."""
        from firmware.compiler.write.pack import convolution_calls

        convolution_calls(node, graph, out)
