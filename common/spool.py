"""Arrays on disk: what grows with the length of a sound lies in a file without a name, not in memory."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ON_DISK = Path("/var/tmp")
"""Where systems keep large temporary files; /tmp may itself be memory."""
PIECE_TICKS = 48_000
"""About a second of sound: as much as is worked on at once."""


def spooled(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros in a file that is gone with it.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype

    Raises
    ------
    OSError
        There is no room on the disk for it.
    """
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    folder = ON_DISK if os.access(ON_DISK, os.W_OK) else None
    with tempfile.TemporaryFile(prefix="vaectrol-", dir=folder) as file:
        return np.asarray(np.memmap(file, dtype=dtype, mode="w+", shape=shape))


def release(array: NDArray[Any]) -> None:
    """Take a spooled array's pages out of the memory of this process; what is in it stays.

    An array that is none, and a system that has no word for it, are left as they are.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)  # of a shared mapping: the file keeps what was written


def spans(ticks: int, step: int = PIECE_TICKS, through: Sequence[NDArray[Any]] = ()) -> Iterator[slice]:
    """Split 0 … `ticks` into slices of `step`; the arrays gone `through` leave the memory behind each."""
    for begin in range(0, ticks, step):
        yield slice(begin, min(begin + step, ticks))
        for array in through:
            release(array)


def largest(sound: NDArray[np.float32]) -> float:
    """Largest sample of either sign, without a copy of the sound; NaN where there is one."""
    low, high = lowest_and_highest(sound)
    if np.isnan(low).any():
        return math.nan
    return float(max(high.max(initial=0.0), -low.min(initial=0.0)))


def lowest_and_highest(sound: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest sample of each channel, NaN where there is one; zeros where there is no sample."""
    low, high = (np.full(len(sound), value, np.float32) for value in (math.inf, -math.inf))
    for span in spans(sound.shape[1], through=[sound]):
        low = np.minimum(low, sound[:, span].min(axis=1))
        high = np.maximum(high, sound[:, span].max(axis=1))
    return (low, high) if sound.size else (np.zeros_like(low), np.zeros_like(high))
