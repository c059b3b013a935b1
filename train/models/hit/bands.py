"""The noise's bands: symmetric filters of triangular response and a peak of 1.

The bands stand evenly on log(1 + f / 6 kHz): no narrower at the low end than so few taps can tell apart, and
finer than hearing's own scale at the top, where cymbals and hats are nothing but noise. A drum's noise may be
60 dB below its loudest partial, so what a filter lets through far from its band counts fifty times; and none
lets a rumble through, which is a mode's to make, never the noise's.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from common.audio import SAMPLE_RATE_HZ

LOW_HZ, HIGH_HZ, BEND_HZ = 420.0, 20_300.0, 6000.0
POINTS = 2048  # frequencies at which the design looks
RUMBLE_HZ, RUMBLE_WEIGHT = 60.0, 50.0
FAR_HZ, FAR_WEIGHT = 800.0, 50.0  # beyond its triangle; the weight rises on the way by equal ratios


def warped(hz: np.ndarray) -> np.ndarray:
    """The scale on which the bands stand evenly."""
    return np.log1p(hz / BEND_HZ)


def centres_hz(bands: int) -> np.ndarray:
    """Middle of every band, float64 [bands]."""
    low, high = warped(np.array([LOW_HZ, HIGH_HZ]))
    return BEND_HZ * np.expm1(np.linspace(low, high, bands))


def triangles(bands: int, hz: np.ndarray) -> np.ndarray:
    """The wanted amplitude of every band at some frequencies, [bands, F]."""
    centres = warped(centres_hz(bands))
    far = np.abs(warped(hz)[None] - centres[:, None]) / (centres[1] - centres[0])
    return np.clip(1.0 - far, 0.0, None)


def cosines(taps: int, hz: np.ndarray) -> np.ndarray:
    """What each half tap of a symmetric filter of even length adds to its amplitude, [F, taps / 2]."""
    omega = 2 * np.pi * hz / SAMPLE_RATE_HZ
    return 2 * np.cos(omega[:, None] * (np.arange(taps // 2)[None] + 0.5))


@cache
def band_filters(bands: int, taps: int) -> np.ndarray:
    """Filters of the bands by least squares, float32 [bands, taps], symmetric.

    Parameters
    ----------
    bands : int
        How many.
    taps : int
        Even; such a filter is silent at half the sample rate by itself.
    """
    hz = (np.arange(POINTS) + 0.5) * (SAMPLE_RATE_HZ / 2 / POINTS)
    basis, wanted = cosines(taps, hz), triangles(bands, hz) * (hz >= RUMBLE_HZ)
    centres = centres_hz(bands)
    step = float(np.diff(warped(centres)).mean())
    designed = []
    for centre, triangle in zip(centres, wanted, strict=True):
        beyond = np.abs(hz - centre) - step * (centre + BEND_HZ)
        weight = FAR_WEIGHT ** np.clip(beyond / FAR_HZ, 0, 1)
        weight = np.where(hz < RUMBLE_HZ, weight * RUMBLE_WEIGHT, weight)
        half, *_ = np.linalg.lstsq(basis * weight[:, None], triangle * weight, rcond=None)
        designed.append(np.concatenate([half[::-1], half]) / float((basis @ half).max()))
    return np.stack(designed).astype(np.float32)


def amplitudes(filters: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Amplitude, with its sign, of symmetric filters at some frequencies, [bands, F]."""
    taps = filters.shape[1]
    return filters[:, taps // 2 :].astype(np.float64) @ cosines(taps, hz).T
