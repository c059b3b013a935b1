"""Clips of one length out of any audio data set: hits, dry and wet sides, and what is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from train.data.store import DataSet

NO_EFFECT = "no effect"


@dataclass(frozen=True)
class Clip:
    """What is known of a clip.

    Attributes
    ----------
    name : str
        Of the item it was cut from, with its number.
    data_set : str
        ``drums`` or ``drive``.
    sound : str
        What was played: a drum's class, or the phrase's file without its number.
    effect : str
        What was done to it; ``no effect`` for hits and dry sides.
    parameters : dict of str to float
        Of the effect.
    dry : int
        Place of the dry clip of a wet one among the same split's clips; −1 for others.
    """

    name: str
    data_set: str
    sound: str
    effect: str = NO_EFFECT
    parameters: dict[str, float] = field(default_factory=dict)
    dry: int = -1


def clips(data: DataSet, split: str, samples: int) -> Iterator[tuple[Clip, np.ndarray]]:
    """Cut a split of a drums or drive set into clips ``[samples]``, float32; short ones end in silence.

    A hit is one clip, its peak at 1. What belongs to one recording is joined, then cut end to end; a rest
    shorter than half a clip is left out. A dry side that several effects share comes once, before the
    first of them.
    """
    if data.kind == "drums":
        for index in data.split(split).tolist():
            item = data.manifest[index]
            yield Clip(item["name"], "drums", item["class"]), fitted(data.audio(index), samples)
        return
    place = 0
    dry_places: dict[tuple[str, int, int], int] = {}
    for members in recordings(data, split):
        item = data.manifest[members[0]]
        sides = [data.pair(index) for index in members]
        dry, wet = (np.concatenate([side[i] for side in sides]) for i in (0, 1))
        sound = re.sub(r"[-_\d]+$", "", Path(item["dry_file"]).stem)
        count = max(1, (len(dry) + samples // 2) // samples)
        for number in range(count):
            window = slice(number * samples, (number + 1) * samples)
            key = item["dry_file"], item["segment"], number
            if key not in dry_places:
                dry_places[key] = place
                place += 1
                yield Clip(f"{item['dry_file']} {number}", "drive", sound), fitted(dry[window], samples)
            known = {name: float(value) for name, value in (item["parameters"] or {}).items()}
            clip = Clip(f"{item['name']} {number}", "drive", sound, item["effect"], known, dry_places[key])
            place += 1
            yield clip, fitted(wet[window], samples)


def recordings(data: DataSet, split: str) -> Iterator[list[int]]:
    """Indices of a drive split's segments, those that follow each other in one recording together."""
    members: list[int] = []
    for index in data.split(split).tolist():
        if members:
            last, item = data.manifest[members[-1]], data.manifest[index]
            follows = item["continues"] and item["segment"] == last["segment"] + 1
            if not (follows and item["file"] == last["file"] and item["dry_file"] == last["dry_file"]):
                yield members
                members = []
        members.append(index)
    if members:
        yield members


def fitted(audio: np.ndarray, samples: int) -> np.ndarray:
    """Cut or padded with silence to ``samples``."""
    return np.pad(audio[:samples], (0, max(0, samples - len(audio)))).astype(np.float32)
