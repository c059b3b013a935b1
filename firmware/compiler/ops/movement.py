"""Moves: reshapes, transposes, slices, concatenations, nearest upsampling. They change no number.

Within a frame (or a fixed group of frames) a chain of moves becomes one ``Shuffle`` with an index table;
along time, padding and cropping become ``Delay``, a shift with zeros before the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import WIDTH, Attributes, Constant, Graph, Node
from firmware.compiler.ops.base import Family, Window, Work, family, reader
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.layout import Layout, broadcast_shape, common_time, lay, seen, shown
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue, Dim, Frames, product, whole
from firmware.compiler.write.writer import Writer

MAX_MOVED = 1 << 24


@dataclass(frozen=True, eq=False)
class ShuffleAttributes(Attributes):
    """Out of every ``stride`` frames, ``produce`` frames.

    Attributes
    ----------
    stride, produce : int
    table : ndarray of int64, shape (produce, channels)
        Where each element comes from: frame·(input's channels) + channel.
    """

    stride: int
    produce: int
    table: np.ndarray


@dataclass(frozen=True)
class DelayAttributes(Attributes):
    """A shift along time.

    Attributes
    ----------
    frames : int
        Zeros before the start; negative: frames left out there.
    trim : int
        Frames left out at the end; negative: zeros there.
    """

    frames: int = 0
    trim: int = 0


def identity(channels: int, frames: Dim | None) -> ShuffleAttributes:
    """Make the move that changes nothing (a copy)."""
    count = frames if isinstance(frames, int) else 1
    return ShuffleAttributes(
        count, count, np.arange(count * channels, dtype=np.int64).reshape(count, channels)
    )


def _axes(builder: Builder, node: OnnxNode, index: int, rank: int) -> list[int] | None:
    """Axes by an optional input."""
    given = node.optional(index)
    if given is None:
        return None
    values = whole(builder.ints(given))
    if values is None:
        raise Refusal("its axes depend on the length of the signal; a stream has no length.")
    axes = [v + rank if v < 0 else v for v in values]
    if any(not 0 <= a < rank for a in axes):
        raise Refusal(f"its axes {values} are outside of a tensor with {rank} axes.")
    return axes


@reader("Reshape", "Flatten")
def read_reshape(builder: Builder, node: OnnxNode) -> None:
    """Keep the order of the elements."""
    act = builder.act(node.input[0])
    if node.op_type == "Flatten":
        axis = node.attributes["axis"]
        dims: list[Dim] = [product(act.shape[:axis]), product(act.shape[axis:])]
    else:
        dims = builder.ints(node.input[1])
        if not node.attributes["allowzero"]:
            dims = [
                act.shape[i] if isinstance(d, int) and d == 0 and i < len(act.shape) else d
                for i, d in enumerate(dims)
            ]
    if sum(1 for d in dims if isinstance(d, Frames)) > 1:
        raise Refusal("its shape has time on two axes.")
    total = product(act.shape)
    if -1 in dims:
        known = product(tuple(d for d in dims if isinstance(d, Frames) or d != -1))
        if known == 0:
            raise Refusal("its shape holds a zero.")
        dims = [total // known if isinstance(d, int) and d == -1 else d for d in dims]
    claim = product(tuple(dims))
    if isinstance(claim, Frames) and isinstance(total, Frames):
        matches = builder.root(claim).ratio == builder.root(total).ratio
    else:
        matches = claim == total
    if not matches:
        raise Refusal(
            f"it reshapes {_text(act.shape)} to {_text(tuple(dims))}; a shape that fixes the length of "
            "the signal "
            "cannot stream, export with a dynamic time axis."
        )
    _move(builder, node, act, "reshape", tuple(dims), tuple(dims))


def _text(shape: tuple[Dim, ...]) -> str:
    """Print a shape."""
    return "[" + ", ".join(f"{d.ratio}·{d.symbol}" if isinstance(d, Frames) else str(d) for d in shape) + "]"


def _move(
    builder: Builder,
    node: OnnxNode,
    act: ActValue,
    kind: str,
    argument: Any,
    shape: tuple[Dim, ...],
    index: int = 0,
) -> None:
    """Append a move."""
    size = math.prod(d if isinstance(d, int) else 1 for d in shape)
    if len(shape) > 8 or size > MAX_MOVED or any(isinstance(d, int) and d < 1 for d in shape):
        raise Refusal(f"its result has the shape {_text(shape)}.")
    builder.values[node.output[index]] = act.moved(kind, argument, shape)


@reader("Transpose")
def read_transpose(builder: Builder, node: OnnxNode) -> None:
    """Exchange axes, of a constant too."""
    value = builder.value(node.input[0])
    rank = len(value.shape) if isinstance(value, ActValue) else builder.const(node.input[0]).values.ndim
    order = node.attributes["perm"] or list(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise Refusal(f"its permutation {list(order)} does not fit a tensor with {rank} axes.")
    if isinstance(value, ActValue):
        shape = tuple(value.shape[i] for i in order)
        if len(value.chain) == 1 and value.chain[0][0] == "transpose":
            before = value.chain[0][1]
            joined = tuple(before[i] for i in order)
            chain = () if joined == tuple(range(rank)) else (("transpose", joined),)
            builder.values[node.output[0]] = ActValue(value.base, shape, value.base_shape, chain)
            return
        _move(builder, node, value, "transpose", tuple(order), shape)
        return
    constant = builder.const(node.input[0])
    axis = order.index(constant.axis) if constant.scale is not None and constant.scale.size > 1 else 0
    builder.values[node.output[0]] = Constant(constant.values.transpose(order), constant.scale, axis)


@reader("Squeeze")
def read_squeeze(builder: Builder, node: OnnxNode) -> None:
    """Drop axes of size 1."""
    act = builder.act(node.input[0])
    axes = _axes(builder, node, 1, len(act.shape))
    axes = [i for i, d in enumerate(act.shape) if d == 1] if axes is None else axes
    if any(act.shape[a] != 1 for a in axes):
        raise Refusal("it squeezes an axis whose size is not 1.")
    shape = tuple(d for i, d in enumerate(act.shape) if i not in axes)
    _move(builder, node, act, "reshape", shape, shape)


@reader("Unsqueeze")
def read_unsqueeze(builder: Builder, node: OnnxNode) -> None:
    """Add axes of size 1."""
    act = builder.act(node.input[0])
    count = len(builder.ints(node.input[1]))
    axes = _axes(builder, node, 1, len(act.shape) + count) or []
    shape: list[Dim] = list(act.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    _move(builder, node, act, "reshape", tuple(shape), tuple(shape))


@reader("Expand")
def read_expand(builder: Builder, node: OnnxNode) -> None:
    """Repeat axes of size 1."""
    act = builder.act(node.input[0])
    wanted = builder.ints(node.input[1])
    shape: list[Dim] = list(act.shape)
    rank = max(len(shape), len(wanted))
    shape = [*([1] * (rank - len(shape))), *shape]
    wanted = [*([1] * (rank - len(wanted))), *wanted]
    if len(shape) != len(act.shape):
        raise Refusal("it adds axes; reshape first.")
    result = [w if d == 1 else d for d, w in zip(shape, wanted, strict=True)]
    if any(isinstance(r, Frames) and d == 1 for r, d in zip(result, shape, strict=True)):
        raise Refusal("it repeats one frame over the whole signal; give that input its own rate instead.")
    _move(builder, node, act, "expand", tuple(result), tuple(result))


@reader("Tile")
def read_tile(builder: Builder, node: OnnxNode) -> None:
    """Repeat axes of size 1."""
    act = builder.act(node.input[0])
    times = builder.ints(node.input[1])
    if len(times) != len(act.shape) or any(isinstance(t, Frames) or t < 1 for t in times):
        raise Refusal("its repeats must be whole numbers, one per axis.")
    shape = list(act.shape)
    for axis, count in enumerate(times):
        if count != 1:
            if shape[axis] != 1:
                raise Refusal("it repeats an axis whose size is not 1.")
            shape[axis] = count
    _move(builder, node, act, "expand", tuple(shape), tuple(shape))


def _take(
    builder: Builder, node: OnnxNode, act: ActValue, axis: int, indices: np.ndarray, index: int = 0
) -> None:
    """Select entries of one axis."""
    shape = (*act.shape[:axis], len(indices), *act.shape[axis + 1 :])
    _move(builder, node, act, "take", (axis, indices), shape, index)


@reader("Split")
def read_split(builder: Builder, node: OnnxNode) -> None:
    """Split channels."""
    act = builder.act(node.input[0])
    rank = len(act.shape)
    axis = node.attributes["axis"]
    axis = axis + rank if axis < 0 else axis
    size = act.shape[axis] if 0 <= axis < rank else None
    if not isinstance(size, int):
        raise Refusal("it splits along time; a stream cannot be split.")
    given = node.optional(1)
    sizes: Any = builder.ints(given) if given else None
    count = len(node.output)
    if sizes is None:
        part = -(-size // count)
        sizes = [*([part] * (count - 1)), size - part * (count - 1)]
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        raise Refusal(f"its parts {list(sizes)} do not add up to {size} channels.")
    start = 0
    for index, part in enumerate(sizes):
        if node.output[index]:
            _take(builder, node, act, axis, np.arange(start, start + part), index)
        start += part


@reader("Gather")
def read_gather(builder: Builder, node: OnnxNode) -> None:
    """Pick channels."""
    act = builder.act(node.input[0])
    rank = len(act.shape)
    axis = node.attributes["axis"]
    axis = axis + rank if axis < 0 else axis
    picked = builder.const(node.input[1]).values
    size = act.shape[axis] if 0 <= axis < rank else None
    if not isinstance(size, int) or picked.ndim > 1 or picked.size == 0 or picked.size > 65536:
        raise Refusal("it must pick channels by a list of whole numbers.")
    whole = picked.reshape(-1).astype(np.int64)
    whole = np.where(whole < 0, whole + size, whole)
    if whole.min() < 0 or whole.max() >= size:
        raise Refusal(f"it picks channel {int(picked.max())} of {size}.")
    if picked.ndim == 1:
        _take(builder, node, act, axis, whole)
        return
    taken = act.moved("take", (axis, whole), (*act.shape[:axis], 1, *act.shape[axis + 1 :]))
    shape = act.shape[:axis] + act.shape[axis + 1 :]
    _move(builder, node, taken, "reshape", shape, shape)


@reader("Slice")
def read_slice(builder: Builder, node: OnnxNode) -> None:
    """Select channels; along time, drop frames at the start (a shift) or at the end (never heard)."""
    act = builder.act(node.input[0])
    rank = len(act.shape)
    starts, ends = builder.ints(node.input[1]), builder.ints(node.input[2])
    steps = builder.ints(node.input[4]) if node.optional(4) else [1] * len(starts)
    axes = _axes(builder, node, 3, rank)
    axes = list(range(len(starts))) if axes is None else axes
    if not len(starts) == len(ends) == len(steps) == len(axes):
        raise Refusal("its starts, ends, axes and steps differ in number.")
    value = act
    for start, end, step, axis in zip(starts, ends, steps, axes, strict=True):
        size = value.shape[axis]
        if isinstance(size, Frames):
            value = _slice_time(builder, node, value, axis, start, end, step)
        else:
            cut = whole((start, end, step))
            if cut is None or step == 0:
                raise Refusal("it slices channels by a length along time.")
            indices = np.arange(size)[slice(*cut)]
            if not indices.size:
                raise Refusal("it leaves no channels.")
            value = value.moved(
                "take", (axis, indices), (*value.shape[:axis], len(indices), *value.shape[axis + 1 :])
            )
    builder.values[node.output[0]] = value


def _slice_time(
    builder: Builder, node: OnnxNode, act: ActValue, axis: int, start: Dim, end: Dim, step: Dim
) -> ActValue:
    """Crop along time."""
    if step != 1:
        raise Refusal("it takes every n-th frame; use a strided Conv.")
    size = act.shape[axis]
    assert isinstance(size, Frames)
    if isinstance(start, Frames) and start.ratio == -size.ratio and start.symbol == size.symbol:
        start = start + size  # from the end, by as much as the signal is long
    if isinstance(start, Frames):
        start = start - size if start.ratio == size.ratio and start.symbol == size.symbol else start
        if not isinstance(start, int):
            raise Refusal(
                "it starts at a frame that depends on the length of the signal; a stream has no length."
            )
        raise Refusal("it keeps only the end of the signal; a stream has no end.")
    if start < 0:
        raise Refusal("it keeps only the end of the signal; a stream has no end.")
    trim = 0
    if isinstance(end, Frames):
        if builder.root(end).ratio != builder.root(size).ratio:
            raise Refusal("it keeps a part of the signal that grows more slowly than the signal.")
        trim = max(0, math.ceil(size.offset - end.offset)) if size.symbol == end.symbol else 0
    elif end < 0:
        trim = -end
    elif end < 1 << 30:
        raise Refusal(
            f"it keeps {end - start} frames only; a stream goes on. Slice from the start, or to the end."
        )
    if start == 0 and trim == 0 and builder.streaming:
        return act
    layout = Layout.of(act.shape, axis)
    source = lay(builder, act, layout, node.input[0])
    channels, length = builder.shapes[source][1:]
    result = builder.add_node(
        "Delay",
        [source],
        channels=channels,
        length=length + (-start - trim),
        hint=node.output[0],
        attrs=DelayAttributes(-start, trim),
    )
    return seen(builder, result, layout)


@reader("Pad")
def read_pad(builder: Builder, node: OnnxNode) -> None:
    """Zeros before the start of the signal (after its end they only lengthen it)."""
    act = builder.act(node.input[0])
    mode = node.attributes["mode"]
    if mode != "constant":
        raise Refusal(f"its mode is {mode!r}; pad with zeros, a stream begins and ends in silence.")
    given = node.optional(2)
    value = float(builder.const(given).real.reshape(-1)[0]) if given else 0.0
    if value != 0.0:
        raise Refusal(f"it pads with {value:.3g}; pad with zeros.")
    pads = whole(builder.ints(node.input[1]))
    rank = len(act.shape)
    axes = _axes(builder, node, 3, rank)
    axes = list(range(rank)) if axes is None else axes
    if pads is None or len(pads) != 2 * len(axes):
        raise Refusal("its pads must be whole numbers, two per axis.")
    before = dict(zip(axes, pads[: len(axes)], strict=True))
    after = dict(zip(axes, pads[len(axes) :], strict=True))
    moved = [a for a in axes if before[a] or after[a]]
    if not moved:
        builder.values[node.output[0]] = act
        return
    (time_axis, *more) = moved
    if more or (builder.streaming and not isinstance(act.shape[time_axis], Frames)):
        raise Refusal("it pads channels; pad along time only.")
    layout = Layout.of(act.shape, time_axis)
    source = lay(builder, act, layout, node.input[0])
    if abs(before[time_axis]) > 1 << 20 or abs(after[time_axis]) > 1 << 20:
        raise Refusal("it pads by more than a million frames.")
    channels, length = builder.shapes[source][1:]
    result = builder.add_node(
        "Delay",
        [source],
        channels=channels,
        length=length + (before[time_axis] + after[time_axis]),
        hint=node.output[0],
        attrs=DelayAttributes(before[time_axis], -after[time_axis]),
    )
    builder.values[node.output[0]] = seen(builder, result, layout)


@reader("Concat")
def read_concat(builder: Builder, node: OnnxNode) -> None:
    """Join channels; along time, zeros before a signal are padding."""
    values = [builder.value(name) for name in node.input]
    acts = [v for v in values if isinstance(v, ActValue)]
    rank = len(acts[0].shape)
    axis = node.attributes["axis"]
    axis = axis + rank if axis < 0 else axis
    if len(acts) != len(values):
        _concat_zeros(builder, node, axis)
        return
    if any(len(a.shape) != rank for a in acts) or not 0 <= axis < rank:
        raise Refusal("its operands have different numbers of axes, or none at its axis.")
    beside = [tuple(1 if a == axis else d for a, d in enumerate(act.shape)) for act in acts]
    if any(dims.count(1) != beside[0].count(1) for dims in beside):
        raise Refusal(f"its operands have the shapes {' and '.join(shown(a.shape) for a in acts)}.")
    if any(isinstance(act.shape[axis], Frames) for act in acts):
        raise Refusal("it joins signals along time; a stream cannot wait for the first to end.")
    rest = broadcast_shape(builder, beside)
    sizes = [act.shape[axis] for act in acts]
    shape = (*rest[:axis], sum(d for d in sizes if isinstance(d, int)), *rest[axis + 1 :])
    time = common_time(acts, shape, apart=(axis,))
    ahead = any(d != 1 for a, d in enumerate(shape[:axis]) if a != time)
    layout = Layout.of(shape, time, front=(axis,) if ahead else ())
    sources = [
        lay(builder, act, layout.resized(act.shape), name) for act, name in zip(acts, node.input, strict=True)
    ]
    result = builder.add_node(
        "Concat",
        sources,
        channels=sum(builder.shapes[s][1] for s in sources),
        length=builder.shapes[sources[0]][2],
        hint=node.output[0],
    )
    builder.values[node.output[0]] = seen(builder, result, layout)


def _concat_zeros(builder: Builder, node: OnnxNode, axis: int) -> None:
    """Zeros joined before or after a signal along time."""
    signals = [i for i, name in enumerate(node.input) if not builder.is_const(name)]
    if len(signals) != 1:
        raise Refusal("it joins constants and several signals; join the signals first.")
    (place,) = signals
    act = builder.act(node.input[place])
    if not 0 <= axis < len(act.shape) or (builder.streaming and axis != act.time_axis):
        raise Refusal("it joins constant channels to a signal; add them as a bias instead.")
    layout = Layout.of(act.shape, axis)
    source = lay(builder, act, layout, node.input[place])
    counts = {True: 0, False: 0}
    for i, name in enumerate(node.input):
        if i != place:
            constant = builder.const(name).real
            fits = constant.ndim == len(act.shape) and all(
                isinstance(d, Frames) or d == size
                for a, (d, size) in enumerate(zip(act.shape, constant.shape, strict=True))
                if a != axis
            )
            if np.any(constant != 0) or not fits:
                raise Refusal("it joins numbers other than zero to a signal, or another number of channels.")
            counts[i < place] += constant.shape[axis]
    channels, length = builder.shapes[source][1:]
    result = builder.add_node(
        "Delay",
        [source],
        channels=channels,
        length=length + (counts[True] + counts[False]),
        hint=node.output[0],
        attrs=DelayAttributes(counts[True], -counts[False]),
    )
    builder.values[node.output[0]] = seen(builder, result, layout)


def held_channel(node: Node) -> int | None:
    """First channel, where a Shuffle holds neighbouring channels of one frame for several; else None."""
    a = node.attributes_as(ShuffleAttributes)
    first = int(a.table[0, 0])
    held = a.stride == 1 and a.produce > 1
    return first if held and np.all(a.table == first + np.arange(a.table.shape[1])) else None


@dataclass(frozen=True)
class Rectangle:
    """A part of a Shuffle that advances evenly.

    Attributes
    ----------
    source, frame_step, lane_step : int
        Where it is read, in elements of memory: first, and from frame to frame, from lane to lane.
    frame, lane : int
        Where it is written.
    frames, lanes : int
        Its size.
    """

    source: int
    frame_step: int
    lane_step: int
    frame: int
    lane: int
    frames: int
    lanes: int


@family(Shuffle=ShuffleAttributes)
class Shuffle(Family):
    """Out of every ``stride`` frames, ``produce`` frames whose elements are found by a table."""

    def produce(self, node: Node) -> int:
        """Frames written."""
        return node.attributes_as(ShuffleAttributes).produce

    def windows(self, node: Node) -> tuple[Window, ...]:
        """A group of frames."""
        stride = node.attributes_as(ShuffleAttributes).stride
        return (Window(stride, 0, stride - 1),)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Whole groups only."""
        a = node.attributes_as(ShuffleAttributes)
        return lengths[0] // a.stride * a.produce

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Index."""
        (x,) = inputs
        a = node.attributes_as(ShuffleAttributes)
        channels = graph.tensors[node.inputs[0]].channels
        firings = x.shape[1] // a.stride
        groups = x[:, : firings * a.stride].T.reshape(firings, a.stride * channels)
        return groups[:, a.table.reshape(-1)].reshape(firings * a.produce, -1).T

    def work(self, node: Node, graph: Graph) -> Work:
        """One element after the other."""
        y = graph.tensors[node.outputs[0]]
        count = y.channels * self.produce(node)
        reads = count * WIDTH[y.dtype]
        if held_channel(node) is not None:
            return Work("repeat", outputs=count * WIDTH[y.dtype] // 4, reads=reads)
        return Work("gather", outputs=count, reads=reads, calls=len(self.blocks(node, graph)))

    def blocks(self, node: Node, graph: Graph) -> list[Rectangle]:
        """Cut the table into rectangles that advance evenly."""
        x = graph.tensors[node.inputs[0]]
        table = node.attributes_as(ShuffleAttributes).table
        source = table // x.channels * x.frame + table % x.channels
        rows, lanes = source.shape
        pieces = []
        for row in range(rows):
            lane = 0
            while lane < lanes:
                end, step = lane + 1, 0
                if end < lanes:
                    step = int(source[row, end] - source[row, lane])
                    while end < lanes and source[row, end] - source[row, end - 1] == step:
                        end += 1
                    if end - lane == 2 and end < lanes and step < 0:
                        end, step = lane + 1, 0
                pieces.append(Rectangle(int(source[row, lane]), 0, step, row, lane, 1, end - lane))
                lane = end
        merged: list[Rectangle] = []
        open_at: dict[tuple[int, int, int], int] = {}
        for piece in pieces:
            key = (piece.lane, piece.lanes, piece.lane_step)
            at = open_at.get(key)
            if at is not None and merged[at].frame + merged[at].frames == piece.frame:
                last = merged[at]
                step = piece.source - (last.source + (last.frames - 1) * last.frame_step)
                if step >= 0 and (last.frames == 1 or step == last.frame_step):
                    merged[at] = replace(last, frame_step=step, frames=last.frames + 1)
                    continue
            open_at[key] = len(merged)
            merged.append(piece)
        return merged

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_copy_rows``, ``vk_repeat_rows`` or ``vk_gather_…``."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        a = node.attributes_as(ShuffleAttributes)
        stride, produce = a.stride, a.produce
        width, suffix = WIDTH[y.dtype], out.suffix(y)
        if (first := held_channel(node)) is not None:
            out.call(
                "vk_repeat_rows",
                f"{out.src(0)} + {first}" if first else out.src(0),
                x.frame_bytes,
                out.dst(),
                y.frame_bytes,
                out.frames,
                y.channels * width,
                produce,
            )
            return
        for piece in self.blocks(node, graph):
            src = f"{out.src(0)} + {piece.source}" if piece.source else out.src(0)
            offset = piece.frame * y.frame + piece.lane
            dst = f"{out.dst()} + {offset}" if offset else out.dst()
            lane_step = self._size(piece.lane_step)
            if piece.frames == 1 and piece.lane_step == 1:
                out.call(
                    "vk_copy_rows",
                    src,
                    stride * x.frame_bytes,
                    dst,
                    produce * y.frame_bytes,
                    out.frames,
                    piece.lanes * width,
                )
            elif piece.frames == 1:
                out.call(
                    f"vk_gather_{suffix}",
                    src,
                    stride * x.frame,
                    lane_step,
                    dst,
                    produce * y.frame,
                    1,
                    out.frames,
                    piece.lanes,
                )
            elif out.single_firing:
                out.call(
                    f"vk_gather_{suffix}",
                    src,
                    piece.frame_step,
                    lane_step,
                    dst,
                    y.frame,
                    1,
                    piece.frames,
                    piece.lanes,
                )
            else:
                with out.loop():
                    out.call(
                        f"vk_gather_{suffix}",
                        out.at(src, stride * x.frame),
                        piece.frame_step,
                        lane_step,
                        out.at(dst, produce * y.frame),
                        y.frame,
                        1,
                        piece.frames,
                        piece.lanes,
                    )

    @staticmethod
    def _size(step: int) -> str:
        """A step as a size_t; going backward wraps around, which pointer arithmetic undoes."""
        return str(step) if step >= 0 else f"(size_t){step}"


@family(Concat=Attributes)
class Concat(Family):
    """Channels of several signals side by side."""

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Join."""
        frames = min(x.shape[1] for x in inputs)
        return np.concatenate([x[:, :frames] for x in inputs])

    def work(self, node: Node, graph: Graph) -> Work:
        """Copies."""
        y = graph.tensors[node.outputs[0]]
        kernel = "gather" if self.by_elements(node, graph) else "copy_strided"
        return Work(kernel, outputs=y.channels, reads=y.channels * WIDTH[y.dtype], calls=len(node.inputs))

    @staticmethod
    def by_elements(node: Node, graph: Graph) -> bool:
        """Whether some operand of int16 begins or ends within a word: then rows of bytes are slow to move."""
        operands = [graph.tensors[n] for n in node.inputs]
        return operands[0].dtype == "int16" and any(x.channels % 2 for x in operands)

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_copy_rows`` once per operand."""
        y = graph.tensors[node.outputs[0]]
        width, start = WIDTH[y.dtype], 0
        for index, name in enumerate(node.inputs):
            x = graph.tensors[name]
            dst = f"{out.dst()} + {start}" if start else out.dst()
            start += x.channels
            if self.by_elements(node, graph):
                out.call("vk_gather_s16", out.src(index), x.frame, 1, dst, y.frame, 1, out.frames, x.channels)
                continue
            out.call(
                "vk_copy_rows",
                out.src(index),
                x.frame_bytes,
                dst,
                y.frame_bytes,
                out.frames,
                x.channels * width,
            )


@family(Delay=DelayAttributes)
class Delay(Family):
    """Shift along time by ``frames`` (negative: into the future), zeros before the start."""

    def windows(self, node: Node) -> tuple[Window, ...]:
        """One frame, at a distance."""
        frames = node.attributes_as(DelayAttributes).frames
        return (Window(1, frames, -frames),)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Longer by the padding, shorter by the crop."""
        a = node.attributes_as(DelayAttributes)
        return lengths[0] + a.frames - a.trim

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Pad or crop."""
        (x,) = inputs
        a = node.attributes_as(DelayAttributes)
        x = np.pad(x, ((0, 0), (max(a.frames, 0), max(-a.trim, 0))))[:, max(-a.frames, 0) :]
        return x[:, : x.shape[1] - a.trim] if a.trim > 0 else x

    def work(self, node: Node, graph: Graph) -> Work:
        """A copy."""
        y = graph.tensors[node.outputs[0]]
        return Work("copy", outputs=y.channels, reads=y.channels * WIDTH[y.dtype])

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_copy_rows``."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        out.call(
            "vk_copy_rows", out.src(0), x.frame_bytes, out.dst(), y.frame_bytes, out.frames, y.frame_bytes
        )
