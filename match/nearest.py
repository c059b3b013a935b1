"""The opponent: the training sound that is nearest to a stroke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from match.search import SHORTEST_SAMPLES, Found
from train.data.store import DataSet
from train.hearing.pictures import picture, pictures
from train.judges.distances import mr_stft


@dataclass(frozen=True)
class Neighbour:
    """A training sound, cut or padded to a target's length, and how far it is from it."""

    name: str
    audio: np.ndarray
    mr_stft: float


def nearest(data: DataSet, found: Sequence[Found]) -> list[Neighbour]:
    """Find for each target the training sound whose log-mel picture is nearest.

    Raises
    ------
    Refusal
        When the data set holds no drums to train on.
    """
    if data.kind != "drum":
        raise Refusal(f"{data.directory} holds {data.kind}, and a stroke's neighbours are drums")
    indices = data.split("train")
    if not len(indices):
        raise Refusal(f"{data.directory} has nothing in its train split; prepare it from more kits")
    seen = pictures(data.audio(int(i)) for i in indices)
    neighbours = []
    for one in found:
        index = int(indices[np.argmin(((seen - picture(one.target.audio)) ** 2).sum(1))])
        length = max(SHORTEST_SAMPLES, len(one.target.audio))
        sound, wanted = fitted(data.audio(index), length), fitted(one.target.audio, length)
        neighbours.append(Neighbour(data.manifest[index]["name"], sound, mr_stft(sound, wanted)))
    return neighbours


def fitted(sound: np.ndarray, length: int) -> np.ndarray:
    """A sound cut or padded to a length, float32."""
    return np.pad(sound[:length], (0, max(0, length - len(sound)))).astype(np.float32)
