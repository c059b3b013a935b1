"""Judging a mel VAE on recordings it never met.

Beside it stand the oracle nearest neighbour, a training clip, the mean training picture, and as many
principal components of the training pictures as the model has latents: what a linear compression of the same
size gives. The vocoder is judged apart: what is lost by it alone, and through model and vocoder together.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from common.audio import SAMPLE_RATE_HZ
from common.files import write_picture
from common.measures import measure
from common.page import Sound
from common.spectrogram import excerpt
from common.spectrogram import player as player_of
from train.judges.distances import mr_stft
from train.judges.judged import Judgement
from train.judges.mel_page import MelReport, MelRow, write_page
from train.judges.player import Player
from train.tasks.base import evenly
from train.tasks.mel import MelTask, mel_distance, picture_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from train.data.store import DataSet

SHOWN = 8
EXCERPT_S = 1.5
DETAILS: tuple[str, ...] = ("by_class",)
NOT_ON_CARD = ("by_class",)


def judge(player: Player, data: DataSet, split: str, folder: Path, limit: int = 0) -> Judgement[MelReport]:
    """Measure reconstruction on a split; write sounds and pictures to ``folder``."""
    task = player.task
    assert isinstance(task, MelTask)
    task.prepare(data, ("train",))
    task.keep_audio = True
    task.prepare(data, (split,))
    picked = np.arange(len(task.pictures[split]))
    if limit:
        picked = evenly(picked, limit)
    wanted = task.pictures[split][picked]
    train = task.pictures["train"]
    made = {
        "model": reconstruct(player, wanted),
        "principal_components": components(train, wanted, task.latents),
        "nearest": nearest(train, wanted),
        "mean": np.broadcast_to(train.mean(0), wanted.shape),
    }
    distances = {who: _distances(some, wanted) for who, some in made.items()}
    rows: list[MelRow] = [
        {
            "name": task.clips[split][index].name,
            "sound": task.clips[split][index].sound,
            "effect": task.clips[split][index].effect,
            "model": float(distances["model"][order]),
            "principal_components": float(distances["principal_components"][order]),
            "nearest": float(distances["nearest"][order]),
            "mean": float(distances["mean"][order]),
        }
        for order, index in enumerate(picked)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    shown = evenly(np.arange(len(picked)), SHOWN)
    vocoder, groups, drawing = _write_sounds(task, split, picked, made, shown, folder)
    kinds = [task.kinds_of_items(split)[i] for i in picked]
    report: MelReport = {
        "items": len(rows),
        "split": split,
        "latents": task.latents,
        "compression": task.model.shape.compression,
        "mel_distance_db": {who: float(values.mean()) for who, values in distances.items()},
        "better_than_nearest": float(np.mean(distances["model"] < distances["nearest"])),
        "better_than_components": float(np.mean(distances["model"] < distances["principal_components"])),
        "vocoder": vocoder,
        "by_class": {
            kind: {who: float(values[[k == kind for k in kinds]].mean()) for who, values in distances.items()}
            for kind in sorted(set(kinds))
        },
        "rows": rows,
    }
    return Judgement(
        report, write_page, groups, [("Log-mel pictures: heard, made, by components, nearest", drawing)]
    )


def reconstruct(player: Player, pictures: np.ndarray) -> np.ndarray:
    """Pictures through the model, at the posterior's mean."""
    parts = []
    for first in range(0, len(pictures), 100):
        z = player.encode(pictures[first : first + 100])
        parts.append(player.decode({"z": np.ascontiguousarray(z[:, :, None], dtype=np.float32)}))
    return np.concatenate(parts)


def components(train: np.ndarray, wanted: np.ndarray, count: int) -> np.ndarray:
    """Pictures through the first ``count`` principal components of the training pictures."""
    from sklearn.decomposition import PCA

    flat = train.reshape(len(train), -1)
    count = min(count, len(flat))
    found = PCA(count, svd_solver="randomized", random_state=0).fit(flat)
    codes = found.transform(wanted.reshape(len(wanted), -1))
    return found.inverse_transform(codes).reshape(wanted.shape).astype(np.float32)


def nearest(train: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The oracle nearest neighbour of each: a training picture chosen using the target."""
    flat = train.reshape(len(train), -1)
    squares = (flat**2).sum(1)
    chosen = [int((squares - 2 * flat @ one.ravel()).argmin()) for one in wanted]
    return train[chosen]


def _distances(made: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return mel_distance(torch.from_numpy(np.array(made)), torch.from_numpy(wanted)).numpy()


def _write_sounds(
    task: MelTask,
    split: str,
    picked: np.ndarray,
    made: dict[str, np.ndarray],
    shown: np.ndarray,
    folder: Path,
) -> tuple[dict[str, float], list[list[Sound]], Figure]:
    """Heard, through the vocoder, through the model too: distances, players, a picture, one WAV."""
    import soundfile

    groups: list[list[Sound]] = []
    gap = np.zeros(SAMPLE_RATE_HZ // 4, np.float32)
    sounds: list[np.ndarray] = []
    tiles: list[tuple[str, np.ndarray]] = []
    found: dict[str, list[float]] = {"vocoder_alone": [], "model_and_vocoder": []}
    for order in shown:
        index = int(picked[order])
        clip, heard, picture = task.clips[split][index], task.kept[split][index], task.pictures[split][index]
        alone, ours = task.vocoder.sound(picture), task.vocoder.sound(made["model"][order])
        sounds += [part for sound in (heard, alone, ours) for part in (sound, gap)]
        found["vocoder_alone"].append(mr_stft(alone, heard))
        found["model_and_vocoder"].append(mr_stft(ours, heard))
        title = clip.sound if clip.dry < 0 else f"{clip.sound}, {clip.effect}"
        far = [f"{measure('mr_stft').name} {values[-1]:.2f}" for values in found.values()]
        groups.append(
            [
                player_of(words, excerpt(sound, SAMPLE_RATE_HZ, EXCERPT_S), SAMPLE_RATE_HZ, note)
                for words, sound, note in (
                    (f"{title}, heard", heard, clip.name),
                    ("through the vocoder", alone, far[0]),
                    ("through model and vocoder", ours, far[1]),
                )
            ]
        )
        tiles += [
            (title, picture),
            ("made", made["model"][order]),
            (f"{task.latents} components", made["principal_components"][order]),
            ("nearest", made["nearest"][order]),
        ]
    soundfile.write(folder / "heard_vocoder_made.wav", np.clip(np.concatenate(sounds), -1, 1), SAMPLE_RATE_HZ)
    figure = picture_figure(tiles, task.vocoder, columns=4)
    write_picture(folder / "reconstructions.png", figure, 80)
    return {f"mr_stft_{who}": float(np.mean(values)) for who, values in found.items()}, groups, figure
