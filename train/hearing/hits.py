"""Crowds of drum hits: sounds with their class, instrument and kit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Hits:
    """So many hits.

    Attributes
    ----------
    sounds : list of ndarray
        Audio ``[n]`` of each.
    classes : ndarray of int, shape (N,)
        Index in :data:`common.drums.CLASSES`.
    instruments : list of str
        What each is a take of; a made sound, of the instrument it was made from.
    kits : list of str
        The kit that the instrument belongs to.
    """

    sounds: list[np.ndarray]
    classes: np.ndarray
    instruments: list[str]
    kits: list[str]

    def __len__(self) -> int:
        return len(self.sounds)

    def take(self, indices: Sequence[int] | np.ndarray) -> Hits:
        """Some of them."""
        return Hits(
            [self.sounds[i] for i in indices],
            self.classes[np.asarray(indices, int)],
            [self.instruments[i] for i in indices],
            [self.kits[i] for i in indices],
        )

    def evenly(self, count: int) -> Hits:
        """At most so many, evenly spaced."""
        if len(self) <= count:
            return self
        return self.take(np.linspace(0, len(self) - 1, count).round().astype(int))

    def of_kit(self, kit: str) -> Hits:
        """Those of one kit."""
        return self.take([i for i, name in enumerate(self.kits) if name == kit])

    def without_kit(self, kit: str) -> Hits:
        """Those of the other kits."""
        return self.take([i for i, name in enumerate(self.kits) if name != kit])

    def matching(self, other: Hits, seed: int = 0) -> tuple[Hits, Hits]:
        """As many of each class as `other` has, drawn by chance; and `other` without what has no partner."""
        rng = np.random.default_rng(seed)
        ours: list[int] = []
        theirs: list[int] = []
        for label in np.unique(other.classes):
            here, there = np.flatnonzero(self.classes == label), np.flatnonzero(other.classes == label)
            count = min(len(here), len(there))
            ours += rng.permutation(here)[:count].tolist()
            theirs += rng.permutation(there)[:count].tolist()
        return self.take(sorted(ours)), other.take(sorted(theirs))
