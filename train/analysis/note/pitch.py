"""The pitch of a note: heard coarsely, held against what its name says, then refined by its harmonics.

Coarse: YIN (de Cheveigné and Kawahara 2002) at the full rate. Fine: how fast the phases of the lowest
harmonics advance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.models.voice.shape import HOP

LOWEST_HZ, HIGHEST_HZ = 27.0, 4200.0
STEP = 4 * HOP
WINDOW = 2048
SIZE = 4096
LONGEST = int(SAMPLE_RATE_HZ / LOWEST_HZ)
SHORTEST = int(SAMPLE_RATE_HZ / HIGHEST_HZ)
DIP = 0.15
VOICED = 0.6
"""A frame this much like itself a period later is pitched."""
ODD_WHEN_LOWER, ODD_WHEN_UPPER = 2e-4, 3e-2
"""Of the power in harmonics: so much in the odd ones makes the lower octave true, by what the name says."""
LOOKED_AT = 16_384
PARTIALS, APART = 6, 24
BRIGHTEST_HZ = 8000.0


class Heard(NamedTuple):
    """Frequency in Hz and voicing from 0 to 1 of steps of :data:`STEP` samples."""

    hz: np.ndarray
    voicing: np.ndarray


def coarse(x: np.ndarray) -> Heard:
    """Hear the pitch of a sound ``[n]`` at every step."""
    steps = max(1, -(-len(x) // STEP))
    padded = np.pad(x, (WINDOW // 2, SIZE + STEP))
    rows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW + LONGEST)[: steps * STEP : STEP]
    hz, voicing = np.zeros(steps), np.zeros(steps)
    for first in range(0, steps, 256):
        part = slice(first, min(steps, first + 256))
        hz[part], voicing[part] = _yin(np.asarray(rows[part], float))
    return Heard(hz, voicing)


def _yin(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    whole = np.fft.rfft(rows, SIZE)
    begin = np.fft.rfft(rows[:, :WINDOW], SIZE)
    product = np.fft.irfft(whole * np.conj(begin), SIZE)[:, : LONGEST + 1]
    summed = np.pad(np.cumsum(rows**2, axis=1), ((0, 0), (1, 0)))
    energy = summed[:, WINDOW : WINDOW + LONGEST + 1] - summed[:, : LONGEST + 1]
    difference = np.maximum(energy[:, :1] + energy - 2 * product, 0)[:, 1:]
    lags = np.arange(1, LONGEST + 1)
    dips = difference * lags / (np.cumsum(difference, axis=1) + 1e-9)
    dips[:, : SHORTEST - 1] = 1
    before, here, after = dips[:, :-2], dips[:, 1:-1], dips[:, 2:]
    deep = (here <= before) & (here <= after) & (here < DIP)
    at = np.where(deep.any(1), deep.argmax(1), here.argmin(1))
    each = np.arange(len(rows))
    a, b, c = before[each, at], here[each, at], after[each, at]
    aside = np.clip((a - c) / (2 * (a - 2 * b + c) + 1e-12), -0.5, 0.5)
    quiet = energy[:, 0] < 1e-7 * WINDOW
    return SAMPLE_RATE_HZ / (at + 2 + aside), np.where(quiet, 0, np.clip(1 - b, 0, 1))


def key_of(hz: float) -> float:
    """The key of a piano, 69 at 440 Hz, with its fraction."""
    return float(69 + 12 * np.log2(hz / 440))


def hz_of(key: float) -> float:
    """The frequency of a key."""
    return float(440 * 2 ** ((key - 69) / 12))


def true_octave(x: np.ndarray, heard_hz: float, named_hz: float) -> float:
    """Tell which of two frequencies that are octaves apart a note has: the one heard or the one named.

    Where the lower one is true, its odd harmonics sound; where the higher one is, they do not.
    """
    if abs(np.log2(heard_hz / named_hz)) < 0.5:
        return heard_hz
    low, high = min(heard_hz, named_hz), max(heard_hz, named_hz)
    share = odd_share(x, low, round(high / low))
    return low if share > (ODD_WHEN_LOWER if named_hz == low else ODD_WHEN_UPPER) else high


def odd_share(x: np.ndarray, hz: float, ratio: int) -> float:
    """Power at the harmonics of ``hz`` that are none of ``ratio · hz``, as a share of the power at all."""
    middle = int(np.argmax(np.convolve(x**2, np.ones(1024), "same")[::1024])) * 1024
    first = max(0, min(len(x) - LOOKED_AT, middle))
    part = x[first : first + LOOKED_AT]
    power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
    k = np.arange(1, 25)
    k = k[k * hz < 0.45 * SAMPLE_RATE_HZ]
    bins = np.rint(k * hz * len(part) / SAMPLE_RATE_HZ).astype(int)
    each = np.array([power[max(0, b - 2) : b + 3].max() for b in bins])
    return float(each[k % ratio != 0].sum() / max(each.sum(), 1e-20))


def refined(x: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Frequency of every frame by the advance of the phases of the lowest harmonics.

    Parameters
    ----------
    x : ndarray, shape (samples,)
        The note.
    f0 : ndarray, shape (frames,)
        Its frequency, roughly, Hz.
    """
    from scipy.signal import oaconvolve

    at = np.minimum(np.arange(len(f0)) * HOP, len(x) - 1)
    phase = 2 * np.pi * np.cumsum(np.interp(np.arange(len(x)), at, f0)) / SAMPLE_RATE_HZ
    window = np.hanning(int(max(3 * SAMPLE_RATE_HZ / f0.min(), 960)) | 1)
    window /= window.sum()
    far, weight = np.zeros(len(f0)), np.full(len(f0), 1e-12)
    before, after = np.clip(at - APART, 0, None), np.clip(at + APART, None, len(x) - 1)
    per_turn = SAMPLE_RATE_HZ / (2 * np.pi * np.maximum(after - before, 1))
    for k in range(1, PARTIALS + 1):
        if k > 1 and k * f0.max() >= BRIGHTEST_HZ:
            break
        turning = oaconvolve(x * np.exp(-1j * k * phase), window, mode="same")
        power = np.abs(turning[before] * turning[after]) * k
        weight += power
        far += power * np.angle(turning[after] * np.conj(turning[before])) * per_turn / k
    return np.asarray(f0 + far / weight)
