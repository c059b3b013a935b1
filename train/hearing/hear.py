"""What ears say of a drum model's hits, class by class and as crowds; what a report holds beside MR-STFT."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import numpy as np

from common.drums import CLASSES
from train.hearing.crowds import Crowds, compare
from train.hearing.ears import LOG_MEL, ears
from train.hearing.embedding import ABSENT, is_installed
from train.hearing.figures import Figure, HitFigures, figures_of
from train.hearing.hits import Hits
from train.hearing.naming import Namer

WHOSE = ("made", "random")


class ClassHeard(TypedDict):
    """Hits of one class.

    Attributes
    ----------
    recordings, training, made, random : HitFigures
        Of unseen recordings, all training sounds, what was made of the recordings, hits at random latents.
    loudness_bias_db : float
        Median of made minus recorded.
    hiss_dbfs : float
        Median of what still sounds after the recording's end.
    noon_octaves : float
        Centroid with all knobs at noon, beside the median of the training sounds.
    named_noon, named_random, named_recordings : float
        Part that a classifier of real drums names rightly; NaN where it knows one class only.
    """

    recordings: HitFigures
    training: HitFigures
    made: HitFigures
    random: HitFigures
    loudness_bias_db: float
    hiss_dbfs: float
    noon_octaves: float
    named_noon: float
    named_random: float
    named_recordings: float


class Worst(TypedDict):
    """The class that is farthest from its recordings, in each figure; signs are left out but of the line."""

    line_db: float
    below_80_hz_db: float
    time_to_peak_ms: float
    tonal_share: float
    centroid_octaves: float


class Hearing(TypedDict):
    """What ears say.

    Attributes
    ----------
    crowds : dict
        By the ear's key: ``log_mel``, and ``embedding`` where its package is installed.
    classes : dict
        By class.
    worst : dict
        ``made`` and ``random`` → the farthest class's distance from real.
    loudness_bias_db, hiss_dbfs : float
        Median of all sounds; the class that hisses most.
    noon_octaves : float
        The class that is farthest from real at noon, without sign.
    named_noon, named_random, named_recordings : float
        Parts of all hits.
    notes : list of str
        What could not be said, and why.
    """

    crowds: dict[str, Crowds]
    classes: dict[str, ClassHeard]
    worst: dict[str, Worst]
    loudness_bias_db: float
    hiss_dbfs: float
    noon_octaves: float
    named_noon: float
    named_random: float
    named_recordings: float
    notes: list[str]


class Judgeable(TypedDict):
    """What there is to hear; ``made`` in the order of ``recordings``."""

    train: Hits
    recordings: Hits
    made: Hits
    random: Hits
    noon: Hits
    loudness_db: np.ndarray
    hiss_dbfs: np.ndarray


def hear(heard: Judgeable) -> Hearing:
    """Let every ear hear everything."""
    train, recordings = heard["train"], heard["recordings"]
    named, notes = _named(heard)
    classes = {
        CLASSES[label]: _of_class(heard, label, named) for label in np.unique(recordings.classes).tolist()
    }
    notes += _what_is_missing(train, recordings)
    return {
        "crowds": {
            ear.key: compare(ear, train, recordings, heard["made"], heard["random"]) for ear in ears()
        },
        "classes": classes,
        "worst": {whose: _worst(classes, whose) for whose in WHOSE},
        "loudness_bias_db": float(np.median(heard["loudness_db"])),
        "hiss_dbfs": max(one["hiss_dbfs"] for one in classes.values()),
        "noon_octaves": max((abs(one["noon_octaves"]) for one in classes.values()), default=float("nan")),
        "named_noon": _mean(named["noon"]),
        "named_random": _mean(named["random"]),
        "named_recordings": _mean(named["recordings"]),
        "notes": notes,
    }


def _named(heard: Judgeable) -> tuple[dict[str, np.ndarray], list[str]]:
    """Whether each hit is named rightly, by whose they are."""
    train = heard["train"]
    of = {"noon": heard["noon"], "random": heard["random"], "recordings": heard["recordings"]}
    if len(np.unique(train.classes)) < 2:
        nothing = {whose: np.full(len(hits), np.nan) for whose, hits in of.items()}
        return nothing, ["no names: the data set has one class, so there is nothing to tell it from"]
    namer = Namer(LOG_MEL.hear(train.sounds), train.classes)
    return {
        whose: namer.right(LOG_MEL.hear(hits.sounds), hits.classes).astype(float)
        for whose, hits in of.items()
    }, []


def _what_is_missing(train: Hits, recordings: Hits) -> list[str]:
    """Sentences about what these sounds cannot show."""
    notes = []
    known = sorted(set(recordings.kits) & set(train.kits))
    if len(set(train.kits) | set(recordings.kits)) < 2:
        notes.append("no unseen kit: all sounds are of one kit, so there is no chance level of other kits")
    elif known:
        notes.append(f"other instruments of these kits were trained on: {', '.join(known)}")
    if not is_installed():
        notes.append(ABSENT)
    return notes


def _of_class(heard: Judgeable, label: int, named: dict[str, np.ndarray]) -> ClassHeard:
    def of(hits: Hits) -> list[np.ndarray]:
        return [hits.sounds[i] for i in np.flatnonzero(hits.classes == label)]

    def right(whose: str, hits: Hits) -> float:
        return _mean(named[whose][hits.classes == label])

    here = heard["recordings"].classes == label
    training = figures_of(of(heard["train"]))
    exactly = of(heard["noon"])[:1]
    return {
        "recordings": figures_of(of(heard["recordings"])),
        "training": training,
        "made": figures_of(of(heard["made"])),
        "random": figures_of(of(heard["random"])),
        "loudness_bias_db": float(np.median(heard["loudness_db"][here])),
        "hiss_dbfs": float(np.median(heard["hiss_dbfs"][here])),
        "noon_octaves": figures_of(exactly)["centroid_octaves"] - training["centroid_octaves"],
        "named_noon": right("noon", heard["noon"]),
        "named_random": right("random", heard["random"]),
        "named_recordings": right("recordings", heard["recordings"]),
    }


def _worst(classes: dict[str, ClassHeard], whose: str) -> Worst:
    """Made is held to its recordings, random to the training sounds, whose knobs it took."""

    def farthest(key: Figure, size: Callable[[float], float] = abs) -> float:
        found = [
            size(one["made"][key] - one["recordings"][key])
            if whose == "made"
            else size(one["random"][key] - one["training"][key])
            for one in classes.values()
        ]
        return float(np.nanmax(found)) if np.isfinite(found).any() else float("nan")

    return {
        "line_db": farthest("line_db", float),
        "below_80_hz_db": farthest("below_80_hz_db"),
        "time_to_peak_ms": farthest("time_to_peak_ms"),
        "tonal_share": farthest("tonal_share"),
        "centroid_octaves": farthest("centroid_octaves"),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
