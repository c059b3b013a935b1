"""From what the network says to strokes: when, of which group, how sure, and whose embedding.

The engine does the same, hop by hop (``firmware/engine/instruments/ear.c``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from train.models.ear.network import GROUPS, SCENES, SURE_HOPS

SURE = 1.0
"""Logit above which a group's gate is raised: it is right nearly three times in four, as it sees it."""
MEAN_HOPS = 3
"""A group is decided by the mean of so many hops, as far as they are of the stroke."""
DOUBT = 2.0
"""Logits more that a gate of a group asks for while pitched sounds or noise are heard, and no drums."""
SLOW = 1.0 / 64.0
"""Share of a new hop in the mean of scenes: a third of a second."""
LEAD = 0.5
"""Logits by which another scene must lead."""
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
        Logits when it was decided: means of the newest hops.
    late : int
        Hops until then.
    doubted : bool
        Whether something else than drums was heard then.
    """

    hop: int
    groups: np.ndarray
    late: int
    doubted: bool = False

    @property
    def raised(self) -> np.ndarray:
        """Which groups' gates are raised, bool [5]."""
        return self.groups > SURE + (DOUBT if self.doubted else 0.0)

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


def scenes_of(said: np.ndarray) -> np.ndarray:
    """The scene in every hop by what is said of it, ``[4, hops]``, int64 [hops]; at first it is silence."""
    mean, scene = np.zeros(len(SCENES)), SCENES.index("silence")
    found = np.zeros(said.shape[1], np.int64)
    for hop in range(said.shape[1]):
        mean += SLOW * (said[:, hop] - mean)
        best = int(mean.argmax())
        scene = best if mean[best] > mean[scene] + LEAD else scene
        found[hop] = scene
    return found


def picked(
    strokes: np.ndarray,
    threshold: float = 0.0,
    hold: int = 6,
    wait: int = SURE_HOPS,
    scene: np.ndarray | None = None,
) -> list[Picked]:
    """Find strokes in ``[6, hops]``; a group is decided ``wait`` hops later, or before the next stroke.

    Where scenes ``[4, hops]`` are given too, gates are doubted while no drums are heard.
    """
    hops = found_hops(strokes[0], threshold, hold)
    ends = [*hops[1:], strokes.shape[1]][: len(hops)]
    told = None if scene is None else scenes_of(scene)
    others = (SCENES.index("pitched"), SCENES.index("noise"))
    found = []
    for hop, end in zip(hops, ends, strict=True):
        late = min(wait, end - 1 - hop)
        doubted = told is not None and int(told[hop + late]) in others
        first = max(hop, hop + late + 1 - MEAN_HOPS)
        groups = strokes[1 : 1 + len(GROUPS), first : hop + late + 1].mean(1)
        found.append(Picked(hop, groups, late, doubted))
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
