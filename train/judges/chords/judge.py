"""Judging a chord model on songs of unseen titles.

The trivial opponents are the commonest chord, a table of which chord follows which (its argmax, told the
chord before; its cost in nats a bar), and the oracle nearest neighbour, a training window chosen using the
target.
``sought`` is the model with its latents moved by gradient from where the encoder put them: what the decoder
could do with a better encoder. A run says its bound in nats; model files have lost the posterior's width.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.chords import BARS, CHORDS, QUALITIES, ROOTS
from common.files import write_picture
from common.page import Sound, picture, sound_source
from train.attributes.chords import DEFINITIONS
from train.chord_sound import chords_figure, chords_sound
from train.judges.chords.page import (
    AtRandom,
    ChordsReport,
    Followed,
    Nats,
    Read,
    write_page,
)
from train.judges.judged import Judgement
from train.judges.player import Player
from train.models.chords import measured, missed_nats, planes_of, read_chords
from train.tasks.chords import ChordsTask

if TYPE_CHECKING:
    from train.data.kinds.chords import ChordsItem
    from train.data.store import DataSet

SOUGHT, SOUGHT_STEPS, SOUGHT_RATE = 512, 60, 0.05  # windows; steps and the length of one
SHOWN = 4
RATE_HZ = 24_000
PLACES = 9
DETAILS: tuple[str, ...] = ()
NOT_ON_CARD = ("spearman_pooled",)


def decode(player: Player, z: np.ndarray, knobs: np.ndarray) -> np.ndarray:
    """``z [N, 8]`` and ``knobs [N, 3]`` to numbers of chords ``[N, 16]``."""
    import torch

    feeds = {
        "z": np.ascontiguousarray(z[:, :, None], np.float32),
        "attributes": np.ascontiguousarray(knobs[:, :, None], np.float32),
    }
    return read_chords(torch.from_numpy(player.decode(feeds))).numpy()


def read(made: np.ndarray, wanted: np.ndarray) -> Read:
    """Parts of slots whose chord, root and quality are right; of windows that are right throughout."""
    size = len(QUALITIES)
    return {
        "slot_accuracy": float((made == wanted).mean()),
        "root_accuracy": float((made // size == wanted // size).mean()),
        "quality_accuracy": float((made % size == wanted % size).mean()),
        "whole": float((made == wanted).all(1).mean()),
    }


def judge(
    player: Player, data: DataSet[ChordsItem], split: str, folder: Path, limit: int = 0
) -> Judgement[ChordsReport]:
    """Measure everything on a split; write pictures and sounds to ``folder``."""
    import torch

    task = player.task
    assert isinstance(task, ChordsTask)
    task.prepare(data, ("train", split))
    chords, knobs = task.chords[split], task.knobs[split]
    if limit and limit < len(chords):
        picked = np.linspace(0, len(chords) - 1, limit).round().astype(int)
        chords, knobs = chords[picked], knobs[picked]
    z = player.encode(planes_of(torch.from_numpy(chords)).numpy())
    made = decode(player, z, knobs)
    train = task.chords["train"]
    known = {row.tobytes() for row in train}
    new = np.array([row.tobytes() not in known for row in chords])
    figures: dict[str, Read] = {"model": read(made, chords)}
    if new.any():
        figures["new"] = read(made[new], chords[new])
    if player.own:
        few = np.linspace(0, len(z) - 1, min(SOUGHT, len(z))).round().astype(int)
        sought = seek(task, z[few], knobs[few], chords[few])
        figures["sought"] = read(decode(player, sought, knobs[few]), chords[few])
    commonest = np.bincount(train.ravel(), minlength=CHORDS).argmax()
    figures["commonest"] = read(np.full_like(chords, commonest), chords)
    figures["followed"] = read(follow_table(train, chords), chords)
    figures["nearest"] = read(nearest(train, chords), chords)
    nats: dict[str, Nats] = {"bigram": bigram(train, chords)}
    if player.own:
        nats["model"] = bound(task, chords, knobs)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2)
    anywhere = control(player, player.prior(64, 2), rng.uniform(-1, 1, (64, len(DEFINITIONS))), task)
    some = np.linspace(0, len(z) - 1, min(256, len(z))).round().astype(int)
    report: ChordsReport = {
        "items": len(chords),
        "split": split,
        "figures": figures,
        "nats": nats,
        "control": control(player, z[some], knobs[some], task),
        "anywhere": anywhere,
        "random": at_random(player, train),
    }
    groups = _write_sounds(chords, made, folder)
    return Judgement(report, write_page, groups)


def seek(task: ChordsTask, z: np.ndarray, knobs: np.ndarray, chords: np.ndarray) -> np.ndarray:
    """Latents ``[N, 8]`` that say the chords better: Adam, and the prior's pull."""
    import torch

    wanted, attributes = torch.from_numpy(chords), torch.from_numpy(knobs)[:, :, None]
    sought = torch.tensor(z, requires_grad=True)
    optimizer = torch.optim.Adam([sought], SOUGHT_RATE)
    for _ in range(SOUGHT_STEPS):
        missed = missed_nats(task.model.decoder.logits(sought[:, :, None], attributes), wanted)
        optimizer.zero_grad()
        (missed.sum() + 0.1 * (sought**2).sum()).backward()
        optimizer.step()
    return sought.detach().numpy()


def bound(task: ChordsTask, chords: np.ndarray, knobs: np.ndarray, draws: int = 4) -> Nats:
    """Evidence bound in nats a bar: scores missed at drawn latents and blurred knobs, and both their KL."""
    import torch

    generator = torch.Generator().manual_seed(5)
    wanted = torch.from_numpy(chords)
    with torch.no_grad():
        mean, log_variance = task.model.encoder(planes_of(wanted))
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
        missed = 0.0
        for _ in range(draws):
            z = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=generator)
            noise = task.recipe.loss.blur * torch.randn(knobs.shape, generator=generator)
            told = torch.from_numpy(knobs) + noise
            logits = task.model.decoder.logits(z[:, :, None], told[:, :, None])
            missed += float(missed_nats(logits, wanted).mean())
    missed /= draws
    return {
        "nats_per_bar": (missed + float(kl) + task.told_nats()) / BARS,
        "missed_per_bar": missed / BARS,
        "latents_per_bar": float(kl) / BARS,
        "knobs_per_bar": task.told_nats() / BARS,
    }


def follow_counts(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each chord begins a window, and follows each in the next bar; 0.1 added."""
    bars = train[:, ::2]
    first = np.bincount(train[:, 0], minlength=CHORDS) + 0.1
    after = np.full((CHORDS, CHORDS), 0.1)
    np.add.at(after, (bars[:, :-1].ravel(), bars[:, 1:].ravel()), 1)
    return first / first.sum(), after / after.sum(1, keepdims=True)


def bigram(train: np.ndarray, chords: np.ndarray) -> Nats:
    """Nats a bar of the chord that a bar begins with, by the one before; second halves are not counted."""
    first, after = follow_counts(train)
    bars = chords[:, ::2]
    missed = -np.log(first[bars[:, 0]]).sum() - np.log(after[bars[:, :-1], bars[:, 1:]]).sum()
    nats = float(missed / bars.size)
    return {"nats_per_bar": nats, "missed_per_bar": nats, "latents_per_bar": 0.0, "knobs_per_bar": 0.0}


def follow_table(train: np.ndarray, chords: np.ndarray) -> np.ndarray:
    """The likeliest chord after the one before, which it is told."""
    counts = np.zeros((CHORDS, CHORDS))
    np.add.at(counts, (train[:, :-1].ravel(), train[:, 1:].ravel()), 1)
    best = counts.argmax(1)
    first = np.bincount(train[:, 0], minlength=CHORDS).argmax()
    return np.concatenate([np.full((len(chords), 1), first), best[chords[:, :-1]]], 1)


def nearest(train: np.ndarray, chords: np.ndarray) -> np.ndarray:
    """The training window that shares most slots with each."""
    found = np.unique(train, axis=0)
    return np.stack([found[(found == row).sum(1).argmax()] for row in chords])


def control(player: Player, z: np.ndarray, knobs: np.ndarray, task: ChordsTask) -> dict[str, Followed]:
    """Turn each knob from end to end, the others as they are; measure what is read off."""
    import torch
    from scipy.stats import spearmanr

    out: dict[str, Followed] = {}
    places = np.linspace(-1, 1, PLACES)
    for number, name in enumerate(DEFINITIONS):
        turned = np.repeat(knobs[:, None], PLACES, 1)
        turned[:, :, number] = places
        flat = turned.reshape(-1, len(DEFINITIONS)).astype(np.float32)
        made = decode(player, np.repeat(z, PLACES, 0), flat)
        values = measured(torch.from_numpy(made)).numpy()[:, number].reshape(-1, PLACES)
        asked = task.from_knobs(torch.from_numpy(flat)).numpy()[:, number].reshape(-1, PLACES)
        moves = np.ptp(values, axis=1) > 0
        ranks = [spearmanr(asked[row], values[row])[0] if moves[row] else 0.0 for row in range(len(values))]
        out[name] = {
            "spearman_median": float(np.median(ranks)),
            "spearman_pooled": float(spearmanr(asked.ravel(), values.ravel())[0]),
            "span_median": float(np.median((values[:, -1] - values[:, 0]) / (asked[:, -1] - asked[:, 0]))),
        }
    return out


def at_random(player: Player, train: np.ndarray, count: int = 1000) -> AtRandom:
    """Progressions at random knob positions: how many differ, are new, keep to known transitions."""
    rng = np.random.default_rng(3)
    knobs = rng.uniform(-1, 1, (count, len(DEFINITIONS)))
    made = decode(player, player.prior(count, 3), knobs)
    known = {row.tobytes() for row in train}
    heard = np.zeros((CHORDS, CHORDS), bool)
    heard[train[:, :-1].ravel(), train[:, 1:].ravel()] = True
    return {
        "unique": len({row.tobytes() for row in made}) / count,
        "not_in_training": float(np.mean([row.tobytes() not in known for row in made])),
        "known_steps": float(heard[made[:, :-1], made[:, 1:]].mean()),
        "changes": float((made[:, 1:] != made[:, :-1]).mean()),
        "changes_of_training": float((train[:, 1:] != train[:, :-1]).mean()),
        "roots": len(set((made // len(QUALITIES)).ravel())) / ROOTS,
    }


def _write_sounds(chords: np.ndarray, made: np.ndarray, folder: Path) -> list[list[Sound]]:
    """Some windows as played and as made: a picture, one WAV, and players for the page."""
    import soundfile

    some = np.linspace(0, len(chords) - 1, min(SHOWN, len(chords))).round().astype(int)
    pairs = [[("played", chords[i]), ("made", made[i])] for i in some]
    flat = [one for pair in pairs for one in pair]
    write_picture(folder / "reconstructions.png", chords_figure(flat), 90)
    audio = [chords_sound(row, RATE_HZ) for _, row in flat]
    soundfile.write(folder / "reconstructions.wav", np.concatenate(audio), RATE_HZ)
    groups = []
    for number, pair in enumerate(pairs, start=1):
        group = []
        for title, row in pair:
            drawn = picture(chords_figure([("", row)], width=4.0), f"Chords, window {number}, {title}")
            source = sound_source(chords_sound(row, RATE_HZ), RATE_HZ)
            group.append(Sound(f"window {number}, {title}", source, drawn))
        groups.append(group)
    return groups
