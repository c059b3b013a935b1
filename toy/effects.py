"""Distortions of our own, each a memoryless or nearly memoryless curve run at eight times the rate.

What aliases is not part of a pedal's sound, and a model would waste itself on learning it: every curve runs
between a polyphase interpolator and its decimator (:func:`oversampled`). Input and output are float64 ``[n]``
at 48 kHz, nominally within ±1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from common.audio import SAMPLE_RATE_HZ

OVERSAMPLING = 8


@dataclass(frozen=True)
class Effect:
    """One distortion: its curve, the ranges its parameters make sense in, and what it does to a spectrum."""

    curve: Callable[..., np.ndarray]
    ranges: dict[str, tuple[float, float]]
    spectrum: str


def oversampled(
    x: np.ndarray, curve: Callable[[np.ndarray], np.ndarray], factor: int = OVERSAMPLING
) -> np.ndarray:
    """Run ``curve`` at ``factor`` times the rate; same length as ``x``, no delay (linear-phase filters)."""
    from scipy.signal import resample_poly

    if factor == 1:
        return np.asarray(curve(x), float)
    taps = _anti_alias_taps(factor)
    return resample_poly(curve(resample_poly(x, factor, 1, window=taps)), 1, factor, window=taps)[: len(x)]


@cache
def _anti_alias_taps(factor: int) -> np.ndarray:
    """Taps that pass 20 kHz and are 100 dB down at 24 kHz, at ``factor`` times the rate."""
    from scipy.signal import firwin, kaiserord

    nyquist_hz = 0.5 * SAMPLE_RATE_HZ * factor
    count, beta = kaiserord(100.0, 4000.0 / nyquist_hz)
    return firwin(count | 1, 22_000.0 / nyquist_hz, window=("kaiser", beta))


def gain(decibels: float) -> float:
    """Amplitude ratio of a level in decibels."""
    return float(10 ** (decibels / 20))


def dc_blocked(x: np.ndarray, sample_rate_hz: float, corner_hz: float = 12.0) -> np.ndarray:
    """The coupling capacitor after an asymmetric stage: first-order high-pass."""
    from scipy.signal import lfilter

    pole = np.exp(-2 * np.pi * corner_hz / sample_rate_hz)
    return lfilter([0.5 * (1 + pole), -0.5 * (1 + pole)], [1.0, -pole], x)


def diode(x: np.ndarray, rate_hz: float, *, drive_db: float, diodes: float, asymmetry: float) -> np.ndarray:
    """A resistor into two strings of diodes back to back, solved for its static curve.

    ``(u − v)/R = Is·(exp(v/(n₊·Vt)) − exp(−v/(n₋·Vt)))``; 2.2 kΩ and a 1N4148 (Is 2.52 nA, n 1.752), as in
    Yeh, Abel & Smith, "Simplified, physically-informed models of distortion" (DAFx-07). The circuit is solved
    backwards (u from v, which is explicit) on a grid and interpolated.
    """
    resistance_ohm, saturation_a, thermal_v = 2200.0, 2.52e-9, 1.752 * 0.02585
    up, down = diodes * (1 + asymmetry), diodes * (1 - 0.5 * asymmetry)
    volts = np.linspace(-1.2 * down, 1.2 * up, 8001)
    current = saturation_a * (np.exp(volts / (up * thermal_v)) - np.exp(-volts / (down * thermal_v)))
    driven = volts + resistance_ohm * current
    full_scale = 0.7 * max(up, down)
    y = np.interp(gain(drive_db) * x, driven, volts) / full_scale
    return dc_blocked(y, rate_hz) if asymmetry else y


def tube(x: np.ndarray, rate_hz: float, *, drive_db: float, bias: float, sag: float) -> np.ndarray:
    """A triode stage: soft at the grid-current side, harder at cut-off, its bias pulled by what was loud.

    The curve is a tanh whose two halves have different knees; ``sag`` lets the rectified signal, smoothed
    over 30 ms, shift the operating point, so loud notes bloom into even harmonics.
    """
    from scipy.signal import lfilter

    driven = gain(drive_db) * x
    pole = np.exp(-1 / (0.030 * rate_hz))
    level = lfilter([1 - pole], [1.0, -pole], np.abs(np.tanh(driven)))
    point = driven + bias - sag * level
    y = np.where(point >= 0, np.tanh(point), 0.7 * np.tanh(point / 0.7))
    return 0.8 * dc_blocked(y, rate_hz)


def fuzz(x: np.ndarray, rate_hz: float, *, drive_db: float, bias: float, gate: float) -> np.ndarray:
    """Two starved transistors: almost a square wave, lopsided by ``bias``, silent below ``gate``."""
    driven = gain(drive_db) * x
    opened = np.sign(driven) * np.maximum(np.abs(driven) - gate, 0.0)
    y = np.clip(1.5 * opened + bias, -1.0, 1.0)
    rounded = y - 0.15 * y**3
    return 0.8 * dc_blocked(rounded - (np.clip(bias, -1, 1) - 0.15 * np.clip(bias, -1, 1) ** 3), rate_hz)


def wavefolder(x: np.ndarray, rate_hz: float, *, folds: float, symmetry: float) -> np.ndarray:
    """A sine folder: the louder the note, the more often the wave turns back on itself."""
    return (
        0.9
        * dc_blocked(np.sin(0.5 * np.pi * (folds * x + symmetry)) - np.sin(0.5 * np.pi * symmetry), rate_hz)
        / (1 + abs(np.sin(0.5 * np.pi * symmetry)))
    )


def rectifier(x: np.ndarray, rate_hz: float, *, amount: float, drive_db: float) -> np.ndarray:
    """From the plain wave (0) over half-wave (0.5) to full-wave (1): the octave-up pedal."""
    driven = np.tanh(gain(drive_db) * x)
    smooth_abs = np.sqrt(driven**2 + 1e-4) - 1e-2  # a germanium corner, not a mathematical one
    return 0.9 * dc_blocked((1 - amount) * driven + amount * smooth_abs, rate_hz)


EFFECTS: dict[str, Effect] = {
    "diode": Effect(
        diode,
        {"drive_db": (6, 40), "diodes": (1, 3), "asymmetry": (0, 0.8)},
        "odd harmonics, soft corner; asymmetry adds even ones",
    ),
    "tube": Effect(
        tube,
        {"drive_db": (0, 34), "bias": (-0.4, 0.6), "sag": (0, 0.6)},
        "gentle: the second harmonic leads; hard: odd ones catch up; sag lets loudness move the balance",
    ),
    "fuzz": Effect(
        fuzz,
        {"drive_db": (20, 50), "bias": (-0.5, 0.5), "gate": (0, 0.05)},
        "nearly a square: harmonics falling as 1/n, duty set by bias, quiet tails cut off",
    ),
    "wavefolder": Effect(
        wavefolder,
        {"folds": (1, 8), "symmetry": (0, 0.5)},
        "a hump of harmonics that climbs with level (Bessel series); symmetry adds even ones",
    ),
    "rectifier": Effect(
        rectifier,
        {"amount": (0.3, 1), "drive_db": (0, 20)},
        "even harmonics; at 1 the fundamental is gone and the octave stands in its place",
    ),
}
