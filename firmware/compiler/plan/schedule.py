"""The schedule: which clocks are sliced, into which items, and what every callback then costs.

A clock slower than the callback would do its work in one callback and none in the next. Its layers are cut
into items (a range of output channels of one layer), due at ticks that advance evenly with their predicted
cost. Items run in the order of the layers, so a result never depends on how callbacks are cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from firmware.compiler.graph import Graph, Node
from firmware.compiler.judge.arithmetic import LIMITS
from firmware.compiler.ops import FAMILIES, Work
from firmware.compiler.ops.activation import bends
from firmware.compiler.ops.conv import ConvAttributes
from firmware.compiler.plan.cost import ITEM_CYCLES, CostModel
from firmware.compiler.plan.stream import Stream, firing_period, period_of

NEGLIGIBLE = 0.04
"""A clock one firing of which costs less than this part of a mean callback is not sliced."""
ITEMS_PER_CALLBACK = 64
"""Items aim at this part of a mean callback: their sum is as even as they are small."""
MAX_ITEMS = 4096
SLICE_CHANNELS = 8
CLAMPS_ITSELF = ("Conv", "Add", "Sub", "Mul", "Mean", "Affine", "Leaky", "Rescale", "Quantize", "Input")
"""Operators that clamp what they wrote where its bounds are narrow (``Writer.clip``)."""
MAX_SIMULATED_CALLBACKS = 4096

Priced = Callable[[Node, float, float], float]


@dataclass(frozen=True)
class Item:
    """A piece of one layer: ``rows`` is (first, count), or None for the whole."""

    node: Node
    rows: tuple[int, int] | None
    cycles: float
    due: int = 0


@dataclass(frozen=True)
class Schedule:
    """What runs when.

    Attributes
    ----------
    items : mapping of clock index to items
        For each sliced clock.
    callbacks : ndarray
        Predicted cycles of consecutive callbacks of one block, once the pipeline is filled.
    """

    items: dict[int, tuple[Item, ...]]
    callbacks: np.ndarray

    @property
    def mean(self) -> float:
        """Mean cycles per callback."""
        return float(self.callbacks.mean())

    @property
    def worst(self) -> float:
        """Most cycles in one callback."""
        return float(self.callbacks.max())


def price(graph: Graph, model: CostModel, fetch: Callable[[Node], float] | None = None) -> Priced:
    """Return a function (node, firings, share of rows) → cycles, memory traffic included."""
    works = {node.name: FAMILIES[node.op].work(node, graph) for node in graph.nodes}
    clamps = {node.name: clamp_work(node, graph) for node in graph.nodes}

    def cycles(node: Node, firings: float, share: float = 1.0) -> float:
        traffic = fetch(node) * share if fetch is not None else 0.0
        clamp = clamps[node.name]
        after = model.cycles(clamp, firings, share) if clamp is not None else 0.0
        return model.cycles(works[node.name], firings, share) + after + traffic

    return cycles


def clamp_work(node: Node, graph: Graph) -> Work | None:
    """What ``Writer.clip`` costs behind an operator whose bounds are narrower than its type."""
    quant = graph.tensors[node.outputs[0]].quant if node.outputs else None
    if node.op not in CLAMPS_ITSELF or quant is None or (quant.low, quant.high) == LIMITS[quant.dtype]:
        return None
    if bends(node, graph.tensors[node.outputs[0]]):
        return None
    suffix = {"int16": "s16", "int8": "s8"}[quant.dtype]
    count = graph.tensors[node.outputs[0]].channels * FAMILIES[node.op].produce(node)
    return Work(f"clip_{suffix}", outputs=count)


def choose_sliced(graph: Graph, block: int, cycles: Priced) -> dict[int, int]:
    """Find the firing periods whose work is worth spreading.

    A period that divides the block costs the same in every callback; any other is sliced when one firing
    would be felt.

    Returns
    -------
    dict of period to firings that are one
        As ``stream`` takes them.
    """
    per_period: dict[int, float] = {}
    for node in graph.nodes:
        if node.op not in ("Input", "Output"):
            period = firing_period(node, graph)
            per_period[period] = per_period.get(period, 0.0) + cycles(node, 1, 1.0)
    mean = sum(c * block / p for p, c in per_period.items())
    return {p: 1 for p, c in per_period.items() if block % p and c > NEGLIGIBLE * mean}


def in_pairs(graph: Graph, block: int, sliced: Mapping[int, int]) -> dict[int, int]:
    """Make two firings one where both begin within a callback: weights are loaded once for two frames.

    Readers of a frame that is held for several firings stay as they are.
    """
    held = {
        firing_period(node, graph)
        for node in graph.nodes
        if any(window.hold > 1 for window in FAMILIES[node.op].windows(node))
    }
    return {p: 2 if p <= block and p not in held else n for p, n in sliced.items()}


def cut(
    nodes: tuple[Node, ...], graph: Graph, target: float, cycles: Priced, turn: float = 0.0, firings: int = 1
) -> tuple[Item, ...]:
    """Cut so many firings of nodes into items of about ``target`` cycles; each costs a ``turn`` on top."""
    items = []
    for node in nodes:
        work = FAMILIES[node.op].work(node, graph)
        total = cycles(node, firings, 1.0)
        rows = graph.tensors[node.outputs[0]].frame * FAMILIES[node.op].produce(node) if node.outputs else 1
        pieces = min(max(1, round(total / target)), -(-rows // SLICE_CHANNELS))
        if node.op != "Conv" or work.rows == 1 or pieces == 1:
            items.append(Item(node, None, total + turn))
            continue
        rows = packed_rows(node, graph)
        wanted = -(-rows // pieces)
        size = max(SLICE_CHANNELS, -(-wanted // SLICE_CHANNELS) * SLICE_CHANNELS)
        for first in range(0, rows, size):
            count = min(size, rows - first)
            items.append(Item(node, (first, count), cycles(node, firings, count / rows) + turn))
    return tuple(items)


def packed_rows(node: Node, graph: Graph) -> int:
    """Rows of a convolution as the kernel counts them: pad lanes lie between phases only."""
    y = graph.tensors[node.outputs[0]]
    phases = node.attributes_as(ConvAttributes).phases
    return y.channels if phases == 1 else phases * y.frame


def spread(items: tuple[Item, ...], period: int) -> tuple[Item, ...]:
    """Give each item its tick: the part of the period that matches the cost before it."""
    total = sum(i.cycles for i in items) or 1.0
    placed, before = [], 0.0
    for item in items:
        placed.append(replace(item, due=min(period - 1, math.floor(period * before / total))))
        before += item.cycles
    return tuple(placed)


def schedule(stream: Stream, cycles: Priced, model: CostModel, callback: int | None = None) -> Schedule:
    """Cut the sliced clocks and predict the cost of every callback.

    Parameters
    ----------
    stream : Stream
    cycles : Priced
    model : CostModel
        For what the code around the kernels costs.
    callback : int, optional
        Ticks per callback; the block by default.
    """
    callback = callback or stream.block
    mean = sum(
        cycles(node, stream.clock(node).firings, 1.0) * callback / stream.clock(node).period
        for unit in stream.units
        for node in unit
    )
    items: dict[int, tuple[Item, ...]] = {}
    for unit in stream.units:
        clock = stream.clock(unit[0])
        if clock.sliced:
            whole = sum(cycles(n, clock.firings, 1.0) for n in unit)
            target = max(mean / ITEMS_PER_CALLBACK, whole / MAX_ITEMS, 1.0)
            items[stream.clock_of[unit[0].name]] = spread(
                cut(unit, stream.graph, target, cycles, model.around * ITEM_CYCLES, clock.firings),
                clock.period,
            )
    return Schedule(items, _simulate(stream, items, cycles, callback) + _sliding(stream, model, callback))


def _sliding(stream: Stream, model: CostModel, callback: int) -> float:
    """Cycles of a mean callback for the rings: their checks, and moving to the front when they are full."""
    total = 0.0
    for name, ring in stream.rings.items():
        tensor = stream.graph.tensors[name]
        frames = float(callback / period_of(tensor))
        if ring.mirrored:
            total += model.mirroring(ring.mirrored * tensor.frame_bytes, frames / ring.capacity)
            continue
        slack = ring.capacity - ring.keep
        total += model.sliding(
            ring.keep * tensor.frame_bytes, slack * tensor.frame_bytes, frames * tensor.frame_bytes
        )
    return total


def _simulate(
    stream: Stream, items: dict[int, tuple[Item, ...]], cycles: Priced, callback: int
) -> np.ndarray:
    """Add up what every callback does, from when all clocks run, over one common period."""
    common = math.lcm(callback, *(c.period for c in stream.clocks))
    callbacks = min(common // callback, MAX_SIMULATED_CALLBACKS)
    start = -(-max(c.offset + c.period for c in stream.clocks) // callback)
    edges = (start + np.arange(callbacks + 1, dtype=np.int64)) * callback
    load = np.zeros(callbacks)
    for unit in stream.units:
        clock, index = stream.clock(unit[0]), stream.clock_of[unit[0].name]
        if clock.sliced:
            for item in items[index]:
                starts = np.maximum(0, (edges - 1 - clock.offset - item.due) // clock.period + 1)
                load += np.diff(starts) * item.cycles
            continue
        for node in unit:
            firings = np.diff(clock.started(edges))
            price_of = {int(n): cycles(node, int(n), 1.0) if n else 0.0 for n in np.unique(firings)}
            load += np.array([price_of[int(n)] for n in firings])
    return load
