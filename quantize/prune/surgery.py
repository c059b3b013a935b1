"""Remove channels for real: every weight, constant, shape and split of the graph shrinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantize.graph.channels import NOTHING, Channels
from quantize.graph.graph import Graph, Node
from quantize.graph.layers import layers
from quantize.operators import Layer, groups_of, known
from quantize.operators.record import Trim

Kept = dict[str, list[np.ndarray | None]]


@dataclass
class Trimmed:
    """A smaller graph and where its constants came from.

    Attributes
    ----------
    graph : Graph
        The pruned graph.
    kept : dict of str to list
        Constant → for each axis the indices that stayed (None: all), in the numbering of the parent.
    """

    graph: Graph
    kept: Kept


def remove(channels: Channels, removed: set[int]) -> Trimmed:
    """Build the graph without some channels.

    Parameters
    ----------
    channels : Channels
        Labels of the graph.
    removed : set of int
        Root labels to take out.
    """
    graph = channels.graph.copy()

    def stays(labels: np.ndarray) -> np.ndarray:
        return np.array([root not in removed for root in channels.roots(labels).flat]).reshape(labels.shape)

    kept: Kept = {}
    for name, axes in channels.axes.items():
        kept[name] = [None if a is None else np.flatnonzero(stays(a)) for a in axes]
        graph.constants[name] = take(graph.constants[name], kept[name])
    masks = {name: stays(labels) for name, labels in channels.labels.items()}
    trim = Trim(channels.graph, graph, masks)
    for node, original in zip(graph.nodes, channels.graph.nodes, strict=True):
        record = known(node)
        if record is not None and record.shrink is not None:
            record.shrink(trim, node, original)
    return Trimmed(graph, kept)


def take(array: np.ndarray, kept: list[np.ndarray | None]) -> np.ndarray:
    """Select the surviving indices along every axis."""
    for axis, index in enumerate(kept):
        if index is not None:
            array = np.take(array, index, axis)
    return array


def compose(first: Kept, second: Kept) -> Kept:
    """Indices in the grandparent's numbering of what two removals in a row left."""
    out: Kept = {}
    for name in {**first, **second}:
        a, b = first.get(name), second.get(name)
        if a is None or b is None:
            out[name] = list(a if b is None else b)  # type: ignore[arg-type]
        else:
            out[name] = [y if x is None else x if y is None else x[y] for x, y in zip(a, b, strict=True)]
    return out


@dataclass
class Costs:
    """Multiply-accumulates of every linear layer, and which labels they scale with.

    Attributes
    ----------
    positions : list of int
        Positions of the layers in the graph.
    per_pair : list of float
        Cost of one pair (output channel, input channel) of each layer, per base tick.
    """

    positions: list[int]
    per_pair: list[float]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]

    def total(self, removed: set[int]) -> float:
        """Cost of the graph without some root labels."""
        gone = np.array(sorted(removed), dtype=np.int64)
        return float(
            sum(
                cost * (~np.isin(i, gone)).sum() * (~np.isin(o, gone)).sum()
                for cost, i, o in zip(self.per_pair, self.inputs, self.outputs, strict=True)
            )
        )


def layer_costs(channels: Channels, ticks: int, weights: dict[int, float] | None = None) -> Costs:
    """Split the cost of every layer over its channel pairs.

    Parameters
    ----------
    channels : Channels
        Labels of the graph.
    ticks : int
        Base ticks (samples at the base rate) of the trace; 1 for events.
    weights : dict of int to float, optional
        Predicted cycles per base tick of a layer position; multiply-accumulates are used where it is silent.
    """
    costs = Costs([], [], [], [])
    for position, node, layer in layers(channels.graph):
        if node.inputs[1] not in channels.axes:
            continue
        axes = channels.axes[node.inputs[1]]
        macs = layer_macs(channels, node, layer)
        source = channels.labels[node.inputs[0]]
        entering = channels.roots(channels.along(source, layer.channel_axis(source.ndim)))
        leaving = channels.roots(channels.births_of(node))
        grouped = groups_of(node) > 1 or any(a is None for a in axes[:2])
        if grouped:  # cost follows the outputs alone
            entering = np.array([NOTHING])
        cost = (weights or {}).get(position, macs / ticks)
        costs.positions.append(position)
        costs.per_pair.append(cost / max(1, entering.size * leaving.size))
        costs.inputs.append(entering)
        costs.outputs.append(leaving)
    return costs


def layer_macs(channels: Channels, node: Node, layer: Layer) -> int:
    """Multiply-accumulates of one layer over the whole trace."""
    entering, leaving = (channels.shapes[name] for name in (node.inputs[0], node.outputs[0]))
    return layer.macs(entering, leaving, channels.graph.constants[node.inputs[1]].shape)
