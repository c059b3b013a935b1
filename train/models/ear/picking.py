"""From what the network says to strokes: when, of which group, how sure, and whose embedding.

The engine does the same, hop by hop (``firmware/engine/instruments/ear.c``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from train.models.ear.network import GROUPS, SURE_HOPS

RISE = 2.0
"""Logits by which an onset must rise above what it fell to since the last one: one stroke is one gate."""


@dataclass(frozen=True)
class Picked:
    """A stroke that was found.

    Attributes
    ----------
    hop : int
        In which it was found.
    groups : ndarray, shape (5,)
        Logits when it was decided.
    late : int
        Hops until then.
    """

    hop: int
    groups: np.ndarray
    late: int

    @property
    def group(self) -> int:
        """The group that is most likely."""
        return int(self.groups.argmax())


def found_hops(onset: np.ndarray, threshold: float, hold: int) -> list[int]:
    """Hops in which a stroke is found.

    Parameters
    ----------
    onset : ndarray, shape (hops,)
        Logits.
    threshold : float
        Logit that must be passed.
    hold : int
        Hops after a stroke in which there is no other.
    """
    found: list[int] = []
    low, deaf = -np.inf, 0
    for hop, said in enumerate(onset.tolist()):
        if deaf:
            deaf -= 1
        elif said > threshold and said > low + RISE:
            found.append(hop)
            deaf, low = hold, said
        low = min(low, said)
    return found


def picked(strokes: np.ndarray, threshold: float = 0.0, hold: int = 6, wait: int = SURE_HOPS) -> list[Picked]:
    """Find strokes in ``[6, hops]``; a group is decided ``wait`` hops later, or before the next stroke."""
    hops = found_hops(strokes[0], threshold, hold)
    ends = [*hops[1:], strokes.shape[1]][: len(hops)]
    found = []
    for hop, end in zip(hops, ends, strict=True):
        late = min(wait, end - 1 - hop)
        found.append(Picked(hop, strokes[1 : 1 + len(GROUPS), hop + late], late))
    return found


def matched(found: np.ndarray, wanted: np.ndarray, within: float) -> list[tuple[int, int]]:
    """Pair times one to one, each with the nearest that is left, no further apart than ``within``."""
    near = [
        (abs(a - b), i, j)
        for i, a in enumerate(found.tolist())
        for j, b in enumerate(wanted.tolist())
        if abs(a - b) <= within
    ]
    pairs: list[tuple[int, int]] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for _, i, j in sorted(near):
        if i not in used[0] and j not in used[1]:
            pairs.append((i, j))
            used[0].add(i)
            used[1].add(j)
    return pairs
