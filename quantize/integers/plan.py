"""Which nodes run in integers, and which tensors share a scale.

Integer: every convolution and matrix product with a constant weight, and what stands between them. Float:
the domain operators (PQMF, noise), what only they feed, exponentials, and sums with the audio input (the
audio edge).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from quantize.graph.graph import LINEAR, Graph, Node

# integers are moved, not computed: inputs and outputs share one scale
MOVEMENT = (
    "Concat", "Split", "Slice", "Pad", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze",
    "Expand", "Resize",
)  # fmt: skip
SAME_SCALE = (*MOVEMENT, "LeakyRelu", "Relu", "Clip")
TABLES = ("Tanh", "Sigmoid")
PRODUCTS = ("Add", "Sub", "Mul")
INTEGER = (*LINEAR, *SAME_SCALE, *TABLES, *PRODUCTS)
FUSED = ("Relu",)


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
    """

    graph: Graph
    integer: set[int]
    fused: dict[str, str]
    scale_class: dict[str, str]
    bits: dict[str, int] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)

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

    def linear_positions(self) -> list[int]:
        """Positions of the integer layers with weights."""
        return [p for p in sorted(self.integer) if self.graph.nodes[p].op in LINEAR]


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
        if reason:
            left[position] = reason
        else:
            integer.add(position)
            able.update(node.outputs)
    _release_dead_ends(graph, integer, consumers)
    released = set(range(len(graph.nodes))) - integer - set(left)
    left |= dict.fromkeys(released, "no layer with weights stands before or behind it")

    outputs = set(graph.output_names)
    fused: dict[str, str] = {}
    positions = {id(node): position for position, node in enumerate(graph.nodes)}
    for position in integer:
        node = graph.nodes[position]
        source = producers.get(node.inputs[0]) if node.inputs else None
        if (
            node.op in FUSED
            and source is not None
            and source.op in LINEAR
            and positions[id(source)] in integer
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
        if node.op in FUSED and node.inputs[0] in fused:
            continue
        tensors = [n for n in quantized_inputs(node, graph) if n] + [
            fused.get(n, n) for n in node.outputs if n
        ]
        for name in tensors:
            find(name)
        if node.op in SAME_SCALE:
            for name in tensors[1:]:
                parent[find(name)] = find(tensors[0])
    classes = {name: find(name) for name in parent}
    return Plan(graph, integer, fused, classes, {root: bits for root in set(classes.values())}, left)


def quantized_inputs(node: Node, graph: Graph) -> list[str]:
    """Inputs of an integer node that are activations (or constants treated as such)."""
    if node.op in PRODUCTS:
        return node.inputs[:2]
    if node.op == "Concat":
        return list(node.inputs)
    return node.inputs[:1]


def clip_bounds(node: Node, graph: Graph) -> tuple[float, float] | None:
    """Bounds of a Clip, infinite where it has none; None when they are computed or crossed."""
    bounds = []
    for place, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        given = node.inputs[place] if len(node.inputs) > place else ""
        if given and given not in graph.constants:
            return None
        value = graph.constants[given] if given else node.attributes.get(name, default)
        bounds.append(float(np.asarray(value).reshape(-1)[0]))
    return (bounds[0], bounds[1]) if bounds[0] <= bounds[1] else None


def audio_inputs(graph: Graph) -> set[str]:
    """Graph inputs that carry audio: their role says so, or, without metadata, a single channel."""
    described = graph.metadata.get("inputs")
    if described:
        return {entry["name"] for entry in described if entry.get("role") == "audio"}
    return {name for name in graph.input_names if len(s := graph.fixed_shape(name)) == 3 and s[1] == 1}


def _obstacle(node: Node, graph: Graph, able: set[str], audio: set[str]) -> str:
    """Why a node can't run in integers; "" when it can."""
    if node.is_domain:
        return "a function of the firmware that works in float"
    if node.domain not in ("", "ai.onnx") or node.op not in INTEGER:
        return "it has no integer form"
    if node.op in LINEAR:
        return _linear_obstacle(node, graph)
    operands = quantized_inputs(node, graph)
    if node.op in PRODUCTS and any(name in audio for name in operands):
        return "it meets the audio input"
    for name in operands:
        if name not in able and name not in graph.constants:
            return f"it reads {name}, which is float"
    if node.op == "Concat" and any(
        np.ndim(graph.constants[n]) == 0 for n in operands if n in graph.constants
    ):
        return "it joins a number"
    if node.op == "Clip" and clip_bounds(node, graph) is None:
        return "its bounds are computed"
    if node.op == "Resize" and node.attributes.get("mode", "nearest") != "nearest":
        return "it interpolates"
    if node.op == "Pad" and node.attributes.get("mode", "constant") != "constant":
        return "it pads with other values than a constant"
    if node.op == "Pad" and len(node.inputs) > 2 and _nonzero(graph, node.inputs[2]):
        return "it pads with another value than 0"
    return ""


def _linear_obstacle(node: Node, graph: Graph) -> str:
    weight = graph.constants.get(node.inputs[1])
    if weight is None or (len(node.inputs) > 2 and node.inputs[2] and node.inputs[2] not in graph.constants):
        return "its weights are computed"
    if weight.ndim not in (2, 3):
        return "it has more than one dimension of time"
    # one channel to one channel is a hold or a gain at the edge: nothing to win
    return "one channel to one channel" if weight.ndim == 3 and weight.shape[:2] == (1, 1) else ""


def _nonzero(graph: Graph, name: str) -> bool:
    return bool(name) and bool(np.any(graph.constants.get(name, np.zeros(1)) != 0))


def _release_dead_ends(graph: Graph, integer: set[int], consumers: dict[str, list[Node]]) -> None:
    """Give back to float what touches no linear layer: movement of inputs that only float nodes read."""
    positions = {id(node): position for position, node in enumerate(graph.nodes)}
    produced_by = {out: p for p, node in enumerate(graph.nodes) for out in node.outputs}

    def after_linear(position: int, seen: set[int]) -> bool:
        node = graph.nodes[position]
        if node.op in LINEAR:
            return True
        seen.add(position)
        sources = [produced_by[n] for n in node.inputs if n in produced_by]
        return any(s in integer and s not in seen and after_linear(s, seen) for s in sources)

    def before_linear(position: int, seen: set[int]) -> bool:
        node = graph.nodes[position]
        if node.op in LINEAR:
            return True
        seen.add(position)
        readers = [positions[id(r)] for out in node.outputs for r in consumers.get(out, [])]
        return any(r in integer and r not in seen and before_linear(r, seen) for r in readers)

    for position in sorted(integer):
        if not after_linear(position, set()) and not before_linear(position, set()):
            integer.discard(position)
