"""Training of the texture codec: windows of sound, heard and made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.signal import resample_poly
from torch import Tensor, nn

from common import pitch
from common.audio import SAMPLE_RATE_HZ
from common.outputs import encoder_beside
from common.refusal import Refusal
from train.data.clips import Clip
from train.export.export import Port
from train.export.unpack import Packed
from train.latents.table import RotatedEncoder
from train.losses import SpectralLoss, kl_loss, kl_per_latent, level_loss
from train.models.source_filter.ear import HOP
from train.models.source_filter.sound import HIGHEST_OCTAVE, LOWEST_OCTAVE
from train.models.texture import (
    CONTROLS,
    LATE,
    Hearing,
    TextureDecoder,
    TextureEncoder,
    TextureShape,
    TextureVAE,
    delayed,
)
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task, evenly

if TYPE_CHECKING:
    from train.data.kinds.texture import TextureItem
    from train.data.store import DataSet

JUDGED_SIZES = (2048, 1024, 512)
LEAD = 16
"""Hops before a window that are heard and not judged: what the convolutions remember."""
LOUDEST = 0.01
FIRST_LOG_VARIANCE = -3.0
DESCRIBED_WINDOWS = 512
MOST_VALIDATED_HOPS = 188
QUIETEST_CONTROL, LOUDEST_CONTROL = -5.3, 5.0
"""Of the loudness: −160 dBFS and full scale, with room."""


class TextureModelSection(Section):
    """Sizes; see ``TextureShape``."""

    latents: int = Field(default=8, ge=1, le=16)
    encoder: int = Field(default=64, ge=4, multiple_of=4)
    decoder: int = Field(default=96, ge=4, multiple_of=4)
    encoder_dilations: tuple[int, ...] = (1, 2)
    decoder_dilations: tuple[int, ...] = (1, 2, 4)
    bands: int = Field(default=48, ge=8, le=64, multiple_of=4)


class TextureLossSection(Section):
    """Weights of the reconstruction."""

    sizes: tuple[int, ...] = (2048, 512, 128)
    convergence: float = Field(default=1.0, ge=0)
    level: float = Field(default=0.3, ge=0)
    mel: float = Field(default=0.0, ge=0, description="weight of the distance of mel bands")


class TextureAugmentSection(Section):
    """Changes to a window that leave it what it is."""

    quieter_db: float = Field(default=9.0, ge=0)
    louder_db: float = Field(default=2.0, ge=0)
    mute: float = Field(default=0.02, ge=0, le=1, description="part of the windows that are silent")
    speeds: tuple[float, ...] = Field(
        default=(), description="also learn every recording played at these speeds, pitch and all"
    )


class TextureRecipe(Recipe):
    """A recipe of kind ``texture``."""

    kind: Literal["texture"]
    window: int = Field(default=64, ge=16, description="hops that count in a training window")
    model: TextureModelSection = TextureModelSection()
    loss: TextureLossSection = TextureLossSection()
    augment: TextureAugmentSection = TextureAugmentSection()


@dataclass(frozen=True)
class Recording:
    """A file of a split: sound in whole hops at the level of its file, its pitch and voicing a hop."""

    name: str
    label: str
    audio: np.ndarray
    octaves: np.ndarray
    voicing: np.ndarray

    @classmethod
    def of(cls, name: str, label: str, audio: np.ndarray) -> Recording:
        """Track the pitch of a sound, which is lengthened by silence to whole hops."""
        audio = np.pad(audio, (0, -len(audio) % HOP)).astype(np.float32)
        period, voicing = pitch.track(audio)
        return cls(name, label, audio, pitch.octaves(period).astype(np.float32), voicing)

    def at_speed(self, speed: float) -> Recording:
        """The same played faster, or slower below 1: higher with shorter resonances, as of a smaller body."""
        ratio = Fraction(speed).limit_denominator(32)
        audio = resample_poly(self.audio, ratio.denominator, ratio.numerator).astype(np.float32)
        audio = np.pad(audio, (0, -len(audio) % HOP))
        places = np.arange(len(audio) // HOP) * float(ratio)
        octaves, voicing = (
            np.interp(places, np.arange(self.hops), row).astype(np.float32)
            for row in (self.octaves + np.log2(float(ratio)), self.voicing)
        )
        return Recording(f"{self.name} at {speed:g}", self.label, audio, octaves, voicing)

    @property
    def hops(self) -> int:
        """Its length."""
        return len(self.octaves)

    def window(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sound, octaves and voicing of some hops, silence where there is no more of it."""
        start, stop = max(0, first), min(self.hops, first + count)
        before, after = start - first, first + count - stop
        audio = np.pad(self.audio[start * HOP : stop * HOP], (before * HOP, after * HOP))
        octaves = np.pad(self.octaves[start:stop], (before, after), mode="edge")
        return audio, octaves, np.pad(self.voicing[start:stop], (before, after))


class TextureTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = TextureRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("texture",)
    judge: ClassVar[str] = "train.judges.texture.judge"
    encoder_on_board: ClassVar[bool] = True
    recipe: TextureRecipe
    model: TextureVAE

    def __init__(self, recipe: TextureRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        loss = recipe.loss
        self.spectral = SpectralLoss(loss.sizes, convergence=loss.convergence, mel=loss.mel)
        self.judged = SpectralLoss(JUDGED_SIZES, linear=0.0, convergence=1.0)
        self.recordings: dict[str, list[Recording]] = {}
        self.drawn: list[Recording] = []
        self.described: dict[str, list[tuple[int, int]]] = {}

    def build(self) -> TextureVAE:
        """Make the untrained model."""
        return TextureVAE(TextureShape(**self.recipe.model.model_dump()))

    def start_from_file(self, path: Path) -> None:
        """Take the weights of a decoder's model file and of the encoder's beside it, as they were rounded.

        How sure the encoder was is in no file, and begins at the same for every latent.
        """
        decoder, encoder = self.model.decoder.network, self.model.encoder
        assert isinstance(encoder, TextureEncoder)
        ours = [m for m in decoder.modules() if isinstance(m, nn.Conv1d)]
        ours += [m for m in encoder.modules() if isinstance(m, nn.Conv1d) and m is not encoder.log_variance]
        theirs = Packed(path).layers() + Packed(encoder_beside(path)).layers()
        if [layer.weight.shape for layer in theirs] != [tuple(m.weight.shape) for m in ours]:
            raise Refusal(f"{path} cannot start {self.recipe.name}: its model has another shape")
        with torch.no_grad():
            for module, layer in zip(ours, theirs, strict=True):
                assert module.bias is not None
                module.weight.copy_(torch.tensor(layer.weight))
                offset = np.zeros(len(layer.weight), np.float32) if layer.bias is None else layer.bias
                module.bias.copy_(torch.tensor(offset))
            encoder.log_variance.weight.zero_()
            nn.init.constant_(encoder.log_variance.bias, FIRST_LOG_VARIANCE)  # type: ignore[arg-type]

    @classmethod
    def heard_in_turn(cls, data: DataSet, split: str) -> Iterator[tuple[str, np.ndarray]]:
        """A minute of a recording after the other."""
        for index in data.split(split).tolist():
            sound = data.texture(index)
            whole = sound[: len(sound) // HOP * HOP]
            if len(whole):
                yield data.manifest[index]["file"], whole[None, None].astype(np.float32)

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet[TextureItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Take whole files into memory and track their pitch."""
        for split in splits:
            files: dict[str, list[int]] = {}
            for index in data.split(split).tolist():
                files.setdefault(data.manifest[index]["file"], []).append(index)
            if not files:
                raise Refusal(
                    f"{data.directory} has nothing in its {split} split; add recordings and prepare again"
                )
            self.recordings[split] = [
                Recording.of(name, data.manifest[i[0]]["label"], np.concatenate([data.texture(j) for j in i]))
                for name, i in sorted(files.items())
            ]
            lengths = np.array([r.hops for r in self.recordings[split]])
            ends = np.cumsum(lengths)
            places = evenly(np.arange(0, ends[-1], self.recipe.window), DESCRIBED_WINDOWS)
            which = np.searchsorted(ends, places, side="right")
            self.described[split] = [
                (int(i), int(place - ends[i] + lengths[i])) for i, place in zip(which, places, strict=True)
            ]
        if "train" in splits:
            recordings = self.recordings["train"]
            speeds = self.recipe.augment.speeds
            self.drawn = recordings + [r.at_speed(speed) for speed in speeds for r in recordings]
            lengths = np.array([r.hops for r in self.drawn], float)
            self.up_to = np.cumsum(lengths / lengths.sum())

    def share(self, other: Task) -> bool:
        """Take the recordings of another task of the same data set."""
        if not isinstance(other, TextureTask) or (other.recipe.window, other.recipe.augment.speeds) != (
            self.recipe.window,
            self.recipe.augment.speeds,
        ):
            return False
        self.recordings, self.described = dict(other.recordings), dict(other.described)
        if "train" in self.recordings:
            self.drawn, self.up_to = other.drawn, other.up_to
        return bool(self.recordings)

    def draw(self, step: int) -> Batch:
        """Pick windows, long files more often, few of them silent; change their level."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        count = LEAD + recipe.window
        rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        names: list[str] = []
        while len(rows) < recipe.fit.batch:
            which = min(int(np.searchsorted(self.up_to, rng.random())), len(self.up_to) - 1)
            chosen = self.drawn[which]
            last = max(0, chosen.hops - recipe.window)
            first = int(rng.integers(-min(8, LEAD), last + 1))
            audio, octaves, voicing = chosen.window(first - LEAD, count)
            if np.abs(audio[LEAD * HOP :]).max() < LOUDEST and rng.random() > 0.1:
                continue
            level = rng.uniform(-recipe.augment.quieter_db, recipe.augment.louder_db)
            gain = 0.0 if rng.random() < recipe.augment.mute else 10 ** (level / 20)
            rows.append((audio * gain, octaves, voicing))
            names.append(chosen.name)
        return {**_batch(rows), "names": names}

    def validation_batches(self) -> list[Batch]:
        """The first second of the validation files."""
        chosen = self.recordings["validation"]
        picked = evenly(np.arange(len(chosen)), self.recipe.fit.validation_items)
        hops = min(MOST_VALIDATED_HOPS, max(chosen[i].hops for i in picked.tolist()))
        rows = [(chosen[i].window(-LEAD, LEAD + hops), chosen[i].name) for i in picked.tolist()]
        return [
            {**_batch([row for row, _ in rows[k : k + 16]]), "names": [name for _, name in rows[k : k + 16]]}
            for k in range(0, len(rows), 16)
        ]

    # Losses ---------------------------------------------------------------------------------------

    def hear(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Posterior mean and log-variance, and the control with the loudness, of a batch."""
        encoder = self.model.encoder
        inner = encoder.encoder if isinstance(encoder, RotatedEncoder) else encoder
        assert isinstance(inner, TextureEncoder)
        heard = inner.ear(batch["audio"])
        mean, log_variance = inner.of_bands(heard)
        if isinstance(encoder, RotatedEncoder):
            mean, log_variance = encoder.turned(mean, log_variance)
        return mean, log_variance, torch.cat([batch["tracked"], heard[:, -1:]], 1)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Spectra, level and KL."""
        weights = self.recipe.loss
        mean, log_variance, control = self.hear(batch)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        made = self.model.decoder(z, control)[..., LEAD * HOP :]
        wanted = delayed(batch["audio"])[..., LEAD * HOP :]
        flat = [x[..., LEAD:].transpose(1, 2).flatten(0, 1) for x in (mean, log_variance)]
        terms = {
            "spectral": self.spectral(made, wanted),
            "level": level_loss(made, wanted),
            "kl": kl_loss(flat[0], flat[1], self.recipe.kl.free_bits),
        }
        total = terms["spectral"] + weights.level * terms["level"] + self.beta() * terms["kl"]
        return total, terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Spectral distance, as the judge takes it, at the posterior's mean."""
        mean, log_variance, control = self.hear(batch)
        made = self.model.decoder(mean, control)[..., LEAD * HOP :]
        wanted = delayed(batch["audio"])[..., LEAD * HOP :]
        flat = [x[..., LEAD:].transpose(1, 2).flatten(0, 1) for x in (mean, log_variance)]
        kl = kl_per_latent(flat[0], flat[1])
        return {
            "score": self.judged(made, wanted),
            "level": level_loss(made, wanted),
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    # The way out ----------------------------------------------------------------------------------

    def take_network(self, network: nn.Module) -> None:
        """It says the filters, whose sound is made as before."""
        assert isinstance(self.model.decoder, TextureDecoder)
        self.model.decoder.network = network

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z and the control in, sound out."""
        control = Port(
            "control", "condition", f"1/{HOP}", CONTROLS, min(LOWEST_OCTAVE, QUIETEST_CONTROL), HIGHEST_OCTAVE
        )
        return [self._latent(), control], [Port("audio", "audio", "1", ("audio",), -1.0, 1.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Sound in; z and the loudness out."""
        loudness = Port("loudness", "condition", f"1/{HOP}", ("loudness",), QUIETEST_CONTROL, LOUDEST_CONTROL)
        return [Port("audio", "audio", "1", ("audio",), -1.0, 1.0)], [self._latent(), loudness]

    def _latent(self) -> Port:
        return Port("latent", "latent", f"1/{HOP}", tuple(f"z{i + 1}" for i in range(self.latents)), -4, 4)

    def encoder_module(self) -> nn.Module:
        """What the encoder's model file holds: the means alone, and the loudness beside them."""
        encoder = self.model.encoder
        if isinstance(encoder, RotatedEncoder):
            inner = encoder.encoder
            assert isinstance(inner, TextureEncoder)
            return Hearing(inner, encoder.inverse)
        return Hearing(encoder)

    def decoder_metadata(self) -> dict[str, Any]:
        """How late the sound is."""
        return {"latency_samples": LATE}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The decoder's first convolution."""
        return self.model.decoder.network.inlet.conv, slice(0, self.latents)  # type: ignore[union-attr,return-value]

    def _windows(self, split: str) -> Iterator[tuple[Recording, int]]:
        for which, first in self.described[split]:
            yield self.recordings[split][which], first

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Windows from all over the split."""
        size = self.recipe.window
        rows = [recording.window(first, size)[0] for recording, first in self._windows(split)]
        for first in range(0, len(rows), 16):
            yield torch.from_numpy(np.stack(rows[first : first + 16]))[:, None]

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Loudness and brightness of every hop of those windows."""
        loudness, brightness = [], []
        centres = torch.linspace(0, 1, self.model.shape.mels)
        with torch.no_grad():
            for audio in self.encoder_inputs(split):
                inner = self.model.encoder
                ear = inner.encoder.ear if isinstance(inner, RotatedEncoder) else inner.ear  # type: ignore[union-attr]
                heard = ear(audio)  # type: ignore[operator]
                weight = torch.exp(5 * heard[:, :-1])
                loudness.append(heard[:, -1].flatten())
                bright = (weight * centres[:, None]).sum(1) / weight.sum(1)
                brightness.append(bright.flatten())
        return {"loudness": torch.cat(loudness).numpy(), "brightness": torch.cat(brightness).numpy()}

    def kinds_of_items(self, split: str) -> list[str]:
        """The folder of every hop of those windows."""
        return [recording.label for recording, _ in self._windows(split) for _ in range(self.recipe.window)]

    def known_items(self, split: str) -> list[Clip]:
        """One a hop."""
        return [Clip("", self.recipe.kind, word) for word in self.kinds_of_items(split)]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Two seconds of real files, one a batch, from their beginning."""
        chosen = self.recordings[split]
        for index in evenly(np.random.default_rng(seed).permutation(len(chosen)), count).tolist():
            hops = min(chosen[index].hops, 2 * MOST_VALIDATED_HOPS)
            batch = _batch([chosen[index].window(0, hops)])
            with torch.no_grad():
                mean, _, control = self.hear(batch)
            feeds = {"latent": mean.numpy(), "control": control.numpy()}
            yield feeds, {"audio": delayed(batch["audio"]).numpy()}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """Half a second of a steady note a row."""
        hops = SAMPLE_RATE_HZ // 2 // HOP
        control = torch.tensor([0.0, 0.95, 1.5])[None, :, None].expand(len(z), 3, hops)
        with torch.no_grad():
            sound = self.model.decoder(z[:, :, None].expand(-1, -1, hops), control)[:, 0].numpy()
        from common.spectrogram import mosaic_figure

        rows = [(f"{title} {i + 1}", audio) for i, audio in enumerate(sound)]
        figure = mosaic_figure(rows, SAMPLE_RATE_HZ, len(z))
        return figure, np.clip(sound.reshape(-1), -1, 1), SAMPLE_RATE_HZ


def _batch(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Batch:
    """Sound ``[N, 1, S]``; octaves and voicing ``[N, 2, T]``."""
    audio, octaves, voicing = (np.stack(column).astype(np.float32) for column in zip(*rows, strict=True))
    tracked = np.stack([octaves, voicing], 1)
    return {"audio": torch.from_numpy(audio)[:, None], "tracked": torch.from_numpy(tracked)}
