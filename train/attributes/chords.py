"""What a progression is like, in three numbers, each the mean of something over its slots.

================  ===========================================================================================
tension           how far the chords' roots are from the tonic on the circle of fifths (Lerdahl, *Tonal Pitch
                  Space*, 2001, ch. 2), and how dissonant their intervals are: Huron's index of interval
                  classes, "Interval-class content in equally tempered pitch-class sets" (Music Perception
                  11(3), 1994); half of each, 0 to 1
motion            part of the slots that bring another chord
minor             part of the slots whose chord has a minor third
================  ===========================================================================================

Progressions are given as weights of each root and quality in each slot, so that decoded probabilities are
measured as read chords are.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from common.chords import QUALITIES, ROOTS

DEFINITIONS = {
    "tension": "distance of roots from the tonic in fifths, and dissonance of the chords' intervals, 0 to 1",
    "motion": "part of the half bars that bring another chord",
    "minor": "part of the chords with a minor third",
}
HURON = {1: -1.428, 2: -0.582, 3: 0.594, 4: 0.386, 5: 1.24, 6: -0.453}


def _fifths() -> list[float]:
    return [min(root * 7 % 12, -root * 7 % 12) / 6 for root in range(ROOTS)]


def _dissonance() -> list[float]:
    """Mean consonance of all pairs of notes, laid from 0 (a fifth) to 1 (the worst chord)."""
    means = []
    for notes in QUALITIES.values():
        classes = [min((b - a) % 12, (a - b) % 12) for a, b in combinations(notes, 2)]
        means.append(sum(HURON[one] for one in classes) / len(classes))
    return [(max(means) - mean) / (max(means) - min(means)) for mean in means]


FAR = torch.tensor(_fifths())
ROUGH = torch.tensor(_dissonance())
MINOR = torch.tensor([float(3 in notes) for notes in QUALITIES.values()])


def measure(roots: Tensor, qualities: Tensor, changes: Tensor) -> Tensor:
    """Measure progressions.

    Parameters
    ----------
    roots, qualities : Tensor, shape (N, 12, 16) and (N, 10, 16)
        Weights that sum to 1 in each slot.
    changes : Tensor, shape (N, 15)
        How surely each slot but the first has another chord than the one before it.

    Returns
    -------
    Tensor, shape (N, 3)
        In the order of ``DEFINITIONS``.
    """
    far = torch.einsum("nrt,r->n", roots, FAR) / roots.shape[2]
    rough, minor = (torch.einsum("nqt,q->n", qualities, table) / roots.shape[2] for table in (ROUGH, MINOR))
    return torch.stack([0.5 * (far + rough), changes.mean(1), minor], 1)
