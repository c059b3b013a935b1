"""Damped sines: how fast one falls, and the amplitudes and phases of many that together are a sound."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

SHORTEST_S, LONGEST_S = 2e-3, 1.5
FALL = 1e-4  # of the energy, below which a fall is the recording's floor
CHUNK = 256  # samples that a steady partial is turned through at once
RIDGE = 2e-2  # of each partial's own energy: partials closer than the sound can tell share it


def slots(anchors_hz: np.ndarray) -> np.ndarray:
    """Edges of the slots around anchors that stand evenly by ratio, [anchors + 1]."""
    half = np.sqrt(anchors_hz[1] / anchors_hz[0])
    inner = np.sqrt(anchors_hz[1:] * anchors_hz[:-1])
    return np.concatenate([[anchors_hz[0] / half], inner, [anchors_hz[-1] * half]])


def time_constant(energy: np.ndarray, seconds: np.ndarray) -> float:
    """Seconds in which the amplitude falls to 1/e: a line through log energies from their peak on.

    Loud moments count by their amplitude; what is 40 dB below the peak, and all after it, does not.
    """
    first = int(np.argmax(energy))
    energy, seconds = energy[first:], seconds[first:]
    low = np.flatnonzero(energy <= energy[0] * FALL)
    if len(low):
        energy, seconds = energy[: low[0]], seconds[: low[0]]
    if len(energy) < 2:
        return 2 * SHORTEST_S
    weight, logs = np.sqrt(energy), np.log(energy)
    t, y = (np.average(x, weights=weight) for x in (seconds, logs))
    spread = max(float((weight * (seconds - t) ** 2).sum()), 1e-12)
    slope = float((weight * (seconds - t) * (logs - y)).sum()) / spread
    return float(np.clip(-2 / min(slope, -2 / LONGEST_S), SHORTEST_S, LONGEST_S))


def basis(
    hz: np.ndarray, decays_s: np.ndarray, samples: int, warped_s: np.ndarray | None = None
) -> np.ndarray:
    """Sines, then cosines, of partials, float32 [2 · partials, samples].

    Parameters
    ----------
    hz, decays_s : ndarray, shape (partials,)
        Frequencies and time constants.
    samples : int
        How many, at 48 kHz.
    warped_s : ndarray, shape (samples,), optional
        What the phase follows instead of time: a glide.
    """
    omega = 2 * np.pi * hz[:, None]
    if warped_s is not None:
        t = np.arange(samples) / SAMPLE_RATE_HZ
        angle = (omega * warped_s[None]).astype(np.float32)
        envelope = np.exp(-(t[None] / decays_s[:, None]).astype(np.float32))
        return np.concatenate([np.sin(angle) * envelope, np.cos(angle) * envelope])
    turn = 1j * omega - 1 / decays_s[:, None]
    coarse = np.exp(turn * np.arange(-(-samples // CHUNK))[None] * (CHUNK / SAMPLE_RATE_HZ))
    fine = np.exp(turn * np.arange(CHUNK)[None] / SAMPLE_RATE_HZ)
    waves = coarse.astype(np.complex64)[:, :, None] * fine.astype(np.complex64)[:, None]
    waves = waves.reshape(len(hz), -1)[:, :samples]
    return np.concatenate([waves.imag, waves.real])


def amplitudes(waves: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Weights of the waves whose sum is nearest to the sound, by least squares with a small ridge."""
    normal = (waves @ waves.T).astype(np.float64)
    own = np.diag(normal).copy()
    normal[np.diag_indices_from(normal)] += RIDGE * own + 1e-6
    return np.linalg.solve(normal, (waves @ sound).astype(np.float64))
