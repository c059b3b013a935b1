"""From shapes of any rank to [channels, frames] and back: where time lies, and what broadcasts over what.

The graph computes with [channels, frames]. A tensor of the file may have any rank and any order of axes, so a
reader says which axis is time, computes, and says in what shape the file sees the result.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Constant
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.values import ActValue, Dim, Frames, product

Shape = tuple[Dim, ...]


@dataclass(frozen=True)
class Layout:
    """How a shape of the file lies in the graph.

    Attributes
    ----------
    shape : tuple of Dim
    time : int or None
        Its axis along time; None: one frame.
    order : tuple of int
        Its axes as they become channels, outermost first, time last.
    """

    shape: Shape
    time: int | None
    order: tuple[int, ...]

    @staticmethod
    def of(shape: Shape, time: int | None, front: Collection[int] = ()) -> Layout:
        """All axes in their order, those in ``front`` first and time last."""
        rest = [a for a in range(len(shape)) if a != time]
        rest.sort(key=lambda a: a not in front)
        return Layout(shape, time, tuple(rest) + (() if time is None else (time,)))

    def resized(self, shape: Shape) -> Layout:
        """The same with other sizes."""
        return Layout(shape, self.time, self.order)


def shown(shape: Shape) -> str:
    """A shape for a sentence."""
    return "[" + ", ".join("frames" if isinstance(d, Frames) else str(d) for d in shape) + "]"


# ---- which axis is time --------------------------------------------------------------------------------


def time_of(act: ActValue) -> int | None:
    """Which axis of the file's shape is time in the graph; None where it is not there or mixed with others.

    A length along time shows itself; in an event graph the axis is followed through the moves.
    """
    if act.time_axis is not None:
        return act.time_axis
    place: int | None = 2 if len(act.base_shape) == 3 else None
    shape = act.base_shape
    for kind, argument in act.chain:
        if place is None:
            return None
        if kind == "transpose":
            place = argument.index(place)
        elif kind == "reshape":
            place = _carried(shape, argument, place)
        shape = _after(shape, kind, argument)
    return place


def _after(shape: Shape, kind: str, argument: tuple) -> Shape:
    """Shape after a move."""
    if kind == "transpose":
        return tuple(shape[a] for a in argument)
    if kind in ("take", "repeat"):
        axis, how = argument
        return (*shape[:axis], len(how) if kind == "take" else shape[axis] * how, *shape[axis + 1 :])
    return argument


def _carried(before: Shape, after: Shape, place: int) -> int | None:
    """Where an axis is after a reshape that only adds or drops axes of size 1."""
    real = [a for a, d in enumerate(before) if d != 1]
    kept = [a for a, d in enumerate(after) if d != 1]
    if place not in real or [before[a] for a in real] != [after[a] for a in kept]:
        return None
    return kept[real.index(place)]


def common_time(acts: list[ActValue], shape: Shape, apart: Collection[int] = ()) -> int | None:
    """Which axis of a result is laid along time; None for one frame of many channels.

    Parameters
    ----------
    acts : list of ActValue
        What it is made of: in an event graph the largest decides whose time is known, and else the last of
        several axes is taken, since such a graph can move anything there.
    shape : tuple of Dim
        Of the result.
    apart : collection of int
        Axes that must not be time.

    Raises
    ------
    Refusal
        In a stream whose time is on two axes, or on one that must not be.
    """
    lengths = [a for a, d in enumerate(shape) if isinstance(d, Frames)]
    if len(lengths) > 1:
        raise Refusal(f"it has time on two axes, {shown(shape)}; a stream keeps time on one axis.")
    if lengths:
        if lengths[0] in apart:
            raise Refusal(f"it works along time in {shown(shape)}, and a stream cannot wait for its end.")
        return lengths[0]
    for act in sorted(acts, key=lambda a: -math.prod(d for d in a.shape if isinstance(d, int))):
        place = time_of(act)
        if place is not None:
            place += len(shape) - len(act.shape)
            if place not in apart and act.shape[place - len(shape)] == shape[place]:
                return place
    real = [a for a, d in enumerate(shape) if d != 1]
    last = [a for a in real if a not in apart][-1:]
    return last[0] if last and len(real) > 1 else None


# ---- shapes together -----------------------------------------------------------------------------------


def broadcast_shape(builder: Builder, shapes: list[Shape]) -> Shape:
    """The shape that operands have together, by ONNX's rules.

    Raises
    ------
    Refusal
        Where two sizes differ and neither is 1.
    """
    rank = max(len(s) for s in shapes)
    result: list[Dim] = []
    for axis in range(-rank, 0):
        real: list[Dim] = [s[axis] for s in shapes if axis + len(s) >= 0 and s[axis] != 1]
        for other in real[1:]:
            if isinstance(real[0], Frames) and isinstance(other, Frames):
                builder.same_rate(real[0], other)
            elif real[0] != other:
                raise Refusal(f"its operands have the shapes {' and '.join(shown(s) for s in shapes)}.")
        result.append(real[0] if real else 1)
    return tuple(result)


def reshaped(act: ActValue, shape: Shape) -> ActValue:
    """Another shape for the same elements; what is undone at once is left out."""
    if act.shape == shape:
        return act
    if act.chain and act.chain[-1][0] == "reshape":
        return reshaped(_without_last(act), shape)
    return act.moved("reshape", shape, shape)


def turned(act: ActValue, order: tuple[int, ...]) -> ActValue:
    """Exchange axes; what is undone at once is left out."""
    if order == tuple(range(len(order))):
        return act
    if act.chain and act.chain[-1][0] == "transpose":
        return turned(_without_last(act), tuple(act.chain[-1][1][a] for a in order))
    return act.moved("transpose", order, tuple(act.shape[a] for a in order))


def _without_last(act: ActValue) -> ActValue:
    """The value before its last move."""
    shape = act.base_shape
    for kind, argument in act.chain[:-1]:
        shape = _after(shape, kind, argument)
    return ActValue(act.base, shape, act.base_shape, act.chain[:-1])


# ---- into the graph and out of it ----------------------------------------------------------------------


def lay(builder: Builder, act: ActValue, layout: Layout, hint: str) -> str:
    """Name the tensor [channels, frames] of an operand of a result; added when needed.

    Its axes of size 1 are repeated to the result's shape, but not along time: one frame stays one.
    """
    rank = len(layout.shape)
    act = reshaped(act, (1,) * (rank - len(act.shape)) + act.shape)
    wide = tuple(
        s if d == 1 and a != layout.time else d
        for a, (d, s) in enumerate(zip(act.shape, layout.shape, strict=True))
    )
    origin = hint
    if wide != act.shape:
        act = act.moved("expand", wide, wide)
        hint, origin = f"{builder.origin}_spread", builder.origin
    act = turned(act, layout.order)
    parts = act.shape if layout.time is None else act.shape[:-1]
    channels, length = product(parts), 1 if layout.time is None else act.shape[-1]
    if isinstance(channels, Frames):
        raise Refusal(f"{hint!r} mixes time into another axis; a stream keeps time on one axis.")
    return builder.tensor_of(reshaped(act, (1, channels, length)), hint, origin)


def seen(builder: Builder, tensor: str, layout: Layout) -> ActValue:
    """A tensor [channels, frames] of the graph as the file sees it."""
    base = builder.shapes[tensor]
    sizes = tuple(base[2] if a == layout.time else layout.shape[a] for a in layout.order)
    act = reshaped(ActValue(tensor, base, base), sizes)
    return turned(act, tuple(layout.order.index(a) for a in range(len(layout.order))))


def lay_constant(constant: Constant, layout: Layout) -> tuple[np.ndarray, bool]:
    """Lay a constant operand out as the result is.

    Returns
    -------
    ndarray of float64, shape (channels, frames), or (channels, 1) where all frames are the same
    bool
        Whether it varies along time.

    Raises
    ------
    Refusal
        In a stream, where it varies along time.
    """
    values = constant.real
    values = values.reshape((1,) * (len(layout.shape) - values.ndim) + values.shape)
    sizes = [
        values.shape[a] if a == layout.time or isinstance(s, Frames) else s
        for a, s in enumerate(layout.shape)
    ]
    rows = np.broadcast_to(values, sizes).transpose(layout.order)
    rows = rows.reshape(-1, 1 if layout.time is None else rows.shape[-1])
    if np.array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape), equal_nan=True):
        return np.ascontiguousarray(rows[:, :1]), False
    if layout.time is not None and isinstance(layout.shape[layout.time], Frames):
        raise Refusal(
            f"its constant of shape {list(constant.values.shape)} varies along time, which a stream cannot "
            "have; give one value for each channel."
        )
    return np.ascontiguousarray(rows), True
