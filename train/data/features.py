"""How a sound is described for comparison.

A small log-mel picture on a logarithmic clock, and six plain numbers.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ

WINDOW = 1024
HOP = 240  # 5 ms
BANDS = 32
FLOOR_DB = -60.0
# Edges of the time cells in frames of 5 ms: short at the start, where drums differ
TIME_EDGES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
SIZE = BANDS * (len(TIME_EDGES) - 1)
DESCRIPTORS = ("seconds", "attack_ms", "centroid_hz", "low_share", "flatness", "decay_ms")


@cache
def mel_bands(bands: int = BANDS, low_hz: float = 30.0, high_hz: float = 20_000.0) -> np.ndarray:
    """Triangular bands, evenly spaced in mel (O'Shaughnessy), each of unit sum: float64 [bands, 513]."""
    mel = np.linspace(1127 * np.log1p(low_hz / 700), 1127 * np.log1p(high_hz / 700), bands + 2)
    edges_hz = 700 * np.expm1(mel / 1127)
    bins_hz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    for band in np.nonzero(weights.sum(axis=1) == 0)[0]:  # narrower than a bin: take the nearest one
        weights[band, np.argmin(np.abs(bins_hz - edges_hz[band + 1]))] = 1.0
    return weights / weights.sum(axis=1, keepdims=True)


def band_of(hz: np.ndarray) -> np.ndarray:
    """Place of a frequency among the bands of a picture, counted from the first one's middle."""
    bins_hz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)
    return np.interp(hz, mel_bands() @ bins_hz, np.arange(BANDS))


def spectrogram(audio: np.ndarray) -> np.ndarray:
    """Power spectra of Hann windows, the first starting at sample 0: float64 [frames, 513]."""
    padded = np.concatenate([np.asarray(audio, float), np.zeros(WINDOW)])
    count = 1 + (len(padded) - WINDOW) // HOP
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    return np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2


def picture(power: np.ndarray) -> np.ndarray:
    """Level-free log-mel picture of a sound in dB above -60 dB of its loudest cell: float32 [288]."""
    mel = power @ mel_bands().T
    cells = np.zeros((len(TIME_EDGES) - 1, BANDS))
    for cell, (start, stop) in enumerate(pairwise(TIME_EDGES)):
        if start < len(mel):
            cells[cell] = mel[start : min(stop, len(mel))].sum(axis=0) / (stop - start)
    level_db = 10 * np.log10(np.maximum(cells, 1e-20))
    return (np.maximum(level_db - level_db.max(), FLOOR_DB) - FLOOR_DB).astype(np.float32).ravel()


class Descriptors(TypedDict):
    """The numbers of :data:`DESCRIPTORS`."""

    seconds: float
    attack_ms: float
    centroid_hz: float
    low_share: float
    flatness: float
    decay_ms: float


def describe(audio: np.ndarray, power: np.ndarray) -> Descriptors:
    """The six numbers of :data:`DESCRIPTORS`, of a mono sound at 48 kHz."""
    spectrum = power.sum(axis=0)
    hz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)
    total = max(float(spectrum.sum()), 1e-20)
    level = np.abs(audio)
    envelope = np.maximum.accumulate(level[::-1])[::-1]  # what is still to come
    peak_at = int(level.argmax())
    fallen = np.nonzero(envelope[peak_at:] < 0.1 * level[peak_at])[0]
    heard = spectrum[(hz > 100) & (hz < 16_000)] + 1e-20 * total
    return {
        "seconds": len(audio) / SAMPLE_RATE_HZ,
        "attack_ms": 1000 * peak_at / SAMPLE_RATE_HZ,
        "centroid_hz": float((spectrum * hz).sum() / total),
        "low_share": float(spectrum[hz < 200].sum() / total),
        "flatness": float(np.exp(np.log(heard).mean()) / heard.mean()),
        "decay_ms": 1000 * float(fallen[0] if len(fallen) else len(audio) - peak_at) / SAMPLE_RATE_HZ,
    }


def spectral_distance(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """RMS difference in dB between pictures [n, 288] and [m, 288]: float64 [n, m].

    Over the cells where at least one of the two sounds: two short kicks do not become alike by their silence.
    """
    a, b = np.asarray(pictures, float), np.asarray(others, float)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    heard_a, heard_b = (a > 0).astype(float), (b > 0).astype(float)
    either = heard_a.sum(1)[:, None] + heard_b.sum(1)[None] - heard_a @ heard_b.T
    return np.sqrt(np.maximum(squared, 0.0) / np.maximum(either, 1.0))


def close_pairs(pictures: np.ndarray, within_db: float, block: int = 1024) -> list[tuple[int, int, float]]:
    """All pairs (i < j) nearer than ``within_db``, with their distance; a block of rows at a time."""
    found = []
    for start in range(0, len(pictures), block):
        distance = spectral_distance(pictures[start : start + block], pictures[start:])
        for i, j in zip(*np.nonzero(distance < within_db), strict=True):
            if i < j:
                found.append((start + int(i), start + int(j), float(distance[i, j])))
    return found
