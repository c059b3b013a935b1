"""Shifts along time join, and become part of the convolutions beside them."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops.conv import ConvAttributes, ConvTransposeAttributes
from firmware.compiler.ops.movement import DelayAttributes


def fold_delays(graph: Graph) -> Graph:
    """Join shifts along time; fold padding into the convolutions behind, crops into the transposed before.

    Every rewrite is exact at both ends of an offline signal too. Zeros never join a transposed convolution:
    its own frames beyond a crop are not zero.
    """
    changed = True
    while changed:
        changed = False
        producer, consumers = graph.producer(), graph.consumers()
        for node in graph.nodes:
            delay = node.attrs
            if not isinstance(delay, DelayAttributes):
                continue
            source = producer.get(node.inputs[0])
            readers = consumers[node.outputs[0]]
            alone = (
                source is not None
                and len(consumers[source.outputs[0]]) == 1
                and source.outputs[0] not in graph.outputs
            )
            nodes = list(graph.nodes)
            if readers and node.outputs[0] not in graph.outputs and all(_shifts(r, delay) for r in readers):
                for reader in readers:
                    a = reader.attributes_as(ConvAttributes)
                    padded = a.padded + delay.frames - delay.trim
                    moved = replace(a, before=a.before + delay.frames, padded=padded)
                    nodes[nodes.index(reader)] = replace(reader, attrs=moved, inputs=node.inputs)
                nodes.remove(node)
            elif source is not None and alone and (joined := _joined(source, delay)) is not None:
                nodes[nodes.index(source)] = replace(joined, outputs=node.outputs)
                nodes.remove(node)
            else:
                continue
            graph = graph.with_nodes(nodes)
            changed = True
            break
    return graph


def _shifts(reader: Node, delay: DelayAttributes) -> bool:
    """Whether a convolution's own padding can take up a shift of its input: no crop ever meets a pad."""
    a = reader.attrs
    if not isinstance(a, ConvAttributes) or a.phases != 1:
        return False
    return (delay.frames >= 0 or a.before <= 0) and (delay.trim <= 0 or a.padded - a.before <= 0)


def _joined(source: Node, delay: DelayAttributes) -> Node | None:
    """Let what writes a tensor shift it too: a transposed convolution that only crops, or another shift."""
    a = source.attrs
    if isinstance(a, ConvTransposeAttributes) and delay.frames <= 0 <= delay.trim:
        return replace(source, attrs=replace(a, crop=a.crop - delay.frames, trim=a.trim + delay.trim))
    if isinstance(a, DelayAttributes) and _joins(a, delay):
        return replace(source, attrs=DelayAttributes(a.frames + delay.frames, a.trim + delay.trim))
    return None


def _joins(first: DelayAttributes, second: DelayAttributes) -> bool:
    """Whether two shifts are one: not where the second puts zeros where the first took frames away."""
    return (first.frames >= 0 or second.frames <= 0) and (first.trim <= 0 or second.trim >= 0)
