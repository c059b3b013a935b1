"""The borders of the graph become nodes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops.endpoints import EndpointAttributes


def add_endpoints(graph: Graph, own: Collection[str] = ()) -> Graph:
    """Make the graph's borders nodes.

    Parameters
    ----------
    graph : Graph
    own : collection of str
        Labels of outputs whose Dequantize stays a layer of its own: any other output takes over one that
        stands alone before it, as an input does a Quantize, and it runs when results are read.
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
        taken = graph.labels.get(name, name) not in own
        if taken and source is not None and source.op == "Dequantize" and not consumers[name]:
            nodes.remove(source)
            written[name] = source.inputs[0]
            name = source.inputs[0]
        nodes.append(Node(f"output_{index}", "Output", (name,), (), attrs))
    outputs = tuple(written.get(n, n) for n in graph.outputs)
    return replace(graph, inputs=(), outputs=outputs).with_nodes(nodes)
