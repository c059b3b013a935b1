"""Shifts along time join, and become part of the convolutions beside them."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import Graph, Node


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
            if node.op != "Delay":
                continue
            source = producer.get(node.inputs[0])
            frames, trim = node.attrs["frames"], node.attrs["trim"]
            readers = consumers[node.outputs[0]]
            alone = (
                source is not None
                and len(consumers[source.outputs[0]]) == 1
                and source.outputs[0] not in graph.outputs
            )
            nodes = list(graph.nodes)
            if readers and node.outputs[0] not in graph.outputs and all(_shifts(r, node) for r in readers):
                for reader in readers:
                    before = reader.attrs["before"] + frames
                    padded = reader.attrs["padded"] + frames - trim
                    moved = reader.with_attrs(before=before, padded=padded)
                    nodes[nodes.index(reader)] = replace(moved, inputs=node.inputs)
                nodes.remove(node)
            elif source is not None and alone and source.op == "ConvTranspose" and frames <= 0 <= trim:
                joined = source.with_attrs(
                    crop=source.attrs["crop"] - frames, trim=source.attrs["trim"] + trim
                )
                nodes[nodes.index(source)] = replace(joined, outputs=node.outputs)
                nodes.remove(node)
            elif source is not None and alone and source.op == "Delay" and _joins(source, node):
                joined = source.with_attrs(
                    frames=source.attrs["frames"] + frames, trim=source.attrs["trim"] + trim
                )
                nodes[nodes.index(source)] = replace(joined, outputs=node.outputs)
                nodes.remove(node)
            else:
                continue
            graph = graph.with_nodes(nodes)
            changed = True
            break
    return graph


def _shifts(reader: Node, delay: Node) -> bool:
    """Whether a convolution's own padding can take up a shift of its input: no crop ever meets a pad."""
    if reader.op != "Conv" or reader.attrs["phases"] != 1:
        return False
    before, after = reader.attrs["before"], reader.attrs["padded"] - reader.attrs["before"]
    return (delay.attrs["frames"] >= 0 or before <= 0) and (delay.attrs["trim"] <= 0 or after <= 0)


def _joins(first: Node, second: Node) -> bool:
    """Whether two shifts are one: not where the second puts zeros where the first took frames away."""
    return (first.attrs["frames"] >= 0 or second.attrs["frames"] <= 0) and (
        first.attrs["trim"] <= 0 or second.attrs["trim"] >= 0
    )
