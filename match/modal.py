"""Knobs of a modal body for a sound: draws of the flow, the best of them, then gradient through the twin.

The flow says several settings that may sound like the target. Each is rendered, and the descent begins from
those nearest by spectra. What is nearest of all that was rendered is kept, so that a match is never farther
than the best draw. The opponent is the nearest of many patches drawn at random; where it is known, a descent
begins there too, and a match is never farther than it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from common.refusal import Refusal
from match.preset import DIGITS, Preset
from match.search import SHORTEST_SAMPLES
from match.target import Target, padded
from train.data.kinds.modal import AT_ONCE, rendered
from train.data.store import DataSet
from train.judges.distances import mr_stft
from train.judges.player import Player
from train.losses import SpectralLoss
from train.models.modal.parameters import NAMES, SIZE, random_patches
from train.models.modal.picture import VIEWS, pictures
from train.models.modal.sound import FRAME, stroke
from train.tasks.modal import PatchTask

DRAWS = 32
STARTS = 4
RATE = 0.08
CONVERGENCE = 0.5
"""Weight of the loudest bins beside log magnitudes."""
EDGE = 0.01
"""Of the travel, within which a position does not begin: its gradient would be nothing."""
RANDOM_SEED = 1
SHORTLIST = 40
LONGEST_SAMPLES = 2 * 48_000
FLAT = 0.999
MOST_FLAT = 0.1
"""Part of a sound's loudest 20 ms that may lie at its peak: a square wave's lies there half the time."""
LOUDEST_SAMPLES = 960


@dataclass(frozen=True)
class FoundPatch:
    """A sound and what was found for it.

    Attributes
    ----------
    target : Target
    positions : ndarray, shape (16,)
        Of the match, 0 … 1.
    guessed, matched : ndarray, shape (n,)
        The best draw's sound and the match's, at full scale.
    guess_mr_stft, mr_stft : float
        How far those are from the target.
    """

    target: Target
    positions: np.ndarray
    guessed: np.ndarray
    matched: np.ndarray
    guess_mr_stft: float
    mr_stft: float

    @property
    def words(self) -> str:
        """What the page says of the target."""
        return f"{len(self.target.audio) / 48_000:.2f} s"


@dataclass(frozen=True)
class RandomPatch:
    """The nearest of many patches that were drawn at random, and how far it is."""

    name: str
    positions: np.ndarray
    audio: np.ndarray
    mr_stft: float


def check_unclipped(target: Target) -> None:
    """Refuse a sound that was cut off at full scale: its spectrum is the clipping's.

    Raises
    ------
    Refusal
        When too much of its loudest moment lies at the peak.
    """
    level = np.abs(target.audio)
    middle = int(np.argmax(np.convolve(level, np.ones(LOUDEST_SAMPLES), "same")))
    loudest = level[max(0, middle - LOUDEST_SAMPLES // 2) : middle + LOUDEST_SAMPLES // 2]
    flat = float((loudest >= FLAT * level.max()).mean())
    if flat > MOST_FLAT:
        raise Refusal(
            f"{target.name} is clipped: {100 * flat:.0f} % of its loudest moment lies at full scale; "
            "record it more quietly"
        )


def match_patches(
    player: Player, targets: Sequence[Target], steps: int, beside: Sequence[RandomPatch] = ()
) -> list[FoundPatch]:
    """Find a patch for every target.

    Parameters
    ----------
    player : Player
        A model of kind ``modal``.
    steps : int
        Of gradient descent.
    beside : sequence of RandomPatch
        A patch for each target from which to begin too; none if nobody looked for them.

    Raises
    ------
    Refusal
        When the model is of another kind.
    """
    if not isinstance(player.task, PatchTask):
        raise Refusal(f"{player.name} finds no knobs of a modal body; give a model of kind modal")
    others: Sequence[RandomPatch | None] = beside or [None] * len(targets)
    return [_found(player, target, steps, other) for target, other in zip(targets, others, strict=True)]


def draws(player: Player, target: Target, count: int) -> Tensor:
    """The middle answer and others of the flow, ``[count, 16]``."""
    seen = pictures(torch.from_numpy(target.audio)[None]).flatten(1, 2).float().numpy()
    z = np.repeat(player.encode(seen)[..., None], count, 0).astype(np.float32)
    drawn = np.random.default_rng(0).standard_normal((count, SIZE, 1)).astype(np.float32)
    drawn[0] = 0.0
    return torch.from_numpy(player.decode({"z": z, "draw": drawn})[..., 0].astype(np.float32))


def _found(player: Player, target: Target, steps: int, other: RandomPatch | None) -> FoundPatch:
    samples = length_of(target)
    wanted = padded([target], samples)[0, 0]
    drawn = draws(player, target, DRAWS)
    with torch.no_grad():
        sounds = torch.cat([_heard(some, samples) for some in drawn.split(AT_ONCE)]).numpy()
    far = np.array([mr_stft(sound, wanted) for sound in sounds])
    order = np.argsort(far)
    best = int(order[0])
    guess = FoundPatch(target, drawn[best].numpy(), sounds[best], sounds[best], far[best], far[best])
    if not steps:
        return guess
    starts = drawn[order[:STARTS].copy()]
    if other is not None:
        starts = torch.cat([starts[:-1], torch.from_numpy(other.positions)[None]])
    walked = descend(starts, torch.from_numpy(wanted), steps)
    with torch.no_grad():
        ends = _heard(walked, samples).numpy()
    reached = np.array([mr_stft(sound, wanted) for sound in ends])
    nearest = int(np.argmin(reached))
    if other is not None and other.mr_stft < min(reached[nearest], far[best]):
        return replace(guess, positions=other.positions, matched=other.audio, mr_stft=other.mr_stft)
    if reached[nearest] >= far[best]:
        return guess
    return FoundPatch(
        target,
        walked[nearest].numpy(),
        sounds[best],
        ends[nearest],
        float(far[best]),
        float(reached[nearest]),
    )


def length_of(target: Target) -> int:
    """Samples over which a sound is compared: whole frames, with silence after a short one."""
    samples = min(max(SHORTEST_SAMPLES, len(target.audio)), LONGEST_SAMPLES)
    return -(-samples // FRAME) * FRAME


def _heard(positions: Tensor, samples: int) -> Tensor:
    """Sound ``[N, samples]`` at full scale: level is not matched."""
    sound = stroke(positions, samples // FRAME)
    return sound / sound.abs().amax(1, keepdim=True).clamp(min=1e-4)


def descend(positions: Tensor, wanted: Tensor, steps: int) -> Tensor:
    """Walk positions ``[N, 16]`` downhill towards a sound ``[samples]``, each by itself."""
    distance = SpectralLoss(convergence=CONVERGENCE)
    # what was never walked moves all the same within 0 … 1
    x = torch.logit(positions.clamp(EDGE, 1 - EDGE)).requires_grad_(True)
    optimizer = torch.optim.Adam([x], lr=RATE, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, RATE / 20)
    target = wanted[None, None].expand(len(x), -1, -1)
    for _ in range(steps):
        loss = distance(_heard(torch.sigmoid(x), len(wanted))[:, None], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return torch.sigmoid(x.detach())


def nearest_random(targets: Sequence[Target], data: DataSet | None, count: int) -> list[RandomPatch]:
    """Find for each target the nearest of many random patches.

    Parameters
    ----------
    data : DataSet, optional
        Patches that are rendered already; without it ``count`` are drawn and rendered.

    Raises
    ------
    Refusal
        When the data set holds no patches.
    """
    if data is not None and data.kind != "modal":
        raise Refusal(f"{data.directory} holds {data.kind}, and the neighbours of a match here are patches")
    if data is None:
        positions = random_patches(count, RANDOM_SEED)
        seen = rendered(positions)[0]
    else:
        positions, seen = data.arrays["positions"], data.arrays["pictures"]
    return [_nearest(target, positions, seen) for target in targets]


def _nearest(target: Target, positions: np.ndarray, seen: np.ndarray) -> RandomPatch:
    """The nearest by spectra of those whose pictures are nearest."""
    picture = pictures(torch.from_numpy(target.audio)[None]).numpy()[0].astype(np.int16)
    away = np.concatenate(
        [
            np.abs(part[:, : len(VIEWS)] - picture[: len(VIEWS)]).mean((1, 2, 3))
            for part in np.array_split(seen, -(-len(seen) // 500))
        ]
    )
    listed = np.sort(np.argsort(away)[:SHORTLIST])
    samples = length_of(target)
    wanted = padded([target], samples)[0, 0]
    nearest = np.array(positions[listed], np.float32)
    with torch.no_grad():
        sounds = _heard(torch.from_numpy(nearest), samples).numpy()
    far = [mr_stft(sound, wanted) for sound in sounds]
    best = int(np.argmin(far))
    name = f"patch {int(listed[best])} of {len(positions)}"
    return RandomPatch(name, nearest[best], sounds[best], float(far[best]))


def patch_preset(player: Player, found: FoundPatch, codec: str) -> Preset:
    """Write a match as positions of the instrument `modal`."""
    parameters = {name: round(float(at), DIGITS) for name, at in zip(NAMES, found.positions, strict=True)}
    return Preset(name=found.target.name, model=player.name, codec=codec, parameters=parameters)
