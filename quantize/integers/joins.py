"""Joined sums: layers and signals that are added in one accumulator, with one requantization.

The accumulator has the scale of its largest layer, s_x·s_w[c]; the weights of other layers, and the 1 of a
plain signal, are int16 at that scale (docs/design.md#arithmetic). ``firmware/compiler/passes/join_sums.py``
reads the same from the file, where no Q stands between a layer and the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quantize.graph.graph import Graph, Node
from quantize.operators import bias_of, layer_of
from quantize.operators.convolution import Convolution, dilation_of, pads_of, stride_of
from quantize.operators.elementwise import SUM
from quantize.operators.layer import groups_of

MOST_TAPS, MOST_ELEMENTS = 32, 192
"""Of a joined sum, as the compiler has them."""
MOST_WEIGHT = 16_000
"""Largest int16 weight aimed at: half of what fits, for a requantization that shifts by one."""


@dataclass(frozen=True)
class Part:
    """One operand of a sum.

    Attributes
    ----------
    source : str
        The tensor that is read.
    position : int or None
        Of the layer that reads it; None: the signal itself is added.
    cost : int
        Weights of the layer.
    """

    source: str
    position: int | None
    cost: int


@dataclass(frozen=True)
class Join:
    """A sum and what is in it.

    Attributes
    ----------
    position : int
        Of the last addition, whose output is quantized.
    parts : tuple of Part
    inner : frozenset of int
        Positions of all that is computed on the way: layers and earlier additions.
    """

    position: int
    parts: tuple[Part, ...]
    inner: frozenset[int]

    @cached_property
    def main(self) -> Part:
        """The layer whose scale the accumulator has."""
        return max(self.parts, key=lambda part: part.cost)


def find_joins(graph: Graph, integer: set[int]) -> dict[int, Join]:
    """Find every sum that can be joined, by the position of its last addition."""
    producers, consumers = graph.producers(), graph.consumers()
    positions = {id(node): position for position, node in enumerate(graph.nodes)}
    outputs = set(graph.output_names)

    def parts_of(name: str, inner: set[int], *, top: bool = False) -> list[Part]:
        """What a tensor is the sum of; the tensor itself where it must be quantized."""
        node = producers.get(name)
        alone = top or (len(consumers[name]) == 1 and name not in outputs)
        if node is None or not alone or positions[id(node)] not in integer:
            return [Part(name, None, 0)]
        position = positions[id(node)]
        if (
            node.op == SUM
            and not any(n in graph.constants for n in node.inputs)
            and len(set(node.inputs)) == 2
        ):
            inner.add(position)
            return [part for operand in node.inputs for part in parts_of(operand, inner)]
        if _joins(node, graph):
            inner.add(position)
            return [Part(node.inputs[0], position, graph.constants[node.inputs[1]].size)]
        return [Part(name, None, 0)]

    found: dict[int, Join] = {}
    taken: set[int] = set()
    for position in sorted(integer, reverse=True):  # the last addition of a tree comes first
        node = graph.nodes[position]
        if node.op != SUM or position in taken:
            continue
        inner: set[int] = set()
        parts = parts_of(node.outputs[0], inner, top=True)
        join = Join(position, tuple(parts), frozenset(inner - {position}))
        if _fits(join, graph):
            found[position] = join
            taken |= inner
    return found


def _joins(node: Node, graph: Graph) -> bool:
    """Whether a layer can be part of a sum: causal, one frame a frame, without groups."""
    weight = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if not isinstance(layer_of(node), Convolution) or weight is None or node.inputs[0] in graph.constants:
        return False
    reach = (weight.shape[2] - 1) * dilation_of(node)
    return stride_of(node) == 1 and groups_of(node) == 1 and pads_of(node) == (reach, 0)


def _fits(join: Join, graph: Graph) -> bool:
    """Whether a sum is worth it, and small enough: the rest of its layers have no bias of their own."""
    layers = [part for part in join.parts if part.position is not None]
    if not layers or len(join.parts) < 2:
        return False
    biased = [part for part in layers if bias_of(graph.nodes[part.position or 0])]
    if any(part is not join.main for part in biased):
        return False
    rows = graph.constants[graph.nodes[join.main.position or 0].inputs[1]].shape[0]
    taps = elements = 0
    for part in join.parts:
        shape = (rows, rows, 1)
        if part.position is not None:
            shape = graph.constants[graph.nodes[part.position].inputs[1]].shape
        taps += shape[2]
        elements += shape[2] * (shape[1] + shape[1] % 2)
    return taps <= MOST_TAPS and elements <= MOST_ELEMENTS


def accumulator_scale(join: Join, graph: Graph, first: np.ndarray, scales: dict[str, float]) -> np.ndarray:
    """Widen the weight scales of a sum's main layer until all else fits, and a plain signal is exact.

    Parameters
    ----------
    first : ndarray [rows]
        Its scales by itself.
    scales : dict of str to float
        Tensor → scale, of everything that is read.

    Returns
    -------
    ndarray [rows]
        Where a signal is added, s_in is a whole multiple of the accumulator's scale.
    """
    entering = scales[join.main.source]
    wanted = first.astype(np.float64)
    for part in join.parts:
        if part is join.main:
            continue
        if part.position is None:
            largest = np.full(wanted.shape, 1.0)
        else:
            weight = graph.constants[graph.nodes[part.position].inputs[1]]
            largest = np.abs(weight.astype(np.float64)).max(axis=(1, 2))
        wanted = np.maximum(wanted, largest * scales[part.source] / (MOST_WEIGHT * entering))
    plain = next((part for part in join.parts if part.position is None), None)
    if plain is not None:
        times = np.maximum(np.floor(scales[plain.source] / (entering * wanted)), 1.0)
        wanted = np.maximum(wanted, scales[plain.source] / (entering * times))
    return wanted.astype(np.float32)
