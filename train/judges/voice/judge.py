"""Judging a voice: notes that it never learnt, made again at their own pitch and loudness.

The opponents are training notes: of the five whose analysed frames are nearest, the nearest (``nearest``) and
the best, chosen using the target (``oracle``). Each lends its harmonics and noise, played at the pitch and
loudness of the note. What the note's own analysed levels give is a floor (``floor``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from common.audio import SAMPLE_RATE_HZ
from common.files import write_picture
from common.spectrogram import players, spectrogram_figure
from train.analysis.note.harmonics import analysed
from train.analysis.note.loudness import loudness_db
from train.judges.judged import Judgement
from train.judges.player import Player
from train.judges.voice.page import VoiceFigures, VoiceReport, VoiceRow, write_page
from train.losses import SpectralLoss
from train.models.hit.bands import triangles
from train.models.voice.bank import HarmonicBank
from train.models.voice.shape import BANDS, FRAMES_PER_S, HARMONICS, HOP, LOG_PER_DB
from train.tasks.base import evenly
from train.tasks.voice import JUDGED_SIZES, Note, VoiceTask

if TYPE_CHECKING:
    from train.data.store import DataSet

CANDIDATES = 5
MOST_NOTES = 25
SOUGHT_NOTES, SEEKING_STEPS, SEEKING_RATE, SEEKING_FRAMES = 10, 25, 0.1, 150
SHOWN = 6
LOUD_DB = 40.0
"""Frames this far below a note's loudest one say nothing of its loudness."""
NOISE_FRAMES = 60
"""About so many of a note's frames are analysed again."""
NOISE_OVER_DB = 3.0
DETAILS = ("rows", "by_label")
NOT_ON_CARD = ("by_label",)


def judge(player: Player, data: DataSet, split: str, folder: Path, limit: int = 0) -> Judgement[VoiceReport]:
    """Measure how near notes of a split come; write sounds to ``folder``."""
    task = player.task
    assert isinstance(task, VoiceTask)
    task.prepare(data, ("train",))
    learnt = task.notes["train"]
    picked = evenly(data.split(split), limit or MOST_NOTES).tolist()
    notes = [Note.of(data, int(index)) for index in picked]
    folder.mkdir(parents=True, exist_ok=True)
    labels = {note.label for note in learnt}
    opponents = Opponents(learnt)
    distance = SpectralLoss(JUDGED_SIZES)
    bank = HarmonicBank().eval()
    seek = set(evenly(np.arange(len(notes)), SOUGHT_NOTES).tolist()) if player.own else set()
    rows: list[VoiceRow] = []
    shown: list[list[tuple[str, np.ndarray, str]]] = []
    step = max(1, len(notes) // SHOWN)

    def far(made: Tensor, note: Note) -> float:
        with torch.no_grad():
            return float(distance(made.reshape(1, 1, -1), note.audio[None, None]))

    for order, note in enumerate(notes):
        control = note.control()
        z = player.encode(note.seen[None].numpy())
        made = remade(player, z, control)
        near = [opponents.at(index, note, bank) for index in opponents.nearest(note)]
        losses = [far(sound, note) for sound in near]
        row: VoiceRow = {
            "name": note.name,
            "label": note.label,
            "learnt": note.label in labels,
            "loss": far(made, note),
            "sought": sought(task, torch.from_numpy(z), note, distance) if order in seek else float("nan"),
            "nearest": losses[0],
            "oracle": min(losses),
            "floor": far(bank(own_levels(note, note), control), note),
            "loudness_db": loudness_error_db(made.flatten().numpy(), note),
            "noise_over_db": noise_over_db(made.flatten().numpy(), note),
        }
        rows.append(row)
        if order % step == 0 and len(shown) < SHOWN:
            best = near[int(np.argmin(losses))]
            shown.append(
                [
                    (f"{note.name}, real", note.audio.numpy(), ""),
                    ("made", made.flatten().numpy(), f"spectral loss {row['loss']:.2f}"),
                    ("oracle of five", best.flatten().numpy(), f"spectral loss {row['oracle']:.2f}"),
                ]
            )
    report: VoiceReport = {
        "items": len(rows),
        "split": split,
        "figures": summary(rows),
        "better_than_oracle": float(np.mean([row["loss"] < row["oracle"] for row in rows])),
        "learnt_instruments": float(np.mean([row["learnt"] for row in rows])),
        "latents_alive": sum(row["sign"] != "unused" for row in player.latents),
        "silence_dbfs": silence(player),
        "by_label": {
            label: float(np.mean([row["loss"] for row in rows if row["label"] == label]))
            for label in sorted({row["label"] for row in rows})
        },
        "rows": rows,
    }
    _write_sounds(shown, folder)
    groups = players(shown, SAMPLE_RATE_HZ, 1.5)
    return Judgement(report, write_page, groups)


def remade(player: Player, z: np.ndarray, control: Tensor) -> Tensor:
    """A note by its latents ``[1, Z]`` and its control ``[1, C, T]``."""
    latent = np.repeat(z[..., None], control.shape[2], 2).astype(np.float32)
    return torch.from_numpy(player.decode({"latent": latent, "control": control.numpy()}))


def own_levels(note: Note, target: Note) -> Tensor:
    """A note's analysed levels less its loudness, for the frames of another: its last one is held."""
    levels = torch.cat([note.harmonics, note.noise], 1) - (note.loudness * LOG_PER_DB)[:, None]
    if len(levels) < target.frames:
        levels = torch.cat([levels, levels[-1:].expand(target.frames - len(levels), -1)])
    return levels[: target.frames].T[None]


class Opponents:
    """Training notes, by what the encoder reads of them."""

    def __init__(self, notes: list[Note]):
        self.notes = notes
        self.seen = torch.stack([note.seen for note in notes])

    def nearest(self, note: Note) -> list[int]:
        """The five nearest."""
        far = (self.seen - note.seen).abs().mean((1, 2))
        return torch.argsort(far)[:CANDIDATES].tolist()

    def at(self, index: int, target: Note, bank: HarmonicBank) -> Tensor:
        """A training note's levels at the pitch and loudness of another note."""
        with torch.no_grad():
            return bank(own_levels(self.notes[index], target), target.control())


def sought(task: VoiceTask, z: Tensor, note: Note, distance: SpectralLoss) -> float:
    """Spectral loss of the best latents that gradients find from the encoder's, of a note's first 0.6 s."""
    frames = min(SEEKING_FRAMES, note.frames)
    control, wanted = note.control()[..., :frames], note.audio[None, None, : frames * HOP]
    latents = z.clone().requires_grad_(True)
    adam = torch.optim.Adam([latents], SEEKING_RATE)
    for _ in range(SEEKING_STEPS):
        made = task.model.decoder(latents[..., None].expand(-1, -1, frames), control)
        loss = distance(made, wanted)
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        made = task.model.decoder(latents[..., None].expand(-1, -1, note.frames), note.control())
        return float(distance(made, note.audio[None, None]))


def loudness_error_db(made: np.ndarray, note: Note) -> float:
    """Mean error of the loudness of the frames that sound."""
    wanted = note.loudness.numpy()
    found = loudness_db(made.astype(float), len(wanted))
    loud = wanted > wanted.max() - LOUD_DB
    return float(np.abs(found - wanted)[loud].mean())


def noise_over_db(made: np.ndarray, note: Note) -> float:
    """How much louder the noise is than the real note's, median over the frames that sound, both analysed."""
    loud = note.loudness.numpy()
    heard = np.flatnonzero(loud > loud.max() - LOUD_DB)
    heard = heard[:: max(1, len(heard) // NOISE_FRAMES)]
    bands = triangles(BANDS, np.linspace(0, SAMPLE_RATE_HZ / 2, 2049))
    theirs, own = note.noise.numpy()[heard], analysed(made.astype(float), note.f0.numpy(), heard).noise
    powers = [np.exp(2 * levels.astype(float)) @ bands.sum(1) for levels in (own, theirs)]
    return float(np.median(10 * np.log10(powers[0] / powers[1])))


def silence(player: Player) -> float:
    """Loudest sample, dBFS, of what is made of the mean timbre at −90 dB with the gate down."""
    frames = FRAMES_PER_S // 2
    note = Note(
        *("", "", 0, False, torch.zeros(frames * HOP), torch.full((frames,), 220.0)),
        *(torch.full((frames,), -90.0), torch.zeros(frames, HARMONICS), torch.zeros(0), torch.zeros(0)),
    )
    z = np.array([[row["mean"] for row in player.latents]], np.float32)
    made = remade(player, z, note.control())
    return 20 * float(np.log10(max(float(made.abs().max()), 1e-10)))


def summary(rows: list[VoiceRow]) -> VoiceFigures:
    """Means over the notes; the median of the loudness's error."""

    def mean(name: str, of: list[VoiceRow] = rows) -> float:
        return float(np.mean([row[name] for row in of])) if of else float("nan")  # type: ignore[literal-required]

    tried = [row for row in rows if not np.isnan(row["sought"])]
    return {
        "spectral_loss": mean("loss"),
        "spectral_loss_sought": mean("sought", tried),
        "spectral_loss_of_those": mean("loss", tried),
        "spectral_loss_nearest": mean("nearest"),
        "spectral_loss_oracle": mean("oracle"),
        "spectral_loss_floor": mean("floor"),
        "loudness_db_median": float(np.median([row["loudness_db"] for row in rows])),
        "noise_over_db": float(np.median([row["noise_over_db"] for row in rows])),
        "noise_within_3db": float(np.mean([row["noise_over_db"] <= NOISE_OVER_DB for row in rows])),
    }


def _write_sounds(shown: list[list[tuple[str, np.ndarray, str]]], folder: Path) -> None:
    """Real, made, oracle: a picture and one WAV with a quarter second between."""
    import soundfile

    gap = np.zeros(SAMPLE_RATE_HZ // 4, np.float32)
    rows = [(title, sound) for group in shown for title, sound, _ in group]
    joined = np.concatenate([part for _, sound in rows for part in (sound, gap)])
    soundfile.write(folder / "reconstructions.wav", np.clip(joined, -1, 1), SAMPLE_RATE_HZ)
    write_picture(folder / "reconstructions.png", spectrogram_figure(rows, SAMPLE_RATE_HZ, columns=3), 90)
