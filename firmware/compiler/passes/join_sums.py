"""Layers and signals that are added without a Q between become one sum; a function behind it, part of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from firmware.compiler.graph import Constant, Graph, Node, Quant, remove_dead
from firmware.compiler.judge import arithmetic
from firmware.compiler.judge.arithmetic import LIMITS
from firmware.compiler.ops.activation import CurveAttributes
from firmware.compiler.ops.conv import ConvAttributes
from firmware.compiler.ops.joined import JoinedAttributes, Tap
from firmware.kernelgen.packing import joined_curve

MOST_TAPS, MOST_ELEMENTS = 32, 192
"""Of a sum: what is written out in straight lines must stay short."""
INT16_MAX = 32767


@dataclass(frozen=True)
class _Part:
    """One operand of a sum: a layer, or a signal as it is; ``source``: the integers it reads."""

    source: str
    layer: Node | None

    @property
    def cost(self) -> int:
        """Multiply-accumulates."""
        return 0 if self.layer is None else self.layer.constants["weight"].values.size


def join_sums(graph: Graph) -> Graph:
    """Make one node of every tree of sums that stands between Dequantize and Quantize.

    Exact by definition: the numbers are those of docs/design.md#arithmetic for joined sums. What does not
    fit (weights beyond int16 at the accumulator's scale, sums beyond 2^31) is left to float. Where there are
    such sums a layer alone is written as one too: the numbers are the same, the code for it is quicker.
    """
    if graph.event:
        return graph
    tensors = dict(graph.tensors)
    producer, consumers = graph.producer(), graph.consumers()
    nodes = {n.name: n for n in graph.nodes}
    alone: dict[str, Node] = {}
    for node in graph.nodes:
        quant = tensors[node.outputs[0]].quant
        if node.op != "Quantize" or quant is None or quant.dtype != "int16":
            continue
        parts = _operands(node.inputs[0], graph, producer, consumers)
        if parts is None or not any(part.layer for part in parts):
            continue
        joined = _joined(node, parts, quant, graph)
        if joined is not None:
            (nodes if len(parts) > 1 else alone)[node.name] = joined
    if any(node.op == "Joined" for node in nodes.values()):
        nodes |= alone
    return remove_dead(graph.with_nodes(nodes.values(), tensors))


def _operands(
    name: str, graph: Graph, producer: dict[str, Node], consumers: dict[str, list[Node]]
) -> list[_Part] | None:
    """Operands of a tree of sums that nobody else reads; None where one of them is something else."""
    node = producer.get(name)
    if node is None or name in graph.outputs:
        return None
    if node.op == "Dequantize":
        quant = graph.tensors[node.inputs[0]].quant
        return [_Part(node.inputs[0], None)] if quant and quant.dtype == "int16" else None
    if len(consumers[name]) != 1:
        return None
    if node.op == "Add" and len(set(node.inputs)) == 2:
        found: list[_Part] = []
        for operand in node.inputs:
            more = _operands(operand, graph, producer, consumers)
            if more is None:
                return None
            found += more
        return found
    a = node.attrs
    if not isinstance(a, ConvAttributes) or a.stride != 1 or a.groups != 1 or a.phases != 1:
        return None
    reach = (node.constants["weight"].values.shape[2] - 1) * a.dilation
    source = producer.get(node.inputs[0])
    if node.constants["weight"].scale is None or a.before != reach or a.padded != reach:
        return None
    if source is None or source.op != "Dequantize":
        return None
    quant = graph.tensors[source.inputs[0]].quant
    return [_Part(source.inputs[0], node)] if quant and quant.dtype == "int16" else None


def _joined(node: Node, parts: list[_Part], output: Quant, graph: Graph) -> Node | None:
    """One sum of its parts, or None where it does not fit."""
    main = max(parts, key=lambda part: part.cost)
    assert main.layer is not None
    rows = main.layer.constants["weight"].values.shape[0]
    scale = _quant(graph, main.source).scale * np.broadcast_to(
        np.asarray(main.layer.constants["weight"].scale, np.float64), (rows,)
    )
    inputs = list(dict.fromkeys(part.source for part in parts))
    taps: list[Tap] = []
    columns: list[np.ndarray] = []
    bias, bound = np.zeros(rows), np.zeros(rows, np.int64)
    for part in parts:
        quant, channels = _quant(graph, part.source), graph.tensors[part.source].channels
        if part.layer is None:
            if channels != rows:
                return None
            kernel, backs = np.eye(rows)[:, :, None], [0]
        else:
            kernel = part.layer.constants["weight"].real
            if kernel.shape[:2] != (rows, channels):
                return None
            dilation = part.layer.attributes_as(ConvAttributes).dilation
            backs = [(kernel.shape[2] - 1 - k) * dilation for k in range(kernel.shape[2])]
            if "bias" in part.layer.constants:
                bias += part.layer.constants["bias"].real
        whole = np.rint(kernel * (quant.scale / scale)[:, None, None]).astype(np.int64)
        bound += np.abs(whole).sum(axis=(1, 2)) * quant.bound
        for index, back in enumerate(backs):
            taps.append(Tap(inputs.index(part.source), back, is_along=part.layer is None))
            columns.append(whole[:, :, index])
    offset = np.floor(bias / scale + 0.5)
    if np.any(np.abs(offset) > arithmetic.INT32_MAX):
        return None
    bound += np.abs(offset).astype(np.int64)
    factor = scale / output.scale
    weights = np.concatenate(columns, axis=1)
    shift = _shift(factor)
    fits = np.abs(weights).max(initial=0) << shift <= INT16_MAX
    if not fits or np.any(bound << shift > arithmetic.INT32_MAX):
        return None
    elements = sum(graph.tensors[inputs[tap.source]].channels + 1 & ~1 for tap in taps)
    if len(taps) > MOST_TAPS or elements > MOST_ELEMENTS:
        return None
    chosen = arithmetic.requantize_multiplier(factor, bound, f"node {node.name!r}")
    constants = {
        "weight": Constant(weights),
        "bias": Constant(offset.astype(np.int64)),
        "multiplier": Constant(chosen.multiplier),
    }
    attrs = JoinedAttributes(tuple(taps), chosen.shift, bound)
    return Node(node.name, "Joined", tuple(inputs), node.outputs, attrs, constants, origin=node.origin)


def _quant(graph: Graph, name: str) -> Quant:
    """The scale of a tensor of integers."""
    quant = graph.tensors[name].quant
    assert quant is not None
    return quant


def _shift(factor: np.ndarray) -> int:
    """The left shift that `arithmetic.requantize_multiplier` chooses."""
    shift = 0
    while shift < 30 and np.any(np.floor(factor * 2.0 ** (32 - shift) + 0.5) > arithmetic.INT32_MAX):
        shift += 1
    return shift


def fold_curves(graph: Graph) -> Graph:
    """Let a joined sum look up what it stores, where nobody reads it before."""
    nodes = {n.name: n for n in graph.nodes}
    producer, consumers = graph.producer(), graph.consumers()
    for node in graph.nodes:
        table = node.attrs.table if isinstance(node.attrs, CurveAttributes) else None
        if table is None or joined_curve(table.knots, table.first, table.shift) is None:
            continue
        source = producer.get(node.inputs[0])
        quant = graph.tensors[node.inputs[0]].quant
        if (
            source is None
            or not isinstance(source.attrs, JoinedAttributes)
            or source.attrs.curve is not None
            or quant is None
            or (quant.low, quant.high) != LIMITS["int16"]
            or len(consumers[node.inputs[0]]) != 1
            or node.inputs[0] in graph.outputs
        ):
            continue
        del nodes[source.name]
        attrs = replace(source.attrs, curve=table)
        nodes[node.name] = replace(source, name=node.name, outputs=node.outputs, attrs=attrs)
    return graph.with_nodes(nodes.values())
