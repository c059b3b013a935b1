"""The layers of a graph, and how many numbers they hold."""

from __future__ import annotations

from collections.abc import Iterator

from quantize.graph.graph import Graph, Node
from quantize.operators import Layer, known, layer_of


def layers(graph: Graph) -> Iterator[tuple[int, Node, Layer]]:
    """Give position, node and record of every layer, in order."""
    for position, node in enumerate(graph.nodes):
        layer = layer_of(node)
        if layer is not None:
            yield position, node, layer


def count_parameters(graph: Graph) -> int:
    """Count the weights and biases of the layers and recurrent units."""
    used: set[str] = set()
    for node in graph.nodes:
        record = known(node)
        if record is not None and (record.layer is not None or record.weighted):
            used.update(name for name in node.inputs[1:] if name)
    return int(sum(graph.constants[name].size for name in used if name in graph.constants))
