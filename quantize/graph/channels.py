"""Which channels must be removed together: dependency-aware groups over any model file.

Every element of every tensor gets a label, the name of the channel it belongs to. What only moves data
(reshape, split, sub-pixel shuffles, concatenation) moves the labels by running the operator itself on them;
what adds or multiplies unites the labels that meet; a convolution starts new ones. What must not change
(inputs, outputs, PQMF bands, noise taps, recurrent states) is united with the label PINNED.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch

from quantize.graph.graph import Graph, Node
from quantize.graph.network import Network
from quantize.operators import Layer, Movement, bias_of, groups_of, known
from quantize.operators.record import Channels as Flow
from quantize.operators.record import TorchForm

PINNED = 0
NOTHING = -1  # padding: belongs to no channel
TRACE_FRAMES = 8


@dataclass
class Channels:
    """Labels of a traced graph.

    Attributes
    ----------
    graph : Graph
        What was traced.
    labels : dict of str to ndarray of int
        Label of every element of an activation, at trace size.
    axes : dict of str to list
        Constants: for each axis the label of every index, or None where it has no channels.
    shapes : dict of str to tuple
        Shapes of the activations at trace size.
    births : list of (Node, ndarray)
        Linear layers and the labels that begin at their outputs.
    """

    graph: Graph
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    axes: dict[str, list[np.ndarray | None]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    births: list[tuple[Node, np.ndarray]] = field(default_factory=list)
    parent: list[int] = field(default_factory=lambda: [PINNED])

    def new(self, count: int) -> np.ndarray:
        """Make fresh labels."""
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def find(self, label: int) -> int:
        """Find the representative of a label."""
        while self.parent[label] != label:
            self.parent[label] = self.parent[self.parent[label]]
            label = self.parent[label]
        return label

    def unite(self, a: np.ndarray, b: np.ndarray) -> None:
        """Unite labels element by element; NOTHING unites with nothing."""
        pairs = np.unique(np.stack([np.broadcast_to(a, b.shape).ravel(), b.ravel()]), axis=1)
        for x, y in pairs.T.tolist():
            if x != NOTHING and y != NOTHING:
                p, q = self.find(x), self.find(y)
                self.parent[max(p, q)] = min(p, q)

    def pin(self, labels: np.ndarray) -> None:
        """Forbid the removal of these labels."""
        self.unite(np.full(labels.shape, PINNED), labels)

    def roots(self, labels: np.ndarray) -> np.ndarray:
        """Find the representative of every element."""
        values, inverse = np.unique(labels, return_inverse=True)
        table = np.array([NOTHING if v == NOTHING else self.find(v) for v in values.tolist()])
        return table[inverse].reshape(labels.shape)

    def along(self, labels: np.ndarray, axis: int) -> np.ndarray:
        """Reduce to one label per index of an axis; what differs along the others is united."""
        moved = np.moveaxis(labels, axis, 0).reshape(labels.shape[axis], -1)
        first = np.full(moved.shape[0], PINNED)
        for index, row in enumerate(moved):
            real = np.unique(row[row != NOTHING])
            if real.size:
                first[index] = real[0]
                if real.size > 1:
                    self.unite(np.full(real.size - 1, real[0]), real[1:])
        return first

    def births_of(self, node: Node) -> np.ndarray:
        """Labels of a linear layer's outputs."""
        return next(born for layer, born in self.births if layer is node)

    def families(self) -> dict[int, int]:
        """Root label → family (smallest root of it); pinned labels left out."""
        parent: dict[int, int] = {}

        def find(x: int) -> int:
            while parent.setdefault(x, x) != x:
                parent[x] = parent[parent[x]]
                x = parent[x]
            return x

        for _, born in self.births:
            live = [r for r in np.unique(self.roots(born)).tolist() if r != PINNED]
            for r in live:
                parent[max(find(r), find(live[0]))] = min(find(r), find(live[0]))
        return {root: find(root) for root in parent}


def example_feeds(graph: Graph, frames: int = TRACE_FRAMES) -> dict[str, np.ndarray]:
    """Zero feeds of the smallest consistent size: `frames` frames of the slowest input or output.

    Rates come from the metadata; without it every symbolic time axis gets `frames`.
    """
    rates, slowest = graph.input_rates, graph.slowest_rate or Fraction(1)
    feeds = {}
    for name in graph.input_names:
        length = int(frames * rate / slowest) if (rate := rates.get(name)) else frames
        shape = graph.fixed_shape(name)
        sizes = [s if s is not None else (1 if i == 0 else length) for i, s in enumerate(shape)]
        feeds[name] = np.zeros(sizes, np.float32)
    return feeds


def trace_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Shape of every activation at trace size."""
    feeds = {n: torch.from_numpy(v) for n, v in example_feeds(graph).items()}
    names = [name for node in graph.nodes for name in node.outputs if name]
    with torch.no_grad():
        values = Network(graph)(feeds, keep=[*names, *graph.input_names])
    return {name: tuple(value.shape) for name, value in values.items()}


def trace_channels(graph: Graph) -> Channels:
    """Label every channel of a graph."""
    channels = Channels(graph, shapes=trace_shapes(graph))
    for name in graph.input_names:
        channels.labels[name] = np.full(channels.shapes[name], PINNED)
    for node in graph.nodes:
        _trace_node(channels, node)
    for name in graph.output_names:
        channels.pin(channels.labels[name])
    for name, labels in channels.labels.items():
        _pin_ragged(channels, labels, channels.shapes[name])
    return channels


def _pin_node(channels: Channels, node: Node) -> None:
    """Freeze whatever an operator without a rule reads and makes."""
    for name in node.inputs:
        if name in channels.labels:
            channels.pin(channels.labels[name])
    for name in node.outputs:
        if name in channels.shapes:
            channels.labels[name] = np.full(channels.shapes[name], PINNED)


def _pin_ragged(channels: Channels, labels: np.ndarray, shape: tuple[int, ...]) -> None:
    """Pin labels whose removal would not leave a rectangular tensor (they vary along two axes)."""
    roots = channels.roots(labels)
    varying = [
        axis
        for axis in range(roots.ndim)
        if shape[axis] > 1
        and bool(((np.diff(roots, axis=axis) != 0) & (np.delete(roots, 0, axis) != NOTHING)).any())
    ]
    if len(varying) > 1:
        channels.pin(labels)


def _set_axes(channels: Channels, name: str, axes: list[np.ndarray | None]) -> None:
    """Record the labels of a weight's axes, uniting them when the constant is shared."""
    if name in channels.axes:
        for old, new in zip(channels.axes[name], axes, strict=True):
            if old is not None and new is not None:
                channels.unite(old, new)
    else:
        channels.axes[name] = axes


def _trace_node(channels: Channels, node: Node) -> None:
    """Give labels to what a node makes, by what its record says of channels."""
    record = known(node)
    if record is None:
        _pin_node(channels, node)
    elif record.layer is not None:
        _trace_layer(channels, node, record.layer)
    elif record.movement is not None:
        _trace_movement(channels, node, record.movement, record.operands(node), record.form)
    elif record.channels is Flow.KEPT:
        if node.inputs[0] in channels.labels:
            channels.labels[node.outputs[0]] = channels.labels[node.inputs[0]]
    elif record.channels is Flow.UNITED:
        _trace_elementwise(channels, node)
    else:
        _pin_node(channels, node)


def _trace_layer(channels: Channels, node: Node, layer: Layer) -> None:
    """End the labels that a layer reads and begin new ones."""
    weight = channels.graph.constants.get(node.inputs[1])
    source = channels.labels.get(node.inputs[0])
    computed_bias = bias_of(node) and bias_of(node) not in channels.graph.constants
    if weight is None or source is None or computed_bias or not layer.traceable(node, weight):
        _pin_node(channels, node)
        return
    shape = channels.shapes[node.outputs[0]]
    axis = layer.channel_axis(len(shape))
    entering = channels.along(source, layer.channel_axis(source.ndim))
    born = channels.new(shape[axis])
    _set_axes(channels, node.inputs[1], _weight_labels(channels, node, layer, entering, born, weight.ndim))
    if bias_of(node):
        bias = channels.graph.constants[bias_of(node)]
        labels = [None] * (bias.ndim - 1) + [born if bias.shape[-1] == born.size else None]
        _set_axes(channels, bias_of(node), labels)
    channels.births.append((node, born))
    along = [-1 if a == axis else 1 for a in range(len(shape))]
    channels.labels[node.outputs[0]] = np.broadcast_to(born.reshape(along), shape).copy()


def _weight_labels(
    channels: Channels, node: Node, layer: Layer, entering: np.ndarray, born: np.ndarray, rank: int
) -> list[np.ndarray | None]:
    """Labels of a weight's axes; unites what groups tie: a depthwise group, or one place in every group."""
    groups = groups_of(node)
    inward, outward = layer.input_axis(node), layer.output_axis(node, rank)
    axes: list[np.ndarray | None] = [None] * rank
    if groups == 1:
        axes[inward], axes[outward] = entering, born
        return axes
    per_in, per_out = entering.size // groups, born.size // groups
    whole, first, each = (born, entering, per_in) if outward == 0 else (entering, born, per_out)
    axes[0] = whole
    if per_in == 1:  # a group's outputs live and die with their one input
        channels.unite(entering.repeat(per_out), born)
    else:
        channels.unite(np.tile(entering[:per_in], groups), entering)
        channels.unite(np.tile(born[:per_out], groups), born)
        axes[1] = first[:each]
    return axes


def _trace_elementwise(channels: Channels, node: Node) -> None:
    shape = channels.shapes[node.outputs[0]]
    result: np.ndarray | None = None
    for name in node.inputs[:2]:
        if name not in channels.labels:
            continue
        labels = channels.labels[name]
        own = (1,) * (len(shape) - labels.ndim) + labels.shape
        spread = np.broadcast_to(labels.reshape(own), shape)
        if len(shape) > 1 and own[1] == 1 and shape[1] > 1:
            channels.pin(labels)  # one channel that meets many must stay
            continue
        if result is None:
            result = spread
        else:
            channels.unite(result, spread)
            result = np.where(result == NOTHING, spread, result)
    if result is None:
        _pin_node(channels, node)
        return
    channels.labels[node.outputs[0]] = result.copy()
    for name in node.inputs[:2]:
        constant = channels.graph.constants.get(name)
        if constant is None or constant.size == 1:
            continue
        own = (1,) * (len(shape) - constant.ndim) + constant.shape
        axes: list[np.ndarray | None] = []
        for axis, size in enumerate(own):
            if axis < len(shape) - constant.ndim:
                continue
            labelled = axis == 1 and size > 1 and len(shape) > 1
            axes.append(channels.along(result, axis) if labelled else None)
        if all(a is None for a in axes):
            continue
        _set_axes(channels, name, axes)


def _trace_movement(
    channels: Channels, node: Node, movement: Movement, operands: list[str], form: TorchForm
) -> None:
    """Move the labels by running the operator on them."""
    graph, count = channels.graph, len(operands)
    dynamic = any(name and name not in graph.constants for name in node.inputs[count:])
    if dynamic or not any(name in channels.labels for name in operands):
        _pin_node(channels, node)
        return
    if movement.blends(node):
        _pass_time(channels, node)
        return
    inputs: list[torch.Tensor | None] = []
    for name in operands:
        if name in channels.labels:
            inputs.append(torch.from_numpy(np.ascontiguousarray(channels.labels[name])))
        else:
            inputs.append(torch.full(tuple(graph.constants[name].shape), PINNED, dtype=torch.int64))
    for name in node.inputs[count:]:
        inputs.append(torch.from_numpy(np.array(graph.constants[name])) if name else None)
    if movement.padding is not None:
        inputs += [None] * (movement.padding + 1 - len(inputs))
        inputs[movement.padding] = torch.tensor(float(NOTHING))
    moved = form(node, inputs)
    for name, value in zip(node.outputs, moved if isinstance(moved, tuple) else (moved,), strict=False):
        channels.labels[name] = value.numpy().copy()
    if movement.pins(node, graph):
        _pin_node(channels, node)


def _pass_time(channels: Channels, node: Node) -> None:
    """Stretch labels along time without mixing channels (linear interpolation)."""
    labels = channels.labels[node.inputs[0]]
    shape = channels.shapes[node.outputs[0]]
    first = np.take(labels, [0], axis=-1)
    channels.unite(np.broadcast_to(first, labels.shape), labels)
    channels.labels[node.outputs[0]] = np.broadcast_to(first, shape).copy()
