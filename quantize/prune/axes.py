"""Make a graph easier to prune without changing what it computes.

A residual signal that only layers and sums touch may be written in any basis: here its principal axes, of
which the last ones hardly matter (after Ashkboos et al., "SliceGPT", arXiv 2401.15024). A layer that reads a
mean of several signals is a sum of layers, one for each signal, whose channels then come and go alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from quantize.data.examples import Example, tensors
from quantize.graph.channels import PINNED, Channels, trace_channels
from quantize.graph.graph import Graph, Node
from quantize.graph.layers import layers
from quantize.graph.network import Network
from quantize.operators import Layer, groups_of, layer_of
from quantize.operators.convolution import Convolution
from quantize.operators.elementwise import MEAN, SUM


def eased(graph: Graph, pool: Sequence[Example]) -> Graph:
    """The same function with means read one by one, and free signals on their principal axes.

    Parameters
    ----------
    graph : Graph
        Left as it is.
    pool : sequence of Example
        Feeds that say what the axes are.
    """
    return _turned(_without_means(graph), pool)


def _without_means(graph: Graph) -> Graph:
    """A layer of a mean becomes a sum of layers, for every mean that nothing but such layers reads."""
    graph = graph.copy()
    while (found := _mean_to_open(graph)) is not None:
        consumers = graph.consumers()
        mean_readers = consumers[found.outputs[0]]
        graph.nodes.remove(found)
        for reader in mean_readers:
            place = graph.nodes.index(reader)
            graph.nodes[place : place + 1] = _of_each(graph, reader, found.inputs)
    return graph


def _mean_to_open(graph: Graph) -> Node | None:
    consumers = graph.consumers()
    for node in reversed(graph.nodes):
        readers = consumers.get(node.outputs[0], [])
        is_inner = node.op == MEAN and readers and node.outputs[0] not in graph.output_names
        if is_inner and all(
            isinstance(layer_of(r), Convolution) and r.inputs[1] in graph.constants for r in readers
        ):
            return node
    return None


def _of_each(graph: Graph, reader: Node, signals: Sequence[str]) -> Iterable[Node]:
    """Layers of single signals, and the sums that make of them what `reader` made of their mean."""
    weight = graph.constants[reader.inputs[1]] / np.float32(len(signals))
    total = ""
    for index, signal in enumerate(signals):
        is_last = index == len(signals) - 1
        result, name = reader.outputs[0], f"{reader.outputs[0]}_{index}"
        graph.constants[f"{name}_weight"] = weight
        bias = reader.inputs[2:3] if not total else []
        yield replace(reader, name=name, inputs=[signal, f"{name}_weight", *bias], outputs=[name])
        if total:
            joined = result if is_last else f"{name}_sum"
            yield Node(SUM, [total, name], [joined], name=f"{name}_sum")
            total = joined
        else:
            total = name


def _turned(graph: Graph, pool: Sequence[Example]) -> Graph:
    """The same with every free signal on its principal axes, the strongest first."""
    channels = trace_channels(graph)
    graph = graph.copy()
    families: dict[int, list[int]] = {}
    for root, family in channels.families().items():
        families.setdefault(family, []).append(root)
    for roots in families.values():
        order = sorted(roots)
        signals = _free_signals(channels, order)
        if signals:
            _turn(graph, channels, signals, _axes(channels.graph, signals, pool))
    return graph


def _free_signals(channels: Channels, order: list[int]) -> list[str]:
    """Signals of a family, where nothing but layers without groups and sums touches any; else none."""
    graph, found = channels.graph, []
    family = set(order)

    def belongs(name: str) -> bool:
        return name in channels.labels and bool(
            family & set(np.unique(channels.roots(channels.labels[name])))
        )

    def plain(name: str) -> bool:
        labels = channels.labels[name]
        return labels.ndim == 3 and channels.roots(channels.along(labels, 1)).tolist() == order

    for node in graph.nodes:
        read, made = [n for n in node.inputs if belongs(n)], [n for n in node.outputs if belongs(n)]
        if not read and not made:
            continue
        if not all(plain(name) for name in (*read, *made)):
            return []
        if node.op == SUM:
            if len(read) != 2 or not made:
                return []
        elif not _is_plain(layer_of(node), node, graph) or (read and made):
            return []
        found += made
    if PINNED in family or len(order) < 2:
        return []
    return found


def _is_plain(layer: Layer | None, node: Node, graph: Graph) -> bool:
    """Whether a node is a convolution of all channels, with weights of its own."""
    weights = node.inputs[1:]
    shared = sum(name in other.inputs for other in graph.nodes for name in weights if name)
    return (
        isinstance(layer, Convolution)
        and groups_of(node) == 1
        and all(name in graph.constants for name in weights if name)
        and shared == len([name for name in weights if name])
    )


def _axes(graph: Graph, signals: list[str], pool: Sequence[Example]) -> np.ndarray:
    """Axes as rows, the strongest first; each signal that is read counts alike, however loud it is."""
    consumers = graph.consumers()
    read = [name for name in signals if any(layer_of(node) is not None for node in consumers.get(name, []))]
    network = Network(graph)
    moments: dict[str, np.ndarray] = {}
    for example in pool:
        values = network(tensors(example.feed), keep=read, outputs=False)
        for name in read:
            rows = values[name].detach().double().numpy().transpose(1, 0, 2)
            rows = rows.reshape(len(rows), -1)
            moments[name] = moments.get(name, 0.0) + rows @ rows.T / rows.shape[1] / len(pool)
    total = sum(m / max(float(np.trace(m)), 1e-30) for m in moments.values())
    _, vectors = np.linalg.eigh(total)
    return np.ascontiguousarray(vectors[:, ::-1].T)


def _turn(graph: Graph, channels: Channels, signals: list[str], axes: np.ndarray) -> None:
    """Write a family's makers and readers in other axes."""
    names = set(signals)
    for _, node, _ in layers(graph):
        weight = graph.constants.get(node.inputs[1])
        if weight is None:
            continue
        if node.outputs[0] in names:
            weight = np.einsum("ro,oik->rik", axes, weight)
            for bias in filter(None, node.inputs[2:3]):
                graph.constants[bias] = (axes @ graph.constants[bias]).astype(np.float32)
        if node.inputs[0] in names:
            weight = np.einsum("oik,ri->ork", weight, axes)
        graph.constants[node.inputs[1]] = weight.astype(np.float32)
