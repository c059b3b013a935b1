"""Operators that are a few of the others: smooth activations, magnitudes, pooling, a gated convolution."""

from __future__ import annotations

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Attributes, Constant
from firmware.compiler.ops.activation import ClipAttributes, CurveAttributes
from firmware.compiler.ops.base import reader
from firmware.compiler.ops.conv import ConvAttributes, check_bias, read_weights
from firmware.compiler.ops.elementwise import PointwiseAttributes
from firmware.compiler.ops.movement import ShuffleAttributes
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue, Dim


class Chain:
    """Nodes added one after the other, element by element, where an activation's moves are still pending."""

    def __init__(self, builder: Builder, node: OnnxNode, ahead: bool = False):
        self.builder, self.node = builder, node
        act = builder.act(node.input[0])
        self.act = ActValue(act.base, act.shape, act.base_shape, act.chain)
        self.x: str = builder.canonical(node.input[0]) if ahead else act.base
        self.channels: int = builder.shapes[self.x][1]
        self.length: Dim = builder.shapes[self.x][2]

    def add(self, op: str, *inputs: str, attrs: Attributes | None = None) -> str:
        """Add a node: a sum, a product, or what ``attrs`` say."""
        return self.builder.add_node(
            op,
            list(inputs),
            channels=self.channels,
            length=self.length,
            hint=self.node.output[0],
            attrs=PointwiseAttributes() if attrs is None else attrs,
        )

    def function(self, op: str, x: str) -> str:
        """Add a smooth function."""
        return self.add(op, x, attrs=CurveAttributes())

    def affine(self, x: str, gain: float, offset: float = 0.0) -> str:
        """Add gain·x + offset."""
        row = {"gain": Constant(np.full(self.channels, gain))}
        if offset:
            row["offset"] = Constant(np.full(self.channels, offset))
        return self.builder.add_node(
            "Affine",
            [x],
            channels=self.channels,
            length=self.length,
            hint=self.node.output[0],
            attrs=PointwiseAttributes(),
            constants=row,
        )

    def positive(self) -> str:
        """Add max(x, 0)."""
        return self.add("Clip", self.x, attrs=ClipAttributes(low=0.0))

    def negative(self) -> str:
        """Add min(x, 0)."""
        return self.add("Clip", self.x, attrs=ClipAttributes(high=0.0))

    def result(self, name: str) -> None:
        """Give the node's output its value; the moves still to come stay."""
        self.builder.values[self.node.output[0]] = ActValue(
            name, self.act.shape, self.act.base_shape, self.act.chain
        )


@reader("Abs")
def read_abs(builder: Builder, node: OnnxNode) -> None:
    """max(x, 0) − min(x, 0)."""
    chain = Chain(builder, node)
    chain.result(chain.add("Sub", chain.positive(), chain.negative()))


@reader("Elu", "Selu", "Celu")
def read_elu(builder: Builder, node: OnnxNode) -> None:
    """gain·(max(x, 0) + α·(e^(min(x, 0)/s) − 1)), with s = α for Celu."""
    slope = float(node.attributes["alpha"])
    gain = float(node.attributes["gamma"]) if node.op_type == "Selu" else 1.0
    if not (np.isfinite(slope) and np.isfinite(gain)) or (node.op_type == "Celu" and slope == 0):
        raise Refusal("its slope is not a finite number other than zero.")
    chain = Chain(builder, node)
    below = chain.negative()
    if node.op_type == "Celu":
        below = chain.affine(below, 1.0 / slope)
    bent = chain.affine(chain.function("Exp", below), slope * gain, -slope * gain)
    above = chain.positive()
    chain.result(chain.add("Add", chain.affine(above, gain) if gain != 1.0 else above, bent))


@reader("Gelu")
def read_gelu(builder: Builder, node: OnnxNode) -> None:
    """x·Φ(x), Φ the normal distribution: by erf, or the approximation by tanh where the file asks for it."""
    chain = Chain(builder, node)
    if node.attributes["approximate"] == "tanh":
        cube = chain.add("Mul", chain.add("Mul", chain.x, chain.x), chain.x)
        inner = chain.add("Add", chain.x, chain.affine(cube, 0.044715))
        share = chain.function("Tanh", chain.affine(inner, float(np.sqrt(2.0 / np.pi))))
    else:
        share = chain.function("Erf", chain.affine(chain.x, float(np.sqrt(0.5))))
    chain.result(chain.add("Mul", chain.x, chain.affine(share, 0.5, 0.5)))


@reader("HardSwish")
def read_hard_swish(builder: Builder, node: OnnxNode) -> None:
    """x·clip(x/6 + ½, 0, 1)."""
    chain = Chain(builder, node)
    share = chain.add("Clip", chain.affine(chain.x, 1.0 / 6.0, 0.5), attrs=ClipAttributes(0.0, 1.0))
    chain.result(chain.add("Mul", chain.x, share))


@reader("Mish")
def read_mish(builder: Builder, node: OnnxNode) -> None:
    """x·tanh(softplus(x))."""
    chain = Chain(builder, node)
    chain.result(chain.add("Mul", chain.x, chain.function("Tanh", chain.function("Softplus", chain.x))))


def _pooling(node: OnnxNode) -> tuple[int, int, list[int]]:
    """Window, stride and pads of a 1-D pooling."""
    sizes, strides, pads = (node.attributes[name] for name in ("kernel_shape", "strides", "pads"))
    if (len(sizes), len(strides), len(pads)) != (1, 1, 2):
        raise Refusal("it pools over more than one axis; this compiler streams [1, channels, frames].")
    if node.attributes["dilations"] != [1]:
        raise Refusal("it pools with dilation; pool without.")
    if node.attributes["auto_pad"] not in ("NOTSET", "VALID"):
        raise Refusal("it pads by itself (auto_pad); write its pads.")
    window, stride = int(sizes[0]), int(strides[0])
    if not (0 < window <= 1 << 16 and 0 < stride <= 1 << 16) or min(pads) < 0 or max(pads) >= window:
        raise Refusal(f"its window is {window}, its stride {stride} and its pads are {list(pads)}.")
    return window, stride, [int(p) for p in pads]


@reader("AveragePool")
def read_average_pool(builder: Builder, node: OnnxNode) -> None:
    """A depthwise convolution whose weights are all 1/window."""
    window, stride, pads = _pooling(node)
    if any(pads) and not node.attributes["count_include_pad"]:
        raise Refusal(
            "it leaves its padding out of the mean, which differs at both ends; pool with "
            "count_include_pad=True."
        )
    chain = Chain(builder, node, ahead=True)
    length = (chain.length + (sum(pads) - window)) // stride + 1
    result = builder.add_node(
        "Conv",
        [chain.x],
        channels=chain.channels,
        length=length,
        hint=node.output[0],
        attrs=ConvAttributes(stride, groups=chain.channels, before=pads[0], padded=sum(pads)),
        constants={
            "weight": Constant(
                np.ones((chain.channels, 1, window), np.int64), np.full(chain.channels, 1.0 / window)
            )
        },
    )
    builder.result(node, result)


@reader("MaxPool")
def read_max_pool(builder: Builder, node: OnnxNode) -> None:
    """The larger of neighbours, max(a, b) = a + max(b − a, 0), for windows that do not overlap."""
    window, stride, pads = _pooling(node)
    if window != stride or any(pads):
        raise Refusal(
            f"it pools {window} frames every {stride} with pads {pads}; only windows that follow one another "
            "without padding are supported, else use a strided Conv."
        )
    chain = Chain(builder, node, ahead=True)
    length = chain.length // window
    channels = chain.channels

    def added(op: str, inputs: list[str], attrs: Attributes) -> str:
        return builder.add_node(
            op, inputs, channels=channels, length=length, hint=node.output[0], attrs=attrs
        )

    def picked(index: int) -> str:
        table = index * channels + np.arange(channels, dtype=np.int64)[None]
        return added("Shuffle", [chain.x], ShuffleAttributes(window, 1, table))

    largest = picked(0)
    for index in range(1, window):
        difference = added("Sub", [picked(index), largest], PointwiseAttributes())
        more = added("Clip", [difference], ClipAttributes(low=0.0))
        largest = added("Add", [largest, more], PointwiseAttributes())
    builder.result(node, largest)


@reader("CausalConvWithState")
def read_causal_conv(builder: Builder, node: OnnxNode) -> None:
    """ONNX's depthwise causal convolution; the stream keeps its state itself, beginning with silence."""
    source = builder.canonical(node.input[0])
    channels, length = builder.shapes[source][1:]
    weight, bias = read_weights(builder, node, channels)
    past = node.optional(3)
    if past is not None and (not builder.is_const(past) or np.any(builder.const(past).real != 0)):
        raise Refusal(
            "its past state is an input; leave it out, a stream keeps its own state from one block to "
            "the next."
        )
    if weight.values.shape[:2] != (channels, 1):
        raise Refusal(f"its weights must be [{channels}, 1, taps].")
    check_bias(bias, channels)
    before = weight.values.shape[2] - 1
    attrs = ConvAttributes(groups=channels, before=before, padded=before)
    constants = {"weight": weight} | ({"bias": bias} if bias else {})
    name = node.output[0]
    result = builder.add_node(
        "Conv", [source], channels=channels, length=length, hint=name, attrs=attrs, constants=constants
    )
    activation = node.attributes["activation"]
    if activation in ("silu", "swish"):
        gate = builder.add_node(
            "Sigmoid",
            [result],
            channels=channels,
            length=length,
            hint=f"{name}_gate",
            attrs=CurveAttributes(),
        )
        result = builder.add_node(
            "Mul",
            [result, gate],
            channels=channels,
            length=length,
            hint=f"{name}_silu",
            attrs=PointwiseAttributes(),
        )
    elif activation != "none":
        raise Refusal(f"its activation {activation!r} is not known; use none or silu.")
    builder.result(node, result)
