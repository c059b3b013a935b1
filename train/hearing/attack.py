"""Attack: how long a hit takes to reach its peak."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

NEARLY = 0.9  # of the peak: a later period may be a little higher


def time_to_peak_ms(audio: np.ndarray) -> float:
    """Milliseconds until nine tenths of the peak are reached; 0 for silence. For ``audio [n]``."""
    height = np.abs(audio)
    if not len(height) or height.max() <= 0:
        return 0.0
    return float(np.argmax(height >= NEARLY * height.max()) * 1000 / SAMPLE_RATE_HZ)
