"""Arrays on disk: what grows with the length of a sound lies in a file without a name, not in memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ON_DISK = Path("/var/tmp")
"""Where systems keep large temporary files; /tmp may itself be memory."""


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
    if prod(shape) == 0:
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
