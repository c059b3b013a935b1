"""Gains of a slower clock are read where they lie, not repeated."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import ALIGN, Graph, remove_dead
from firmware.compiler.ops.elementwise import Held, PointwiseAttributes
from firmware.compiler.ops.movement import ShuffleAttributes, held_channel


def hold_rows(graph: Graph) -> Graph:
    """Let sums and products at the rate of the ticks read a slower operand where it lies.

    Nearest upsampling (of a FiLM gain, say) repeats a frame, or neighbouring channels of it, for every tick.
    Held in place it needs no memory of its own and is written once.
    """
    if graph.event:
        return graph
    producer = graph.producer()
    nodes = []
    for node in graph.nodes:
        y = graph.tensors[node.outputs[0]]
        if node.op in ("Add", "Sub", "Mul") and y.rate == 1 and len(set(node.inputs)) == 2:
            for index, name in enumerate(node.inputs):
                source = producer.get(name)
                if source is None or not isinstance(source.attrs, ShuffleAttributes):
                    continue
                first = held_channel(source)
                if first is None or first % ALIGN[y.dtype]:
                    continue
                inputs = list(node.inputs)
                inputs[index] = source.inputs[0]
                held = Held(index, source.attrs.produce, first)
                attrs = replace(node.attributes_as(PointwiseAttributes), held=held)
                node = replace(node, attrs=attrs, inputs=tuple(inputs))
                break
        nodes.append(node)
    return remove_dead(graph.with_nodes(nodes))
