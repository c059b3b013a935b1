"""The borders of the graph become nodes."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops.endpoints import EndpointAttributes


def add_endpoints(graph: Graph, takes_over: bool = True) -> Graph:
    """Make the graph's borders nodes.

    Parameters
    ----------
    graph : Graph
    takes_over : bool
        Whether an output takes over a Dequantize that stands alone before it, as an input does a Quantize. It
        then runs when results are read, else as a layer of its own.
    """
    consumers, producer = graph.consumers(), graph.producer()
    nodes = list(graph.nodes)
    for index, name in enumerate(graph.inputs):
        readers = consumers[name]
        attrs = EndpointAttributes(graph.labels.get(name, name))
        if len(readers) == 1 and readers[0].op == "Quantize" and name not in graph.outputs:
            nodes.remove(readers[0])
            name = readers[0].outputs[0]
        nodes.append(Node(f"input_{index}", "Input", (), (name,), attrs))
    written: dict[str, str] = {}
    for index, name in enumerate(graph.outputs):
        source = producer.get(name)
        attrs = EndpointAttributes(graph.labels.get(name, name))
        if takes_over and source is not None and source.op == "Dequantize" and not consumers[name]:
            nodes.remove(source)
            written[name] = source.inputs[0]
            name = source.inputs[0]
        nodes.append(Node(f"output_{index}", "Output", (name,), (), attrs))
    outputs = tuple(written.get(n, n) for n in graph.outputs)
    return replace(graph, inputs=(), outputs=outputs).with_nodes(nodes)
