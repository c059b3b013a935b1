"""Judging a texture codec: excerpts of recordings that were never heard, made again from what it hears.

The opponents are recordings: of the 50 training windows nearest in their mel bands, the nearest one
(``nearest``), and the one with the best MR-STFT, chosen using the target (``oracle``). What the recording's
own magnitudes give with phases drawn at random (``phases``) is a floor no codec without phases passes easily.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from common import pitch
from common.audio import SAMPLE_RATE_HZ
from common.files import write_picture
from common.spectrogram import players, spectrogram_figure
from train.hearing.envelope_line import envelope_line_db
from train.hearing.pictures import pictures
from train.hearing.told_apart import told_apart
from train.judges.distances import mr_stft
from train.judges.judged import Judgement
from train.judges.player import Player
from train.judges.texture import figures
from train.judges.texture.page import TextureFigures, TextureReport, TextureRow, write_page
from train.models.source_filter.ear import HOP, Ear
from train.models.texture import LATE
from train.tasks.base import evenly
from train.tasks.texture import LEAD, Recording, TextureTask

if TYPE_CHECKING:
    from train.data.store import DataSet

EXCERPT_HOPS = 281
"""A second and a half."""
CANDIDATES = 50
TRAINING_WINDOWS = 2000
SHOWN = 8
DETAILS = ("rows", "by_label")
NOT_ON_CARD = ("by_label",)


def judge(
    player: Player, data: DataSet, split: str, folder: Path, limit: int = 0
) -> Judgement[TextureReport]:
    """Measure reconstruction, pitch, level and silence on a split; write sounds to ``folder``."""
    task = player.task
    assert isinstance(task, TextureTask)
    task.prepare(data, ("train", split))
    folder.mkdir(parents=True, exist_ok=True)
    recordings = task.recordings[split]
    picked = evenly(np.arange(len(recordings)), limit) if limit else np.arange(len(recordings))
    opponents = Opponents(task.recordings["train"])
    rows: list[TextureRow] = []
    real: list[np.ndarray] = []
    made_all: list[np.ndarray] = []
    files: list[str] = []
    shown: list[list[tuple[str, np.ndarray, str]]] = []
    kept = voiced = 0
    step = max(1, len(picked) // SHOWN)
    for order, index in enumerate(picked.tolist()):
        recording = recordings[index]
        hops = min(recording.hops, EXCERPT_HOPS)
        heard = recording.window(-LEAD, LEAD + hops)
        made = remade(player, *heard)[LEAD * HOP + LATE :]
        wanted = np.ascontiguousarray(heard[0][LEAD * HOP : len(heard[0]) - LATE])
        nearest, oracle = opponents.of(wanted)
        near, pitched = figures.pitch_kept(made, wanted)
        kept, voiced = kept + near, voiced + pitched
        row: TextureRow = {
            "name": recording.name,
            "label": recording.label,
            "mr_stft": mr_stft(made, wanted),
            "nearest": mr_stft(nearest, wanted),
            "oracle": mr_stft(oracle, wanted),
            "phases": mr_stft(random_phases(wanted, order), wanted),
            "mel_distance_db": figures.log_mel_distance_db(made, wanted),
            "loudness_db": figures.loudness_error_db(made, wanted),
            "attack_ms": figures.attack_ms(made, wanted),
            "hop_line_db": envelope_line_db(made, SAMPLE_RATE_HZ / HOP)
            - envelope_line_db(wanted, SAMPLE_RATE_HZ / HOP),
        }
        rows.append(row)
        real.append(wanted)
        made_all.append(made)
        files.append(recording.name)
        if order % step == 0 and len(shown) < SHOWN:
            shown.append(
                [
                    (f"{recording.name}, heard", wanted, ""),
                    ("made", made, f"multi-resolution STFT distance {row['mr_stft']:.2f}"),
                    ("oracle of 50", oracle, f"multi-resolution STFT distance {row['oracle']:.2f}"),
                ]
            )
    report: TextureReport = {
        "items": len(rows),
        "split": split,
        "figures": summary(rows),
        "pitch_kept": kept / voiced if voiced else float("nan"),
        "told_made": told_apart(pictures(real), pictures(made_all), files, files),
        "better_than_nearest": float(np.mean([r["mr_stft"] < r["oracle"] for r in rows])),
        "silence_dbfs": silence(player),
        "by_label": {
            label: float(np.mean([r["mr_stft"] for r in rows if r["label"] == label]))
            for label in sorted({r["label"] for r in rows})
        },
        "rows": rows,
    }
    _write_sounds(shown, folder)
    groups = players(shown, SAMPLE_RATE_HZ, 1.5)
    return Judgement(report, write_page, groups)


def remade(player: Player, audio: np.ndarray, octaves: np.ndarray, voicing: np.ndarray) -> np.ndarray:
    """Encode a sound of whole hops, tracked, and decode it again."""
    x = audio[None, None].astype(np.float32)
    z = player.encode(x)
    with torch.no_grad():
        loudness = Ear()(torch.from_numpy(x))[:, -1:].numpy()
    control = np.concatenate([np.stack([octaves, voicing])[None].astype(np.float32), loudness], 1)
    return player.decode({"latent": z, "control": control})[0, 0]


def summary(rows: list[TextureRow]) -> TextureFigures:
    """Means over the excerpts; medians of what has outliers."""
    attacks = np.array([abs(row["attack_ms"]) for row in rows])
    lines = np.array([row["hop_line_db"] for row in rows])
    return {
        "mr_stft": float(np.mean([row["mr_stft"] for row in rows])),
        "mr_stft_nearest": float(np.mean([row["nearest"] for row in rows])),
        "mr_stft_oracle": float(np.mean([row["oracle"] for row in rows])),
        "mr_stft_phases": float(np.mean([row["phases"] for row in rows])),
        "mel_distance_db": float(np.mean([row["mel_distance_db"] for row in rows])),
        "loudness_db_median": float(np.median([row["loudness_db"] for row in rows])),
        "attack_ms_median": float(np.nanmedian(attacks)) if np.isfinite(attacks).any() else float("nan"),
        "hop_line_db": float(np.median(lines)),
    }


class Opponents:
    """Training windows, by their mel bands."""

    def __init__(self, recordings: list[Recording]):
        places = [
            (recording, first)
            for recording in recordings
            for first in range(0, max(1, recording.hops - EXCERPT_HOPS // 2), EXCERPT_HOPS // 3)
        ]
        chosen = evenly(np.arange(len(places)), TRAINING_WINDOWS)
        self.places = [places[i] for i in chosen.tolist()]
        self.pictures = np.stack(
            [self._picture(self._sound(i, EXCERPT_HOPS * HOP)) for i in range(len(chosen))]
        )

    def _sound(self, index: int, samples: int) -> np.ndarray:
        recording, first = self.places[index]
        audio = recording.audio[first * HOP : first * HOP + samples]
        return np.pad(audio, (0, samples - len(audio)))

    @staticmethod
    def _picture(audio: np.ndarray) -> np.ndarray:
        return figures.log_mel_db(audio)[:, ::8].astype(np.float32)

    def of(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest window, and of the 50 nearest the one with the best MR-STFT."""
        picture = self._picture(wanted)
        frames = min(picture.shape[1], self.pictures.shape[2])
        far = ((self.pictures[:, :, :frames] - picture[:, :frames]) ** 2).mean((1, 2))
        near = [self._sound(int(i), len(wanted)) for i in np.argsort(far)[:CANDIDATES]]
        return near[0], min(near, key=lambda sound: mr_stft(sound, wanted))


def random_phases(audio: np.ndarray, seed: int) -> np.ndarray:
    """A sound's own magnitudes, windows of 1024 samples, with phases drawn at random."""
    window = torch.hann_window(1024)
    bins = torch.stft(torch.from_numpy(audio), 1024, 256, window=window, return_complex=True)
    drawn = torch.from_numpy(np.random.default_rng(seed).uniform(0, 2 * np.pi, bins.shape))
    turned = bins.abs() * torch.exp(1j * drawn).to(bins.dtype)
    return torch.istft(turned, 1024, 256, window=window, length=len(audio)).numpy()


def silence(player: Player) -> float:
    """Loudest sample, dBFS, of what is made of a second of silence, once it has settled."""
    hops = SAMPLE_RATE_HZ // HOP
    audio = np.zeros(hops * HOP, np.float32)
    period, voicing = pitch.track(audio)
    made = remade(player, audio, pitch.octaves(period), voicing)
    return 20 * float(np.log10(max(np.abs(made[SAMPLE_RATE_HZ // 4 :]).max(), 1e-10)))


def _write_sounds(shown: list[list[tuple[str, np.ndarray, str]]], folder: Path) -> None:
    """Heard, made, oracle: a picture and one WAV with a quarter second between."""
    import soundfile

    gap = np.zeros(SAMPLE_RATE_HZ // 4, np.float32)
    rows = [(title, sound) for group in shown for title, sound, _ in group]
    joined = np.concatenate([part for _, sound in rows for part in (sound, gap)])
    soundfile.write(folder / "reconstructions.wav", np.clip(joined, -1, 1), SAMPLE_RATE_HZ)
    write_picture(folder / "reconstructions.png", spectrogram_figure(rows, SAMPLE_RATE_HZ, columns=3), 90)
