"""How loud the harmonics of a note are and how loud its noise, frame by frame, at a known pitch.

The note is resampled by its own phase, so that a Hann window holds a whole number p of periods. Then harmonic
k is bin p · k of a transform, every other harmonic lies where the window is silent, and the bins half way
between two harmonics hold noise alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.models.hit.bands import triangles
from train.models.voice.shape import BANDS, HARMONICS, HOP, LOWEST_LOG

SHORTEST_S = 0.016
FEWEST_PERIODS = 4
HIGHEST = 0.47
"""Of the sample rate: no harmonic above is read."""
NOISE_POWER = 1 / 3
"""Of the engine's noise, which is even between −1 and 1."""
QUIETEST = 1e-11


class Frames(NamedTuple):
    """Log amplitudes ``[frames, HARMONICS]`` and log gains ``[frames, BANDS]``, float16."""

    harmonics: np.ndarray
    noise: np.ndarray


def analysed(x: np.ndarray, f0: np.ndarray, picked: np.ndarray | None = None) -> Frames:
    """Read the levels of a note.

    Parameters
    ----------
    x : ndarray, shape (samples,)
        The note.
    f0 : ndarray, shape (frames,)
        Its frequency, Hz.
    picked : ndarray of int, optional
        Frames to read; all.
    """
    from scipy.ndimage import map_coordinates, spline_filter1d

    p = max(FEWEST_PERIODS, 2 * int(np.ceil(0.5 * SHORTEST_S * np.median(f0))))
    longest = int(p * SAMPLE_RATE_HZ / f0.min())
    size, pad = 1 << int(np.ceil(np.log2(longest * 1.05))), longest + 8
    at = np.arange(len(f0)) * HOP
    cycles = np.cumsum(np.interp(np.arange(len(x)), at, f0)) / SAMPLE_RATE_HZ
    early = -f0[0] / SAMPLE_RATE_HZ * np.arange(pad, 0, -1)
    late = cycles[-1] + f0[-1] / SAMPLE_RATE_HZ * np.arange(1, pad + 1)
    cycles = np.concatenate([early, [0], cycles, late])
    spline = spline_filter1d(np.pad(x, (pad, pad + 1)), 3)
    window = np.hanning(size + 1)[:-1]
    k, bins = np.arange(1, HARMONICS + 1), np.arange(size // 2 + 1)
    between = (bins % p == p // 2) | (bins > HARMONICS * p + p // 2)
    frames = np.arange(len(f0)) if picked is None else picked
    harmonics = np.full((len(frames), HARMONICS), LOWEST_LOG, np.float16)
    noise = np.zeros((len(frames), BANDS), np.float16)
    places = np.arange(len(cycles))
    for i, frame in enumerate(frames):
        hz = f0[frame]
        middle = cycles[pad + min(at[frame], len(x) - 1)]
        where = np.interp(middle + (np.arange(size) / size - 0.5) * p, cycles, places)
        heard = np.abs(np.fft.rfft(map_coordinates(spline, [where], order=3, prefilter=False) * window))
        good = (k * p < len(bins)) & (k * hz < HIGHEST * SAMPLE_RATE_HZ)
        level = heard[k[good] * p] * 2 / window.sum()
        harmonics[i, good] = np.maximum(np.log(level + 1e-9), LOWEST_LOG)
        use = between & (bins * hz / p < 0.49 * SAMPLE_RATE_HZ)
        density = heard[use] ** 2 * 2 * p / (hz * (window**2).sum() * size)
        variance = _in_bands(density, bins[use] * hz / p) * SAMPLE_RATE_HZ / 2
        noise[i] = 0.5 * np.log(variance / NOISE_POWER + QUIETEST)
    return Frames(harmonics, noise)


def _in_bands(density: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Mean density of every band, [BANDS]; a band without a bin of its own lies between its neighbours."""
    weights = triangles(BANDS, hz)
    total = weights.sum(1)
    seen = np.flatnonzero(total > 0.2)
    means = (weights[seen] @ density) / total[seen]
    return np.asarray(np.exp(np.interp(np.arange(BANDS), seen, np.log(means + 1e-20))))
