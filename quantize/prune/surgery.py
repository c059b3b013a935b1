"""Remove channels for real: every weight, constant, shape and split of the graph shrinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantize.graph.channels import NOTHING, Channels
from quantize.graph.graph import LINEAR, Graph, Node

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
    for node, original in zip(graph.nodes, channels.graph.nodes, strict=True):
        _adapt(graph, channels, node, original, masks)
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


def _axis_mask(mask: np.ndarray, axis: int) -> np.ndarray:
    """Whether each index of an axis has anything left."""
    return np.asarray(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))


def _constant(graph: Graph, node: Node, index: int, values: np.ndarray, stem: str) -> None:
    """Give a node its own copy of a shape-like constant."""
    name = f"{node.outputs[0]}/{stem}"
    graph.constants[name] = values
    while len(node.inputs) <= index:
        node.inputs.append("")
    node.inputs[index] = name


def _adapt(
    graph: Graph, channels: Channels, node: Node, original: Node, masks: dict[str, np.ndarray]
) -> None:
    """Correct what a node says about sizes."""
    source = masks.get(original.inputs[0]) if original.inputs else None
    if node.op in ("Conv", "ConvTranspose") and node.attributes.get("group", 1) > 1 and source is not None:
        weight = channels.graph.constants[original.inputs[1]]
        groups = node.attributes["group"]
        inputs = weight.shape[1] * groups if node.op == "Conv" else weight.shape[0]
        if inputs == groups:  # depthwise: one group per surviving input
            node.attributes["group"] = int(_axis_mask(source, 1).sum())
    elif node.op in ("Reshape", "Expand") and original.outputs[0] in masks:
        target = channels.graph.constants.get(original.inputs[1])
        after = masks[original.outputs[0]]
        if target is None or after.all():
            return
        sizes = [int(_axis_mask(after, a).sum()) for a in range(after.ndim)]
        offset = after.ndim - len(target)
        values = [
            int(t) if t in (-1, 0, 1) or (node.op == "Expand" and axis + offset < 0) else sizes[axis + offset]
            for axis, t in enumerate(target.tolist())
        ]
        _constant(graph, node, 1, np.array(values, np.int64), "shape")
    elif node.op == "Slice" and source is not None and not source.all():
        _adapt_slice(graph, channels, node, original, source)
    elif node.op == "Split" and source is not None and not source.all():
        axis = node.attributes.get("axis", 0)
        parts = [int(_axis_mask(masks[name], axis % source.ndim).sum()) for name in original.outputs]
        node.attributes.pop("num_outputs", None)
        _constant(graph, node, 1, np.array(parts, np.int64), "parts")


def _adapt_slice(graph: Graph, channels: Channels, node: Node, original: Node, source: np.ndarray) -> None:
    constants = channels.graph.constants
    starts = constants[original.inputs[1]].reshape(-1).tolist()
    ends = constants[original.inputs[2]].reshape(-1).tolist()
    axes = (
        constants[original.inputs[3]].reshape(-1).tolist()
        if len(original.inputs) > 3 and original.inputs[3]
        else list(range(len(starts)))
    )
    for place, axis in enumerate(axes):
        mask = _axis_mask(source, axis % source.ndim)
        if mask.all():
            continue
        first, last, _ = slice(starts[place], ends[place]).indices(len(mask))
        starts[place], ends[place] = int(mask[:first].sum()), int(mask[:last].sum())
    _constant(graph, node, 1, np.array(starts, np.int64), "starts")
    _constant(graph, node, 2, np.array(ends, np.int64), "ends")


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
    for position, node in enumerate(channels.graph.nodes):
        if node.op not in LINEAR or node.inputs[1] not in channels.axes:
            continue
        axes = channels.axes[node.inputs[1]]
        macs = layer_macs(channels, node)
        entering = channels.roots(
            channels.along(channels.labels[node.inputs[0]], _channel_axis(node, channels))
        )
        leaving = channels.roots(channels.births_of(node))
        grouped = node.attributes.get("group", 1) > 1 or any(a is None for a in axes[:2])
        if grouped:  # cost follows the outputs alone
            entering = np.array([NOTHING])
        cost = (weights or {}).get(position, macs / ticks)
        costs.positions.append(position)
        costs.per_pair.append(cost / max(1, entering.size * leaving.size))
        costs.inputs.append(entering)
        costs.outputs.append(leaving)
    return costs


def _channel_axis(node: Node, channels: Channels) -> int:
    return channels.labels[node.inputs[0]].ndim - 1 if node.op in ("Gemm", "MatMul") else 1


def layer_macs(channels: Channels, node: Node) -> int:
    """Multiply-accumulates of one layer over the whole trace."""
    weight = channels.graph.constants[node.inputs[1]]
    if node.op == "Conv":
        return int(np.prod(channels.shapes[node.outputs[0]])) * int(np.prod(weight.shape[1:]))
    if node.op == "ConvTranspose":
        return int(np.prod(channels.shapes[node.inputs[0]])) * int(np.prod(weight.shape[1:]))
    return int(np.prod(channels.shapes[node.outputs[0]])) * int(channels.shapes[node.inputs[0]][-1])
