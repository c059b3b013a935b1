"""The low partials, whose pitch glides: how far and how fast by their phase's advance, then one by one.

The low end of the sound as an analytic signal at 3 kHz turns by its frequency in every sample. A line
through that frequency over exp(−t / tg), weighted by energy, is a glide; the tg that leaves least is taken.
Read along the glide the partials stand still, and a spectrum finds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.analysis.hit.partials import slots, time_constant

SIZE, KEPT = 32_768, 2048  # samples at 48 kHz, and at the low rate
RATE_HZ = SAMPLE_RATE_HZ * KEPT / SIZE
LOWEST_HZ, HIGHEST_HZ = 20.0, 900.0
LOOKED_AT_S = 0.35
TIMES_S = (0.005, 0.008, 0.013, 0.02, 0.032, 0.05, 0.08, 0.12)
NO_GLIDE = (0.003, 0.025)
STEEPEST = 4.0  # times its last frequency that a hit may begin above it
QUIETEST = 1e-3  # of the loudest peak's energy
POINTS = 8192
TOO_NEAR = 1.08


@dataclass(frozen=True)
class Glide:
    """A glide: amount (times the last frequency) and time constant, seconds."""

    amount: float
    seconds: float

    def warped(self, t: np.ndarray) -> np.ndarray:
        """What the phase follows instead of time."""
        return t + self.amount * self.seconds * (1 - np.exp(-t / self.seconds))


@dataclass(frozen=True)
class LowPartials:
    """Partials by slot: frequency (0 where there is none) and time constant, and the glide of all."""

    hz: np.ndarray
    decays_s: np.ndarray
    glide: Glide


def analytic(sound: np.ndarray, high_hz: float = RATE_HZ / 2) -> np.ndarray:
    """The sound's low end without negative frequencies, complex [KEPT] at ``RATE_HZ``."""
    spectrum = np.fft.rfft(sound[:SIZE], SIZE)[: KEPT // 2].copy()
    hz = np.arange(KEPT // 2) * SAMPLE_RATE_HZ / SIZE
    spectrum[(hz < LOWEST_HZ) | (hz > high_hz)] = 0
    return np.fft.ifft(np.concatenate([spectrum, np.zeros(KEPT // 2)])) * (2 * KEPT / SIZE)


def find_glide(sound: np.ndarray) -> Glide:
    """The glide that the low end's phase follows; next to none where no line fits."""
    low = analytic(sound, HIGHEST_HZ)
    t = np.arange(KEPT - 1) / RATE_HZ
    hz = np.clip(np.angle(low[1:] * np.conj(low[:-1])) * RATE_HZ / (2 * np.pi), LOWEST_HZ, HIGHEST_HZ)
    weight = np.abs(low[1:] * low[:-1])
    weight[t >= LOOKED_AT_S] = 0
    weight[:3] *= 0.1
    total = weight.sum() + 1e-9
    best: tuple[float, Glide] | None = None
    for seconds in TIMES_S:
        curve = np.exp(-t / seconds)
        s1, s2 = (weight * curve).sum(), (weight * curve * curve).sum()
        y0, y1 = (weight * hz).sum(), (weight * curve * hz).sum()
        determinant = total * s2 - s1 * s1 + 1e-9
        last, rise = (s2 * y0 - s1 * y1) / determinant, (total * y1 - s1 * y0) / determinant
        left = (weight * np.abs(hz - last - rise * curve)).sum() / total
        if last > LOWEST_HZ and 0.01 * last < rise < STEEPEST * last and (best is None or left < best[0]):
            best = (left, Glide(float(rise / last), seconds))
    return best[1] if best else Glide(*NO_GLIDE)


def find_low(sound: np.ndarray, anchors_hz: np.ndarray) -> LowPartials:
    """The loudest partial of every slot, along the glide.

    Parameters
    ----------
    sound : ndarray, shape (samples,)
        A hit at 48 kHz, at least ``SIZE`` samples.
    anchors_hz : ndarray
        Middles of the slots.
    """
    glide = find_glide(sound)
    low = analytic(sound)
    t = np.arange(KEPT) / RATE_HZ
    along = glide.warped(t)
    straight = np.interp(t, along, low.real) + 1j * np.interp(t, along, low.imag)
    taper = np.cos(np.arange(KEPT) / KEPT * np.pi / 2) ** 2
    power = np.abs(np.fft.fft(straight * taper, POINTS))[: POINTS // 2] ** 2
    hz = np.arange(POINTS // 2) * RATE_HZ / POINTS
    edges = slots(anchors_hz)
    loudest = power[(hz > LOWEST_HZ) & (hz < edges[-1])].max() + 1e-12
    found, decays = np.zeros(len(anchors_hz)), np.full(len(anchors_hz), 0.05)
    peaks = np.zeros(len(anchors_hz))
    for slot in range(len(anchors_hz)):
        first, end = np.searchsorted(hz, edges[slot : slot + 2])
        at = int(first + np.argmax(power[first : max(end, first + 1)]))
        if power[at] <= QUIETEST * loudest or power[at] < max(power[at - 1], power[at + 1]):
            continue
        found[slot], peaks[slot] = hz[at], power[at]
        decays[slot] = _decay(straight, t, hz[at])
    for slot in range(1, len(anchors_hz)):  # one partial at an edge, seen from both sides
        a, b = found[slot - 1 : slot + 1]
        if a and b and b / a < TOO_NEAR:
            found[slot if peaks[slot] < peaks[slot - 1] else slot - 1] = 0
    return LowPartials(found, decays, glide)


def _decay(straight: np.ndarray, t: np.ndarray, hz: float) -> float:
    """How fast the partial at a frequency falls, over means of a period and a half, 40 ms at most."""
    down = straight * np.exp(-2j * np.pi * hz * t)
    frame = max(6, int(RATE_HZ * min(0.04, 1.5 / hz)))
    summed = np.cumsum(np.concatenate([[0], down]))
    energy = np.abs(summed[frame:] - summed[:-frame]) ** 2
    step = max(1, frame // 2)
    return time_constant(energy[::step][:60], t[: len(energy)][::step][:60])
