"""How loud each band of the noise is at each point of the time grid.

Short windows where the sound is young, longer ones later and for low bands. A window that reaches beyond a
stroke sees half of it, one beside a burst sees some of that. So gains are not read but fitted: those whose
noise, through the bands' own overlapping filters and seen through the same windows, would give the same
readings (multiplicative updates, as Richardson's of 1972).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.models.hit.bands import amplitudes, band_filters, centres_hz, triangles
from train.models.hit.moments import HANN_POWER, MS, between, seen

FITTED = 512  # points at which the filters' own responses are looked at
NOISE_POWER = 1 / 3  # of the engine's noise, which is even between −1 and 1
REACH = 0.07  # how much of the time since the stroke is averaged over
ROUNDS, ROUNDS_IN_TIME = 4, 3
STEEPEST = 2.0  # change of a gain in one round
QUIETEST = 1e-12


class Window(NamedTuple):
    """Windows of one size: samples, samples between them, and until when they are looked at, ms."""

    size: int
    hop: int
    until_ms: int


SHORT, MEDIUM, LONG = Window(192, 48, 45), Window(512, 48, 80), Window(1024, 192, 2000)
HIGH_HZ = 2500.0  # above which a short window tells the bands apart


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


@cache
def _looked_at(window: Window, grid_ms: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """First and last window that each point of the grid is read from."""
    frames = min(window.until_ms, grid_ms[-1]) * MS // window.hop + 1
    found = []
    for at in grid_ms:
        middle = at * MS / window.hop
        reach = max(0.5, REACH * middle)
        first = min(max(round(middle - reach), 0), frames - 1)
        found.append((first, min(max(first + 1, round(middle + reach)), frames)))
    return tuple(found)


def _readings(sound: np.ndarray, window: Window, grid_ms: tuple[int, ...], bands: int) -> np.ndarray:
    """Mean power of every band around the grid's points, as white noise's variance, [grid, bands]."""
    size, hop = window.size, window.hop
    groups = _looked_at(window, grid_ms)
    frames = groups[-1][1]
    padded = np.pad(sound[: (frames - 1) * hop + size], (size // 2, size))
    padded = np.pad(padded, (0, max(0, (frames - 1) * hop + size - len(padded))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[: (frames - 1) * hop + 1 : hop]
    taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    spectra = np.fft.rfft(windows * taper)
    power = (spectra.real**2 + spectra.imag**2) @ _weights(bands, size).T / (HANN_POWER * size)
    summed = np.concatenate([np.zeros((1, bands)), np.cumsum(power, 0)])
    first, end = np.array(groups).T
    return (summed[end] - summed[first]) / (end - first)[:, None]


def _seen_by(window: Window, grid_ms: tuple[int, ...]) -> np.ndarray:
    groups = _looked_at(window, grid_ms)
    centres = tuple(tuple(window.hop * n for n in range(first, end)) for first, end in groups)
    return seen(window.size, centres, grid_ms[-1])


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
    grid, high = np.array(grid_ms)[:, None], centres_hz(bands)[None] >= HIGH_HZ
    whose = np.where(high & (grid < SHORT.until_ms), 0, np.where(~high & (grid < MEDIUM.until_ms), 1, 2))
    windows = (SHORT, MEDIUM, LONG)

    def chosen(of_each: list[np.ndarray]) -> np.ndarray:
        return np.choose(whose, of_each).astype(np.float32)

    wanted = chosen([_readings(sound, window, grid_ms, bands) for window in windows])
    sight = [_seen_by(window, grid_ms).astype(np.float32) for window in windows]
    lerp = between(grid_ms).astype(np.float32)
    responses, weights = _responses(bands, taps)

    def powers(logs: np.ndarray) -> np.ndarray:
        return (np.exp(logs) @ responses) ** 2 @ weights * NOISE_POWER

    logs = 0.5 * np.log(wanted / NOISE_POWER + QUIETEST)
    for _ in range(ROUNDS):
        logs = logs + 0.5 * np.log((wanted + QUIETEST) / (powers(logs) + QUIETEST))
    # One band's readings are too few to tell its course from chance; those of all together are not.
    for _ in range(ROUNDS_IN_TIME):
        made = chosen([table @ powers(lerp @ logs) for table in sight])
        for together in (high[0], ~high[0]):
            parts = (x[:, together].sum(1, keepdims=True) + QUIETEST for x in (wanted, made))
            step = 0.5 * np.log(next(parts) / next(parts))
            logs[:, together] += np.clip(step, -np.log(STEEPEST), np.log(STEEPEST))
    return np.maximum(logs, floor).astype(np.float32)
