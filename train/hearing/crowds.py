"""Made sounds beside real ones, as crowds: how often they are told apart, and how far apart they lie.

Every comparison is with real training sounds, as many of each class. What real sounds of other kits get in
the same comparison is the chance level: no model needs to do better than a drum that nobody made.
"""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

import numpy as np

from train.hearing.ears import Ear
from train.hearing.frechet import frechet_distance, principal_axes
from train.hearing.hits import Hits
from train.hearing.told_apart import told_apart

CROWD = 80  # sounds a crowd: Fréchet distances are compared of crowds of one size
LEAST = 8
LEAST_OF_A_KIT = 40
LEAST_CLASSES_OF_A_KIT = 3


class KitBeside(TypedDict):
    """One real kit beside real sounds of the others."""

    kit: str
    sounds: int
    told: float
    distance: float


class Crowds(TypedDict):
    """What one ear says of crowds; NaN where there is too little to say it of.

    Attributes
    ----------
    told_made, told_random, told_recordings : float
        How often are told from real training sounds: what was made of unseen recordings, hits at random
        latents, and the unseen recordings themselves.
    told_kits_least, told_kits_most : float
        The same of one real kit and the others.
    distance_… : float
        Fréchet distances of the same crowds.
    kits : list of KitBeside
        Each of the real kits.
    """

    told_made: float
    told_random: float
    told_recordings: float
    told_kits_least: float
    told_kits_most: float
    distance_made: float
    distance_random: float
    distance_recordings: float
    distance_kits_least: float
    distance_kits_most: float
    kits: list[KitBeside]


def compare(ear: Ear, train: Hits, recordings: Hits, made: Hits, random: Hits) -> Crowds:
    """Compare what was made with what is real.

    Parameters
    ----------
    ear : Ear
        By which features.
    train, recordings, made, random : Hits
        Real training sounds, unseen recordings, what was made of them one by one, hits at random latents.
    """
    heard = _Heard(ear)
    kits = [heard.kit_beside_others(name, train) for name in real_kits(train)]
    real, unseen = train.matching(recordings.evenly(CROWD))
    # the same ones of what was made: they go with their recordings
    place = {id(sound): i for i, sound in enumerate(recordings.sounds)}
    made = made.take([place[id(sound)] for sound in unseen.sounds])
    told_made, distance_made = heard.beside(made, real)
    told_recordings, distance_recordings = heard.beside(unseen, real)
    real_too, random = train.matching(random.evenly(CROWD))
    told_random, distance_random = heard.beside(random, real_too)
    told = [one["told"] for one in kits if np.isfinite(one["told"])] or [float("nan")]
    distances = [one["distance"] for one in kits if np.isfinite(one["distance"])] or [float("nan")]
    return {
        "told_made": told_made,
        "told_random": told_random,
        "told_recordings": told_recordings,
        "told_kits_least": min(told),
        "told_kits_most": max(told),
        "distance_made": distance_made,
        "distance_random": distance_random,
        "distance_recordings": distance_recordings,
        "distance_kits_least": min(distances),
        "distance_kits_most": max(distances),
        "kits": kits,
    }


def real_kits(train: Hits) -> list[str]:
    """Kits of several classes that have enough sounds to be a crowd, while there are others."""
    counts = Counter(train.kits)
    if len(counts) < 2:
        return []
    return [
        name
        for name in sorted(counts)
        if counts[name] >= LEAST_OF_A_KIT
        and len(set(train.of_kit(name).classes.tolist())) >= LEAST_CLASSES_OF_A_KIT
    ]


class _Heard:
    """Crowds by one ear; every sound is heard once."""

    def __init__(self, ear: Ear):
        self.ear = ear
        self.known: dict[int, np.ndarray] = {}

    def features(self, hits: Hits) -> np.ndarray:
        new = {id(sound): sound for sound in hits.sounds if id(sound) not in self.known}
        if new:
            self.known.update(zip(new, self.ear.hear(new.values()), strict=True))
        return np.stack([self.known[id(sound)] for sound in hits.sounds])

    def beside(self, crowd: Hits, real: Hits) -> tuple[float, float]:
        """How often a crowd is told from real sounds, and its distance from them; NaN of too few."""
        if min(len(crowd), len(real)) < LEAST:
            return float("nan"), float("nan")
        a, b = self.features(real), self.features(crowd)
        mean, axes = principal_axes(a)
        apart = told_apart(a, b, real.instruments, crowd.instruments)
        return apart, frechet_distance((a - mean) @ axes, (b - mean) @ axes)

    def kit_beside_others(self, name: str, train: Hits) -> KitBeside:
        others, kit = train.without_kit(name).matching(train.of_kit(name).evenly(CROWD))
        told, distance = self.beside(kit, others)
        return {"kit": name, "sounds": len(kit), "told": told, "distance": distance}
