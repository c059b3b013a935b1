"""The pitch tracker: fundamental frequency and voicing of a sound, once a hop, at a bounded price.

The numpy twin of ``firmware/engine/dsp/pitch.c``: the same float32 sums in the same order, so the same bits.
YIN (de Cheveigné and Kawahara 2002) at an eighth of the sample rate. Its sums are not taken over a window:
those of each hop are added to what is left of the older ones, so a hop costs the same whatever it hears.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from common.audio import SAMPLE_RATE_HZ

HOP = 256
DECIMATION = 8
TAPS = 96
CUTOFF_HZ = 2300.0
BLOCK = HOP // DECIMATION
LAGS = 200
"""Longest period, in samples at 6 kHz: 30 Hz."""
SHORTEST = 4
"""Shortest period: 1.5 kHz."""
MEMORY = np.float32(0.8)
DIP = np.float32(0.15)
"""A dip of YIN's normalised difference below this is a period; the first one counts.

A dip is as deep as the parabola through it and its neighbours. Between two samples of a short period it would
seem shallow otherwise, and twice the period be taken: above 900 Hz notes were heard an octave lower.
"""
VOICED = np.float32(0.75)
"""Voicing above which the pitch follows what is heard; below it the last one is held."""
QUIET = np.float32(1e-5)
FIRST_PERIOD = np.float32(SAMPLE_RATE_HZ / DECIMATION / 220.0)
PAST = LAGS
"""Samples at 6 kHz that are kept of the hops before."""


@cache
def lowpass() -> np.ndarray:
    """The filter before decimation, float32 [96], symmetric."""
    n = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.sinc(2 * CUTOFF_HZ / SAMPLE_RATE_HZ * n) * np.hamming(TAPS)
    return (taps / taps.sum()).astype(np.float32)


def decimate(audio: np.ndarray) -> np.ndarray:
    """Sound at 6 kHz, float32: sample m hears ``audio[8 m − 88 … 8 m + 7]``, the oldest tap first."""
    count = len(audio) // DECIMATION
    padded = np.concatenate([np.zeros(TAPS - DECIMATION, np.float32), np.asarray(audio, np.float32)])
    total = np.zeros(count, np.float32)
    for k, tap in enumerate(lowpass()):
        total = total + tap * padded[k : k + DECIMATION * count : DECIMATION]
    return total


def track(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow the pitch of a sound from silence.

    Parameters
    ----------
    audio : ndarray, shape (hops · 256,)
        At 48 kHz.

    Returns
    -------
    period, voicing : float32 ndarray, shape (hops,)
        Samples at 6 kHz, held while nothing is voiced; voicing from 0 to 1.
    """
    hops = len(audio) // HOP
    low = np.concatenate([np.zeros(PAST, np.float32), decimate(audio[: hops * HOP])])
    period, voicing = np.zeros(hops, np.float32), np.zeros(hops, np.float32)
    state = np.zeros((2, LAGS + 1), np.float32)
    last = FIRST_PERIOD
    for first in range(0, hops, 1024):
        count = min(1024, hops - first)
        sums = np.stack(_sums(low[first * BLOCK : first * BLOCK + PAST + count * BLOCK], count), 1)
        for t in range(count):
            state = MEMORY * state + sums[t]
            sums[t] = state
        heard, voicing[first : first + count] = _read(sums[:, 0], sums[:, 1])
        told = np.maximum.accumulate(np.where(heard > 0, np.arange(count), -1))
        period[first : first + count] = np.where(told < 0, last, heard[told])
        last = period[first + count - 1]
    return period, voicing


def octaves(period: np.ndarray) -> np.ndarray:
    """Pitch in octaves above 220 Hz."""
    return np.log2(SAMPLE_RATE_HZ / DECIMATION / 220.0 / period)


def _sums(low: np.ndarray, hops: int) -> tuple[np.ndarray, np.ndarray]:
    """Products of each block with itself so many samples earlier, and the energy there; [hops, lags + 1]."""
    places = PAST + np.arange(hops)[:, None] * BLOCK - np.arange(LAGS + 1)[None, :]
    products = np.zeros((hops, LAGS + 1), np.float32)
    for k in range(BLOCK):
        products = products + low[places[:, :1] + k] * low[places + k]
    squares = low * low
    for step in (1, 2, 4, 8, 16):
        squares = squares[:-step] + squares[step:]
    return products, squares[places]


def _read(products: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Period, 0 where none is voiced, and voicing by the sums ``[hops, lags + 1]`` of some hops."""
    now = energies[:, :1]
    difference = np.maximum((now + energies[:, 1:]) - (products[:, 1:] + products[:, 1:]), np.float32(0))
    lags = np.arange(1, LAGS + 1, dtype=np.float32)
    dips = difference * lags / (np.cumsum(difference, axis=1, dtype=np.float32) + np.float32(1e-12))
    dips[:, : SHORTEST - 1] = 1
    before, here, after = dips[:, :-2], dips[:, 1:-1], dips[:, 2:]
    bend = np.float32(2) * ((before - (here + here)) + after) + np.float32(1e-12)
    aside = np.clip((before - after) / bend, np.float32(-0.5), np.float32(0.5))
    depth = here - np.float32(0.25) * (before - after) * aside
    deep = (here <= before) & (here <= after) & (depth < DIP)
    lowest = np.clip(dips.argmin(axis=1), 1, LAGS - 2) - 1
    at = np.where(deep.any(axis=1), deep.argmax(axis=1), lowest)
    rows = np.arange(len(at))
    voicing = np.clip(np.float32(1) - depth[rows, at], np.float32(0), np.float32(1))
    voicing = np.where(now[:, 0] <= QUIET, np.float32(0), voicing)
    period = np.where(voicing > VOICED, (at + 2).astype(np.float32) + aside[rows, at], np.float32(0))
    return period, voicing
