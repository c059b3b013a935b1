"""A hit's analysis: low partials along their glide, static partials, then the noise that is left.

The idea is that of sines plus noise (Serra and Smith, "Spectral modeling synthesis", CMJ 14(4), 1990), with
one fixed slot for each partial, so that a network can be taught what to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.analysis.hit.bands import noise_gains
from train.analysis.hit.gliding import HIGHEST_HZ, Glide, analytic, find_low
from train.analysis.hit.partials import amplitudes, basis
from train.analysis.hit.static import find_static
from train.models.hit.shape import HitShape

SHORTEST = SAMPLE_RATE_HZ // 2  # shorter sounds are padded to this
LONGEST = 2 * SAMPLE_RATE_HZ
LOW_FIT, STATIC_FIT = 9600, 8192  # samples over which amplitudes are fitted
SILENT_AFTER = 8.0  # time constants
MANY, MORE = 8, 2  # so many static partials are a cymbal's, whose slots are looked through again so often
LITTLE, MOST_LOST = (
    0.7,
    1.6,
)  # part of the low end's energy that is left; amplitude of what is told over found
FLOOR = -10.5  # log gain that stands for silence


@dataclass(frozen=True)
class Analysis:
    """What a hit is made of; a slot without a partial has frequency 0.

    Attributes
    ----------
    hz, decays_s, levels, phases : ndarray, shape (modes,)
        Frequency, time constant, natural log of the amplitude, and angle at the stroke: the partial is
        exp(level − t / decay) · sin(2π f t + phase). One stands for all that its slot has.
    glide : Glide
        Of the gliding ones, which come first.
    noise : ndarray, shape (grid, bands)
        Log gains.
    rest : ndarray, shape (samples,)
        What is left of the sound without its partials.
    """

    hz: np.ndarray
    decays_s: np.ndarray
    levels: np.ndarray
    phases: np.ndarray
    glide: Glide
    noise: np.ndarray
    rest: np.ndarray


def analyse(sound: np.ndarray, shape: HitShape) -> Analysis:
    """Take a hit apart.

    Parameters
    ----------
    sound : ndarray, shape (samples,)
        Mono at 48 kHz, from its onset on.
    shape : HitShape
        Slots, bands and grid.
    """
    length = len(sound)
    sound = np.pad(sound[:LONGEST], (0, max(0, SHORTEST - length))).astype(np.float32)
    anchors = shape.anchors_hz.astype(np.float64)
    split = shape.gliding
    low = find_low(sound, anchors[:split])
    warped = low.glide.warped(np.arange(len(sound)) / SAMPLE_RATE_HZ)
    low_weights, rest = _take_away(sound, low.hz, low.decays_s, LOW_FIT, warped)
    low_weights = low_weights * _lost(sound, rest)
    static_hz, static_s = find_static(rest, anchors[split:])
    static_weights, rest = _take_away(rest, static_hz, static_s, STATIC_FIT, None)
    energies = np.abs(static_weights) ** 2 * static_s
    if np.count_nonzero(static_hz) >= MANY:
        for _ in range(MORE):
            more_hz, more_s = find_static(rest, anchors[split:])
            more_hz[static_hz == 0] = 0
            more, rest = _take_away(rest, more_hz, more_s, STATIC_FIT, None)
            energies += np.abs(more) ** 2 * more_s
        loudest = np.abs(static_weights) ** 2 * static_s
        static_weights *= np.sqrt(energies / np.maximum(loudest, 1e-18))
    weights = np.concatenate([low_weights, static_weights])
    levels = np.log(np.abs(weights) + 1e-9)
    noise = noise_gains(rest, shape.grid_ms, shape.bands, shape.taps, FLOOR)
    return Analysis(
        np.concatenate([low.hz, static_hz]),
        np.concatenate([low.decays_s, static_s]),
        np.maximum(levels, FLOOR - 1),
        np.angle(weights),
        low.glide,
        noise,
        rest[: max(length, 1)],
    )


def _lost(sound: np.ndarray, rest: np.ndarray) -> float:
    """What brings the low partials to the energy that was there.

    Least squares make what is not quite a damped sine too soft. 1 where partials explain little.
    """
    heard, left, made = (
        float(np.sum(np.abs(analytic(part, HIGHEST_HZ)) ** 2)) for part in (sound, rest, sound - rest)
    )
    if left > LITTLE * heard or made <= 0:
        return 1.0
    return float(np.clip(np.sqrt(heard / made), 1.0, MOST_LOST))


def _take_away(
    sound: np.ndarray, hz: np.ndarray, decays_s: np.ndarray, fitted: int, warped_s: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Complex weights (sine + i · cosine) of the partials that are there, and the sound without them."""
    weights = np.zeros(len(hz), complex)
    there = np.flatnonzero(hz > 0)
    if not len(there):
        return weights, sound
    heard = max(fitted, int(SILENT_AFTER * decays_s[there].max() * SAMPLE_RATE_HZ))
    heard = min(heard, len(sound))
    waves = basis(hz[there], decays_s[there], heard, None if warped_s is None else warped_s[:heard])
    found = amplitudes(waves[:, :fitted], sound[:fitted])
    weights[there] = found[: len(there)] + 1j * found[len(there) :]
    rest = sound.copy()
    rest[:heard] -= found.astype(np.float32) @ waves
    return weights, rest
