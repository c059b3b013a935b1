"""Magnitudes of a note on an axis of harmonics: windows of four periods, whatever the pitch.

A window of four periods has its bins at quarters of the pitch, and a harmonic's lobe covers the four bins
around it. High notes have short windows: those that lie within 1,024 samples are averaged by power.
"""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.models.spectra.shape import HIGHEST_LOG, LOWEST_LOG, MOMENTS, PER_HARMONIC
from train.models.spectra.spsi import BINS, HOP, SIZE

LATEST = 375
"""Hop of the last moment: two seconds."""
EVERY = 16
"""So many hops at first."""


def moments() -> np.ndarray:
    """Hops at which a note is looked at, rising ``[MOMENTS]``."""
    later = np.geomspace(EVERY, LATEST, MOMENTS - EVERY + 1)
    found = np.r_[np.arange(EVERY), np.maximum(np.round(later[:-1]), EVERY + np.arange(MOMENTS - EVERY))]
    return found.astype(int)


def frame(audio: np.ndarray, centre: int, hz: float) -> np.ndarray:
    """Magnitudes ``[512]`` around a sample; a sine of amplitude 1 has 1, what lies above the sound has 0."""
    length = round(PER_HARMONIC * SAMPLE_RATE_HZ / hz)
    room = max(0, SIZE - length)
    count = 1 + -(-2 * room // length)
    starts = centre - length // 2 + np.linspace(-room / 2, room / 2, count).round().astype(int)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    at = starts[:, None] + np.arange(length)
    inside = (at >= 0) & (at < len(audio))
    rows = np.where(inside, audio[np.clip(at, 0, len(audio) - 1)], 0.0) * window
    power = (np.abs(np.fft.rfft(rows, axis=1)) ** 2).mean(0)[:BINS]
    return np.sqrt(np.pad(power, (0, BINS - len(power)))) / (length / 4)


def note_magnitudes(
    audio: np.ndarray, f0: np.ndarray, frame_samples: int, held: int
) -> tuple[np.ndarray, int]:
    """Log magnitudes of a note's moments, its loudest being 0.

    Parameters
    ----------
    audio : ndarray, shape (samples,)
    f0 : ndarray, shape (frames,)
        Hz, every ``frame_samples``.
    frame_samples : int
    held : int
        Samples for which it is held.

    Returns
    -------
    logs : ndarray, shape (MOMENTS, 512), float16
        Moments after it was let go are those of its last.
    count : int
        How many moments it is held.
    """
    hops = moments()
    count = max(2, int(np.searchsorted(hops, held / HOP)))
    rows = np.zeros((MOMENTS, BINS))
    for i, hop in enumerate(hops[:count].tolist()):
        at = min(len(f0) - 1, hop * HOP // frame_samples)
        rows[i] = frame(audio, hop * HOP, float(f0[at]))
    rows[count:] = rows[count - 1]
    loudest = np.sqrt((rows**2).sum(1).max() / 1.5)  # a lobe's squares add up to 1.5 of its peak's
    logs = np.log(np.maximum(rows / max(loudest, 1e-6), 1e-9))
    return np.clip(logs, LOWEST_LOG, HIGHEST_LOG).astype(np.float16), count
