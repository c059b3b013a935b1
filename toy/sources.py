"""The sound sources every toy drum is built from: sweeps, FM, noise, modes, squares, bursts.

Each function returns float64 ``[n]`` at :data:`SAMPLE_RATE_HZ`. Randomness comes only from the generator
that is handed in, so one seed is one sound.
"""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ


def times(n: int) -> np.ndarray:
    """Time of each of ``n`` samples, in seconds."""
    return np.arange(n) / SAMPLE_RATE_HZ


def decay(n: int, t60_s: float, attack_s: float = 0.0) -> np.ndarray:
    """Exponential fall by 60 dB in ``t60_s`` seconds after a raised-cosine rise of ``attack_s`` seconds."""
    envelope = np.exp(-np.log(1000.0) * times(n) / max(t60_s, 1e-4))
    rise = min(n, round(attack_s * SAMPLE_RATE_HZ))
    if rise > 1:
        envelope[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    return envelope


def swept_sine(n: int, start_hz: float, end_hz: float, sweep_s: float, phase: float = 0.0) -> np.ndarray:
    """Sine whose pitch falls exponentially from ``start_hz`` to ``end_hz`` with time constant ``sweep_s``."""
    frequency_hz = end_hz + (start_hz - end_hz) * np.exp(-times(n) / max(sweep_s, 1e-4))
    return np.sin(phase + 2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE_HZ)


def fm(n: int, carrier_hz: float | np.ndarray, ratio: float, index: np.ndarray) -> np.ndarray:
    """Two-operator FM (Chowning 1973): ``index`` [n] is the modulation index over time."""
    carrier = 2 * np.pi * np.cumsum(np.broadcast_to(carrier_hz, (n,))) / SAMPLE_RATE_HZ
    return np.sin(carrier + index * np.sin(ratio * carrier))


def noise_band(rng: np.random.Generator, n: int, low_hz: float, high_hz: float, order: int = 2) -> np.ndarray:
    """White noise between two corners (Butterworth; ``low_hz`` 0 leaves the bottom open), unit RMS."""
    from scipy import signal

    high_hz = min(high_hz, 0.49 * SAMPLE_RATE_HZ)
    # The filter is warmed up on noise that is thrown away, so the first sample is as loud as the rest.
    warm = 2048
    white = rng.standard_normal(n + warm)
    if low_hz <= 0:
        sos = signal.butter(order, high_hz, "lowpass", fs=SAMPLE_RATE_HZ, output="sos")
    else:
        low_hz = min(low_hz, 0.9 * high_hz)
        sos = signal.butter(order, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    shaped = signal.sosfilt(sos, white)[warm:]
    return shaped / max(float(np.sqrt(np.mean(shaped**2))), 1e-9)


def modes(n: int, frequencies_hz: np.ndarray, t60_s: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Bank of struck modes: a sum of damped sines, each a two-pole resonator fed one impulse."""
    from scipy import signal

    impulse = np.zeros(n)
    impulse[0] = 1.0
    out = np.zeros(n)
    for frequency_hz, t60, gain in zip(frequencies_hz, t60_s, gains, strict=True):
        if not 0 < frequency_hz < 0.48 * SAMPLE_RATE_HZ:
            continue
        radius = np.exp(-np.log(1000.0) / (t60 * SAMPLE_RATE_HZ))
        angle = 2 * np.pi * frequency_hz / SAMPLE_RATE_HZ
        out += gain * signal.lfilter(
            [0.0, radius * np.sin(angle)], [1.0, -2 * radius * np.cos(angle), radius**2], impulse
        )
    return out


def square(n: int, frequency_hz: float, phase: float = 0.0) -> np.ndarray:
    """Square wave with its two steps smoothed by PolyBLEP (Välimäki & Huovilainen 2007)."""
    step = frequency_hz / SAMPLE_RATE_HZ
    position = (phase + step * np.arange(n)) % 1.0
    out = np.where(position < 0.5, 1.0, -1.0)
    return out + _blep(position, step) - _blep((position + 0.5) % 1.0, step)


def squares(n: int, frequencies_hz: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Sum of :func:`square` waves."""
    return np.sum([square(n, f, p) for f, p in zip(frequencies_hz, phases, strict=True)], axis=0)


def _blep(position: np.ndarray, step: float) -> np.ndarray:
    """Polynomial residual of a band-limited step at position 0, on a phase in 0..1."""
    after = position / step
    before = (position - 1.0) / step
    rising = np.where(position < step, 2 * after - after**2 - 1.0, 0.0)
    return np.where(position > 1.0 - step, before**2 + 2 * before + 1.0, rising)


def bursts(
    rng: np.random.Generator, n: int, starts_s: np.ndarray, t60_s: float, low_hz: float, high_hz: float
) -> np.ndarray:
    """Short noise bursts at the given times, each dying before the next: many hands, one clap."""
    out = np.zeros(n)
    for start_s in starts_s:
        first = round(start_s * SAMPLE_RATE_HZ)
        if first < n:
            out[first:] += noise_band(rng, n - first, low_hz, high_hz) * decay(n - first, t60_s)
    return out


def click(rng: np.random.Generator, n: int, length_s: float, corner_hz: float) -> np.ndarray:
    """A beater's click: a few milliseconds of dull or bright noise led by a one-sided thump."""
    envelope = decay(n, length_s)
    return envelope * (0.6 * noise_band(rng, n, 0.0, corner_hz) + 0.8 * np.cos(np.pi * corner_hz * times(n)))


def low_pass(x: np.ndarray, corner_hz: float, order: int = 2) -> np.ndarray:
    """Butterworth low-pass, causal, so nothing rings before the hit."""
    from scipy import signal

    corner_hz = min(corner_hz, 0.49 * SAMPLE_RATE_HZ)
    return signal.sosfilt(signal.butter(order, corner_hz, fs=SAMPLE_RATE_HZ, output="sos"), x)


def high_pass(x: np.ndarray, corner_hz: float, order: int = 2) -> np.ndarray:
    """Butterworth high-pass, causal."""
    from scipy import signal

    return signal.sosfilt(signal.butter(order, corner_hz, "highpass", fs=SAMPLE_RATE_HZ, output="sos"), x)
