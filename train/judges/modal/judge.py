"""Judging what finds the knobs of a modal body, on patches that it never met.

Beside the middle answer stand the mean of many draws and the training patch whose pictures are nearest. Every
parameter has its R²: 1 where every position is found, 0 where the mean of all patches would do as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from common.audio import SAMPLE_RATE_HZ
from common.page import Page, Sound
from common.spectrogram import player as player_of
from train.judges.judged import Judgement
from train.judges.player import Player
from train.judges.reports import Judged
from train.models.modal.parameters import NAMES, SIZE
from train.models.modal.picture import VIEWS
from train.tasks.base import evenly
from train.tasks.modal import PatchTask

if TYPE_CHECKING:
    from train.data.store import DataSet

DETAILS: tuple[str, ...] = ("by_parameter",)
NOT_ON_CARD: tuple[str, ...] = ("by_parameter",)
DRAWS, AT_ONCE, SHOWN = 32, 100, 4


class PatchReport(Judged):
    """What ``report.json`` says of patches: R² as a mean and by parameter, each of three answers."""

    r2: dict[str, float]
    by_parameter: dict[str, dict[str, float]]


def judge(player: Player, data: DataSet, split: str, folder: Path, limit: int = 0) -> Judgement[PatchReport]:
    """Find every patch of a split, and say how much of each parameter was found."""
    task = player.task
    assert isinstance(task, PatchTask)
    indices, train = data.split(split), data.split("train")
    if limit:
        indices = evenly(indices, limit)
    wanted = np.array(data.arrays["positions"][indices])
    answers = {"middle": np.zeros_like(wanted), "mean of 32": np.zeros_like(wanted)}
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for first in range(0, len(indices), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            seen = torch.from_numpy(np.array(data.arrays["pictures"][indices[some]])).flatten(1, 2)
            z, _ = task.model.encoder(seen)
            answers["middle"][some] = task.model.decoder(z[..., None], torch.zeros(len(z), SIZE, 1))[..., 0]
            draws = torch.randn(DRAWS, len(z), SIZE, 1, generator=generator)
            some_answers = [task.model.decoder(z[..., None], draw)[..., 0] for draw in draws]
            answers["mean of 32"][some] = torch.stack(some_answers).mean(0)
    answers["nearest training patch"] = _nearest(data, train, indices)
    found = {who: r2(answer, wanted) for who, answer in answers.items()}
    report: PatchReport = {
        "items": len(wanted),
        "split": split,
        "r2": {who: round(float(each.mean()), 4) for who, each in found.items()},
        "by_parameter": {
            name: {who: round(float(each[at]), 4) for who, each in found.items()}
            for at, name in enumerate(NAMES)
        },
    }
    shown = evenly(np.arange(len(wanted)), SHOWN)
    groups = [_heard(data.manifest[indices[at]]["name"], wanted[at], answers["middle"][at]) for at in shown]

    def write(page: Page, judged: Judgement[PatchReport]) -> None:
        page.section("Parameters", "R² of positions: 1 is all of it.").table(
            ["parameter", *found],
            [[name, *(f"{each[at]:.2f}" for each in found.values())] for at, name in enumerate(NAMES)],
        )
        section = page.section("Some patches", "What was asked for, and the middle answer.")
        for group in groups:
            section.sounds(group)

    return Judgement(report, write, groups)


def r2(made: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Part of the variance that answers ``[N, P]`` explain, ``[P]``."""
    return 1.0 - ((made - wanted) ** 2).mean(0) / wanted.var(0)


def _nearest(data: DataSet, train: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Positions of the training patch whose pictures are nearest to each."""
    views = slice(len(VIEWS))
    seen = data.arrays["pictures"][train][:, views].reshape(len(train), -1)[:, ::16].astype(np.float32)
    wanted = data.arrays["pictures"][indices][:, views].reshape(len(indices), -1)[:, ::16].astype(np.float32)
    away = (seen**2).sum(1) - 2.0 * (wanted @ seen.T)
    return np.array(data.arrays["positions"][train[np.argmin(away, 1)]])


def _heard(name: str, wanted: np.ndarray, answer: np.ndarray) -> list[Sound]:
    from train.models.modal.sound import stroke

    with torch.no_grad():
        sounds = stroke(torch.from_numpy(np.stack([wanted, answer]))).numpy()
    return [
        player_of(f"{name}, {what}", sound, SAMPLE_RATE_HZ, "", top_db=None)
        for what, sound in zip(("asked for", "found"), sounds, strict=True)
    ]
