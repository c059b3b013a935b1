"""Judging spectra: notes that were never learnt, told again, and played at pitches that are asked for.

The opponents are training notes: of the five nearest on the same axis, the nearest and the best, chosen using
the target. The engine's inversion is judged apart, on the magnitudes of the recordings themselves, beside no
phases and random ones. Pitch is judged by YIN (de Cheveigné and Kawahara 2002), as librosa has it.
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
from train.judges.judged import Judgement
from train.judges.player import Player
from train.judges.spectra.page import SpectraFigures, SpectraReport, SpectraRow, write_page
from train.models.spectra.axis import moments
from train.models.spectra.network import control_of, seen_of
from train.models.spectra.play import played
from train.models.spectra.shape import HOP_S, MOMENTS
from train.models.spectra.spsi import SIZE, convergence_db, inverted, magnitudes, with_phases
from train.tasks.base import evenly
from train.tasks.spectra import SpectralNote, SpectraTask, audible, batch_of, soft

if TYPE_CHECKING:
    from train.data.store import DataSet

MOST_NOTES, CANDIDATES, SHOWN = 50, 5, 6
DB_PER_LOG = 20 / np.log(10)
PLAYED_HOPS = 188
FAR_OCTAVES = 0.5
"""How far from its own a note's latents are asked to sound, at most."""
LOWEST_HZ, HIGHEST_HZ = 65.0, 2000.0
IN_TUNE_CENTS = 10.0
SPAN = 1.8
LOOKED_AT = tuple(range(0, MOMENTS, 8))
"""Moments by which near notes are found."""
DETAILS = ("rows", "by_label")
NOT_ON_CARD = ("by_label",)


def judge(
    player: Player, data: DataSet, split: str, folder: Path, limit: int = 0
) -> Judgement[SpectraReport]:
    """Measure how near notes of a split come; write sounds to ``folder``."""
    task = player.task
    assert isinstance(task, SpectraTask)
    task.prepare(data, ("train",))
    opponents = Opponents(task.notes["train"])
    picked = evenly(data.split(split), limit or MOST_NOTES).tolist()
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[SpectraRow] = []
    shown: list[list[tuple[str, np.ndarray, str]]] = []
    step, rng = max(1, len(picked) // SHOWN), np.random.default_rng(5)
    for order, index in enumerate(picked):
        note = SpectralNote.of(data, int(index))
        batch = batch_of([note])
        z = player.encode(seen_of(batch["logs"], batch["hz"]).numpy())
        said = told(player, z, note.hz, torch.from_numpy(moments()))[0]
        near = [distance_db(opponents.notes[i].logs.float(), note) for i in opponents.nearest(note)]
        asked = float(np.clip(note.hz * 2 ** rng.uniform(-FAR_OCTAVES, FAR_OCTAVES), LOWEST_HZ, HIGHEST_HZ))
        hops = torch.arange(PLAYED_HOPS)
        sound = played(told(player, z, asked, hops)[0].numpy(), np.full(PLAYED_HOPS, asked))
        audio = data.texture(int(index))[: 2 * SAMPLE_RATE_HZ]
        inversion = phases_db(np.r_[np.zeros(SIZE), audio], rng)
        row: SpectraRow = {
            "name": note.name,
            "label": note.label,
            "distance": distance_db(said, note),
            "nearest": near[0],
            "oracle": min(near),
            "convergence": on_axis_db(said, note),
            "asked_hz": asked,
            "cents": cents_off(sound[: round(moments()[note.count - 1] * HOP_S * SAMPLE_RATE_HZ)], asked),
            "inverted": inversion[0],
            "no_phase": inversion[1],
            "random_phase": inversion[2],
        }
        rows.append(row)
        if order % step == 0 and len(shown) < SHOWN:
            own = played(told(player, z, note.hz, hops)[0].numpy(), np.full(PLAYED_HOPS, note.hz))
            own *= 10 ** ((level_db(audio) - level_db(own)) / 20)
            shown.append(
                [
                    (f"{note.name}, real", audio[: len(own)].astype(float), ""),
                    ("made", own, f"{row['distance']:.1f} dB"),
                    (f"made at {asked:.0f} Hz", sound, f"{row['cents']:+.0f} cents"),
                ]
            )
    report: SpectraReport = {
        "items": len(rows),
        "split": split,
        "figures": summary(rows),
        "better_than_oracle": float(np.mean([row["distance"] < row["oracle"] for row in rows])),
        "in_tune": float(np.mean([abs(row["cents"]) < IN_TUNE_CENTS for row in rows])),
        "latents_alive": sum(row["sign"] != "unused" for row in player.latents),
        "by_label": {
            label: float(np.mean([row["distance"] for row in rows if row["label"] == label]))
            for label in sorted({row["label"] for row in rows})
        },
        "rows": rows,
    }
    _write_sounds(shown, folder)
    groups = players(shown, SAMPLE_RATE_HZ, 1.5)
    return Judgement(report, write_page, groups)


def told(player: Player, z: np.ndarray, hz: float, hops: Tensor) -> Tensor:
    """Log magnitudes ``[1, T, 512]`` at some ages, by latents ``[1, Z]``."""
    latent = np.repeat(z[..., None], len(hops), 2).astype(np.float32)
    control = control_of(torch.tensor([hz]), hops).numpy()
    return torch.from_numpy(player.decode({"latent": latent, "control": control})).transpose(1, 2)


def distance_db(logs: Tensor, note: SpectralNote) -> float:
    """Mean distance of log magnitudes ``[T, 512]`` from a note's, down to 60 dB below its loudest, dB."""
    valid = audible(torch.tensor([note.hz]))[0] > 0
    far = (soft(logs) - soft(note.logs.float())).abs()[: note.count, valid]
    return float(DB_PER_LOG * far.mean())


def on_axis_db(logs: Tensor, note: SpectralNote) -> float:
    """Spectral convergence of magnitudes, dB."""
    made, wanted = torch.exp(logs[: note.count]), torch.exp(note.logs[: note.count].float())
    return convergence_db(made.numpy(), wanted.numpy())


def phases_db(audio: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """How far a sound's magnitudes are missed by the inversion, without phases and with random ones, dB."""
    wanted = magnitudes(audio)
    sounds = (
        inverted(wanted),
        with_phases(wanted, np.zeros_like(wanted)),
        with_phases(wanted, rng.uniform(0, 2 * np.pi, wanted.shape)),
    )
    one, two, three = (convergence_db(magnitudes(sound)[: len(wanted)], wanted) for sound in sounds)
    return one, two, three


def cents_off(sound: np.ndarray, hz: float) -> float:
    """Median distance from a pitch, cents."""
    from librosa import yin

    begun = np.asarray(sound[2048 : 2048 + SAMPLE_RATE_HZ // 2], float)
    found = yin(begun, fmin=hz / SPAN, fmax=hz * SPAN, sr=SAMPLE_RATE_HZ, frame_length=4096)
    return float(np.median(1200 * np.log2(found / hz)))


def level_db(sound: np.ndarray) -> float:
    """Loudness of a sound as a whole."""
    return float(10 * np.log10(np.mean(np.square(sound)) + 1e-12))


class Opponents:
    """Training notes, by their magnitudes."""

    def __init__(self, notes: list[SpectralNote]):
        self.notes = notes
        self.looked = torch.stack([note.logs[list(LOOKED_AT)] for note in notes])

    def nearest(self, note: SpectralNote) -> list[int]:
        """The five nearest."""
        wanted = soft(note.logs[list(LOOKED_AT)].float())
        far = torch.cat([(soft(part.float()) - wanted).abs().mean((1, 2)) for part in self.looked.split(256)])
        return torch.argsort(far)[:CANDIDATES].tolist()


def summary(rows: list[SpectraRow]) -> SpectraFigures:
    """Means over the notes."""

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in rows]))  # type: ignore[literal-required]

    return {
        "distance_db": mean("distance"),
        "distance_nearest_db": mean("nearest"),
        "distance_oracle_db": mean("oracle"),
        "convergence_db": mean("convergence"),
        "inversion_db": mean("inverted"),
        "no_phase_db": mean("no_phase"),
        "random_phase_db": mean("random_phase"),
        "cents_median": float(np.median([abs(row["cents"]) for row in rows])),
    }


def _write_sounds(shown: list[list[tuple[str, np.ndarray, str]]], folder: Path) -> None:
    """Real, made, made at another pitch: a picture and one WAV with a quarter second between."""
    import soundfile

    gap = np.zeros(SAMPLE_RATE_HZ // 4, np.float32)
    rows = [(title, sound.astype(np.float32)) for group in shown for title, sound, _ in group]
    joined = np.concatenate([part for _, sound in rows for part in (sound, gap)])
    soundfile.write(folder / "reconstructions.wav", np.clip(joined, -1, 1), SAMPLE_RATE_HZ)
    write_picture(folder / "reconstructions.png", spectrogram_figure(rows, SAMPLE_RATE_HZ, columns=3), 90)
