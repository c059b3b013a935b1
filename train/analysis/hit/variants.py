"""The hits of a data set, analysed, each in several versions of itself; kept on disk, for that takes time.

Version 0 is the recording. The others come in pairs of one speed and two colourings and dampings: the
encoder hears one of a pair, the decoder is asked for the other, and only the knobs can tell it which. Some
pairs have the partials of one recording and the noise of another of its class.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.files import whole
from common.refusal import CannotWrite
from train.analysis.hit.analyse import analyse
from train.analysis.hit.changes import at_speed, coloured, damped
from train.analysis.hit.targets import Targets, targets_of
from train.attributes.sound import measure_sound
from train.models.hit.encoder import HitEncoder, Views
from train.models.hit.shape import HitShape

VERSION = 2  # raised when the same sounds would give other results
TOGETHER = 32  # sounds that are looked at at once
LEVEL_DB = 3.0  # by which lent noise is louder or softer than what it replaces, standard deviation


@dataclass(frozen=True)
class Changes:
    """How far the versions may differ.

    Attributes
    ----------
    speeds : int
        Speeds beside the recording's own.
    octaves : float
        By how much, at most.
    colour : float
        Of :func:`train.analysis.hit.changes.coloured`.
    damp : float
        Part of the changed versions that are damped.
    mix : float
        Part of the pairs at other speeds whose noise is another recording's.
    """

    speeds: int
    octaves: float
    colour: float
    damp: float
    mix: float

    @property
    def groups(self) -> list[tuple[int, int]]:
        """Pairs of versions at one speed."""
        return [(2 * n, 2 * n + 1) for n in range(1 + self.speeds)]


@dataclass
class Version:
    """All sounds in one version.

    Attributes
    ----------
    sounds : list of ndarray
        Half precision, for there are many: its error is 66 dB below the sound.
    measured : dict of str to ndarray
        Attributes of each.
    views : Views
        What the encoder sees; half precision.
    targets : Targets
        What the network should say.
    """

    sounds: list[np.ndarray]
    measured: dict[str, np.ndarray]
    views: Views
    targets: Targets


def versions(
    sounds: Sequence[np.ndarray],
    names: Sequence[str],
    classes: np.ndarray,
    changes: Changes,
    shape: HitShape,
    folder: Path | None = None,
    key: str = "",
) -> list[Version]:
    """All versions of some sounds.

    Parameters
    ----------
    sounds, names : sequence of ndarray, of str
        The recordings; a name seeds what is done to its sound.
    classes : ndarray of int, shape (N,)
        Noise is exchanged within a class.
    changes : Changes
        How many and how far.
    shape : HitShape
        Of the model to be taught.
    folder : Path, optional
        Where finished versions are kept and looked for; a folder that cannot be written keeps none.
    key : str
        Stands for the sounds.
    """
    encoder = HitEncoder(shape)
    crowd = Crowd(sounds, names, classes, shape)
    found = []
    for number in range(2 * len(changes.groups)):
        terms = [shape.gliding, shape.static, shape.bands, shape.taps, shape.transient, shape.grid_ms]
        told = json.dumps([VERSION, key, len(sounds), number, repr(changes), terms])
        place = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.pt" if folder else None
        found.append(_kept(place) or _made(list(crowd.changed(changes, number)), shape, encoder, place))
    return found


class Crowd:
    """Recordings that lend each other their noise.

    Parameters
    ----------
    sounds, names : sequence of ndarray, of str
        The recordings; a name seeds what is done to its sound.
    classes : ndarray of int, shape (N,)
        Of each.
    shape : HitShape
        In whose terms partials are told from noise.
    """

    def __init__(
        self, sounds: Sequence[np.ndarray], names: Sequence[str], classes: np.ndarray, shape: HitShape
    ):
        self.sounds, self.names, self.classes, self.shape = sounds, names, classes, shape
        self._noise: list[np.ndarray] = []

    def changed(self, changes: Changes, number: int) -> Iterator[np.ndarray]:
        """All recordings in one version."""
        for index, name in enumerate(self.names):
            sound = self.sounds[index]
            if number == 0:
                yield sound
                continue
            seed = zlib.crc32(name.encode())
            group, own = np.random.default_rng([seed, number // 2]), np.random.default_rng([seed, number, 1])
            if number > 1:
                speed = 2.0 ** group.uniform(-changes.octaves, changes.octaves)
                if group.random() < changes.mix:
                    sound = self._mixed(index, group)
                sound = at_speed(sound, speed)
            sound = coloured(sound, changes.colour, own)
            if own.random() < changes.damp:
                sound = damped(sound, own.uniform(0.15, 1.0))
            yield sound

    def _mixed(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """One recording's partials and the noise of another, as loud as its own was, give or take."""
        if not self._noise:
            self._noise = [analyse(sound, self.shape).rest for sound in self.sounds]
        other = int(rng.choice(np.flatnonzero(self.classes == self.classes[index])))
        mine, theirs = self._noise[index], self._noise[other]
        energy = float(np.sum(mine**2)) / max(float(np.sum(theirs**2)), 1e-9)
        gain = np.sqrt(energy) * 10 ** (rng.normal(0.0, LEVEL_DB) / 20)
        mixed = np.zeros(max(len(mine), len(theirs)), np.float32)
        mixed[: len(mine)] = self.sounds[index][: len(mine)] - mine
        mixed[: len(theirs)] += np.float32(gain) * theirs
        peak = float(np.abs(mixed).max())
        if not peak:
            return self.sounds[index]
        return mixed * np.float32(np.abs(self.sounds[index]).max() / peak)


def _made(sounds: list[np.ndarray], shape: HitShape, encoder: HitEncoder, place: Path | None) -> Version:
    rows = [measure_sound(sound) for sound in sounds]
    seconds = [len(sound) / 48_000 for sound in sounds]
    version = Version(
        [sound.astype(np.float16) for sound in sounds],
        {name: np.array([row[name] for row in rows]) for name in rows[0]},
        looked_at(sounds, encoder),
        targets_of([analyse(sound, shape) for sound in sounds], seconds, shape),
    )
    if place is not None:
        with contextlib.suppress(CannotWrite, OSError):
            place.parent.mkdir(exist_ok=True)
            with whole(place) as part:
                torch.save(
                    {
                        "sounds": [torch.from_numpy(sound) for sound in version.sounds],
                        "measured": {k: torch.from_numpy(v) for k, v in version.measured.items()},
                        "views": tuple(version.views),
                        "targets": tuple(version.targets),
                    },
                    part,
                )
    return version


def _kept(place: Path | None) -> Version | None:
    """A version made before; a damaged one is made again."""
    if place is None or not place.is_file():
        return None
    try:
        kept = torch.load(place, weights_only=True)
        return Version(
            [sound.numpy() for sound in kept["sounds"]],
            {k: v.numpy() for k, v in kept["measured"].items()},
            Views(*kept["views"]),
            Targets(*kept["targets"]),
        )
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        return None


def looked_at(sounds: Sequence[np.ndarray], encoder: HitEncoder) -> Views:
    """What the encoder sees of some sounds, in half precision."""
    seen: list[Views] = []
    with torch.no_grad():
        for first in range(0, len(sounds), TOGETHER):
            group = sounds[first : first + TOGETHER]
            heard = torch.zeros(len(group), 1, encoder.whole.samples)
            for row, sound in enumerate(group):
                part = torch.from_numpy(np.ascontiguousarray(sound[: encoder.whole.samples], np.float32))
                heard[row, 0, : len(part)] = part
            seen.append(encoder.look(heard))
    return Views(*(_together([view[k] for view in seen]) for k in range(len(Views._fields))))


def _together(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.half() for part in parts])
