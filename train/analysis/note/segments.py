"""Where the notes of a recording are: pitched stretches, cut where the pitch leaps or a new stroke begins."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from train.analysis.note.pitch import STEP, VOICED, Heard
from train.models.voice.shape import HOP

RANGE_DB = 40.0
"""A step this far below the loudest is a pause."""
GAP_STEPS, SHORTEST_STEPS = 2, 8
LEAP_SEMITONES = 0.7
STROKE_DB = 9.0
LONGEST_STEPS = 500
RELEASE_STEPS = 32
STEP_FRAMES = STEP // HOP


class Segment(NamedTuple):
    """First frame, the frame after the last held one, the frame after the last; its median frequency, Hz."""

    first: int
    held: int
    end: int
    hz: float


def pitched_share(heard: Heard, loudness: np.ndarray) -> float:
    """What part of the steps that sound is pitched."""
    sounds = _sounding(loudness)
    return float((heard.voicing[sounds] > VOICED).mean()) if sounds.any() else 0.0


def segments(heard: Heard, loudness: np.ndarray) -> list[Segment]:
    """Find the notes.

    Parameters
    ----------
    heard : Heard
        Pitch of every step.
    loudness : ndarray, shape (steps,)
        dB.
    """
    sounds = _sounding(loudness)
    pitched = _closed(sounds & (heard.voicing > VOICED))
    semitones = 12 * np.log2(heard.hz)
    found = []
    for first, end in _runs(pitched):
        cuts = [first, *_cuts(semitones[first:end], loudness[first:end], first), end]
        for a, following in pairwise(cuts):
            b = min(following, a + LONGEST_STEPS)
            if b - a < SHORTEST_STEPS:
                continue
            silent = np.flatnonzero(~sounds[b:])
            tail = b if following != end else b + (int(silent[0]) if len(silent) else len(sounds) - b)
            tail = min(tail, b + RELEASE_STEPS)
            hz = float(np.exp2(np.median(semitones[a:b]) / 12))
            found.append(Segment(a * STEP_FRAMES, b * STEP_FRAMES, tail * STEP_FRAMES, hz))
    return found


def _sounding(loudness: np.ndarray) -> np.ndarray:
    return np.asarray(loudness > loudness.max() - RANGE_DB)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _closed(mask: np.ndarray) -> np.ndarray:
    """Fill short gaps between stretches."""
    filled = mask.copy()
    for first, end in _runs(~mask):
        if first > 0 and end < len(mask) and end - first <= GAP_STEPS:
            filled[first:end] = True
    return filled


def _cuts(semitones: np.ndarray, loudness: np.ndarray, offset: int) -> list[int]:
    """Steps at which another note begins."""
    cuts: list[int] = []
    last = 0
    for i in range(3, len(semitones) - 3):
        leap = abs(np.median(semitones[i : i + 3]) - np.median(semitones[i - 3 : i])) > LEAP_SEMITONES
        stroke = loudness[i + 1] - loudness[i - 1] > STROKE_DB and i > 4
        if (leap or stroke) and i - last >= SHORTEST_STEPS // 2:
            cuts.append(offset + i)
            last = i
    return cuts
