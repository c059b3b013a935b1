"""What a name of the ONNX file stands for while it is read: a constant, a shape, or an activation.

Lengths along time are ``Frames``: a multiple of an unknown number, so that arithmetic on shapes, which
exporters write into the file, folds away. Reshapes, transposes and other moves are kept as a chain and
resolved by following indices once something computes with them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Constant


@dataclass(frozen=True)
class Frames:
    """A length along time: ``ratio`` × (the unknown length called ``symbol``) + ``offset``."""

    symbol: str
    ratio: Fraction
    offset: Fraction = Fraction(0)

    def __add__(self, other: int | Fraction | Frames) -> Frames | int:
        """Add a number, or a length of the same unknown."""
        if isinstance(other, Frames):
            return _simplify(
                Frames(self.symbol, self.ratio + other.ratio, self.offset + other.offset), self, other
            )
        return replace(self, offset=self.offset + other)

    __radd__ = __add__

    def __mul__(self, other: int | Fraction | Frames) -> Frames | int:
        """Multiply by a number."""
        if isinstance(other, Frames):
            raise Refusal("a shape multiplies two lengths along time; keep time on one axis.")
        if other == 0:
            return 0
        return Frames(self.symbol, self.ratio * other, self.offset * other)

    __rmul__ = __mul__

    def __neg__(self) -> Frames:
        """Negate."""
        return Frames(self.symbol, -self.ratio, -self.offset)

    def __sub__(self, other: int | Fraction | Frames) -> Frames | int:
        """Subtract a number, or a length of the same unknown."""
        return self + (-other)

    def __rsub__(self, other: int | Fraction) -> Frames | int:
        """Subtract from a number."""
        return (-self) + other

    def __floordiv__(self, other: int | Frames) -> Frames | int:
        """Divide whole numbers: of what is added the floor, as a stream is counted in whole hops."""
        if isinstance(other, Frames):
            if self.ratio % other.ratio == 0 and other.symbol == self.symbol:
                return int(self.ratio / other.ratio)
            raise Refusal("a shape divides two lengths along time that are no multiple of each other.")
        return Frames(self.symbol, self.ratio / other, Fraction(math.floor(self.offset / other)))

    def __rfloordiv__(self, other: int) -> int:
        """Divide a number: nothing that a stream knows."""
        raise Refusal("a shape divides a number by a length along time.")


def _simplify(total: Frames, a: Frames, b: Frames) -> Frames | int:
    if a.symbol != b.symbol:
        raise Refusal("a shape adds lengths of two inputs whose rates are not related.")
    if total.ratio == 0:
        return math.floor(total.offset)
    return total


Dim = int | Frames
Entry = int | Fraction | Frames
"""A number made from shapes; fractions are floats of the file."""
INT64 = np.dtype(np.int64)
NEAR = Fraction(1, 1 << 22)
"""Relative distance at which a float32 is taken for the simple fraction that it was rounded from."""


def exact(number: float) -> Fraction:
    """Read a float: the simple fraction next to it (a third), else what it is."""
    if not math.isfinite(number):
        raise Refusal("a shape is computed with a number that is not finite.")
    simple, whole = Fraction(number).limit_denominator(4096), Fraction(number)
    return simple if abs(simple - whole) <= NEAR * abs(whole) else whole


@dataclass(frozen=True)
class ShapeValue:
    """Numbers made from shapes, a length along time among them.

    Attributes
    ----------
    entries : tuple of Entry
    scalar : bool
        One number without an axis, not a list.
    dtype : numpy dtype
        As the file has it: arithmetic on floats stays exact, on integers it rounds.
    """

    entries: tuple[Entry, ...]
    scalar: bool = False
    dtype: np.dtype = INT64

    def known(self) -> np.ndarray | None:
        """The numbers, in their type and rank, unless one is a length along time."""
        numbers = [entry for entry in self.entries if not isinstance(entry, Frames)]
        if len(numbers) != len(self.entries):
            return None
        plain = [float(n) for n in numbers] if self.dtype.kind == "f" else [int(n) for n in numbers]
        return np.array(plain[0] if self.scalar else plain, self.dtype)


@dataclass(frozen=True)
class ActValue:
    """An activation: a tensor of the graph and the moves done to it since.

    Attributes
    ----------
    base : str
        Tensor of the graph, ``[1, channels, frames]`` (or ``[1, channels]``).
    shape : tuple of Dim
        Shape after the moves.
    base_shape : tuple of Dim
        Shape before them.
    chain : tuple of (str, Any)
        Moves: ("reshape", dims), ("transpose", axes), ("take", (axis, indices)), ("repeat", (axis, times)),
        ("expand", dims).
    """

    base: str
    shape: tuple[Dim, ...]
    base_shape: tuple[Dim, ...]
    chain: tuple[tuple[str, Any], ...] = ()

    def moved(self, kind: str, argument: Any, shape: tuple[Dim, ...]) -> ActValue:
        """Append a move."""
        return ActValue(self.base, shape, self.base_shape, (*self.chain, (kind, argument)))

    @property
    def time_axis(self) -> int | None:
        """Which axis is time, or None."""
        for axis, dim in enumerate(self.shape):
            if isinstance(dim, Frames):
                return axis
        return None


Value = Constant | ShapeValue | ActValue


def whole(dims: Sequence[Dim]) -> list[int] | None:
    """Return dimensions that are all numbers; None where one is a length along time."""
    numbers = [dim for dim in dims if isinstance(dim, int)]
    return numbers if len(numbers) == len(dims) else None


def concrete(dim: Dim, unknown: Fraction) -> int:
    """Evaluate a length at one value of its unknown; offsets are left out, as chains only permute."""
    if isinstance(dim, Frames):
        number = dim.ratio * unknown
        if number.denominator != 1:
            raise Refusal("a reshape does not keep a whole number of frames.")
        return int(number)
    return dim


def moved(array: np.ndarray, chain: tuple[tuple[str, Any], ...], size: Callable[[Dim], int]) -> np.ndarray:
    """Do moves to an array; ``size`` gives each dimension its number."""
    for kind, argument in chain:
        if kind == "reshape":
            array = array.reshape([size(d) for d in argument])
        elif kind == "transpose":
            array = array.transpose(argument)
        elif kind == "take":
            array = np.take(array, argument[1], axis=argument[0])
        elif kind == "repeat":
            array = np.repeat(array, argument[1], axis=argument[0])
        elif kind == "expand":
            array = np.broadcast_to(array, [size(d) for d in argument])
    return array


def follow(value: ActValue) -> tuple[np.ndarray, int]:
    """Run the moves on an array of indices.

    Returns
    -------
    ndarray of int
        For each element of the moved tensor (at a small concrete length) the flat index ``c·frames + t`` of
        the element of the base it comes from.
    int
        Frames of the base at that length.
    """
    frames_dim = value.base_shape[2] if len(value.base_shape) == 3 else 1
    candidates: list[Fraction] = [Fraction(1)]
    if isinstance(frames_dim, Frames):
        candidates = [Fraction(n) / frames_dim.ratio for n in (4, 8, 12, 24, 48, 96, 160, 240, 480, 960)]
    repeats = 3 if isinstance(frames_dim, Frames) else 1  # so that what depends on the length shows
    for unknown in (candidate * repeats for candidate in candidates):
        try:
            target = [concrete(d, unknown) for d in value.shape]
            base = [concrete(d, unknown) for d in value.base_shape]
        except Refusal:
            continue
        # one frame alone would hide which frames it is made of
        if any(isinstance(d, Frames) and n < repeats for d, n in zip(value.shape, target, strict=True)):
            continue
        at = functools.partial(concrete, unknown=unknown)
        index = moved(np.arange(math.prod(base)).reshape(base), value.chain, at)
        return index.reshape(target), concrete(frames_dim, unknown)
    raise Refusal("a reshape does not keep a whole number of frames.")


def product(dims: tuple[Dim, ...]) -> Dim:
    """Multiply dimensions, at most one of which is a length along time."""
    total: Dim = 1
    for dim in dims:
        total = dim * total if isinstance(total, int) else total * dim
    return total
