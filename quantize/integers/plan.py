"""Which nodes run in integers, and which tensors share a scale.

Integer: every convolution and matrix product with a constant weight, and what stands between them. Float:
the domain operators (PQMF, noise), what only they feed, exponentials, and sums with the audio input (the
audio edge).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from quantize.graph.graph import Graph, Node
from quantize.integers.joins import Join, find_joins
from quantize.integers.weights import TOP, QuantizedLayer, quantize_layer
from quantize.operators import bias_of, known, layer_of
from quantize.operators.record import Channels

JOINED_KINDS = ("capture",)
"""Kinds of models whose sums are joined: narrow layers at audio rate, where a requantization costs as much as
what it requantizes. Of other kinds the integers stay those that their reports were made with."""


@dataclass
class Plan:
    """The integer part of a graph.

    Attributes
    ----------
    graph : Graph
        The float graph it is about.
    integer : set of int
        Positions of the nodes that run in integers.
    fused : dict of str to str
        Output of a linear layer → output of the ReLU that its requantization absorbs.
    scale_class : dict of str to str
        Quantized tensor → representative of the tensors that share its scale.
    bits : dict of str to int
        Width of each class, 16 unless changed.
    left : dict of int to str
        Position of a node that runs in float → why.
    joins : dict of int to Join
        Sums that take up the layers before them, by the position of the last addition.
    """

    graph: Graph
    integer: set[int]
    fused: dict[str, str]
    scale_class: dict[str, str]
    bits: dict[str, int] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)
    joins: dict[int, Join] = field(default_factory=dict)

    def joined(self, position: int) -> Join | None:
        """The sum whose inside a node is."""
        return next((join for join in self.joins.values() if position in join.inner), None)

    def width(self, tensor: str) -> int:
        """Bits of a quantized tensor."""
        return self.bits.get(self.scale_class[tensor], 16)

    def members(self) -> dict[str, list[str]]:
        """Class representative → its tensors, in graph order."""
        table: dict[str, list[str]] = {}
        for tensor, root in self.scale_class.items():
            table.setdefault(root, []).append(tensor)
        return table

    def constants(self) -> set[str]:
        """Operands of sums and products that are constants and quantized as activations are."""
        return {t for t in self.scale_class if t in self.graph.constants}

    def exact_scales(self) -> dict[str, float]:
        """Class representative → scale, where an operator makes its integers at one scale alone."""
        found = {}
        for position in self.integer:
            record = known(self.graph.nodes[position])
            if record is not None and record.exact_scale is not None:
                found[self.scale_class[self.graph.nodes[position].outputs[0]]] = record.exact_scale
        return found

    def linear_positions(self) -> list[int]:
        """Positions of the integer layers with weights."""
        return [p for p in sorted(self.integer) if layer_of(self.graph.nodes[p]) is not None]


@dataclass
class Quantized:
    """A plan carried out: a quantized model before it is written.

    Attributes
    ----------
    plan : Plan
        What is integer, and the widths.
    scales : dict of str to float
        Scale of every class.
    layers : dict of int to QuantizedLayer
        Node position → integers; positions that are missing are rounded to nearest when written.
    """

    plan: Plan
    scales: Mapping[str, float]
    layers: dict[int, QuantizedLayer]

    def scale(self, tensor: str) -> float:
        """Scale of a quantized tensor."""
        return self.scales[self.plan.scale_class[tensor]]

    def layer(self, position: int) -> QuantizedLayer:
        """Integers of a linear layer, rounded to nearest unless something better was stored."""
        if position not in self.layers:
            node, constants = self.plan.graph.nodes[position], self.plan.graph.constants
            bias = constants[bias_of(node)] if bias_of(node) else None
            weight = constants[node.inputs[1]]
            self.layers[position] = round_layer(node, weight, bias, self.scale(node.inputs[0]))
        return self.layers[position]


def round_layer(
    node: Node,
    weight: np.ndarray,
    bias: np.ndarray | None,
    input_scale: float,
    scale: np.ndarray | None = None,
    top: int = TOP,
) -> QuantizedLayer:
    """Integers of a layer: see ``weights.quantize_layer``."""
    layer = layer_of(node)
    assert layer is not None
    weight, bias = layer.with_factors(node, weight, bias)
    axis = layer.output_axis(node, weight.ndim)
    return quantize_layer(weight, bias, input_scale, axis, layer.repeats(node), scale, top)


def make_plan(graph: Graph, bits: int = 16) -> Plan:
    """Decide what runs in integers.

    Parameters
    ----------
    graph : Graph
        Float graph with folded constants.
    bits : int
        Width of all activations; per-class changes go into ``Plan.bits``.
    """
    producers, consumers = graph.producers(), graph.consumers()
    audio = audio_inputs(graph)
    able: set[str] = set(graph.input_names)
    integer: set[int] = set()
    left: dict[int, str] = {}
    for position, node in enumerate(graph.nodes):
        reason = _obstacle(node, graph, able, audio)
        record = known(node)
        if not reason and bits != 16 and record is not None and record.exact_scale is not None:
            reason = "its states need 16 bits"
        if reason:
            left[position] = reason
        else:
            integer.add(position)
            able.update(node.outputs)
    _release_dead_ends(graph, integer, consumers)
    joins = find_joins(graph, integer) if graph.about.kind in JOINED_KINDS and bits == 16 else {}
    inside = {position for join in joins.values() for position in join.inner}
    released = set(range(len(graph.nodes))) - integer - set(left)
    left |= dict.fromkeys(released, "no layer with weights stands before or behind it")

    outputs = set(graph.output_names)
    fused: dict[str, str] = {}
    positions = {id(node): position for position, node in enumerate(graph.nodes)}
    for position in integer:
        node = graph.nodes[position]
        source = producers.get(node.inputs[0]) if node.inputs else None
        if (
            can_fuse(node)
            and source is not None
            and layer_of(source) is not None
            and positions[id(source)] in integer
            and positions[id(source)] not in inside
            and len(consumers[node.inputs[0]]) == 1
            and node.inputs[0] not in outputs
        ):
            fused[node.inputs[0]] = node.outputs[0]

    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for position in sorted(integer):
        node = graph.nodes[position]
        if position in inside or (can_fuse(node) and node.inputs[0] in fused):
            continue
        reads = [n for n in quantized_inputs(node) if n]
        if position in joins:
            reads = list(dict.fromkeys(part.source for part in joins[position].parts))
        tensors = reads + [fused.get(n, n) for n in node.outputs if n]
        for name in tensors:
            find(name)
        record = known(node)
        if record is not None and record.keeps_scale:
            for name in tensors[1:]:
                parent[find(name)] = find(tensors[0])
    classes = {name: find(name) for name in parent}
    widths = {root: bits for root in set(classes.values())}
    return Plan(graph, integer, fused, classes, widths, left, joins)


def can_fuse(node: Node) -> bool:
    """Whether the requantization of a layer may take this node over."""
    record = known(node)
    return record is not None and record.fuses


def quantized_inputs(node: Node) -> list[str]:
    """Inputs of an integer node that are activations (or constants treated as such)."""
    record = known(node)
    return record.operands(node) if record is not None else []


def audio_inputs(graph: Graph) -> set[str]:
    """Graph inputs that carry audio: their role says so, or, without metadata, a single channel."""
    described = graph.about.inputs
    if described:
        return {spec.name for spec in described if spec.role == "audio"}
    return {name for name in graph.input_names if len(s := graph.fixed_shape(name)) == 3 and s[1] == 1}


def _obstacle(node: Node, graph: Graph, able: set[str], audio: set[str]) -> str:
    """Why a node can't run in integers; "" when it can."""
    if node.is_domain:
        return "a function of the firmware that works in float"
    record = known(node)
    if record is None or not record.has_integers:
        return "it has no integer form"
    if record.layer is not None:
        return _layer_obstacle(node, graph)
    if record.weighted:  # like a layer it takes floats into integers
        return record.obstacle(node, graph)
    operands = record.operands(node)
    if record.channels is Channels.UNITED and any(name in audio for name in operands):
        return "it meets the audio input"
    for name in operands:
        if name not in able and name not in graph.constants:
            return f"it reads {name}, which is float"
    return record.obstacle(node, graph)


def _layer_obstacle(node: Node, graph: Graph) -> str:
    weight, bias = graph.constants.get(node.inputs[1]), bias_of(node)
    if weight is None or (bias and bias not in graph.constants):
        return "its weights are computed"
    if weight.ndim not in (2, 3):
        return "it has more than one dimension of time"
    # one channel to one channel is a hold or a gain at the edge: nothing to win
    return "one channel to one channel" if weight.ndim == 3 and weight.shape[:2] == (1, 1) else ""


def _has_weights(node: Node) -> bool:
    """Whether it is a layer or a recurrent unit."""
    record = known(node)
    return record is not None and (record.layer is not None or record.weighted)


def _release_dead_ends(graph: Graph, integer: set[int], consumers: dict[str, list[Node]]) -> None:
    """Give back to float what touches no linear layer: movement of inputs that only float nodes read."""
    positions = {id(node): position for position, node in enumerate(graph.nodes)}
    produced_by = {out: p for p, node in enumerate(graph.nodes) for out in node.outputs}

    def after_linear(position: int, seen: set[int]) -> bool:
        node = graph.nodes[position]
        if _has_weights(node):
            return True
        seen.add(position)
        sources = [produced_by[n] for n in node.inputs if n in produced_by]
        return any(s in integer and s not in seen and after_linear(s, seen) for s in sources)

    def before_linear(position: int, seen: set[int]) -> bool:
        node = graph.nodes[position]
        if _has_weights(node):
            return True
        seen.add(position)
        readers = [positions[id(r)] for out in node.outputs for r in consumers.get(out, [])]
        return any(r in integer and r not in seen and before_linear(r, seen) for r in readers)

    for position in sorted(integer):
        if not after_linear(position, set()) and not before_linear(position, set()):
            integer.discard(position)
