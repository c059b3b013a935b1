"""Judging a drum model on unseen kits.

Every figure stands beside the same figure of two training sounds of the class: the nearest neighbour by
log-mel distance (``first`` in the report), and the oracle nearest neighbour (``nearest``): of the five
nearest, the one with the best MR-STFT. Both are strong opponents: real recordings, the second chosen using
the target.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from common.files import write_picture
from common.spectrogram import excerpt, mosaic_figure, players, spectrogram_figure
from train.analysis.hit.changes import MAX_SAMPLES
from train.attributes.sound import loudness, measure_sound
from train.hearing.hear import Judgeable, hear
from train.hearing.hiss import AFTER_S, LENGTH_S, hiss_dbfs
from train.hearing.hits import Hits
from train.judges.distances import log_spectral_distance, mr_stft
from train.judges.drum_hits import made_classes, noon_hits, random_hits, recorded, strike
from train.judges.drum_page import (
    Distances,
    DrumReport,
    DrumRow,
    DrumSummary,
    KnobFollowed,
    write_page,
)
from train.judges.judged import Gallery, Judgement
from train.judges.player import Player
from train.models.hit.picture import MelPicture
from train.models.hit.shape import WINDOW_S
from train.tasks.base import evenly
from train.tasks.drum import DrumTask

if TYPE_CHECKING:
    from train.data.store import DataSet

ONSET_FRAME = 24  # samples: 0.5 ms
ONSET_PART = 0.1  # of the largest envelope: −20 dB
SHOWN = 8  # items whose sounds the page plays
SHORTEST_S = 0.25
AFTERWARDS_S = AFTER_S + LENGTH_S  # made beyond the recording's end, to hear whether it hisses
ENDING_S = 0.05
DETAILS = ("by_class", "classes", "kits")
NOT_ON_CARD = ("by_class", "spearman", "classes", "kits")


GALLERY_S = 0.5
GALLERY_COLUMNS = 6
GALLERY_DPI = 60

Who = Literal["model", "nearest", "first"]
WHO: tuple[Who, ...] = ("model", "nearest", "first")


def onset_ms(audio: np.ndarray) -> float:
    """When the 0.5 ms envelope first reaches a tenth of its maximum, ms."""
    count = len(audio) // ONSET_FRAME
    envelope = np.abs(audio[: count * ONSET_FRAME]).reshape(count, ONSET_FRAME).max(1)
    if envelope.max() <= 0:
        return 0.0
    return float(np.argmax(envelope >= ONSET_PART * envelope.max()) * ONSET_FRAME * 1000 / SAMPLE_RATE_HZ)


def judge(player: Player, data: DataSet, split: str, folder: Path, limit: int = 0) -> Judgement[DrumReport]:
    """Measure reconstruction, control and silence on a split; write sounds and pictures to ``folder``."""
    task = player.task
    assert isinstance(task, DrumTask)
    task.prepare(data, ("train", split))
    sounds = task.sounds[split]
    picked = np.arange(len(sounds))
    if limit:
        picked = evenly(picked, limit)
    nearest = _nearest(task, split, picked)
    rows: list[DrumRow] = []
    shown: list[list[tuple[str, np.ndarray, str]]] = []
    step = max(1, len(picked) // SHOWN)
    folder.mkdir(parents=True, exist_ok=True)
    recordings = recorded(player, data, split, picked)
    all_made: list[np.ndarray] = []
    hiss: list[float] = []
    for order, index in enumerate(picked):
        wanted = sounds[index]
        length = max(round(SHORTEST_S * SAMPLE_RATE_HZ), len(wanted))
        heard = np.zeros((1, 1, MAX_SAMPLES), np.float32)
        heard[0, 0, : len(wanted)] = wanted
        z = player.encode(heard)
        seconds = length / SAMPLE_RATE_HZ + AFTERWARDS_S
        rung = strike(player, z, task.labels[split][index : index + 1], seconds)[0]
        hiss.append(hiss_dbfs(rung, length))
        made, wanted = rung[:length], heard[0, 0, :length]
        all_made.append(made)
        other = _closest_by_stft(task, nearest[order], wanted)
        first = _fitted(task, nearest[order][0], len(wanted))
        row: DrumRow = {
            "name": task.names[split][index],
            "class": task.kinds_of_items(split)[index],
            "model": distances(made, wanted),
            "nearest": distances(other, wanted),
            "first": distances(first, wanted),
        }
        rows.append(row)
        if order % step == 0 and len(shown) < SHOWN:
            far = {
                "model": f"multi-resolution STFT distance {row['model']['mr_stft']:.2f}",
                "nearest": f"multi-resolution STFT distance {row['nearest']['mr_stft']:.2f}",
            }
            shown.append(
                [
                    (f"{row['class'].replace('_', ' ')}, heard", wanted, row["name"]),
                    ("made", made, far["model"]),
                    ("oracle nearest neighbour", other, far["nearest"]),
                ]
            )
    random = random_hits(player)
    judgeable = Judgeable(
        train=recorded(player, data, "train"),
        recordings=recordings,
        made=Hits(all_made, recordings.classes, recordings.instruments, recordings.kits),
        random=random,
        noon=noon_hits(player),
        loudness_db=np.array([row["model"]["loudness_db"] for row in rows]),
        hiss_dbfs=np.array(hiss),
    )
    _write_sounds([(title, sound) for group in shown for title, sound, _ in group], folder)
    groups = players(shown, SAMPLE_RATE_HZ, 1.0)
    figures: dict[str, DrumSummary] = {who: _summary(rows, who) for who in WHO}
    report: DrumReport = {
        "items": len(rows),
        "split": split,
        "figures": figures,
        "beside_first": figures["model"]["mr_stft"] / figures["first"]["mr_stft"],
        "better_than_nearest": float(
            np.mean([r["model"]["mr_stft"] < r["nearest"]["mr_stft"] for r in rows])
        ),
        "better_than_first": float(np.mean([r["model"]["mr_stft"] < r["first"]["mr_stft"] for r in rows])),
        "by_class": {
            name: {who: _summary(some, who)["mr_stft"] for who in WHO[:2]}
            for name in CLASSES
            if (some := [r for r in rows if r["class"] == name])
        },
        "control": control(player, split, picked),
        "silence_dbfs": silence(player),
        "hearing": hear(judgeable),
        "rows": rows,
    }
    galleries = write_galleries(judgeable["train"], random, folder)
    return Judgement(report, write_page, groups, galleries=galleries)


def distances(made: np.ndarray, wanted: np.ndarray) -> Distances:
    """Measure a sound against the recording."""
    return {
        "mr_stft": mr_stft(made, wanted),
        "lsd_db": log_spectral_distance(made, wanted),
        "onset_ms": onset_ms(made) - onset_ms(wanted),
        "loudness_db": loudness(made) - loudness(wanted),
    }


def _summary(rows: list[DrumRow], who: Who) -> DrumSummary:
    def column(name: Literal["mr_stft", "lsd_db", "onset_ms", "loudness_db"]) -> np.ndarray:
        return np.array([r[who][name] for r in rows])

    return {
        "mr_stft": float(column("mr_stft").mean()),
        "lsd_db": float(column("lsd_db").mean()),
        "onset_ms_median": float(np.median(np.abs(column("onset_ms")))),
        "onset_within_1ms": float(np.mean(np.abs(column("onset_ms")) <= 1.0)),
        "loudness_db_median": float(np.median(np.abs(column("loudness_db")))),
    }


def _pictures(sounds: list[np.ndarray]) -> np.ndarray:
    """Log-mel pictures, flattened, [N, …]."""
    picture = MelPicture(seconds=1.0)
    out = []
    for sound in sounds:
        with torch.no_grad():
            out.append(picture(torch.from_numpy(sound)[None, None]).flatten().numpy())
    return np.stack(out)


def _nearest(task: DrumTask, split: str, picked: np.ndarray, count: int = 5) -> list[np.ndarray]:
    """The training sounds of the class nearest in log-mel distance, by index."""
    train, wanted = _pictures(task.sounds["train"]), _pictures([task.sounds[split][i] for i in picked])
    train_class = task.labels["train"][:, : len(CLASSES)].argmax(1)
    found = []
    for row, index in enumerate(picked):
        same = np.flatnonzero(train_class == task.labels[split][index, : len(CLASSES)].argmax())
        if not len(same):
            same = np.arange(len(train))
        distance = ((train[same] - wanted[row]) ** 2).sum(1)
        found.append(same[np.argsort(distance)[:count]])
    return found


def _fitted(task: DrumTask, index: int, length: int) -> np.ndarray:
    """A training sound cut or padded to a length."""
    sound = task.sounds["train"][index][:length]
    return np.pad(sound, (0, length - len(sound)))


def _closest_by_stft(task: DrumTask, candidates: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    fitted = [_fitted(task, index, len(wanted)) for index in candidates]
    return min(fitted, key=lambda sound: mr_stft(sound, wanted))


def control(player: Player, split: str, picked: np.ndarray, positions: int = 9) -> dict[str, KnobFollowed]:
    """Spearman of every attribute knob against what is measured of the sound, median over test sounds."""
    from scipy.stats import spearmanr

    task = player.task
    assert isinstance(task, DrumTask)
    some = picked[:: max(1, len(picked) // 16)][:16]
    out: dict[str, KnobFollowed] = {}
    for number, name in enumerate(task.recipe.model.attributes):
        found = []
        for index in some:
            heard = np.zeros((1, 1, MAX_SAMPLES), np.float32)
            heard[0, 0, : len(task.sounds[split][index])] = task.sounds[split][index]
            z = np.repeat(player.encode(heard), positions, 0)
            knobs = np.repeat(task.labels[split][index : index + 1], positions, 0)
            knobs[:, len(CLASSES) + number] = np.linspace(-0.9, 0.9, positions)
            measured = [measure_sound(x)[name] for x in strike(player, z, knobs, 1.0)]
            found.append(float(spearmanr(knobs[:, len(CLASSES) + number], measured).statistic))
        out[name] = {"spearman_median": float(np.nanmedian(found)), "spearman": found}
    return out


def silence(player: Player) -> float:
    """Loudest sample, dBFS, just before random hits of every class are ended; −200 when exactly zero."""
    classes = made_classes(player)
    task = player.task
    assert isinstance(task, DrumTask)
    knobs = np.zeros((len(classes), len(task.model.shape.knobs)), np.float32)
    knobs[np.arange(len(classes)), classes] = 1.0
    rung = strike(player, player.prior(len(classes), 1), knobs, WINDOW_S)
    peak = float(np.abs(rung[:, -round(ENDING_S * SAMPLE_RATE_HZ) :]).max())
    return 20 * float(np.log10(max(peak, 1e-10)))


def write_galleries(train: Hits, random: Hits, folder: Path) -> list[Gallery]:
    """Twelve hits at random latents above twelve real ones of each class: pictures, and sounds one by one."""
    import soundfile

    galleries = []
    for label in np.unique(random.classes).tolist():
        name = CLASSES[label]
        made = random.take(np.flatnonzero(random.classes == label))
        real = train.take(np.flatnonzero(train.classes == label)).evenly(len(made))
        shown = [(f"made {i + 1}", sound) for i, sound in enumerate(made.sounds)]
        shown += [(f"real {i + 1}", sound) for i, sound in enumerate(real.sounds)]
        cut = [(title, excerpt(_padded(sound), SAMPLE_RATE_HZ, GALLERY_S)) for title, sound in shown]
        picture = folder / f"gallery_{name}.png"
        write_picture(picture, mosaic_figure(cut, SAMPLE_RATE_HZ, GALLERY_COLUMNS), GALLERY_DPI)
        files = []
        for whose, hits in (("made", made), ("real", real)):
            file = folder / f"gallery_{name}_{whose}.flac"
            parts = [excerpt(_padded(sound), SAMPLE_RATE_HZ, GALLERY_S) for sound in hits.sounds]
            soundfile.write(file, np.clip(np.concatenate(parts), -1, 1), SAMPLE_RATE_HZ, subtype="PCM_16")
            files.append(file.name)
        galleries.append(Gallery(name, picture, files[0], files[1]))
    return galleries


def _padded(sound: np.ndarray) -> np.ndarray:
    """A sound with silence after it, as long as a gallery shows."""
    return np.pad(sound, (0, max(0, round(GALLERY_S * SAMPLE_RATE_HZ) - len(sound))))


def _write_sounds(shown: list[tuple[str, np.ndarray]], folder: Path) -> None:
    """Heard, made, nearest: a picture and one WAV with a quarter second between."""
    import soundfile

    gap = np.zeros(SAMPLE_RATE_HZ // 4, np.float32)
    joined = np.concatenate([part for _, sound in shown for part in (sound[:SAMPLE_RATE_HZ], gap)])
    soundfile.write(folder / "reconstructions.wav", np.clip(joined, -1, 1), SAMPLE_RATE_HZ)
    figure = spectrogram_figure(
        [(title, sound[: SAMPLE_RATE_HZ // 2]) for title, sound in shown], SAMPLE_RATE_HZ, columns=3
    )
    write_picture(folder / "reconstructions.png", figure, 90)
