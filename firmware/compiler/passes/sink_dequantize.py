"""Moves move integers, not the floats made from them."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import Graph, Node, fresh, remove_dead

MOVES = ("Shuffle", "Delay")
"""Operators that change no number."""


def sink_dequantize(graph: Graph) -> Graph:
    """Move Dequantize behind moves, so that integers are moved, not floats."""
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    integers: dict[str, str] = {}
    for node in graph.nodes:
        quants = {tensors[integers[n]].quant for n in node.inputs if n in integers}
        sinks = node.op in MOVES or node.op == "Concat"
        if sinks and all(n in integers for n in node.inputs) and len(quants) == 1 and node.inputs:
            (y,) = node.outputs
            name = fresh(f"{y}_q", tensors)
            tensors[name] = replace(tensors[y], name=name, quant=next(iter(quants)))
            nodes.append(replace(node, inputs=tuple(integers[n] for n in node.inputs), outputs=(name,)))
            nodes.append(Node(y, "Dequantize", (name,), (y,)))
            nodes[-2] = replace(nodes[-2], name=name)
            integers[y] = name
            continue
        nodes.append(node)
        if node.op == "Dequantize":
            integers[node.outputs[0]] = node.inputs[0]
    return remove_dead(graph.with_nodes(nodes, tensors))
