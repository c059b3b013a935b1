"""Judging an expression: loudness curves of notes that it never learnt, beside habits, and before a critic.

Every note is made with the timbre of another note of its instrument. What is made without chance is held to
the note; what is made by chance is shown to a critic, which is trained afterwards, on the notes that were
learnt, to tell it from real.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from common.figure import COLOURS, new_figure
from common.files import write_picture
from train.analysis.note import habits
from train.analysis.note.trained_voice import TrainedVoice
from train.judges.expression.page import CurveFigures, ExpressionReport, ExpressionRow, write_page
from train.judges.judged import Judgement
from train.judges.player import Player
from train.models.expression.network import CurveCritic, noise_of, told_of
from train.models.expression.shape import CENTS
from train.models.voice.shape import FRAMES_PER_S, LOUDNESS_DB
from train.tasks.base import Batch, evenly
from train.tasks.expression import (
    LONGEST_FRAMES,
    LOUDNESS,
    QUIETEST_DB,
    ExpressionTask,
    PlayedNote,
    loudness_error_db,
    next_alike,
    stretches,
)

if TYPE_CHECKING:
    from train.data.store import DataSet

CRITIC_NOTES, CRITIC_STEPS, CRITIC_BATCH, CRITIC_RATE = 1200, 500, 32, 2e-3
SHOWN = 8
DETAILS = ("rows", "by_label")
NOT_ON_CARD = ("by_label",)
Maker = Callable[[Batch], Tensor]


def judge(
    player: Player, data: DataSet, split: str, folder: Path, limit: int = 0
) -> Judgement[ExpressionReport]:
    """Measure how near the curves of a split come, and whether a critic tells them from real."""
    task = player.task
    assert isinstance(task, ExpressionTask)
    task.prepare(data, ("train", split))
    folder.mkdir(parents=True, exist_ok=True)
    learnt = task.notes["train"]
    judged = _some(task.notes[split], limit or len(task.notes[split]))
    voice = TrainedVoice.open(task.recipe.voice)
    every = data.split("validation")  # the training watched some of them, to know when it was best
    validating = [PlayedNote.of(data, int(i), voice) for i in evenly(every, limit or len(every))]
    by_habit = Habits.fitted(learnt)
    chance = np.random.default_rng(task.recipe.seed)
    shown, known = whole(judged), whole(validating)

    def still(batch: Batch) -> Tensor:
        return made(player, batch, np.zeros((len(batch["z"]), task.latents)), chance, noise=0.0)

    def alive(batch: Batch) -> Tensor:
        spread = np.array([row["std"] for row in player.latents])
        w = chance.normal(0, 1, (len(batch["z"]), task.latents)) * spread
        return made(player, batch, w, chance, noise=1.0)

    some = whole(_some(learnt, min(CRITIC_NOTES, limit or CRITIC_NOTES)))
    critics = {name: trained_critic(some, maker) for name, maker in (("alive", alive), ("habits", by_habit))}
    resting, habitual = still(shown), by_habit(shown)
    errors, theirs = loudness_error_db(resting, shown), loudness_error_db(habitual, shown)
    rows: list[ExpressionRow] = [
        {"name": note.name, "label": note.label, "curve_db": float(a), "curve_db_habits": float(b)}
        for note, a, b in zip(judged, errors, theirs, strict=True)
    ]
    report: ExpressionReport = {
        "items": len(rows),
        "split": split,
        "figures": figures(shown, resting, habitual),
        "learnt": figures(known, still(known), by_habit(known)),
        "told_notes": told(critics["alive"], shown, alive(shown)),
        "told_notes_learnt": told(critics["alive"], known, alive(known)),
        "told_habits": told(critics["habits"], shown, habitual),
        "latents_alive": sum(row["sign"] != "unused" for row in player.latents),
        "by_label": {
            label: float(np.mean([row["curve_db"] for row in rows if row["label"] == label]))
            for label in sorted({row["label"] for row in rows})
        },
        "rows": rows,
    }
    figure = drawing(
        judged, shown, {"without chance": resting, "by chance": alive(shown), "habits": habitual}
    )
    write_picture(folder / "curves.png", figure, 90)
    return Judgement(report, write_page, drawings=[("Loudness of eight notes, dB over seconds.", figure)])


def _some(notes: Sequence[PlayedNote], count: int) -> list[PlayedNote]:
    return [notes[i] for i in evenly(np.arange(len(notes)), count).tolist()]


def whole(notes: Sequence[PlayedNote]) -> Batch:
    """Whole notes, each with the timbre of the next of its instrument."""
    batch = stretches(notes, LONGEST_FRAMES)
    batch["z"] = torch.stack([next_alike(notes, index).z for index in range(len(notes))])
    return batch


def made(player: Player, batch: Batch, w: np.ndarray, chance: np.random.Generator, noise: float) -> Tensor:
    """Curves of a batch by latents ``w [N, W]``."""
    count, frames = len(w), batch["clock"].shape[2]
    drawn = noise * noise_of(int(chance.integers(1 << 30)), count, frames)
    told = told_of(batch["note"], batch["z"], batch["event"], batch["clock"], drawn)
    latent = np.repeat(w[..., None], frames, 2).astype(np.float32)
    return torch.from_numpy(player.decode({"latent": latent, "told": told.numpy()}))


@dataclass(frozen=True)
class Habits:
    """Loudness by five numbers a note, fitted to the notes that were learnt; velocity raises the peak."""

    weights: np.ndarray
    by_velocity: np.ndarray

    @classmethod
    def fitted(cls, notes: Sequence[PlayedNote]) -> Habits:
        """Fit them by least squares."""
        numbers = np.stack(
            [
                habits.measured(note.curves[LOUDNESS].numpy() * LOUDNESS_DB - LOUDNESS_DB, note.held)
                for note in notes
            ]
        )
        z = np.stack([note.z.numpy() for note in notes])
        octaves = np.array([float(note.note[0]) for note in notes])
        velocity = np.array([float(note.note[2]) for note in notes])
        weights = habits.fitted(numbers, z, octaves, np.ones(len(notes), bool))
        left = numbers[:, 0] - habits.features(z, octaves) @ weights[0]
        columns = np.column_stack([velocity, np.ones(len(velocity))])
        return cls(weights, np.linalg.lstsq(columns, left, rcond=None)[0])

    def __call__(self, batch: Batch) -> Tensor:
        """Curves of a batch; pitch and breath as without any."""
        curves = torch.zeros_like(batch["curves"])
        numbers = habits.features(batch["z"].numpy(), batch["note"][:, 0].numpy()) @ self.weights.T
        numbers[:, 0] += np.polyval(self.by_velocity, batch["note"][:, 2].numpy())
        for row, five in enumerate(numbers):
            held = int(batch["clock"][row, 0].sum())
            db = habits.followed(five, curves.shape[2], held)
            curves[row, LOUDNESS] = torch.from_numpy((db + LOUDNESS_DB) / LOUDNESS_DB)
        return curves


def figures(batch: Batch, made_curves: Tensor, by_habit: Tensor) -> CurveFigures:
    """Errors of a batch."""
    heard = batch["heard"][:, 0]

    def shape(curves: Tensor) -> float:
        far = (curves[:, LOUDNESS] - batch["curves"][:, LOUDNESS]) * LOUDNESS_DB
        level = torch.where(heard > 0, far, torch.nan).nanmedian(1, keepdim=True).values
        return float((((far - level).abs() * heard).sum(1) / heard.sum(1).clamp(min=1)).mean())

    def cents(curves: Tensor) -> float:
        far = (curves[:, 1] - batch["curves"][:, 1]).abs() * CENTS
        return float(((far * heard).sum(1) / heard.sum(1).clamp(min=1)).mean())

    return {
        "curve_db": float(loudness_error_db(made_curves, batch).mean()),
        "curve_db_habits": float(loudness_error_db(by_habit, batch).mean()),
        "shape_db": shape(made_curves),
        "shape_db_habits": shape(by_habit),
        "curve_cents": cents(made_curves),
        "curve_cents_flat": cents(torch.zeros_like(made_curves)),
    }


# The critic ---------------------------------------------------------------------------------------


def _shown(curves: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """What a critic sees: loudness; and knows: gate, pitch, velocity, where the note is."""
    quiet = (QUIETEST_DB + LOUDNESS_DB) / LOUDNESS_DB
    there = batch["there"]
    note = batch["note"][..., None].expand(-1, -1, there.shape[2])
    known = torch.cat([batch["clock"][:, :1], note[:, [0, 2]], torch.ones_like(there)], 1)
    return curves[:, :1].clamp(min=quiet) * there, known * there


def _taken(batch: Batch, rows: Tensor) -> Batch:
    return {key: value[rows] for key, value in batch.items() if isinstance(value, Tensor)}


def trained_critic(batch: Batch, maker: Maker) -> CurveCritic:
    """Train a critic to tell whole real notes from made ones, two sets of them."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        critic = CurveCritic(1, 4)
        adam = torch.optim.Adam(critic.parameters(), CRITIC_RATE)
        sets = [maker(batch), maker(batch)]
        for step in range(CRITIC_STEPS):
            rows = torch.randint(0, len(batch["z"]), (CRITIC_BATCH,))
            part = _taken(batch, rows)
            real = critic(*_shown(part["curves"], part)).mean((1, 2))
            fake = critic(*_shown(sets[step % 2][rows], part)).mean((1, 2))
            loss = F.softplus(-real).mean() + F.softplus(fake).mean()
            for group in adam.param_groups:
                group["lr"] = CRITIC_RATE * (1 - step / CRITIC_STEPS)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return critic.eval()


def told(critic: CurveCritic, batch: Batch, curves: Tensor) -> float:
    """Part of whole notes, half of them real, that a critic tells rightly."""
    with torch.no_grad():
        real = critic(*_shown(batch["curves"], batch)).mean((1, 2)) > 0
        fake = critic(*_shown(curves, batch)).mean((1, 2)) <= 0
    return float(torch.cat([real, fake]).float().mean())


def drawing(notes: Sequence[PlayedNote], batch: Batch, curves: dict[str, Tensor]) -> Any:
    """Loudness of some notes, real and made."""
    picked = evenly(np.arange(len(notes)), SHOWN).tolist()
    figure, axes = new_figure(rows=2, columns=SHOWN // 2, width=12, height=5.2)
    for axis, index in zip(axes.flat, picked, strict=False):
        frames = notes[index].frames
        time = np.arange(frames) / FRAMES_PER_S
        rows = {"real": batch["curves"], **curves}
        for number, (name, one) in enumerate(rows.items()):
            level = one[index, LOUDNESS, :frames].numpy() * LOUDNESS_DB - LOUDNESS_DB
            axis.plot(time, level, color=COLOURS[number], label=name, linewidth=0.9)
        axis.axvline(notes[index].held / FRAMES_PER_S, color="#999999", linewidth=0.6)
        axis.set(title=notes[index].label, ylim=(-80, 0))
    axes.flat[0].legend(fontsize=7)
    return figure
