"""Tables of the bands that an FFT bin lies in, as ``engine/dsp/ear.h`` and ``source_filter.h`` read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware.compiler.ops.hop_ends.ear import neighbours


@dataclass(frozen=True)
class BinTables:
    """Of every bin: its lower band, and its shares in that and the next."""

    band: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def tables(shares: np.ndarray) -> BinTables:
    """Return the tables of ``shares``, shape (bands, bins), which the compiler has checked."""
    found = neighbours(shares)
    assert found is not None
    band, lower, upper = found
    return BinTables(band.astype(np.uint8), lower.astype(np.float32), upper.astype(np.float32))
