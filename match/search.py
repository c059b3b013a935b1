"""Latents by gradient: the encoder's guess, then steps through the quantized decoder towards the sound.

The gradient goes through the shipped model's own weights, as they are after quantization. What is reported is
rendered by the model file itself, integers and all; where the search made nothing better, the guess stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common import model_metadata
from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from common.refusal import Refusal
from match.target import Target, padded
from train.analysis.hit.changes import MAX_SAMPLES
from train.attributes.sound import SOUND_ATTRIBUTES, measure_sound
from train.judges.distances import mr_stft
from train.judges.drum_hits import strike
from train.judges.player import Player, open_player
from train.losses import loudest_loss
from train.models.hit.shape import FRAME
from train.run import codec_of
from train.tasks.drum import DrumTask

SHORTEST_SAMPLES = 12_000  # a short stroke is compared with the silence after it, as the judge does
BATCH = 8
LOUDEST = 0.3
STEPS_A_CLASS = 20
EDGE = 1.0  # of the brightness and decay knobs


@dataclass(frozen=True)
class Found:
    """A sound and what was found for it.

    Attributes
    ----------
    target : Target
    label : int
        The class, as an index of :data:`common.drums.CLASSES`.
    z, knobs : ndarray, shape (Z,) and (K,)
        Of the match.
    guessed, matched : ndarray, shape (n,)
        What the model file makes of the encoder's guess and of the match.
    guess_mr_stft, mr_stft : float
        How far those are from the target.
    """

    target: Target
    label: int
    z: np.ndarray
    knobs: np.ndarray
    guessed: np.ndarray
    matched: np.ndarray
    guess_mr_stft: float
    mr_stft: float

    @property
    def words(self) -> str:
        """What the page says of the target."""
        return CLASSES[self.label].replace("_", " ")


@dataclass(frozen=True)
class Matcher:
    """A drum model to match with.

    Attributes
    ----------
    player : Player
        Renders exactly what the model makes.
    task : DrumTask
        Its network has gradients.
    codec : str
        Hash of its training; empty where it does not say.
    """

    player: Player
    task: DrumTask
    codec: str


def open_matcher(path: Path) -> Matcher:
    """Open a drum's run folder or model file; a `Refusal` as in `matcher_of`, or when it cannot be opened."""
    return matcher_of(path, open_player(path))


def matcher_of(path: Path, player: Player) -> Matcher:
    """Take an opened drum to match with.

    Raises
    ------
    Refusal
        When it is no drum.
    """
    task = player.task
    if not isinstance(task, DrumTask):
        raise Refusal(f"{path} is of kind {task.recipe.kind}, and only a drum can be matched to a sound")
    if player.own:
        codec = codec_of(task.model)
    else:
        codec = model_metadata.read_file(path).codec
        task.take_network(_network_of(path))
    task.requires_grad_(False)
    return Matcher(player, task, codec)


def _network_of(path: Path) -> torch.nn.Module:
    """Take the decoder's network out of its file: a quantized one with the values of its integers."""
    import onnx

    from quantize.data.training_task import StandIn
    from quantize.formats.qdq import read_qdq
    from quantize.graph.load import load_graph
    from quantize.graph.network import Network
    from quantize.operators.record import DEQUANTIZE

    model = onnx.load(str(path))
    quantized = any(node.op_type == DEQUANTIZE for node in model.graph.node)
    graph = read_qdq(model).plan.graph if quantized else load_graph(path)
    stand = StandIn(graph)
    stand.network[:] = [Network(graph).requires_grad_(False)]
    return stand


def match(
    matcher: Matcher, targets: list[Target], labels: list[int | None] | None = None, steps: int = 200
) -> Iterator[Found]:
    """Find latents and knobs for every target, those of like length together.

    Parameters
    ----------
    labels : list of int or None, optional
        Classes where they are known; the others get the class whose rendering of the guess is nearest.
    steps : int
        Of gradient descent.

    Yields
    ------
    Found
        In no order but that of length.
    """
    known = labels or [None] * len(targets)
    order = sorted(range(len(targets)), key=lambda i: len(targets[i].audio))
    for first in range(0, len(order), BATCH):
        some = order[first : first + BATCH]
        yield from _match_some(matcher, [targets[i] for i in some], [known[i] for i in some], steps)


def _match_some(
    matcher: Matcher, targets: list[Target], known: list[int | None], steps: int
) -> Iterator[Found]:
    heard = padded(targets, MAX_SAMPLES)
    guess = matcher.player.encode(heard)
    longest = max(SHORTEST_SAMPLES, max(len(target.audio) for target in targets))
    wanted = torch.from_numpy(heard[..., : -(-longest // FRAME) * FRAME])
    labels = [
        _nearest_class(matcher, guess[i : i + 1], target, wanted[i : i + 1]) if label is None else label
        for i, (target, label) in enumerate(zip(targets, known, strict=True))
    ]
    knobs = np.concatenate(
        [knobs_of(matcher.task, target, label) for target, label in zip(targets, labels, strict=True)]
    )
    found_z, found_knobs = descend(matcher, guess, knobs, wanted, steps)
    for i, target in enumerate(targets):
        length = max(SHORTEST_SAMPLES, len(target.audio))
        seconds = length / SAMPLE_RATE_HZ
        both = strike(
            matcher.player,
            np.stack([guess[i], found_z[i]]),
            np.stack([knobs[i], found_knobs[i]]),
            seconds,
        )
        far = [mr_stft(sound, heard[i, 0, :length]) for sound in both]
        better = far[1] < far[0]
        yield Found(
            target,
            labels[i],
            found_z[i] if better else guess[i],
            found_knobs[i] if better else knobs[i],
            both[0],
            both[1] if better else both[0],
            far[0],
            min(far),
        )


def knobs_of(task: DrumTask, target: Target, label: int) -> np.ndarray:
    """Knobs ``[1, K]`` of a class with the brightness and decay that the sound has."""
    one_hot = np.eye(len(CLASSES), dtype=np.float32)[[label]]
    measured = measure_sound(target.audio)
    rows = {name: np.array([measured[name]]) for name in SOUND_ATTRIBUTES}
    return np.concatenate([one_hot, task.attribute_knobs(rows, one_hot)], 1).astype(np.float32)


def _nearest_class(matcher: Matcher, z: np.ndarray, target: Target, wanted: Tensor) -> int:
    """Descend a little as each class that was trained; the one that comes nearest is taken for the class."""
    counts = matcher.task.facts.get("class_counts") or [1] * len(CLASSES)
    there = [label for label, count in enumerate(counts) if count]
    knobs = np.concatenate([knobs_of(matcher.task, target, label) for label in there])
    wanted = wanted.expand(len(there), -1, -1)
    latents, turned = descend(matcher, np.repeat(z, len(there), 0), knobs, wanted, STEPS_A_CLASS)
    decoder = matcher.task.model.decoder
    with torch.no_grad():
        hit = decoder.hit(torch.from_numpy(latents), torch.from_numpy(turned))
        made = decoder.sound(hit, wanted.shape[-1] // FRAME)
        far = [float(distance(matcher.task, row[None], wanted[:1])) for row in made]
    return there[int(np.argmin(far))]


def distance(task: DrumTask, made: Tensor, wanted: Tensor) -> Tensor:
    """What is descended: spectra as the judge takes them, and the loudest moment."""
    return task.judged(made, wanted) + LOUDEST * loudest_loss(made, wanted)


def descend(
    matcher: Matcher, z: np.ndarray, knobs: np.ndarray, wanted: Tensor, steps: int, rate: float = 0.06
) -> tuple[np.ndarray, np.ndarray]:
    """Walk latents, brightness and decay downhill, within what their knobs can reach.

    Parameters
    ----------
    z, knobs : ndarray, shape (N, Z) and (N, K)
        Where to begin; the classes stay.
    wanted : Tensor, shape (N, 1, S)
    """
    task = matcher.task
    ends = torch.tensor([[row["quantiles"][0], row["quantiles"][-1]] for row in matcher.player.latents])
    found = torch.from_numpy(z.copy()).clamp(ends[:, 0], ends[:, 1]).requires_grad_(True)
    classes = torch.from_numpy(knobs[:, : len(CLASSES)])
    turned = torch.from_numpy(knobs[:, len(CLASSES) :].copy()).requires_grad_(True)
    optimizer = torch.optim.Adam([found, turned], lr=rate, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps), rate / 20)
    sound = task.model.decoder.sound
    torch.manual_seed(0)
    # other noise at every step: what is sought is the sound, not one take of its noise
    sound.train()
    try:
        for _ in range(steps):
            hit = task.model.decoder.hit(found, torch.cat([classes, turned], 1))
            loss = distance(task, sound(hit, wanted.shape[-1] // FRAME), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                found.clamp_(ends[:, 0], ends[:, 1])
                turned.clamp_(-EDGE, EDGE)
    finally:
        sound.eval()
    return found.detach().numpy(), torch.cat([classes, turned.detach()], 1).numpy()
