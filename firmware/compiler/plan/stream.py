"""The streaming pass: from whole signals to clocks, windows and rings.

Time is counted in base ticks. A node *fires* on a clock, (period, offset): firing t happens at tick
``t·period + offset``, reads a window of each input and writes a fixed number of frames. The offset of a node
is the earliest at which everything it reads is there; branches that meet wait for each other in rings, and a
look into the future becomes a later clock. Zeros before the start are the zeros a ring holds after reset, so
the stream equals the offline result frame by frame, whatever the block sizes.

A *sliced* clock spreads the work of each firing over its whole period (``schedule.py``); what it writes
counts as ready one period later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Graph, Node, Tensor
from firmware.compiler.ops import FAMILIES, Window
from firmware.compiler.ops.endpoints import EndpointAttributes

MAX_LATENCY_TICKS = 1 << 24
MAX_RING_BYTES = 64 << 20
EXACT_TICKS = 1 << 16
SLIDE_SLACK_BYTES = 1024
"""A ring has room for this much more than it keeps, or for half as much: so it moves to the front seldom."""


@dataclass(frozen=True)
class Clock:
    """When a group of nodes fires.

    Attributes
    ----------
    period, offset : int
        Base ticks.
    sliced : bool
        Work spread over the period.
    firings : int
        Firings of a node that are one: the frames of so many periods of its own, in one kernel call.
    """

    period: int
    offset: int
    sliced: bool = False
    firings: int = 1

    def started(self, ticks: np.ndarray) -> np.ndarray:
        """Firings that have begun before tick ``n``."""
        return np.maximum(0, (ticks - 1 - self.offset) // self.period + 1)

    def finished(self, ticks: np.ndarray) -> np.ndarray:
        """Firings that are over before tick ``n``."""
        if not self.sliced:
            return self.started(ticks)
        return np.maximum(0, (ticks - self.period - self.offset) // self.period + 1)


@dataclass(frozen=True)
class Ring:
    """The memory of one tensor between chunks: a run of frames that slides to the front when it is full.

    A long one goes round instead, so that no chunk pays for a slide: frame n lies at n modulo the capacity,
    and the first frames once more behind the last, so that whoever reads a chunk finds it in one piece.

    Attributes
    ----------
    tensor : str
    keep : int
        Frames that may still be read when a chunk begins.
    capacity : int
        Frames of memory.
    mirrored : int
        Frames that lie behind the last once more; 0: it slides.
    """

    tensor: str
    keep: int
    capacity: int
    mirrored: int = 0

    @property
    def frames(self) -> int:
        """Frames of memory, mirrored ones included."""
        return self.capacity + self.mirrored


@dataclass(frozen=True)
class Stream:
    """A graph with its clocks.

    Attributes
    ----------
    graph : Graph
        With its endpoints.
    block : int
        Longest chunk in ticks.
    clocks : tuple of Clock
    clock_of : mapping of node name to index into ``clocks``
    rings : mapping of tensor to Ring
    passing : mapping of tensor to frames
        Tensors that live within one chunk, or within one firing of a sliced clock.
    units : tuple of tuple of Node
        In order of execution: single nodes, or all nodes of a sliced clock.
    latency : mapping of output label to ticks
    """

    graph: Graph
    block: int
    clocks: tuple[Clock, ...]
    clock_of: Mapping[str, int]
    rings: Mapping[str, Ring]
    passing: Mapping[str, int]
    units: tuple[tuple[Node, ...], ...]
    latency: Mapping[str, int] = field(default_factory=dict)

    def clock(self, node: Node) -> Clock:
        """The clock of a node."""
        return self.clocks[self.clock_of[node.name]]

    def written(self, node: Node) -> int:
        """Frames that a node writes when its clock fires."""
        return frames_written(node, self.clock(node))

    def windows(self, node: Node) -> tuple[Window, ...]:
        """What a node reads of each input when its clock fires."""
        return windows_read(node, self.clock(node))


def period_of(tensor: Tensor) -> Fraction:
    """Ticks between two frames."""
    assert tensor.rate is not None
    return 1 / tensor.rate


def frames_written(node: Node, clock: Clock) -> int:
    """Frames that a node writes when its clock fires."""
    return FAMILIES[node.op].produce(node) * clock.firings


def windows_read(node: Node, clock: Clock) -> tuple[Window, ...]:
    """What a node reads of each input when its clock fires: from the first firing's oldest frame on."""
    windows = FAMILIES[node.op].windows(node)
    if clock.firings == 1:
        return windows
    count = clock.firings
    return tuple(replace(w, stride=w.stride * count, after=w.after + (count - 1) * w.stride) for w in windows)


def firing_period(node: Node, graph: Graph) -> int:
    """Ticks between two firings of a node."""
    if node.outputs:
        ticks = period_of(graph.tensors[node.outputs[0]]) * FAMILIES[node.op].produce(node)
    else:
        ticks = period_of(graph.tensors[node.inputs[0]])
    if ticks.denominator != 1:
        raise Refusal(f"node {node.name!r} would fire every {ticks} ticks; its rates have no common clock.")
    return int(ticks)


def readiness(produce: int, period: int, window: Window) -> int:
    """Ticks that the newest frame of firing t's window is written after tick t·(reader's period).

    The writer's firing j writes frames j·produce … at tick j·period; firing t reads up to frame
    t·stride + after (t // hold in place of t). The pattern repeats after ``produce`` of these.
    """
    reader = Fraction(window.stride * period, produce)
    latest = max(
        ((t * window.stride + window.after) // produce) * period - math.floor(t * reader)
        for t in range(produce)
    )
    return latest


def stream(graph: Graph, block: int, sliced: Mapping[int, int] = MappingProxyType({})) -> Stream:
    """Give every node its clock and every tensor its memory.

    Parameters
    ----------
    graph : Graph
        A streaming graph with its endpoints.
    block : int
        Longest chunk, in ticks.
    sliced : mapping of int to int
        Firing periods whose work is spread over the period, and how many firings are one.

    Raises
    ------
    Refusal
        When the latency or a ring is beyond reason.
    """
    producer = graph.producer()
    clock_of_node: dict[str, Clock] = {}
    latency: dict[str, int] = {}
    nodes: list[Node] = []
    before: dict[Clock | str, set[Clock | str]] = {}
    for node in graph.nodes:
        period = firing_period(node, graph)
        if node.op == "Input":
            clock_of_node[node.name] = Clock(period, 0)
        elif node.op == "Output":
            writer = producer[node.inputs[0]]
            ready = _offset(Clock(period, 0), [(writer, Window())], clock_of_node)
            # by hops, what is sliced is done in the period's last tick, and read in it
            begins = ready - 1 if graph.by_hop and ready == period else 0
            delay = 0 if begins else -(-ready // period)
            attrs = replace(node.attributes_as(EndpointAttributes), delay=delay)
            node = replace(node, attrs=attrs)
            latency[attrs.label] = delay * period
            clock_of_node[node.name] = Clock(period, begins)
        else:
            firings = sliced.get(period, 1)
            kind = Clock(period * firings, 0, period in sliced, firings)
            edges = [
                (producer[name], window)
                for name, window in zip(node.inputs, windows_read(node, kind), strict=True)
            ]
            clock = replace(kind, offset=_offset(kind, edges, clock_of_node))
            sources = {_unit(writer, clock_of_node) for writer, _ in edges}
            if clock.sliced and _circular(clock, sources, before):
                apart = _offset(replace(kind, sliced=False), edges, clock_of_node)
                while _circular(clock := replace(kind, offset=apart), sources, before):
                    apart += 1
            clock_of_node[node.name] = clock
            unit = _unit(node, clock_of_node)
            before.setdefault(unit, set()).update(sources - {unit})
        if (
            clock_of_node[node.name].offset > MAX_LATENCY_TICKS
            or max(latency.values(), default=0) > MAX_LATENCY_TICKS
        ):
            raise Refusal(f"node {node.name!r} looks more than {MAX_LATENCY_TICKS} samples into the future.")
        nodes.append(node)
    graph = replace(graph, nodes=tuple(nodes))
    clocks = tuple(sorted(set(clock_of_node.values()), key=lambda c: (c.offset, -c.period, c.sliced)))
    clock_of = {name: clocks.index(clock) for name, clock in clock_of_node.items()}
    rings, passing = _memories(graph, block, clock_of_node)
    return Stream(graph, block, clocks, clock_of, rings, passing, _units(graph, clock_of_node), latency)


def _unit(node: Node, clocks: dict[str, Clock]) -> Clock | str:
    """What runs as a whole: all nodes of a sliced clock, or the node itself."""
    return clocks[node.name] if clocks[node.name].sliced else node.name


def _circular(
    clock: Clock, sources: set[Clock | str], before: Mapping[Clock | str, set[Clock | str]]
) -> bool:
    """Whether what a node reads waits for the very clock that the node would join.

    It happens where a delay of a whole period lies on a path that leaves the clock and comes back.
    """
    waiting, seen = list(sources - {clock}), set(sources)
    while waiting:
        for unit in before.get(waiting.pop(), set()):
            if unit == clock:
                return True
            if unit not in seen:
                seen.add(unit)
                waiting.append(unit)
    return False


def _offset(kind: Clock, edges: list[tuple[Node, Window]], clocks: dict[str, Clock]) -> int:
    """Earliest offset of a clock of this kind at which all inputs are there.

    A sliced node joins the sliced nodes of its kind whose results it may read within the same firing;
    any other sliced result is ready one period after it was begun.
    """
    ready = []
    for writer, window in edges:
        clock = clocks[writer.name]
        ticks = clock.offset + readiness(frames_written(writer, clock), clock.period, window)
        ready.append((ticks, clock))
    joined = {i for i, (_, clock) in enumerate(ready) if kind.sliced and replace(clock, offset=0) == kind}
    while True:
        offset = max(
            [0]
            + [
                ticks + (clock.period if clock.sliced and i not in joined else 0)
                for i, (ticks, clock) in enumerate(ready)
            ]
        )
        still = {i for i in joined if ready[i][1].offset == offset}
        if still == joined:
            return offset
        joined = still


def _memories(graph: Graph, block: int, clocks: dict[str, Clock]) -> tuple[dict[str, Ring], dict[str, int]]:
    """Decide for each tensor between a ring and memory that lives only while it passes."""
    rings: dict[str, Ring] = {}
    passing: dict[str, int] = {}
    consumers = graph.consumers()
    for name, writer in graph.producer().items():
        clock = clocks[writer.name]
        produce = frames_written(writer, clock)
        edges, goes_round = [], produce == 1 and not clock.sliced
        for reader in {r.name: r for r in consumers[name]}.values():
            windows = windows_read(reader, clocks[reader.name])
            for index, read in enumerate(reader.inputs):
                if read == name:
                    edges.append((clocks[reader.name], windows[index]))
                    goes_round &= _goes_round(reader, windows[index], clocks[reader.name], clock)
        passes = all(
            other == clock
            and (window.stride, window.hold) == (produce, 1)
            and window.before <= 0
            and window.after < produce
            for other, window in edges
        )
        if passes:
            firings = 1 if clock.sliced else -(-block // clock.period)
            passing[name] = produce * firings
            continue
        ring = _ring(graph.tensors[name], produce, clock, edges, block)
        chunk = -(-block // clock.period)
        if goes_round and ring.keep > chunk:
            # whole chunks: one that begins at the front never runs over the end, where it would be copied too
            ring = Ring(name, ring.keep, (-(-ring.keep // chunk) + 1) * chunk, mirrored=chunk)
        rings[name] = ring
    return rings, passing


def _goes_round(reader: Node, window: Window, clock: Clock, writer: Clock) -> bool:
    """Whether a reader can find its frames in a ring that goes round: tap by tap, or one frame a firing."""
    alike = (clock.period, window.stride, window.hold) == (writer.period, 1, 1) and not clock.sliced
    by_taps = FAMILIES[reader.op].reads_taps or window.frames == 1
    return alike and by_taps and window.before >= 0 and clock.offset >= writer.offset


def _ring(tensor: Tensor, produce: int, clock: Clock, edges: list[tuple[Clock, Window]], block: int) -> Ring:
    """Size a ring by counting, over one common period, what is written and what may still be read."""
    keep = 0
    for reader, window in edges:
        common = math.lcm(clock.period, reader.period)
        settled = max(clock.offset, reader.offset) + 2 * common + block
        if settled + common <= EXACT_TICKS:
            ticks = np.arange(0, settled + common, dtype=np.int64)
            written = produce * clock.started(ticks)
            needed = reader.finished(ticks) // window.hold * window.stride - window.before
            keep = max(keep, int((written - needed).max()))
        else:
            frames = Fraction(produce, clock.period)
            lag = reader.offset - clock.offset + (2 if reader.sliced else 1) * reader.period * window.hold
            keep = max(keep, math.ceil(frames * lag) + produce + window.before)
    incoming = produce * (-(-block // clock.period))
    frame_bytes = tensor.frame_bytes
    slack = min(keep, max(incoming, SLIDE_SLACK_BYTES // frame_bytes, keep // 2))
    capacity = max(1, keep + incoming + slack)
    if capacity * frame_bytes > MAX_RING_BYTES:
        raise Refusal(
            f"tensor {tensor.name!r} needs a memory of {capacity} frames, {capacity * frame_bytes >> 20} MB; "
            "shorten the kernel, the dilation or the look-ahead of the layers around it."
        )
    return Ring(tensor.name, keep, capacity)


def _units(graph: Graph, clocks: dict[str, Clock]) -> tuple[tuple[Node, ...], ...]:
    """Order of execution within a chunk: nodes after what they read, sliced clocks as wholes."""
    key_of = {node.name: _unit(node, clocks) for node in graph.nodes}
    members: dict[Clock | str, list[Node]] = {}
    for node in graph.nodes:
        members.setdefault(key_of[node.name], []).append(node)
    producer = graph.producer()
    before: dict[Clock | str, set[Clock | str]] = {
        key: {key_of[producer[n].name] for node in group for n in node.inputs} - {key}
        for key, group in members.items()
    }
    order: list[Clock | str] = []
    placed: set[Clock | str] = set()
    waiting = list(members)
    while waiting:
        ready = [k for k in waiting if before[k] <= placed]
        assert ready, "sliced clocks depend on each other"
        first = ready[0]
        order.append(first)
        placed.add(first)
        waiting.remove(first)
    return tuple(tuple(members[k]) for k in order)
