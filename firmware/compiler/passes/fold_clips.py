"""A clamp on integers becomes the bounds of the operator before it."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import Graph
from firmware.compiler.ops.activation import ClipAttributes
from firmware.compiler.passes.integerize import CLAMPED

BOUNDED = (*CLAMPED, "Rescale", "Clip")
"""Operators on integers that keep the bounds of what they write."""


def fold_clips(graph: Graph) -> Graph:
    """Let the operator before a clamp on integers keep its bounds: one trip through memory less.

    The bounds of a tensor must hold 0 (silence), and a clamp that does not stays a node of its own.
    """
    tensors = dict(graph.tensors)
    nodes = {n.name: n for n in graph.nodes}
    consumers = graph.consumers()
    for node in graph.nodes:
        quant = tensors[node.outputs[0]].quant
        if not isinstance(node.attrs, ClipAttributes) or node.attrs.limits is None or quant is None:
            continue
        source = next((n for n in nodes.values() if node.inputs[0] in n.outputs), None)
        low, high = node.attrs.limits
        if (
            source is None
            or source.op not in BOUNDED
            or "table" in source.constants
            or len(consumers[node.inputs[0]]) != 1
            or node.inputs[0] in graph.outputs
            or not low <= 0 <= high
        ):
            continue
        tensors[node.outputs[0]] = replace(
            tensors[node.outputs[0]],
            quant=replace(quant, low=max(low, quant.low), high=min(high, quant.high)),
        )
        del nodes[source.name]
        nodes[node.name] = replace(source, name=node.name, outputs=node.outputs)
    return graph.with_nodes(nodes.values(), tensors)
