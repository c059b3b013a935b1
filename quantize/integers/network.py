"""The quantized network: a plan executed in the integer arithmetic, trainable straight through."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from quantize.graph.graph import LINEAR, Node
from quantize.graph.network import Network
from quantize.graph.operators import OPERATORS
from quantize.integers import arithmetic as integer
from quantize.integers.plan import FUSED, MOVEMENT, TABLES, Plan, clip_bounds
from quantize.integers.qdq import Quantized, linear_parameters
from quantize.integers.weights import (
    TOP,
    QuantizedLayer,
    channel_scales,
    output_axis,
    quantize_layer,
    room_for_bias,
)


@dataclass
class Integers:
    """An activation in the integer part: whole numbers in float32, and the tensor whose scale they have."""

    data: torch.Tensor
    tensor: str


class QuantizedNetwork(Network):
    """Execute a plan with exact integers; parameters are the float weights and the scales.

    The arithmetic is that of docs/design.md#arithmetic.

    Parameters
    ----------
    plan : Plan
        What is integer, and the widths.
    scales : mapping of str to float
        Scale of every class, from calibration.
    weight_method : {"minmax", "mse"}
        First estimate of the weight scales.
    learn_activation_scales : bool
        Whether the scales of 8-bit activations are trained too (16-bit ones have nothing to gain).
    """

    def __init__(
        self,
        plan: Plan,
        scales: Mapping[str, float],
        weight_method: str = "mse",
        learn_activation_scales: bool = True,
    ):
        super().__init__(plan.graph)
        self.plan = plan
        self.position = {id(node): p for p, node in enumerate(plan.graph.nodes)}
        self.scale_index = {root: f"s{i}" for i, root in enumerate(scales)}
        self.log_scales = nn.ParameterDict()
        for root, scale in scales.items():
            learned = learn_activation_scales and plan.bits.get(root, 16) == 8
            self.log_scales[self.scale_index[root]] = nn.Parameter(
                torch.tensor(math.log(scale), dtype=torch.float64), requires_grad=learned
            )
        self.log_weight_scales = nn.ParameterDict()
        for position in plan.linear_positions():
            node = plan.graph.nodes[position]
            weight, bias = self._parameters_numpy(node)
            axis = output_axis(node, weight.ndim)
            groups = node.attributes.get("group", 1) if node.op == "ConvTranspose" else 1
            first = room_for_bias(
                channel_scales(weight, axis, weight_method),
                bias,
                scales[plan.scale_class[node.inputs[0]]],
                groups,
            )
            self.log_weight_scales[str(position)] = nn.Parameter(
                torch.from_numpy(np.log(first.astype(np.float64)))
            )

    def _parameters_numpy(self, node: Node) -> tuple[np.ndarray, np.ndarray | None]:
        bias = (
            self.constant(node.inputs[2]).detach().numpy()
            if len(node.inputs) > 2 and node.inputs[2]
            else None
        )
        return linear_parameters(node, self.constant(node.inputs[1]).detach().numpy(), bias)

    def scale(self, tensor: str) -> torch.Tensor:
        """Scale of a quantized tensor: float64 that is exactly a float32."""
        key = self.scale_index[self.plan.scale_class[tensor]]
        return integer.as_float32(torch.exp(self.log_scales[key]))

    def leave(self, value: Any) -> torch.Tensor:
        """Dequantize what is integer."""
        return (
            integer.dequantize(value.data, self.scale(value.tensor)) if isinstance(value, Integers) else value
        )

    def integers(self, feeds: dict[str, torch.Tensor], tensors: list[str]) -> dict[str, np.ndarray]:
        """Integer values of quantized tensors, int64, for the tests of bit equality."""
        with torch.no_grad():
            values = self(feeds, keep=tensors)
            return {
                t: torch.round(values[t].to(torch.float64) / self.scale(t)).to(torch.int64).numpy()
                for t in tensors
            }

    def execute(self, node: Node, values: dict[str, Any]) -> tuple[Any, ...]:
        """Run a node in integers where the plan says so, else in float."""
        if self.position[id(node)] in self.plan.integer:
            return self._execute_integer(node, values)
        floats = {name: self.leave(values[name]) for name in node.inputs if name in values}
        results = super().execute(node, floats)
        return tuple(
            self._enter_integers(name, value) if name in self.plan.scale_class else value
            for name, value in zip(node.outputs, results, strict=False)
        )

    def _enter_integers(self, name: str, value: torch.Tensor) -> Integers:
        return Integers(integer.quantize(value, self.scale(name), self.plan.width(name)), name)

    def _integer_operand(self, name: str, values: dict[str, Any]) -> torch.Tensor:
        """Fetch an activation as integers, quantizing graph inputs and constants on the way."""
        if name in values:
            value = values[name]
            return value.data if isinstance(value, Integers) else self._enter_integers(name, value).data
        bits = self.plan.width(name)
        top = float(integer.limits(bits)[1])
        whole = integer.round_weight(self.constant(name).to(torch.float64), self.scale(name), top)
        return whole.to(torch.float32)

    def _execute_integer(self, node: Node, values: dict[str, Any]) -> tuple[Any, ...]:
        if node.op in LINEAR:
            return (self._linear(node, values),)
        first, out = node.inputs[0], node.outputs[0]
        if node.op in FUSED and first in self.plan.fused:
            return (values[first],)
        bits = self.plan.width(out)
        if node.op in MOVEMENT:
            count = len(node.inputs) if node.op == "Concat" else 1
            inputs: list[Any] = [self._integer_operand(name, values) for name in node.inputs[:count]]
            inputs += [self.operand(name, {}) for name in node.inputs[count:]]
            moved = OPERATORS[node.op](node, inputs)
            parts = moved if isinstance(moved, tuple) else (moved,)
            return tuple(Integers(p, n) for p, n in zip(parts, node.outputs, strict=False))
        x = self._integer_operand(first, values)
        if node.op == "Relu":
            return (Integers(torch.relu(x), out),)
        if node.op == "LeakyRelu":
            return (Integers(integer.leaky(x, node.attributes.get("alpha", 0.01), bits), out),)
        if node.op == "Clip":
            bounds = clip_bounds(node, self.plan.graph)
            assert bounds is not None  # else the plan would have left it in float
            return (Integers(integer.clip(x, bounds, self.scale(out), bits), out),)
        if node.op in TABLES:
            width = self.plan.width(first)
            return (
                Integers(integer.table(x, node.op, self.scale(first), self.scale(out), width, bits), out),
            )
        other = node.inputs[1]
        y = self._integer_operand(other, values)
        s_a, s_b, s_y = self.scale(first), self.scale(other), self.scale(out)
        if node.op == "Mul":
            factor = (s_a * s_b / s_y).reshape(1)
            return (Integers(integer.requantize(lambda d: x.to(d) * y.to(d), factor, bits), out),)
        sign = -1.0 if node.op == "Sub" else 1.0
        widths = (self.plan.width(first), self.plan.width(other))
        return (Integers(integer.blend((x, y), (s_a / s_y, sign * s_b / s_y), bits, widths), out),)

    def weight_scale(self, position: int) -> torch.Tensor:
        """Scale of each output channel of a layer, float64 that is exactly float32."""
        return integer.as_float32(torch.exp(self.log_weight_scales[str(position)]))

    def _linear(self, node: Node, values: dict[str, Any]) -> Integers:
        position = self.position[id(node)]
        x = self._integer_operand(node.inputs[0], values)
        weight = self.constant(node.inputs[1]).to(torch.float64)
        bias = (
            self.constant(node.inputs[2]).to(torch.float64)
            if len(node.inputs) > 2 and node.inputs[2]
            else None
        )
        if node.op == "Gemm":
            weight = weight * node.attributes.get("alpha", 1.0)
            bias = None if bias is None else bias.reshape(-1) * node.attributes.get("beta", 1.0)
        axis = output_axis(node, weight.ndim)
        s_w, s_x = self.weight_scale(position), self.scale(node.inputs[0])
        shape = [1] * weight.ndim
        shape[axis] = -1
        w = integer.round_weight(weight, s_w.reshape(shape), TOP)
        groups = node.attributes.get("group", 1) if node.op == "ConvTranspose" else 1
        per_output = s_w.repeat(groups)
        b = None
        if bias is not None:
            b = integer.round_weight(bias, integer.as_float32(s_x * per_output), 2.0**31 - 1)
        plain = Node(node.op, node.inputs, node.outputs, dict(node.attributes), "", node.name)
        if node.op == "Gemm":
            plain.attributes.update(alpha=1.0, beta=1.0)

        def accumulate(dtype: torch.dtype) -> torch.Tensor:
            return OPERATORS[node.op](plain, [x.to(dtype), w.to(dtype), None if b is None else b.to(dtype)])

        out = self.plan.fused.get(node.outputs[0], node.outputs[0])
        low = 0 if node.outputs[0] in self.plan.fused else None
        factor = s_x * per_output / self.scale(out)
        channel = x.ndim - 1 if node.op in ("Gemm", "MatMul") else 1
        return Integers(integer.requantize(accumulate, factor, self.plan.width(out), low, channel), out)

    def to_quantized(self) -> Quantized:
        """Integers as they stand, ready to be written."""
        with torch.no_grad():
            scales = {
                root: float(torch.exp(self.log_scales[key]).to(torch.float32))
                for root, key in self.scale_index.items()
            }
            layers: dict[int, QuantizedLayer] = {}
            for position in self.plan.linear_positions():
                node = self.plan.graph.nodes[position]
                weight, bias = self._parameters_numpy(node)
                layers[position] = quantize_layer(
                    node,
                    weight,
                    bias,
                    scales[self.plan.scale_class[node.inputs[0]]],
                    self.weight_scale(position).to(torch.float32).numpy(),
                )
        graph = self.to_graph()
        plan = replace(self.plan, graph=graph)
        return Quantized(plan, scales, layers)

    def take_weights(self, other: QuantizedNetwork) -> None:
        """Take over the weights and their scales from a network of the same graph."""
        own = self.state_dict()
        kept = {n: v for n, v in other.state_dict().items() if not n.startswith("log_scales.")}
        self.load_state_dict(own | kept)
