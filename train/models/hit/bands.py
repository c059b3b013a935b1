"""The noise's bands: symmetric filters of triangular response, which add up to a flat one.

The bands stand evenly on log(1 + f / 3 kHz): no narrower at the low end than so few taps can tell apart, and
finer than hearing's own scale at the top, where cymbals and hats are nothing but noise. None lets the
lowest 40 Hz through: a drum's rumble is a mode, never noise.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from common.audio import SAMPLE_RATE_HZ

LOW_HZ, HIGH_HZ, BEND_HZ = 250.0, 20_300.0, 3000.0
POINTS = 2048  # frequencies at which the design looks
RUMBLE_HZ, RUMBLE_WEIGHT = 40.0, 10.0


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
    weight = np.where(hz < RUMBLE_HZ, RUMBLE_WEIGHT, 1.0)
    basis = cosines(taps, hz)
    wanted = triangles(bands, hz) * (hz >= RUMBLE_HZ)
    half, *_ = np.linalg.lstsq(basis * weight[:, None], (wanted * weight).T, rcond=None)
    return np.concatenate([half[::-1], half]).T.astype(np.float32)


def amplitudes(filters: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Amplitude, with its sign, of symmetric filters at some frequencies, [bands, F]."""
    taps = filters.shape[1]
    return filters[:, taps // 2 :].astype(np.float64) @ cosines(taps, hz).T
