"""Linear upsampling holds the first frame in a memory of its own."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import Graph, Node, fresh
from firmware.compiler.ops.movement import DelayAttributes


def own_ends(graph: Graph) -> Graph:
    """Give linear upsampling that holds the first frame an input nobody else reads, as it writes there."""
    consumers = graph.consumers()
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        shared = len(consumers[node.inputs[0]]) > 1 or node.inputs[0] in (*graph.inputs, *graph.outputs)
        if node.op == "Lerp" and shared:
            (source,) = node.inputs
            own = fresh(f"{node.name}_own", tensors)
            tensors[own] = replace(tensors[source], name=own)
            nodes.append(Node(own, "Delay", (source,), (own,), DelayAttributes(), origin=node.origin))
            node = replace(node, inputs=(own,))
        nodes.append(node)
    return graph.with_nodes(nodes, tensors)
