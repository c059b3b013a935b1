"""Hits that a drum model is judged by: struck as an engine strikes, at noon, and at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from train.data.names import kit_of
from train.hearing.hits import Hits
from train.judges.player import Player

if TYPE_CHECKING:
    from train.data.store import DataSet

A_CLASS = 12  # hits of every class, at noon and at random
SECONDS = 1.0
NEAR_NOON = 0.05  # of a knob's travel to either side, as hands find it


@runtime_checkable
class Prepared(Protocol):
    """What is asked of a task here: the sounds that it read, by split.

    Attributes
    ----------
    sounds : list of float32 arrays
    labels : float32 [N, classes + attributes]
        As the knobs are asked.
    names : list of str
    """

    sounds: dict[str, list[np.ndarray]]
    labels: dict[str, np.ndarray]
    names: dict[str, list[str]]


def _prepared(player: Player) -> Prepared:
    assert isinstance(player.task, Prepared)
    return player.task


def strike(player: Player, z: np.ndarray, knobs: np.ndarray, seconds: float) -> np.ndarray:
    """Strike once: ``z [N, Z]`` and ``knobs [N, K]`` to audio ``[N, S]``, silent when the voice is over."""
    length = round(seconds * SAMPLE_RATE_HZ)
    rows = []
    for one, told in zip(z, knobs, strict=True):
        feeds = {
            "z": np.ascontiguousarray(one[None, :, None], np.float32),
            "knobs": np.ascontiguousarray(told[None, :, None], np.float32),
        }
        audio = player.decode(feeds)[0, 0, :length]
        rows.append(np.pad(audio, (0, length - len(audio))))
    return np.stack(rows)


def recorded(player: Player, data: DataSet, split: str, picked: np.ndarray | None = None) -> Hits:
    """Take the recordings of a split that the task prepared; those of ``picked`` where it is given."""
    task = _prepared(player)
    items = {item["name"]: item for item in data.manifest}
    taken = [items[name] for name in task.names[split]]
    hits = Hits(
        task.sounds[split],
        task.labels[split][:, : len(CLASSES)].argmax(1),
        [item["group"] for item in taken],
        [kit_of(item["group"], item["class"]) for item in taken],
    )
    return hits if picked is None else hits.take(picked)


def made_classes(player: Player) -> list[int]:
    """Classes that there are training sounds of."""
    task = _prepared(player)
    return sorted(set(task.labels["train"][:, : len(CLASSES)].argmax(1).tolist()))


def random_hits(player: Player, seed: int = 7) -> Hits:
    """Latents anywhere on their knobs; class, brightness and decay as training sounds of the class have them.

    A hit counts to the instrument whose brightness and decay it took.
    """
    task = _prepared(player)
    rng = np.random.default_rng(seed)
    labels = task.labels["train"]
    classes = labels[:, : len(CLASSES)].argmax(1)
    chosen = np.concatenate([rng.choice(np.flatnonzero(classes == c), A_CLASS) for c in made_classes(player)])
    sounds = strike(player, player.prior(len(chosen), seed), labels[chosen], SECONDS)
    # every hit is an instrument of its own: nobody played it twice
    names = [f"random {i}" for i in range(len(chosen))]
    return Hits(list(sounds), classes[chosen], names, [""] * len(chosen))


def noon_hits(player: Player, seed: int = 8) -> Hits:
    """Strike every class with all knobs at noon: the first exactly, the others as hands find it."""
    task = _prepared(player)
    rng = np.random.default_rng(seed)
    classes = np.repeat(made_classes(player), A_CLASS)
    count, attributes = len(classes), task.labels["train"].shape[1] - len(CLASSES)
    beside = rng.uniform(-NEAR_NOON, NEAR_NOON, (count, len(player.latents) + attributes))
    beside[::A_CLASS] = 0.0
    z = player.at_places(0.5 + beside[:, : len(player.latents)])
    knobs = np.zeros((count, len(CLASSES) + attributes), np.float32)
    knobs[np.arange(count), classes] = 1.0
    knobs[:, len(CLASSES) :] = 2.0 * beside[:, len(player.latents) :]
    sounds = strike(player, z, knobs, SECONDS)
    return Hits(list(sounds), classes, [f"noon {i}" for i in range(count)], [""] * count)
