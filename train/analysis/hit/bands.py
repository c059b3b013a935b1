"""How loud each band of the noise is at each point of the time grid.

Short windows where the sound is young, long ones later and for low bands; of two readings the lower counts,
for a window that reaches into a stroke sees more than is there. Gains are then fitted so that the bands'
own filters, which overlap, give the energies that were read.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.models.hit.bands import amplitudes, band_filters, centres_hz, triangles

SHORT, SHORT_HOP = 192, 48
LONG, LONG_HOP = 1024, 192
FITTED = 512  # points at which the filters' own responses are looked at
LOW_HZ = 2500.0  # below which a short window tells too little
EARLY_MS = 15
NOISE_POWER = 1 / 3  # of the engine's noise, which is even between −1 and 1
HANN_POWER = 0.375
REACH = 0.07  # how much of the time since the stroke is averaged over
ROUNDS = 4
QUIETEST = 1e-12


@cache
def _weights(bands: int, size: int) -> np.ndarray:
    """What part of its reading each band takes from each bin, rows of unit sum, [bands, bins]."""
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    weights = triangles(bands, hz)
    for band in np.flatnonzero(weights.sum(1) < 1):
        weights[band] += np.eye(len(hz))[np.argmax(triangles(bands, hz)[band])]
    return weights / weights.sum(1, keepdims=True)


@cache
def _responses(bands: int, taps: int) -> tuple[np.ndarray, np.ndarray]:
    hz = np.fft.rfftfreq(FITTED, 1 / SAMPLE_RATE_HZ)
    responses = amplitudes(band_filters(bands, taps), hz)
    return responses.astype(np.float32), _weights(bands, FITTED).T.astype(np.float32)


def _energies(sound: np.ndarray, size: int, hop: int, at: np.ndarray, bands: int) -> np.ndarray:
    """Mean power of every band around some samples, as white noise's variance, [times, bands]."""
    padded = np.pad(sound, (size // 2, size))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(sound) + 1 : hop]
    taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    spectra = np.fft.rfft(windows * taper)
    power = (spectra.real**2 + spectra.imag**2) @ _weights(bands, size).T / (HANN_POWER * size)
    summed = np.concatenate([np.zeros((1, bands)), np.cumsum(power, 0)])
    middle, reach = at / hop, np.maximum(0.5, REACH * at / hop)
    first = np.clip(np.round(middle - reach).astype(int), 0, len(power) - 1)
    end = np.clip(np.maximum(first + 1, np.round(middle + reach).astype(int)), 1, len(power))
    first = np.minimum(first, end - 1)
    return (summed[end] - summed[first]) / (end - first)[:, None]


def noise_gains(
    sound: np.ndarray, grid_ms: tuple[int, ...], bands: int, taps: int, floor: float
) -> np.ndarray:
    """Natural log of every band's gain at every point of the grid, float32 [grid, bands].

    Parameters
    ----------
    sound : ndarray, shape (samples,)
        What is left of a hit without its partials.
    grid_ms : tuple of int
        Times, milliseconds.
    bands, taps : int
        The noise's filters.
    floor : float
        The lowest log gain told.
    """
    grid = np.array(grid_ms)
    at = grid * SAMPLE_RATE_HZ / 1000
    early = min(len(sound), 2 * SAMPLE_RATE_HZ)
    short = _energies(sound[:early], SHORT, SHORT_HOP, at, bands)
    long = _energies(sound[:early], LONG, LONG_HOP, at, bands)
    lower = np.minimum(short, long)
    wanted = np.where((centres_hz(bands)[None] < LOW_HZ) | (grid[:, None] > EARLY_MS), lower, short)
    responses, weights = _responses(bands, taps)
    wanted = wanted.astype(np.float32)
    gains = np.sqrt(wanted / NOISE_POWER) + 1e-9
    for _ in range(ROUNDS):
        made = (gains @ responses) ** 2 @ weights * NOISE_POWER
        gains = gains * np.sqrt((wanted + QUIETEST) / (made + QUIETEST))
    return np.maximum(np.log(gains + 1e-9), floor).astype(np.float32)
