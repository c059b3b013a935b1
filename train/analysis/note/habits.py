"""How the loudness of a note moves: five numbers a note, and what timbre and pitch say of them.

    L(t) = peak − depth · exp(−t / attack) − decay · t while it is held; then it falls by release · t

Peak and depth in dB, attack as a natural log of seconds, decay in dB a second, release as a natural log of dB
a second. Each is a sum of latents, octaves above 220 Hz, their square, and 1, by least squares.
"""

from __future__ import annotations

import numpy as np

from train.models.voice.shape import FRAMES_PER_S

NAMES = ("peak", "depth", "attack", "decay", "release")
PLAIN = (-24.0, 10.0, -4.0, 6.0, 5.0)
"""Of a model that has not learnt any: a short attack, a slow decay, a release of 150 dB a second."""
NEAR_DB = 3.0
DEEPEST_DB = 40.0
PEAKS_DB = (-36.0, -3.0)
"""Between which the module lets a timbre ask."""
RIDGE = 1.0
LOUD = 100
"""Velocity from which a note says how loud its instrument is."""


def measured(loudness: np.ndarray, held: int) -> np.ndarray:
    """The five numbers of a note, NaN where it does not say.

    Parameters
    ----------
    loudness : ndarray, shape (frames,)
        dB.
    held : int
        Frames until it is let go.
    """
    held = max(2, min(held, len(loudness)))
    sung = loudness[:held]
    peak = float(sung.max())
    reached = int(np.argmax(sung > peak - NEAR_DB))
    depth = float(np.clip(peak - sung[0], NEAR_DB + 1, DEEPEST_DB))
    attack = max(reached, 1) / FRAMES_PER_S / np.log(depth / NEAR_DB)
    time = np.arange(held - reached) / FRAMES_PER_S
    alive = sung[reached:] > peak - DEEPEST_DB
    decay = -float(np.polyfit(time[alive], sung[reached:][alive], 1)[0]) if alive.sum() > 10 else np.nan
    tail = loudness[held : held + FRAMES_PER_S // 5]
    release = np.nan
    if len(tail) > 10 and tail[0] > peak - DEEPEST_DB:
        low = np.flatnonzero(tail < tail[0] - 20)
        last = int(low[0]) if len(low) else len(tail) - 1
        release = (tail[0] - tail[last]) * FRAMES_PER_S / max(last, 1)
    return np.array([peak, depth, np.log(attack), max(decay, 0.0), np.log(max(release, 5.0))])


def followed(numbers: np.ndarray, frames: int, held: int) -> np.ndarray:
    """The loudness of a note by its five numbers, dB ``[frames]``, as the module plays it."""
    peak, depth, attack, decay, release = numbers
    time, let_go = np.arange(frames) / FRAMES_PER_S, held / FRAMES_PER_S
    behind = np.clip(depth, 1, DEEPEST_DB) * np.exp(-time / np.clip(np.exp(attack), 0.002, 2.0))
    fallen = np.clip(decay, 0, 200) * np.minimum(time, let_go)
    fallen += np.clip(np.exp(release), 10, 3000) * np.maximum(time - let_go, 0)
    return np.asarray(np.clip(peak, *PEAKS_DB) - behind - fallen)


def features(latents: np.ndarray, octaves: np.ndarray) -> np.ndarray:
    """Columns that the numbers are sums of: ``[N, Z]`` and ``[N]`` to ``[N, Z + 3]``."""
    return np.column_stack([latents, octaves, octaves**2, np.ones(len(octaves))])


def fitted(numbers: np.ndarray, latents: np.ndarray, octaves: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Weights ``[5, Z + 3]``; notes that are not ``loud`` say nothing of the peak."""
    columns = features(latents, octaves)
    rows = []
    for name, values in zip(NAMES, numbers.T, strict=True):
        known = np.isfinite(values) & (loud | (name != "peak"))
        x, y = columns[known], values[known]
        pull = RIDGE * np.eye(columns.shape[1])
        pull[-1, -1] = 0
        rows.append(np.linalg.solve(x.T @ x + pull, x.T @ y))
    return np.array(rows)


def plain(latents: int) -> np.ndarray:
    """Weights that say :data:`PLAIN` whatever the timbre."""
    rows = np.zeros((len(NAMES), latents + 3))
    rows[:, -1] = PLAIN
    return rows
