"""Hiss: what still sounds when a hit should be over."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

AFTER_S = 0.1
LENGTH_S = 0.5
SILENCE_DBFS = -200.0


def hiss_dbfs(made: np.ndarray, recording_samples: int) -> float:
    """RMS of half a second, from a tenth of a second after the recording's end, dBFS; −200 is silence.

    Recordings were cut where they had fallen by 55 dB, so a true decay is below that and falling.

    Parameters
    ----------
    made : ndarray, shape (n,)
        The hit, rendered to beyond the recording's end.
    recording_samples : int
        Length of the recording it was made from.
    """
    start = recording_samples + round(AFTER_S * SAMPLE_RATE_HZ)
    after = made[start : start + round(LENGTH_S * SAMPLE_RATE_HZ)].astype(np.float64)
    power = float(np.mean(after**2)) if len(after) else 0.0
    return 10 * float(np.log10(power)) if power > 10 ** (SILENCE_DBFS / 10) else SILENCE_DBFS
