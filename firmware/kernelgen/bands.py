"""Tables of the banded noise, as ``engine/dsp/bands.h`` reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TAPS = 128
FULL = 32767


@dataclass(frozen=True)
class BandTables:
    """Tables of a bank of bands.

    Attributes
    ----------
    half : ndarray of int16, shape (16, bands / 2, 4, 2)
        The first half of every symmetric filter, its largest tap 32767: four taps by pairs of bands.
    peak_logs : ndarray of float32, shape (bands,)
        Natural log of that tap.
    """

    half: np.ndarray
    peak_logs: np.ndarray


def tables(filters: np.ndarray) -> BandTables:
    """Return the tables of symmetric `filters`, shape (bands, 128); bands a multiple of 4."""
    bands, taps = filters.shape
    if taps != TAPS or bands % 4:
        raise ValueError(f"{bands} filters of {taps} taps")
    peaks = np.maximum(np.abs(filters).max(1), 1e-12)
    whole = np.rint(filters[:, : TAPS // 2] / peaks[:, None] * FULL).astype(np.int16)
    half = whole.T.reshape(TAPS // 8, 4, bands // 2, 2).transpose(0, 2, 1, 3)
    return BandTables(np.ascontiguousarray(half), np.log(peaks).astype(np.float32))
