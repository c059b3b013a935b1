"""Rumble: how much of a hit's energy lies below 80 Hz."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

BELOW_HZ = 80.0
LEAST_DB = -90.0


def low_energy_db(audio: np.ndarray) -> float:
    """Energy below 80 Hz as a part of all, dB, −90 at least; for ``audio [n]``."""
    size = 1 << int(np.ceil(np.log2(max(1024, len(audio)))))
    power = np.abs(np.fft.rfft(audio, size)) ** 2
    below = power[np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ) < BELOW_HZ].sum()
    total = power.sum()
    return float(max(LEAST_DB, 10 * np.log10(max(below, 1e-30) / total))) if total > 0 else LEAST_DB
