"""After pruning, weights are fitted anew: layer behind layer, to what the whole model has in its place.

A sum of layers is fitted as one: together with what else is added it shall be what the whole model has there,
of what the pruned model really hears. So each sum makes up for the errors before it, and the last sum is
fitted to the output itself (after He et al., "Channel pruning", arXiv 1707.06168, which fits one layer).
It is least squares: no step, no rate, and nothing to tune.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from quantize.data.examples import Example, tensors
from quantize.graph.graph import Graph, Node
from quantize.graph.network import Network, Values
from quantize.operators import form_of, known, layer_of
from quantize.operators.convolution import Convolution
from quantize.operators.elementwise import SUM
from quantize.operators.record import Channels

MOST = 4096
"""Frames that are looked at of a feed, spread over it: neighbours say much the same."""
LEAST = 4
"""Frames that are asked for a weight of an output; with fewer, weights stay as they are."""
LEAD = 0.25
"""Part of a stream that is left out, while the memory fills."""
RIDGE = 1e-6
"""Pull towards the weights as they were, beside a mean square of 1."""


Kept = Mapping[str, Sequence[np.ndarray | None]]
"""Constant → surviving indices per axis, as `surgery.py` says them."""


@dataclass
class _Sum:
    """A tree of sums: its root's position, its layers and its sums, and what else is added."""

    root: int
    layers: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def refitted(pruned: Graph, whole: Graph, kept: Kept, pool: Sequence[Example]) -> Graph:
    """Fit the weights of a pruned graph to what the whole one computes.

    Parameters
    ----------
    pruned, whole : Graph
        The same nodes with fewer and with all channels.
    kept : dict
        Constant → surviving indices per axis.
    pool : sequence of Example
        Feeds to look at.

    Returns
    -------
    Graph
        The pruned graph with other weights and biases.
    """
    sums = {one.root: one for one in _sums(pruned)}
    student, teacher = Network(pruned), Network(whole)
    state = [
        ({n: student.enter(n, v) for n, v in tensors(e.feed).items()}, dict(tensors(e.feed))) for e in pool
    ]
    last = _last_uses(pruned, sums)
    with torch.no_grad():
        for position, (node, original) in enumerate(zip(pruned.nodes, whole.nodes, strict=True)):
            for ours, theirs in state:
                _execute(student, node, ours)
                _execute(teacher, original, theirs)
            if position in sums:
                _fit(student, sums[position], kept, state)
            for ours, theirs in state:
                for name in last.get(position, ()):
                    ours.pop(name, None)
                    theirs.pop(name, None)
    return student.to_graph()


def _execute(network: Network, node: Node, values: Values) -> None:
    values.update(zip(node.outputs, network.execute(node, values), strict=False))


def _sums(graph: Graph) -> list[_Sum]:
    """Sums of layers that are used nowhere else before they are whole, and layers alone."""
    consumers, producers = graph.consumers(), graph.producers()
    places = {id(node): index for index, node in enumerate(graph.nodes)}
    outputs = set(graph.output_names)

    def inner(name: str) -> bool:
        readers = consumers.get(name, [])
        return name not in outputs and len(readers) == 1 and readers[0].op == SUM

    found = []
    for node in graph.nodes:
        if inner(node.outputs[0]) or not (node.op == SUM or _is_fitted(node, graph)):
            continue
        one, open_nodes = _Sum(places[id(node)]), [node]
        while open_nodes:
            current = open_nodes.pop()
            if current.op != SUM:
                one.layers.append(places[id(current)])
                continue
            one.sums.append(places[id(current)])
            for name in current.inputs:
                maker = producers.get(name)
                is_part = maker is not None and inner(name)
                if maker is not None and is_part and (maker.op == SUM or _is_fitted(maker, graph)):
                    open_nodes.append(maker)
                else:
                    one.others.append(name)
        if one.layers:
            one.layers.sort()
            one.sums.sort()
            found.append(one)
    return found


def _is_fitted(node: Node, graph: Graph) -> bool:
    """Whether it is a layer whose weights can be fitted, and are its own."""
    layer = layer_of(node)
    if not isinstance(layer, Convolution) or not layer.adapts(node):
        return False
    names = [name for name in node.inputs[1:] if name]
    return all(n in graph.constants and sum(n in o.inputs for o in graph.nodes) == 1 for n in names)


def _last_uses(graph: Graph, sums: dict[int, _Sum]) -> dict[int, list[str]]:
    """Position → signals that nobody needs after it; what a sum is made of is needed until it is fitted."""
    until: dict[str, int] = {}
    for position, node in enumerate(graph.nodes):
        for name in (*node.inputs, *node.outputs):
            until[name] = position
    for root, one in sums.items():
        for place in one.layers:
            until[graph.nodes[place].inputs[0]] = max(root, until[graph.nodes[place].inputs[0]])
        for name in one.others:
            until[name] = max(root, until[name])
    table: dict[int, list[str]] = {}
    for name, position in until.items():
        table.setdefault(position, []).append(name)
    return table


def _fit(student: Network, one: _Sum, kept: Kept, state: list[tuple[Values, Values]]) -> None:
    """Fit the layers of one sum together, and compute it again."""
    graph = student.graph
    root, nodes = graph.nodes[one.root], [graph.nodes[place] for place in one.layers]
    stays = (kept.get(nodes[-1].inputs[1]) or [None])[0]
    sizes = [int(np.prod(student.constant(node.inputs[1]).shape[1:])) for node in nodes]
    biased = next((node for node in nodes if len(node.inputs) > 2 and node.inputs[2]), None)
    width = sum(sizes) + (biased is not None)
    normal, seen = None, 0
    for ours, theirs in state:
        wanted = theirs[root.outputs[0]]
        wanted = wanted if stays is None else wanted[:, torch.from_numpy(stays)]
        slope = _slope(graph, root, wanted)
        parts = [_rows(node, ours[node.inputs[0]], student) for node in nodes]
        if biased is not None:
            parts.append(np.ones((len(parts[0]), 1)))
        rows, error = np.concatenate(parts, 1), _frames(wanted - ours[root.outputs[0]])
        if slope is None:
            found = rows.T @ np.concatenate([rows, error], 1)
            found = np.stack([np.c_[found[:, :width], column] for column in found[:, width:].T])
        else:
            found = np.stack(
                [
                    (rows * w[:, None]).T @ (np.c_[rows, e] * w[:, None])
                    for w, e in zip(_frames(slope).T, error.T, strict=True)
                ]
            )
        normal, seen = found if normal is None else normal + found, seen + len(rows)
    if normal is None or seen < LEAST * width:
        return
    _take(student, nodes, biased, _solved(normal), sizes)
    for ours, _ in state:
        for place in sorted({*one.layers, *one.sums}):
            _execute(student, graph.nodes[place], ours)


def _slope(graph: Graph, root: Node, wanted: torch.Tensor) -> torch.Tensor | None:
    """How much the function behind a sum moves where it stands: where it is flat, errors do not count."""
    readers = graph.consumers().get(root.outputs[0], [])
    record = known(readers[0]) if len(readers) == 1 else None
    if record is None or record.channels is not Channels.KEPT or len(readers[0].inputs) != 1:
        return None
    with torch.enable_grad():
        x = wanted.detach().clone().requires_grad_()
        form: Any = form_of(readers[0])
        (slope,) = torch.autograd.grad(form(readers[0], [x]).sum(), x)
    return slope


def _rows(node: Node, x: torch.Tensor, student: Network) -> np.ndarray:
    """What a layer reads for every frame that is looked at: [frames, D]."""
    layer = layer_of(node)
    assert layer is not None
    shape = tuple(student.constant(node.inputs[1]).shape)
    rows = layer.rows(node, x.numpy(), shape)
    return _counted(rows.reshape(x.shape[0], -1, rows.shape[-1]))


def _frames(x: torch.Tensor) -> np.ndarray:
    """The frames that are looked at, of a signal [N, C, T]: [frames, C]."""
    return _counted(x.numpy().transpose(0, 2, 1))


def _counted(x: np.ndarray) -> np.ndarray:
    """The frames that are looked at, of [N, T, D]: [frames, D]."""
    first = int(LEAD * x.shape[1])
    step = max(1, x.shape[0] * (x.shape[1] - first) // MOST)
    return x[:, first::step].reshape(-1, x.shape[2]).astype(np.float64)


def _solved(normal: np.ndarray) -> np.ndarray:
    """What to add to the weights, [outputs, D]: least squares with a little pull to nothing."""
    found = []
    for one in normal:
        square, right = one[:, :-1], one[:, -1]
        size = np.sqrt(np.maximum(np.diag(square), 1e-30))
        scaled = square / size[:, None] / size[None, :] + RIDGE * np.eye(len(size))
        found.append(np.linalg.solve(scaled, right / size) / size)
    return np.stack(found)


def _take(
    student: Network, nodes: list[Node], biased: Node | None, more: np.ndarray, sizes: list[int]
) -> None:
    """Add to the weights, each layer its part, and to the one bias."""
    start = 0
    for node, size in zip(nodes, sizes, strict=True):
        layer, weight = layer_of(node), student.constant(node.inputs[1])
        assert layer is not None
        change = layer.weight_of(node, [more[:, start : start + size]], tuple(weight.shape))
        weight += torch.from_numpy(np.ascontiguousarray(change)).to(weight.dtype)
        start += size
    if biased is not None:
        bias = student.constant(biased.inputs[2])
        bias += torch.from_numpy(more[:, -1]).to(bias.dtype).reshape(bias.shape)
