"""Training of a spectral network: notes become magnitudes on an axis of harmonics, and are told from z."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from common.audio import SAMPLE_RATE_HZ
from train.export.export import Port
from train.losses import kl_loss, kl_per_latent
from train.models.spectra.axis import moments, note_magnitudes
from train.models.spectra.network import SEEN, SEEN_SCALE, SpectraVAE, control_of, seen_of
from train.models.spectra.play import played
from train.models.spectra.shape import (
    CONTROLS,
    HIGHEST_LOG,
    HIGHEST_OCTAVE,
    LOWEST_LOG,
    LOWEST_OCTAVE,
    MOMENTS,
    PER_HARMONIC,
    SpectraShape,
)
from train.models.spectra.spsi import BINS, HOP
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task, evenly

if TYPE_CHECKING:
    from train.data.kinds.voice import NoteItem
    from train.data.store import DataSet

FRAME_SAMPLES = 192
"""Of the data set's frames of pitch."""
FLOOR_LOG = -7.0
"""60 dB below the note's loudest moment: what is quieter counts as silence."""
BRIGHTEST_HZ = 22_000.0
HOPS = torch.from_numpy(moments())
NEAR_OCTAVES = 0.6
ASKED_MOMENTS = 16
"""Of a note, in a step: the encoder sees all of them."""


class SpectraModelSection(Section):
    """Sizes; see ``SpectraShape``."""

    latents: int = Field(default=8, ge=1, le=16)
    width: int = Field(default=112, ge=8, multiple_of=4)
    layers: int = Field(default=3, ge=1, le=8)
    encoder: int = Field(default=64, ge=8, multiple_of=4)


class SpectraLossSection(Section):
    """Weights of the reconstruction."""

    convergence: float = Field(default=1.0, ge=0, description="weight of what is loud, as magnitudes")


class SpectraAugmentSection(Section):
    """Versions of a note beside the recording."""

    octaves: float = Field(default=0.4, ge=0, description="by which a note may be told to be higher or lower")
    moved: float = Field(default=0.5, ge=0, le=1, description="part of the notes that are")
    bodies: float = Field(default=0.5, ge=0, le=1, description="part of the notes given another body")
    body_db: float = Field(default=4.0, ge=0, description="how much a body's response bends, dB")
    mixed: float = Field(default=0.3, ge=0, le=1, description="part of the notes mixed with another one")


class SpectraRecipe(Recipe):
    """A recipe of kind ``spectra``."""

    kind: Literal["spectra"]
    model: SpectraModelSection = SpectraModelSection()
    loss: SpectraLossSection = SpectraLossSection()
    augment: SpectraAugmentSection = SpectraAugmentSection()


@dataclass(frozen=True)
class SpectralNote:
    """A note of a split, by its magnitudes.

    Attributes
    ----------
    logs : Tensor, shape (MOMENTS, 512), float16
        Log magnitudes.
    count : int
        How many of the moments it is held.
    hz : float
        Its pitch.
    """

    name: str
    label: str
    logs: Tensor
    count: int
    hz: float

    @classmethod
    def of(cls, data: DataSet[NoteItem], index: int) -> SpectralNote:
        """Read a note of a data set."""
        item = data.manifest[index]
        first = int(data.arrays["offsets"][index]) // FRAME_SAMPLES
        f0 = np.array(data.arrays["f0"][first : first + item["frames"]], np.float32)
        logs, count = note_magnitudes(data.texture(index), f0, FRAME_SAMPLES, item["held"] * FRAME_SAMPLES)
        hz = float(np.median(f0[: max(2, item["held"])]))
        return cls(item["name"], item["label"], torch.from_numpy(logs), count, hz)


class SpectraTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = SpectraRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("voice",)
    judge: ClassVar[str] = "train.judges.spectra.judge"
    recipe: SpectraRecipe
    model: SpectraVAE

    def __init__(self, recipe: SpectraRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.notes: dict[str, list[SpectralNote]] = {}

    def build(self) -> SpectraVAE:
        """Make the untrained model."""
        return SpectraVAE(SpectraShape(**self.recipe.model.model_dump()))

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet[NoteItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Take the notes' magnitudes into memory."""
        for split in splits:
            picked = self.items_of(data, split, "add instruments and prepare again")
            self.notes[split] = [SpectralNote.of(data, int(index)) for index in picked]

    def share(self, other: Task) -> bool:
        """Take the notes of another task of the same data set."""
        if not isinstance(other, SpectraTask):
            return False
        self.notes = dict(other.notes)
        return bool(self.notes)

    def begin(self) -> None:
        """The decoder begins at the mean spectrum of the notes."""
        outlet = self.model.decoder.outlet
        assert outlet.bias is not None
        total = sum((note.logs.float().mean(0) for note in self.notes["train"]), torch.zeros(BINS))
        with torch.no_grad():
            outlet.bias.copy_(total / len(self.notes["train"]))

    def draw(self, step: int) -> Batch:
        """Pick notes and change some."""
        recipe, section = self.recipe, self.recipe.augment
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        every, count = self.notes["train"], recipe.fit.batch
        notes = [every[i] for i in rng.integers(0, len(every), count)]
        batch = batch_of(notes)
        self._mix(batch, notes, rng)
        if section.bodies:
            bend = torch.from_numpy(bodies(rng, count, batch["hz"].numpy(), section.body_db))
            some = torch.from_numpy((rng.random(count) < section.bodies).astype(np.float32))
            batch["logs"] = (batch["logs"] + (bend * some[:, None])[:, None]).clamp(LOWEST_LOG, HIGHEST_LOG)
        moved = rng.uniform(-section.octaves, section.octaves, count) * (rng.random(count) < section.moved)
        told = batch["hz"] * torch.exp2(torch.from_numpy(moved.astype(np.float32)))
        return {**batch, "hz": told, "top": torch.maximum(told, batch["hz"])}

    def _mix(self, batch: Batch, notes: list[SpectralNote], rng: np.random.Generator) -> None:
        """Add something of another note of about that pitch, by power, in place."""
        every, part = self.notes["train"], self.recipe.augment.mixed
        for row, note in enumerate(notes):
            others = [every[i] for i in rng.integers(0, len(every), 8)]
            near = min(others, key=lambda other: abs(float(np.log2(other.hz / note.hz))))
            share = float(rng.uniform(0, 0.7))
            if rng.random() < part and abs(float(np.log2(near.hz / note.hz))) < NEAR_OCTAVES:
                both = torch.logaddexp(
                    2 * batch["logs"][row] + float(np.log(1 - share)),
                    2 * near.logs.float() + float(np.log(share + 1e-6)),
                )
                batch["logs"][row] = (0.5 * both).clamp(LOWEST_LOG, HIGHEST_LOG)
                batch["held"][row] = torch.minimum(batch["held"][row], held_of([near])[0])

    def validation_batches(self) -> list[Batch]:
        """All notes, unchanged."""
        notes = self.notes["validation"]
        return [batch_of(notes[k : k + 32]) for k in range(0, len(notes), 32)]

    # Losses ---------------------------------------------------------------------------------------

    def said(self, batch: Batch, z: Tensor, at: Tensor) -> Tensor:
        """Log magnitudes ``[N, T, 512]`` of some moments by latents ``[N, Z]``."""
        control = control_of(batch["hz"], HOPS[at])
        return self.model.decoder(z[..., None].expand(-1, -1, len(at)), control).transpose(1, 2)  # type: ignore[no-any-return]

    def terms(self, said: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Distance of logs, and of magnitudes, over the moments and bins that count."""
        valid = audible(batch["top"])[:, None] * batch["held"][..., None]
        far = (soft(said) - soft(batch["logs"])).abs()
        per_bin = (far * valid).sum(2) / valid.sum(2).clamp(min=1)
        moments_held = batch["held"].sum().clamp(min=1)
        made, wanted = torch.exp(said.clamp(max=2.0)) * valid, torch.exp(batch["logs"]) * valid
        missed = torch.sqrt(((made - wanted) ** 2).sum(2) + 1e-8)
        rate = missed / torch.sqrt((wanted**2).sum(2) + 1e-4)
        return {
            "analysed": per_bin.sum() / moments_held,
            "convergence": (rate * batch["held"]).sum() / moments_held,
        }

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Both distances and KL."""
        mean, log_variance = self.model.encoder(seen_of(batch["logs"], batch["hz"]))
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        at = torch.randperm(MOMENTS)[:ASKED_MOMENTS]
        asked = {**batch, "logs": batch["logs"][:, at], "held": batch["held"][:, at]}
        terms = self.terms(self.said(batch, z, at), asked)
        terms["kl"] = kl_loss(mean, log_variance, self.recipe.kl.free_bits)
        total = terms["analysed"] + self.recipe.loss.convergence * terms["convergence"]
        return total + self.beta() * terms["kl"], terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """The distances at the posterior's mean."""
        mean, log_variance = self.model.encoder(seen_of(batch["logs"], batch["hz"]))
        terms = self.terms(self.said(batch, mean, torch.arange(MOMENTS)), batch)
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": terms["analysed"] + self.recipe.loss.convergence * terms["convergence"],
            **terms,
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    # The way out ----------------------------------------------------------------------------------

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z and the control in, log magnitudes out."""
        latent = Port("latent", "latent", f"1/{HOP}", self._names(), -4, 4)
        control = Port("control", "condition", f"1/{HOP}", CONTROLS, LOWEST_OCTAVE, HIGHEST_OCTAVE)
        bins = tuple(f"m{k}" for k in range(BINS))
        return [latent, control], [Port("magnitudes", "pattern", f"1/{HOP}", bins, LOWEST_LOG, HIGHEST_LOG)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """What is seen of a note in; the posterior out."""
        channels = tuple(f"f{i}" for i in range(SEEN))
        top = (HIGHEST_LOG - LOWEST_LOG) * SEEN_SCALE
        seen = Port("frames", "pattern", "event", channels, LOWEST_OCTAVE, max(top, HIGHEST_OCTAVE), MOMENTS)
        names = self._names()
        return [seen], [
            Port("mean", "latent", "event", names, -4, 4),
            Port("log_variance", "latent", "event", names, -8, 3),
        ]

    def _names(self) -> tuple[str, ...]:
        return tuple(f"z{i + 1}" for i in range(self.latents))

    def decoder_metadata(self) -> dict[str, Any]:
        """Nothing beside ports and latents."""
        return {}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The decoder's first convolution."""
        return self.model.decoder.inlet.conv, slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """All notes."""
        notes = self.notes[split]
        for first in range(0, len(notes), 64):
            batch = batch_of(notes[first : first + 64])
            yield seen_of(batch["logs"], batch["hz"])

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Brightness, sustain and hiss of every note."""
        rows: dict[str, list[float]] = {"brightness": [], "sustain": [], "hiss": []}
        order = torch.arange(BINS) / PER_HARMONIC
        for note in self.notes[split]:
            power = torch.exp(2 * note.logs[: note.count].float())
            mean = power.mean(0)
            rows["brightness"].append(float(torch.log((mean * order).sum() / mean.sum())))
            rows["sustain"].append(float(torch.log(power[-1].sum() / power.sum(1).max())))
            between = power[:, PER_HARMONIC // 2 :: PER_HARMONIC]
            rows["hiss"].append(float(torch.log(between.sum() / power.sum())))
        return {name: np.array(values) for name, values in rows.items()}

    def kinds_of_items(self, split: str) -> list[str]:
        """The instrument of every note."""
        return [note.label for note in self.notes[split]]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """The moments of notes, one note a batch."""
        notes = self.notes[split]
        for index in evenly(np.random.default_rng(seed).permutation(len(notes)), count).tolist():
            batch = batch_of([notes[index]])
            with torch.no_grad():
                mean, _ = self.model.encoder(seen_of(batch["logs"], batch["hz"]))
            feeds = {
                "latent": mean[..., None].expand(-1, -1, MOMENTS).numpy().copy(),
                "control": control_of(batch["hz"], HOPS).numpy(),
            }
            yield feeds, {"magnitudes": batch["logs"].transpose(1, 2).numpy().copy()}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """Half a second of a note a row."""
        from common.spectrogram import spectrogram_figure

        hops = torch.arange(94)
        control = control_of(torch.full((len(z),), 220.0), hops)
        with torch.no_grad():
            logs = self.model.decoder(z[:, :, None].expand(-1, -1, len(hops)), control).numpy()
        sounds = [played(row.T, np.full(len(hops), 220.0)) for row in logs]
        rows = [(f"{title} {i + 1}", sound) for i, sound in enumerate(sounds)]
        figure = spectrogram_figure(rows, SAMPLE_RATE_HZ, columns=len(z))
        return figure, np.clip(np.concatenate(sounds), -1, 1), SAMPLE_RATE_HZ


def soft(logs: Tensor) -> Tensor:
    """Logs above a floor."""
    return 0.5 * torch.logaddexp(2 * logs, torch.tensor(2 * FLOOR_LOG))


def audible(hz: Tensor) -> Tensor:
    """Which bins of the axis sound at these pitches, ``[N, 512]``."""
    bins = torch.arange(BINS) / PER_HARMONIC
    return ((bins * hz[:, None] < BRIGHTEST_HZ) & (bins > 0.3)).float()


def held_of(notes: list[SpectralNote]) -> Tensor:
    """Which moments count, ``[N, MOMENTS]``."""
    counts = torch.tensor([note.count for note in notes])
    return (torch.arange(MOMENTS) < counts[:, None]).float()


def batch_of(notes: list[SpectralNote]) -> Batch:
    """Notes side by side; ``top`` is the pitch up to whose Nyquist harmonic they are known."""
    hz = torch.tensor([note.hz for note in notes])
    return {
        "logs": torch.stack([note.logs.float() for note in notes]),
        "hz": hz,
        "top": hz,
        "held": held_of(notes),
        "names": [note.name for note in notes],
    }


def bodies(rng: np.random.Generator, count: int, hz: np.ndarray, deepest_db: float) -> np.ndarray:
    """Smooth bends of magnitudes along frequency, log ``[N, 512]``."""
    octaves = np.log2(np.maximum(np.arange(BINS) / PER_HARMONIC, 0.25) * hz[:, None] / 20.0)
    bend = np.zeros((count, BINS))
    for _ in range(3):
        waves = rng.uniform(0.1, 0.7, (count, 1))
        bend += rng.uniform(-1, 1, (count, 1)) * np.sin(
            2 * np.pi * (waves * octaves + rng.random((count, 1)))
        )
    return np.asarray(bend * deepest_db / 3**0.5 * np.log(10) / 20, np.float32)
