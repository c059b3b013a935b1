"""Convolutions along time, plain and transposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from common.refusal import Refusal
from quantize.graph.graph import Graph, Node
from quantize.operators.layer import Layer, Shape, groups_of
from quantize.operators.record import Operator, Trim, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor


def stride_of(node: Node) -> int:
    """Frames between two outputs, or between two inputs of a transposed convolution."""
    return int(node.attributes["strides"][0])


def dilation_of(node: Node) -> int:
    """Frames between two taps."""
    return int(node.attributes["dilations"][0])


def pads_of(node: Node) -> tuple[int, int]:
    """Begin and end padding; auto_pad is refused."""
    if node.attributes["auto_pad"] not in ("NOTSET", "VALID"):
        raise Refusal(
            f"node {node.name!r} ({node.op}) uses auto_pad; export with explicit pads, as torch does."
        )
    begin, end = node.attributes["pads"]
    return begin, end


def convolve(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Conv in one dimension, asymmetric pads allowed; x [N, Cin, T], w [Cout, Cin/group, K]."""
    x, weight, bias = (*inputs, None)[:3]
    begin, end = pads_of(node)
    if begin or end:
        x = F.pad(x, (begin, end))
    return F.conv1d(x, weight, bias, stride_of(node), 0, dilation_of(node), groups_of(node))


def convolve_transposed(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX ConvTranspose in one dimension; w [Cin, Cout/group, K]; the pads crop the full output."""
    x, weight, bias = (*inputs, None)[:3]
    if node.attributes["output_shape"] is not None:
        raise Refusal(f"node {node.name!r} (ConvTranspose) uses output_shape; export it with pads.")
    begin, end = pads_of(node)
    extra = node.attributes["output_padding"][0]
    y = F.conv_transpose1d(x, weight, bias, stride_of(node), 0, 0, groups_of(node), dilation_of(node))
    if extra:
        y = (
            F.pad(y, (0, extra))
            if bias is None
            else torch.cat([y, bias.reshape(1, -1, 1).expand(*y.shape[:2], extra)], 2)
        )
    return y[..., begin : y.shape[-1] - end] if begin or end else y


def _windows(x: np.ndarray, pads: tuple[int, int], span: int) -> np.ndarray:
    """All windows of `span` frames: [N, C, T', span]."""
    padded = np.pad(x, ((0, 0), (0, 0), pads))
    return np.lib.stride_tricks.sliding_window_view(padded, span, axis=2)


class Convolution(Layer):
    """Weight [Cout, Cin/group, K]."""

    along_time = True
    balances = True

    def output_axis(self, node: Node, rank: int) -> int:
        """First axis."""
        return 0

    def input_axis(self, node: Node) -> int:
        """Second axis."""
        return 1

    def macs(self, entering: Shape, leaving: Shape, weight: Shape) -> int:
        """Every output reads its window."""
        return int(np.prod(leaving)) * int(np.prod(weight[1:]))

    def absorbs(self, node: Node, graph: Graph) -> bool:
        """Where the weight is constant."""
        return node.inputs[1] in graph.constants

    def adapts(self, node: Node) -> bool:
        """Without groups."""
        return groups_of(node) == 1

    def rows(self, node: Node, x: np.ndarray, weight: Shape) -> np.ndarray:
        """One row an output frame: [rows, Cin·taps]."""
        kernel, dilation = int(weight[-1]), dilation_of(node)
        view = _windows(x, pads_of(node), (kernel - 1) * dilation + 1)[:, :, :: stride_of(node), ::dilation]
        return view.transpose(0, 2, 1, 3).reshape(-1, x.shape[1] * kernel)

    def matrices(self, node: Node, weight: np.ndarray) -> list[np.ndarray]:
        """One."""
        return [weight.reshape(weight.shape[0], -1)]

    def weight_of(self, node: Node, matrices: list[np.ndarray], shape: Shape) -> np.ndarray:
        """The one, as it was."""
        return matrices[0].reshape(shape)


class TransposedConvolution(Layer):
    """Weight [Cin, Cout/group, K]. Of stride s it is s convolutions of ⌈K/s⌉ taps over the same rows."""

    along_time = True

    def output_axis(self, node: Node, rank: int) -> int:
        """Second axis."""
        return 1

    def input_axis(self, node: Node) -> int:
        """First axis."""
        return 0

    def repeats(self, node: Node) -> int:
        """Once a group."""
        return groups_of(node)

    def macs(self, entering: Shape, leaving: Shape, weight: Shape) -> int:
        """Every input is spread over its window."""
        return int(np.prod(entering)) * int(np.prod(weight[1:]))

    def absorbs(self, node: Node, graph: Graph) -> bool:
        """Where the weight is constant and the axis counts all channels."""
        return node.inputs[1] in graph.constants and groups_of(node) == 1

    def adapts(self, node: Node) -> bool:
        """Without groups and dilation."""
        return groups_of(node) == 1 and dilation_of(node) == 1

    def _taps(self, node: Node, weight: Shape) -> int:
        return -(-int(weight[2]) // stride_of(node))

    def rows(self, node: Node, x: np.ndarray, weight: Shape) -> np.ndarray:
        """One row an input frame, newest tap first: [rows, Cin·taps]."""
        taps = self._taps(node, weight)
        view = _windows(x, (taps - 1, taps - 1), taps)[..., ::-1]
        return view.transpose(0, 2, 1, 3).reshape(-1, x.shape[1] * taps)

    def matrices(self, node: Node, weight: np.ndarray) -> list[np.ndarray]:
        """One a phase, zeros where it has fewer taps."""
        found = []
        for phase in range(stride_of(node)):
            part = weight[:, :, phase :: stride_of(node)]
            full = np.zeros((*weight.shape[:2], self._taps(node, weight.shape)))
            full[:, :, : part.shape[2]] = part
            found.append(full.transpose(1, 0, 2).reshape(weight.shape[1], -1))
        return found

    def weight_of(self, node: Node, matrices: list[np.ndarray], shape: Shape) -> np.ndarray:
        """Phases one after the other."""
        stride, taps = stride_of(node), self._taps(node, shape)
        weight = np.zeros(tuple(shape))
        for phase, matrix in enumerate(matrices):
            part = matrix.reshape(shape[1], shape[0], taps).transpose(1, 0, 2)
            weight[:, :, phase::stride] = part[:, :, : weight[:, :, phase::stride].shape[2]]
        return weight


def _shrink_groups(trim: Trim, node: Node, original: Node) -> None:
    """A depthwise layer has one group for each input that is left."""
    groups, source = groups_of(original), original.inputs[0]
    if groups > 1 and trim.knows(source) and trim.width(source) == groups:
        node.attributes["group"] = trim.left(original.inputs[0], 1)


def _write_convolution(w: Writer, node: Node) -> None:
    """CONV_2D, or DEPTHWISE_CONV_2D, over one row; padding stands before it."""
    out, groups = node.outputs[0], groups_of(node)
    x = w.read(node.inputs[0])
    depthwise = groups > 1 and groups == w.shapes[node.inputs[0]][1]
    if depthwise:
        weight, bias = w.weights(node, lambda v: v.transpose(1, 2, 0)[None], 3)
    else:
        weight, bias = w.weights(node, lambda v: v.transpose(0, 2, 1)[:, None], 0)
    x = w.padded(x, pads_of(node), out)
    fields = {
        "padding": w.VALID,
        "strideH": 1,
        "strideW": stride_of(node),
        "dilationHFactor": 1,
        "dilationWFactor": dilation_of(node),
        "fusedActivationFunction": w.activation(node),
    }
    if depthwise:
        fields["depthMultiplier"] = w.shapes[out][1] // groups
        w.add(
            "DEPTHWISE_CONV_2D",
            [x, weight, bias],
            [w.result(w.target(node))],
            "DepthwiseConv2DOptions",
            **fields,
        )
    else:
        w.add("CONV_2D", [x, weight, bias], [w.result(w.target(node))], "Conv2DOptions", **fields)


def _write_transposed(w: Writer, node: Node) -> None:
    """TRANSPOSE_CONV, cropped."""
    if groups_of(node) != 1 or dilation_of(node) != 1:
        raise Refusal(
            f"node {node.name!r} (ConvTranspose) is grouped or dilated, which TFLite has no kernel for."
        )
    x = w.read(node.inputs[0])
    weight, bias = w.weights(node, lambda v: v.transpose(1, 2, 0)[:, None], 0)
    write_upsampling(w, node, x, weight, bias, stride_of(node), pads_of(node)[0])


def write_upsampling(w: Writer, node: Node, x: int, weight: int, bias: int, stride: int, crop: int) -> None:
    """Write a transposed convolution of tensors that are there already, cropped at its beginning."""
    out, target = node.outputs[0], w.target(node)
    _, channels, length = w.shapes[out]
    full = (w.shapes[node.inputs[0]][2] - 1) * stride + w.sizes(weight)[2]
    whole = [1, 1, full, channels]
    size = w.constant(f"{out}/size", np.array(whole, np.int32))
    result = w.result(target)
    made = w.like(f"{out}/uncropped", whole, result)
    fields = {"padding": w.VALID, "strideH": 1, "strideW": stride}
    w.add("TRANSPOSE_CONV", [size, weight, x, bias], [made], "TransposeConvOptions", **fields)
    if target != out:  # a ReLU that the layer takes over
        positive = w.like(f"{out}/positive", whole, result)
        w.add("RELU", [made], [positive])
        made = positive
    w.slice(made, result, [0, 0, crop, 0], [1, 1, length, channels], out)


register(
    Operator(
        "Conv",
        convolve,
        layer=Convolution(),
        shrink=_shrink_groups,
        tflite=_write_convolution,
    ),
    Operator(
        "ConvTranspose",
        convolve_transposed,
        layer=TransposedConvolution(),
        shrink=_shrink_groups,
        tflite=_write_transposed,
    ),
)
