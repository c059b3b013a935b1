"""Slopes and clamps: what integers do by arithmetic, on the scale of what they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from common.refusal import Refusal
from quantize.graph.graph import Graph, Node
from quantize.integers import arithmetic
from quantize.operators.record import Bounds, Call, Channels, Operator, Scale, register, two_inputs

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor


def relu(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Relu."""
    return F.relu(inputs[0])


def integer_relu(call: Call) -> Tensor:
    """Nothing below 0."""
    return torch.relu(call.inputs[0])


def slope_of(node: Node) -> float:
    """Slope of a leaky ReLU below 0."""
    return float(node.attributes["alpha"])


def leaky(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX LeakyRelu."""
    return F.leaky_relu(inputs[0], slope_of(node))


def integer_leaky(call: Call) -> Tensor:
    """Q15 slope."""
    return arithmetic.leaky(call.inputs[0], slope_of(call.node), call.made_bits)


def _leaky_matters(node: Node, graph: Graph, bounds: Bounds | None) -> Bounds | None:
    """The lower bound is reached at bound / slope."""
    if bounds is None:
        return None
    slope = slope_of(node)
    return (bounds[0] / slope if slope > 0 else -np.inf, bounds[1])


def _write_leaky(w: Writer, node: Node) -> None:
    x, y = w.read(node.inputs[0]), w.result(node.outputs[0])
    w.add("LEAKY_RELU", [x], [y], "LeakyReluOptions", alpha=slope_of(node))


def prelu(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX PRelu: a leaky ReLU whose slopes are an operand."""
    return torch.where(inputs[0] >= 0, inputs[0], inputs[0] * inputs[1])


def clip(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Clip."""
    y, low, high = (*inputs, None, None)[:3]
    if low is not None:
        y = torch.clamp(y, min=float(low))
    return y if high is None else torch.clamp(y, max=float(high))


def clip_bounds(node: Node, graph: Graph) -> Bounds | None:
    """Bounds of a Clip, infinite where it has none; None when they are computed or crossed."""
    bounds = []
    for place, unbounded in ((1, -np.inf), (2, np.inf)):
        given = node.inputs[place] if len(node.inputs) > place else ""
        if given and given not in graph.constants:
            return None
        value = graph.constants[given] if given else unbounded
        bounds.append(float(np.asarray(value).reshape(-1)[0]))
    return (bounds[0], bounds[1]) if bounds[0] <= bounds[1] else None


def integer_clip(call: Call) -> Tensor:
    """Bounds rounded to whole numbers."""
    bounds = clip_bounds(call.node, call.graph)
    assert bounds is not None  # else the plan would have left it in float
    return arithmetic.clip(call.inputs[0], bounds, call.made_scale, call.made_bits)


def _clip_obstacle(node: Node, graph: Graph) -> str:
    return "its bounds are computed" if clip_bounds(node, graph) is None else ""


def _clip_matters(node: Node, graph: Graph, bounds: Bounds | None) -> Bounds | None:
    return clip_bounds(node, graph)


def _write_clip(w: Writer, node: Node) -> None:
    """A maximum and a minimum; between integers their constants have the tensor's own scale."""
    source, out = node.inputs[0], node.outputs[0]
    current = w.read(source)
    bounds = clip_bounds(node, w.graph)
    if bounds is None:
        raise Refusal(f"node {node.name!r} (Clip) computes its bounds; export them as constants.")
    steps = [("MAXIMUM", bounds[0]), ("MINIMUM", bounds[1])]
    steps = [(code, bound) for code, bound in steps if np.isfinite(bound)]
    if not steps:
        raise Refusal(f"node {node.name!r} (Clip) has no bounds; leave it out.")
    for index, (code, bound) in enumerate(steps):
        last = index == len(steps) - 1
        other = w.number(f"{out}/bound{index}", bound, out, current)
        result = w.result(out) if last else w.like(f"{out}/low", w.sizes(current), current)
        w.add(code, [current, other], [result], "MaximumMinimumOptions")
        current = result


register(
    Operator(
        "Relu",
        relu,
        channels=Channels.KEPT,
        homogeneous=True,
        scale=Scale.SAME,
        integer=integer_relu,
        fuses=True,
        tflite=lambda w, node: w.kernel(node, "RELU"),
    ),
    Operator(
        "LeakyRelu",
        leaky,
        channels=Channels.KEPT,
        homogeneous=True,
        scale=Scale.SAME,
        integer=integer_leaky,
        matters=_leaky_matters,
        tflite=_write_leaky,
    ),
    Operator("PRelu", prelu, operands=two_inputs, channels=Channels.UNITED),
    Operator(
        "Clip",
        clip,
        trainable_settings=False,
        channels=Channels.KEPT,
        scale=Scale.SAME,
        integer=integer_clip,
        obstacle=_clip_obstacle,
        matters=_clip_matters,
        tflite=_write_clip,
    ),
)
