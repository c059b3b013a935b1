"""Training of the mel VAE: pictures of every clip, with or without effect, from one data set or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from common.audio import SAMPLE_RATE_HZ
from common.figure import new_figure
from common.refusal import Refusal
from common.spectrogram import add_level_bar, draw_bands
from train.data.clips import NO_EFFECT, Clip
from train.data.kinds import preparation
from train.export.export import Port
from train.losses import kl_loss, kl_per_latent
from train.models.mel import STEPS, MelShape, MelVAE
from train.models.vocoder import SPAN_DB, Vocoder
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task, evenly

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAVERSAL_ROUNDS = 12


class MelModelSection(Section):
    """Sizes; see ``MelShape``."""

    latents: int = Field(default=16, ge=1, le=256)
    mels: int = Field(default=80, ge=16, le=256)
    frames: int = Field(default=96, ge=STEPS, multiple_of=STEPS)
    size: int = Field(default=2048, ge=256, description="FFT size, samples")
    hop: int = Field(default=512, ge=64, description="samples from frame to frame")
    channels: int = Field(default=128, ge=4, multiple_of=4)


class MelAugmentSection(Section):
    """Changes to a picture that leave it what it is."""

    gain_db: float = Field(default=3.0, ge=0, description="level by up to ± this")
    late: int = Field(default=4, ge=0, description="phrases begin up to so many frames late")


class MelRecipe(Recipe):
    """A recipe of kind ``mel``."""

    kind: Literal["mel"]
    beside: tuple[str, ...] = Field(default=(), description="further data sets, drum or drive, seen as often")
    model: MelModelSection = MelModelSection()
    augment: MelAugmentSection = MelAugmentSection()

    @field_validator("model")
    @classmethod
    def _hop_fits(cls, model: MelModelSection) -> MelModelSection:
        if model.hop * 2 > model.size:
            raise ValueError(f"hop {model.hop} is more than half of size {model.size}; lower it")
        return model


class MelTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = MelRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("drum", "drive")
    judge: ClassVar[str] = "train.judges.mel"
    on_board: ClassVar[bool] = False
    recipe: MelRecipe
    model: MelVAE

    def __init__(self, recipe: MelRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        sizes = recipe.model
        self.vocoder = Vocoder(sizes.mels, sizes.frames, sizes.size, sizes.hop)
        self.pictures: dict[str, np.ndarray] = {}
        self.clips: dict[str, list[Clip]] = {}
        self.kept: dict[str, np.ndarray] = {}  # audio, of what was asked for with it
        self.keep_audio = False

    def build(self) -> MelVAE:
        """Make the untrained model."""
        sizes = self.recipe.model
        return MelVAE(MelShape(sizes.latents, sizes.mels, sizes.frames, sizes.channels))

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: Any, splits: Sequence[str] = ("train", "validation")) -> None:
        """Cut the clips of all data sets and take their pictures."""
        from train.data.store import DataSet

        opened = [data, *(DataSet.open(folder) for folder in self.recipe.beside)]
        for one, then in zip(opened[1:], self.facts.get("beside", []), strict=False):
            if one.hash != then["hash"]:
                raise Refusal(
                    f"{one.directory} is other data than {self.recipe.name} was trained on beside "
                    f"({then['hash'][:12]}, now {one.hash[:12]}); use that data"
                )
        opened = [data, *(one for one in opened[1:] if one.hash != data.hash)]
        for one in opened:
            self.check_data(one, f"{self.recipe.name} sees")
        for split in splits:
            self._take(opened, split)
        if "beside" not in self.facts:
            self.facts["beside"] = [_reference(DataSet.open(folder)) for folder in self.recipe.beside]
        if "train" in splits:
            sets = np.array([clip.data_set for clip in self.clips["train"]])
            share = {name: (sets == name).mean() for name in set(sets)}
            weight = np.array([1 / share[name] for name in sets])
            self.chances = weight / weight.sum()

    def share(self, other: Task) -> bool:
        """Take the pictures of another task, if it sees in the same way and has the same data beside."""
        same = (
            isinstance(other, MelTask)
            and other.vocoder == self.vocoder
            and other.facts.get("beside") == self.facts.get("beside")
            and bool(other.pictures)
        )
        if same:
            assert isinstance(other, MelTask)
            self.pictures, self.clips = dict(other.pictures), dict(other.clips)
        return same

    def _take(self, opened: list[Any], split: str) -> None:
        known: list[Clip] = []
        pictures: list[np.ndarray] = []
        kept: list[np.ndarray] = []
        for data in opened:
            first = len(known)
            group: list[np.ndarray] = []
            for clip, audio in preparation(data.kind).clips(data, split, self.vocoder.samples):
                if not np.isfinite(audio).all():
                    raise Refusal(
                        f"{clip.name} in {data.directory} holds NaN or infinity; leave it out, prepare again"
                    )
                known.append(clip if clip.dry < 0 else _moved(clip, first))
                group.append(audio)
                if len(group) == 64:
                    pictures.append(self.vocoder.picture(np.stack(group)))
                    kept += group if self.keep_audio else []
                    group = []
            if group:
                pictures.append(self.vocoder.picture(np.stack(group)))
                kept += group if self.keep_audio else []
        if not known:
            where = ", ".join(str(data.directory) for data in opened)
            raise Refusal(f"{where} has nothing in its {split} split; prepare it from more recordings")
        self.clips[split], self.pictures[split] = known, np.concatenate(pictures)
        if self.keep_audio:
            self.kept[split] = np.stack(kept)

    def draw(self, step: int) -> Batch:
        """Pick pictures, each kind of data as often; shift their level and, of phrases, their beginning."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        picked = rng.choice(len(self.chances), recipe.fit.batch, p=self.chances)
        pictures = self.pictures["train"][picked]
        if recipe.augment.gain_db:
            shift = rng.uniform(-1, 1, (len(picked), 1, 1)) * recipe.augment.gain_db / SPAN_DB
            pictures = np.maximum(pictures + shift * (pictures > -1), -1).astype(np.float32)
        for row, index in enumerate(picked):
            late = int(rng.integers(0, recipe.augment.late + 1))
            if late and not self.clips["train"][index].struck:
                pictures[row, :, late:] = pictures[row, :, :-late].copy()
                pictures[row, :, :late] = -1.0
        return {
            "picture": torch.from_numpy(pictures),
            "names": [self.clips["train"][i].name for i in picked],
        }

    def validation_batches(self) -> list[Batch]:
        """Pictures of the validation split."""
        picked = evenly(np.arange(len(self.pictures["validation"])), self.recipe.fit.validation_items)
        return [
            {
                "picture": torch.from_numpy(self.pictures["validation"][some]),
                "names": [self.clips["validation"][i].name for i in some],
            }
            for some in np.array_split(picked, -(-len(picked) // 64))
        ]

    # Losses ---------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the picture and the KL."""
        picture = batch["picture"]
        mean, log_variance = self.model.encoder(picture)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        made = self.model.decoder(z[:, :, None])
        terms = {
            "picture": ((made - picture) ** 2).mean(),
            "kl": kl_loss(mean, log_variance, self.recipe.kl.free_bits),
        }
        return terms["picture"] + self.beta() * terms["kl"], terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Mel distance, dB, at the posterior's mean."""
        mean, log_variance = self.model.encoder(batch["picture"])
        made = self.model.decoder(mean[:, :, None])
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": mel_distance(made, batch["picture"]).mean(),
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    # The way out ----------------------------------------------------------------------------------

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z in, a picture out."""
        z = Port("z", "latent", "event", tuple(f"z{i + 1}" for i in range(self.latents)), -4.0, 4.0)
        return [z], [Port("picture", "pattern", "event", self._bands(), -1.0, 1.5)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """A picture in, posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        frames = self.recipe.model.frames
        return [Port("picture", "pattern", "event", self._bands(), -1.0, 1.5, length=frames)], outputs

    def _bands(self) -> tuple[str, ...]:
        return tuple(f"mel {i}" for i in range(self.recipe.model.mels))

    def decoder_metadata(self) -> dict[str, Any]:
        """How a picture is taken, and what else it was trained on."""
        return {"picture": self.vocoder.describe(), "beside": self.facts.get("beside", []), "attributes": []}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The first layer reads nothing but z."""
        return self.model.decoder.body[0], slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """All pictures, a hundred at a time."""
        pictures = self.pictures[split]
        for first in range(0, len(pictures), 100):
            yield torch.from_numpy(pictures[first : first + 100])

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """How loud, how bright and how long."""
        power = 10 ** ((self.pictures[split].astype(np.float64) - 1) * SPAN_DB / 10)
        total = power.sum((1, 2))
        bands, frames = (np.arange(n) for n in power.shape[1:])
        return {
            "loudness": np.log(total),
            "brightness": (power.sum(2) * bands).sum(1) / total,
            "length": (power.sum(1) * frames).sum(1) / total,
        }

    def kinds_of_items(self, split: str) -> list[str]:
        """The effect of what has one, the sound of what has none."""
        return [clip.sound if clip.effect == NO_EFFECT else clip.effect for clip in self.clips[split]]

    def known_items(self, split: str) -> list[Clip]:
        """What is known of every clip."""
        return self.clips[split]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """All at once."""
        picked = np.random.default_rng(seed).permutation(len(self.pictures[split]))[:count]
        pictures = self.pictures[split][picked]
        with torch.no_grad():
            mean, _ = self.model.encoder(torch.from_numpy(pictures))
        yield {"z": mean.numpy()[:, :, None]}, {"picture": pictures}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """Pictures in a row, and their sounds."""
        with torch.no_grad():
            made = self.model.decoder(z[:, :, None]).numpy()
        sounds = [self.vocoder.sound(picture, TRAVERSAL_ROUNDS) for picture in made]
        figure = picture_figure([("", picture) for picture in made], self.vocoder, columns=len(made))
        figure.suptitle(title, fontsize=9)
        return figure, np.clip(np.concatenate(sounds), -1, 1), SAMPLE_RATE_HZ


def mel_distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Root-mean-square difference of pictures ``[N, mels, frames]``, dB, of each."""
    return torch.sqrt(((made.clamp(min=-1.0) - wanted) ** 2).mean((1, 2))) * SPAN_DB


def picture_figure(pictures: Sequence[tuple[str, np.ndarray]], vocoder: Vocoder, columns: int) -> Figure:
    """Log-mel pictures side by side; 80 dB below full scale is black."""
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = new_figure(rows, columns, 2.3 * columns + 0.6, 1.7 * rows + 0.3)
    for axis in axes.flat[len(pictures) :]:
        axis.remove()
    seconds = vocoder.samples / SAMPLE_RATE_HZ
    for place, (axis, (title, picture)) in enumerate(zip(axes.flat, pictures, strict=False)):
        image = draw_bands(axis, (picture - 1) * SPAN_DB, seconds, vocoder.band_hz)
        axis.set_title(title, fontsize=8)
        if place % columns == 0:
            axis.set_ylabel("kHz")
        if place + columns >= len(pictures):
            axis.set_xlabel("time, s")
    add_level_bar(figure, image, list(axes.flat[: len(pictures)]))
    return figure


def _moved(clip: Clip, first: int) -> Clip:
    """The same, its dry clip counted from another beginning."""
    import dataclasses

    return dataclasses.replace(clip, dry=clip.dry + first)


def _reference(data: Any) -> dict[str, Any]:
    source = data.head.get("source") or {}
    kept = {key: source[key] for key in ("licence", "credits", "title") if source.get(key)}
    return {"path": str(data.directory), "hash": data.hash, "kind": data.kind, **kept}
