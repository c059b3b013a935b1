"""The quantized network: a plan executed in the integer arithmetic, trainable straight through."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from quantize.graph.graph import Node
from quantize.graph.layers import layers
from quantize.graph.network import Network, Values
from quantize.integers import arithmetic as integer
from quantize.integers.joins import Join, accumulator_scale
from quantize.integers.plan import Plan, Quantized, can_fuse, round_layer
from quantize.integers.weights import TOP, TOP_16, QuantizedLayer, channel_scales, room_for_bias
from quantize.operators import Layer, Operator, bias_of, known, layer_of
from quantize.operators.record import Call


@dataclass
class Pending:
    """What is read inside a joined sum, by the position of the layer that reads it."""

    reads: dict[int, torch.Tensor]


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
        for position, node, layer in layers(plan.graph):
            if position not in plan.integer:
                continue
            join = plan.joined(position)
            if join is not None and position != join.main.position:
                continue
            weight, bias = layer.with_factors(node, *self._parameters_numpy(node))
            first = room_for_bias(
                channel_scales(weight, layer.output_axis(node, weight.ndim), weight_method),
                bias,
                scales[plan.scale_class[node.inputs[0]]],
                layer.repeats(node),
            )
            if join is not None:
                known_scales = {part.source: scales[plan.scale_class[part.source]] for part in join.parts}
                first = accumulator_scale(join, plan.graph, first, known_scales)
            self.log_weight_scales[str(position)] = nn.Parameter(
                torch.from_numpy(np.log(first.astype(np.float64)))
            )

    def _parameters_numpy(self, node: Node) -> tuple[np.ndarray, np.ndarray | None]:
        bias = self.constant(bias_of(node)).detach().numpy() if bias_of(node) else None
        return self.constant(node.inputs[1]).detach().numpy(), bias

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

    def execute(self, node: Node, values: Values) -> tuple[Any, ...]:
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

    def _integer_operand(self, name: str, values: Values) -> torch.Tensor:
        """Fetch an activation as integers, quantizing graph inputs and constants on the way."""
        if name in values:
            value = values[name]
            return value.data if isinstance(value, Integers) else self._enter_integers(name, value).data
        bits = self.plan.width(name)
        top = float(integer.limits(bits)[1])
        whole = integer.round_weight(self.constant(name).to(torch.float64), self.scale(name), top)
        return whole.to(torch.float32)

    def _execute_integer(self, node: Node, values: Values) -> tuple[Any, ...]:
        record = known(node)
        assert record is not None  # else the plan would have left it in float
        position = self.position[id(node)]
        if self.plan.joined(position) is not None:
            return (self._inside(node, position, values),)
        if (join := self.plan.joins.get(position)) is not None:
            return (self._joined(node, join, values),)
        if record.layer is not None:
            return (self._layer(node, record.layer, values),)
        if can_fuse(node) and node.inputs[0] in self.plan.fused:
            return (values[node.inputs[0]],)
        operands = [self._integer_operand(name, values) for name in record.operands(node)]
        if record.movement is not None:
            return self._move(node, record, operands)
        assert record.integer is not None
        settings = (
            [self.operand(name, {}) for name in node.inputs[len(operands) :]] if record.weighted else []
        )
        call = Call(node, operands, self.plan.graph, self.scale, self.plan.width, settings)
        return (Integers(record.integer(call), node.outputs[0]),)

    def _move(self, node: Node, record: Operator, operands: list[torch.Tensor]) -> tuple[Integers, ...]:
        settings = [self.operand(name, {}) for name in node.inputs[len(operands) :]]
        moved = record.form(node, [*operands, *settings])
        parts = moved if isinstance(moved, tuple) else (moved,)
        return tuple(Integers(p, n) for p, n in zip(parts, node.outputs, strict=False))

    def _inside(self, node: Node, position: int, values: Values) -> Pending:
        """Put off what a joined sum will compute."""
        if layer_of(node) is not None:
            return Pending({position: self._integer_operand(node.inputs[0], values)})
        pending = [values[name] for name in node.inputs if isinstance(values.get(name), Pending)]
        return Pending({p: x for part in pending for p, x in part.reads.items()})

    def _joined(self, node: Node, join: Join, values: Values) -> Integers:
        """Sum all parts in one accumulator, requantize once."""
        reads = self._inside(node, join.position, values).reads
        scale = self.accumulator(join)
        terms: list[tuple[Node, torch.Tensor, torch.Tensor, torch.Tensor | None]] = []
        plain: list[tuple[torch.Tensor, torch.Tensor]] = []
        for part in join.parts:
            entering = self.scale(part.source)
            if part.position is None:
                times = integer.round_weight(torch.ones_like(scale), scale / entering, TOP_16)
                plain.append((self._integer_operand(part.source, values), times))
                continue
            layer = self.plan.graph.nodes[part.position]
            weight = self.constant(layer.inputs[1]).to(torch.float64)
            top = TOP if part is join.main else TOP_16
            whole = integer.round_weight(weight, (scale / entering)[:, None, None], top)
            bias = None
            if bias_of(layer):
                offset = self.constant(bias_of(layer)).to(torch.float64)
                bias = integer.round_weight(offset, integer.as_float32(scale), 2.0**31 - 1)
            terms.append((layer, reads[part.position], whole, bias))

        def accumulate(dtype: torch.dtype) -> torch.Tensor:
            made = [x.to(dtype) * times.to(dtype)[:, None] for x, times in plain]
            for layer, x, w, b in terms:
                record = known(layer)
                assert record is not None
                operands = [x.to(dtype), w.to(dtype), None if b is None else b.to(dtype)]
                made.append(record.form(layer, operands))
            total: torch.Tensor = functools.reduce(torch.add, made)
            return total

        out = node.outputs[0]
        return Integers(integer.requantize(accumulate, scale / self.scale(out), self.plan.width(out)), out)

    def accumulator(self, join: Join) -> torch.Tensor:
        """Scale of a joined sum's accumulator, for each output channel."""
        assert join.main.position is not None
        return self.scale(join.main.source) * self.weight_scale(join.main.position)

    def weight_scale(self, position: int) -> torch.Tensor:
        """Scale of each output channel of a layer, float64 that is exactly float32."""
        join = self.plan.joined(position)
        if join is not None and position != join.main.position:
            source = self.plan.graph.nodes[position].inputs[0]
            return integer.as_float32(self.accumulator(join) / self.scale(source))
        return integer.as_float32(torch.exp(self.log_weight_scales[str(position)]))

    def _layer(self, node: Node, layer: Layer, values: Values) -> Integers:
        position, record = self.position[id(node)], known(node)
        assert record is not None
        x = self._integer_operand(node.inputs[0], values)
        alpha, beta = layer.factors(node)
        weight = self.constant(node.inputs[1]).to(torch.float64) * alpha
        s_w, s_x = self.weight_scale(position), self.scale(node.inputs[0])
        shape = [1] * weight.ndim
        shape[layer.output_axis(node, weight.ndim)] = -1
        w = integer.round_weight(weight, s_w.reshape(shape), TOP)
        per_output = s_w.repeat(layer.repeats(node))
        b = None
        if bias_of(node):
            bias = self.constant(bias_of(node)).to(torch.float64).reshape(-1) * beta
            b = integer.round_weight(bias, integer.as_float32(s_x * per_output), 2.0**31 - 1)
        plain = layer.plain(node)

        def accumulate(dtype: torch.dtype) -> torch.Tensor:
            made: torch.Tensor = record.form(
                plain, [x.to(dtype), w.to(dtype), None if b is None else b.to(dtype)]
            )
            return made

        out = self.plan.fused.get(node.outputs[0], node.outputs[0])
        low = 0 if node.outputs[0] in self.plan.fused else None
        factor = s_x * per_output / self.scale(out)
        axis = layer.channel_axis(x.ndim)
        return Integers(integer.requantize(accumulate, factor, self.plan.width(out), low, axis), out)

    def to_quantized(self) -> Quantized:
        """Integers as they stand, ready to be written."""
        with torch.no_grad():
            scales = {
                root: float(torch.exp(self.log_scales[key]).to(torch.float32))
                for root, key in self.scale_index.items()
            }
            rounded: dict[int, QuantizedLayer] = {}
            for position in self.plan.linear_positions():
                node = self.plan.graph.nodes[position]
                join = self.plan.joined(position)
                rounded[position] = round_layer(
                    node,
                    *self._parameters_numpy(node),
                    scales[self.plan.scale_class[node.inputs[0]]],
                    self.weight_scale(position).to(torch.float32).numpy(),
                    TOP if join is None or position == join.main.position else TOP_16,
                )
        graph = self.to_graph()
        plan = replace(self.plan, graph=graph)
        return Quantized(plan, scales, rounded)

    def take_weights(self, other: QuantizedNetwork) -> None:
        """Take over the weights and their scales from a network of the same graph."""
        own = self.state_dict()
        kept = {n: v for n, v in other.state_dict().items() if not n.startswith("log_scales.")}
        self.load_state_dict(own | kept)
