"""Training of the drum VAE: analysed hits first, then spectra; a critic at the end, if the recipe asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from common.model_metadata import ModelMetadata
from common.outputs import encoder_beside
from common.refusal import Refusal
from train.analysis.hit.changes import MAX_SAMPLES
from train.analysis.hit.homes import homes_of
from train.analysis.hit.targets import WEIGHTS, Targets, begin_at_mean, distance
from train.analysis.hit.variants import Changes, Version, versions
from train.attributes.scale import GroupedScale, grouped_description, grouped_scales_of
from train.attributes.sound import SOUND_ATTRIBUTES, measure_sound
from train.export.export import Port
from train.export.unpack import Packed
from train.latents.centre import ClassCentres
from train.latents.table import RotatedEncoder
from train.losses import (
    BalanceLoss,
    PartialsLoss,
    SpectralLoss,
    kl_loss,
    kl_per_latent,
    level_loss,
    loudest_loss,
    ramp,
    transient_loss,
)
from train.models.drum import FRAMES, Answering, DrumVAE
from train.models.hit.control import HitControl
from train.models.hit.encoder import ASIDE, Drafts, HitEncoder, Views
from train.models.hit.shape import FRAME, HitShape
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task

JUDGED_SIZES = (2048, 1024, 512)  # FFT sizes of the validation's distance, those of the judge


class DrumModelSection(Section):
    """Sizes; see ``HitShape``."""

    latents: int = Field(default=16, ge=1, le=64)
    attributes: tuple[Literal["brightness", "decay"], ...] = ("brightness", "decay")
    trunk: tuple[int, ...] = (128, 160)
    noise_rank: int = Field(default=48, ge=4, multiple_of=4)
    transient_rank: int = Field(default=32, ge=4, multiple_of=4)
    encoder: int = Field(default=64, ge=16, multiple_of=16)
    looks: int = Field(default=2, ge=0, le=8)


class DrumAnalysedSection(Section):
    """The first part of the training, which learns from analysed hits."""

    share: float = Field(default=0.25, ge=0, le=1, description="part of the training")
    pace: float = Field(default=2.0, gt=0, description="times the learning rate")


class DrumLossSection(Section):
    """Weights of the second part, which listens."""

    sizes: tuple[int, ...] = (2048, 1024, 512, 128)
    linear: float = Field(default=0.5, ge=0, description="weight of linear beside log magnitudes")
    convergence: float = Field(default=1.0, ge=0, description="weight of the loudest bins' distance")
    attack: float = Field(default=10.0, ge=0, description="how much more the spectra of the attack count")
    transient: float = Field(default=0.1, ge=0, description="weight of the attack's waveform")
    transient_ms: float = Field(default=8.0, gt=0, description="length of the attack")
    level: float = Field(default=0.7, ge=0)
    loudest: float = Field(default=0.8, ge=0, description="weight of the loudest 25 ms' level")
    balance: float = Field(default=0.15, ge=0, description="weight of the energies by thirds of octaves")
    rumble: float = Field(
        default=4.0, ge=0, description="how many times the others a band below 90 Hz counts"
    )
    partials: float = Field(default=0.2, ge=0, description="weight of how far partials stand out of noise")
    guess: float = Field(default=0.1, ge=0, description="weight of the class and knobs the encoder guesses")
    later: float = Field(
        default=0.3, ge=0, le=1, description="part of the windows that begin after the stroke"
    )
    centre: float = Field(default=0.05, ge=0, description="pull of each class's latents to one middle")
    homes: float = Field(
        default=0.06, ge=0, le=1, description="part of the hits that teach each class's rest position"
    )


class DrumAugmentSection(Section):
    """Versions of a sound beside the recording; see ``Changes``."""

    speeds: int = Field(default=3, ge=0, le=8, description="other speeds that each hit is played at")
    octaves: float = Field(default=0.35, ge=0, description="by how much, at most")
    colour: float = Field(default=1.0, ge=0, description="how strongly versions are filtered")
    damp: float = Field(default=0.4, ge=0, le=1, description="part of the versions that are damped")
    mix: float = Field(
        default=0.4, ge=0, le=1, description="part of the other speeds whose noise is another hit's"
    )
    other: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="part of the hits whose other version is asked for than is heard",
    )


class CriticSection(Section):
    """Last part: the encoder rests, a critic listens."""

    start: float = Field(
        default=1.0, ge=0, le=1, description="part of the training after which it begins; 1 never"
    )
    warmup: float = Field(
        default=0.1, ge=0, le=1, description="part of the training until it is heeded in full"
    )
    weight: float = Field(default=0.1, ge=0)
    features: float = Field(default=1.0, ge=0)
    channels: int = Field(default=12, gt=0)
    learning_rate: float = Field(default=3e-4, gt=0)


class DrumRecipe(Recipe):
    """A recipe of kind ``drum``."""

    kind: Literal["drum"]
    window_s: float = Field(default=0.24, ge=0.1, le=2.0, description="length of the training windows")
    model: DrumModelSection = DrumModelSection()
    analysed: DrumAnalysedSection = DrumAnalysedSection()
    loss: DrumLossSection = DrumLossSection()
    augment: DrumAugmentSection = DrumAugmentSection()
    critic: CriticSection = CriticSection()


class DrumTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = DrumRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("drum",)
    judge: ClassVar[str] = "train.judges.drum"
    recipe: DrumRecipe
    model: DrumVAE

    def __init__(self, recipe: DrumRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        loss = recipe.loss
        self.spectral = SpectralLoss(loss.sizes, linear=loss.linear, convergence=loss.convergence)
        self.judged = SpectralLoss(JUDGED_SIZES, linear=0.0, convergence=1.0)
        samples = round(recipe.window_s * SAMPLE_RATE_HZ / FRAME) * FRAME
        self.balance = BalanceLoss(samples, rumble=loss.rumble)
        self.partials = PartialsLoss(samples)
        self.centres = ClassCentres(len(CLASSES), self.latents)
        self.sounds: dict[str, list[np.ndarray]] = {}
        self.labels: dict[str, np.ndarray] = {}
        self.names: dict[str, list[str]] = {}
        self.measured: dict[str, dict[str, np.ndarray]] = {}
        self.versions: list[Version] = []
        self.homes: list[int] = []

    @classmethod
    def facts_of_file(cls, about: ModelMetadata) -> dict[str, Any]:
        """The attributes' scales; which classes were trained is not said."""
        return {"scales": grouped_scales_of(about), "class_counts": []}

    def build(self) -> DrumVAE:
        """Make the untrained model."""
        return DrumVAE(HitShape(**self.recipe.model.model_dump()), self.recipe.seed)

    def build_opponent(self) -> nn.Module | None:
        """The critic, if the recipe has one."""
        if self.recipe.critic.start >= 1:
            return None
        from train.models.hit.critic import HitCritic

        return HitCritic(self.recipe.critic.channels, len(CLASSES))

    def opponent_rate(self) -> float:
        """Learning rate of the critic."""
        return self.recipe.critic.learning_rate

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: Any, splits: Sequence[str] = ("train", "validation")) -> None:
        """Read the hits, peak-normalised, measure their attributes; take the training's ones apart."""
        classes = data.class_index()
        for split in splits:
            picked = self.items_of(data, split, "prepare it from more kits")
            sounds = [np.asarray(data.audio(int(i))[:MAX_SAMPLES], np.float32) for i in picked]
            self.names[split] = [data.manifest[int(i)]["name"] for i in picked]
            for name, sound in zip(self.names[split], sounds, strict=True):
                if not np.isfinite(sound).all():
                    raise Refusal(
                        f"{name} in {data.directory} holds NaN or infinity; leave it out, prepare again"
                    )
            self.sounds[split] = sounds
            rows = [measure_sound(sound) for sound in sounds]
            self.measured[split] = {n: np.array([row[n] for row in rows]) for n in SOUND_ATTRIBUTES}
            one_hot = np.eye(len(CLASSES), dtype=np.float32)[classes[picked]]
            if split == "train" and "scales" not in self.facts:
                groups = [CLASSES[c] for c in classes[picked]]
                self.facts["scales"] = {
                    n: dict(GroupedScale.fit(self.measured[split][n], groups).values)
                    for n in self.recipe.model.attributes
                }
                self.facts["class_counts"] = one_hot.sum(0).astype(int).tolist()
            self.labels[split] = self._labels(one_hot, self.measured[split])
        if "train" in splits:
            # Classes are uneven; a rarer class is drawn more often, by the root of its rarity.
            one_hot = self.labels["train"][:, : len(CLASSES)]
            weight = one_hot @ (1 / np.sqrt(np.maximum(one_hot.sum(0), 1)))
            self.chances = weight / weight.sum()
            self.directory, self.key = data.directory, data.hash

    def _take_apart(self) -> None:
        """Analyse the training's sounds in all their versions; judging and exporting need none of it."""
        augment = self.recipe.augment
        changes = Changes(augment.speeds, augment.octaves, augment.colour, augment.damp, augment.mix)
        place = self.directory / "hits"
        one_hot = self.labels["train"][:, : len(CLASSES)]
        self.versions = versions(
            self.sounds["train"],
            self.names["train"],
            one_hot.argmax(1),
            changes,
            self.model.shape,
            place,
            self.key,
        )
        # Version by version, one long table each: row v · hits + i.
        self.version_labels = np.concatenate([self._labels(one_hot, v.measured) for v in self.versions])
        self.told = torch.from_numpy(self.version_labels)
        self.targets = Targets(*map(torch.cat, zip(*(v.targets for v in self.versions), strict=True)))
        self.views = Views(*map(torch.cat, zip(*(v.views for v in self.versions), strict=True)))
        self.homes = homes_of(one_hot.argmax(1), self.measured["train"], self.versions[0].views.whole)

    def start_from_file(self, path: Path) -> None:
        """Take the weights of a decoder's model file and of the encoder's beside it, as far as that goes.

        The decoder's are as they were rounded; latents are those of the file. What the file's encoder had
        not begins untrained.
        """
        control, encoder = self.model.decoder.control, self.model.encoder
        assert isinstance(control, HitControl) and isinstance(encoder, HitEncoder)
        ours = [m for m in control.in_order() if isinstance(m, nn.Conv1d)]
        theirs = Packed(path).layers()
        packed = Packed(encoder_beside(path))
        named, inverse_t = packed.named("encoder."), packed.matrix_of("mean")
        shapes = [tuple(layer.weight.shape) for layer in theirs]
        if shapes != [tuple(m.weight.shape) for m in ours] or inverse_t is None or "head.weight" not in named:
            raise Refusal(f"{path} cannot start {self.recipe.name}: its model has another shape")
        with torch.no_grad():
            for module, layer in zip(ours, theirs, strict=True):
                module.weight.copy_(torch.tensor(layer.weight))
                if module.bias is not None and layer.bias is not None:
                    module.bias.copy_(torch.tensor(layer.bias))
            for name, tensor in encoder.state_dict().items():
                if name in named and not name.startswith(("head.", "control.", "sketch.")):
                    tensor.copy_(torch.tensor(named[name]))
            inverse = torch.tensor(inverse_t.T)
            self._turn_head(named, inverse)
            if encoder.shape.looks and "mender.layers.0.weight" in named:
                mean = slice(-self.latents - len(encoder.shape.knobs), -len(encoder.shape.knobs))
                first, last = encoder.mender.layers[0], encoder.mender.layers[-1]
                first.weight[:, mean] = first.weight[:, mean] @ torch.linalg.inv(inverse)  # type: ignore[index,operator]
                for tensor in (last.weight, last.bias):
                    tensor.copy_(inverse @ tensor)  # type: ignore[operator]
        encoder.look_at(control)

    def _turn_head(self, named: dict[str, np.ndarray], inverse: Tensor) -> None:
        """Take the head of an encoder whose posterior a file turns by ``inverse [Z, Z]``."""
        assert isinstance(self.model.encoder, HitEncoder)
        head, whole = self.model.encoder.head, 2 * self.latents
        for ours, name in ((head.weight, "head.weight"), (head.bias, "head.bias")):
            theirs = torch.tensor(named[name])
            ours[: len(theirs)] = theirs
            ours[: self.latents] = inverse @ theirs[: self.latents]
        # of a sum of variances each counts by its part where nothing is heard
        variances = inverse**2 * head.bias[self.latents : whole].exp()
        parts = variances / variances.sum(1, keepdim=True)
        head.weight[self.latents : whole] = parts @ head.weight[self.latents : whole]
        head.bias[self.latents : whole] = torch.log(variances.sum(1))

    def setup(self, stage: str) -> None:
        """Take the training's sounds apart; before a checkpoint's weights are read."""
        if not self.versions:
            self._take_apart()
        if self.recipe.analysed.share > 0 and not self.recipe.fit.start:
            control = self.model.decoder.control
            assert isinstance(control, HitControl)
            begin_at_mean(control, self.versions[0].targets)

    def _labels(self, one_hot: np.ndarray, measured: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([one_hot, self.attribute_knobs(measured, one_hot)], 1).astype(np.float32)

    def attribute_knobs(self, measured: dict[str, np.ndarray], one_hot: np.ndarray) -> np.ndarray:
        """Knob positions ``[N, attributes]`` of measured quantities, each within its class."""
        groups = [CLASSES[i] for i in one_hot[:, : len(CLASSES)].argmax(1)]
        columns = [
            GroupedScale(self.facts["scales"][n]).knob(measured[n], groups)
            for n in self.recipe.model.attributes
        ]
        return np.array(columns, np.float32).T.reshape(len(groups), len(columns))

    def draw(self, step: int) -> Batch:
        """Pick hits, what is heard and what is wanted of each, and windows in time."""
        recipe = self.recipe
        if not self.versions:  # a run that is opened again
            self._take_apart()
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        count = recipe.fit.batch
        picked = rng.choice(len(self.chances), count, p=self.chances)
        groups = np.arange(len(self.versions)).reshape(-1, 2)[
            rng.integers(len(self.versions) // 2, size=count)
        ]
        side = rng.integers(2, size=count)
        other = side ^ (rng.random(count) < recipe.augment.other)
        heard, wanted = groups[np.arange(count), side], groups[np.arange(count), other]
        at_home = rng.random(count) < recipe.loss.homes
        homes = np.array(self.homes)[rng.integers(len(self.homes), size=count)]
        picked, heard, wanted = (
            np.where(at_home, a, b) for a, b in ((homes, picked), (0, heard), (0, wanted))
        )
        knobs = self.version_labels[wanted * len(self.chances) + picked]
        knobs[at_home, len(CLASSES) :] = 0.0
        frames = round(recipe.window_s * SAMPLE_RATE_HZ / FRAME)
        start = np.zeros(count, np.int64)
        windows = np.zeros((count, 1, frames * FRAME), np.float32)
        later = rng.random(count) < recipe.loss.later
        places = rng.random(count)
        for row, (version, index) in enumerate(zip(wanted, picked, strict=True)):
            sound = self.versions[version].sounds[index]
            if later[row]:
                start[row] = int(places[row] * max(1.0, len(sound) / FRAME - frames / 2))
            part = sound[start[row] * FRAME :][: frames * FRAME]
            windows[row, 0, : len(part)] = part
        return {
            "heard": torch.from_numpy(heard * len(self.chances) + picked),
            "asked": torch.from_numpy(wanted * len(self.chances) + picked),
            "knobs": torch.from_numpy(knobs),
            "at_home": torch.from_numpy(at_home),
            "start": torch.from_numpy(start),
            "wanted": torch.from_numpy(windows),
            "names": [self.names["train"][i] for i in picked],
        }

    def validation_batches(self) -> list[Batch]:
        """Whole validation hits."""
        batches = []
        sounds = self.sounds["validation"]
        for first in range(0, len(sounds), 16):
            group = sounds[first : first + 16]
            batches.append(
                {
                    "heard": torch.from_numpy(_padded(group)),
                    "knobs": torch.from_numpy(self.labels["validation"][first : first + 16]),
                    "names": self.names["validation"][first : first + 16],
                }
            )
        return batches

    # Losses ---------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, index: int) -> None:
        """As every task's, at a pace of its own while hits are analysed."""
        analysed = self.recipe.analysed
        for optimizer in self.trainer.optimizers[:1]:
            for group in optimizer.param_groups:
                group["pace"] = analysed.pace if self.progress < analysed.share else 1.0
        super().training_step(batch, index)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Distance to analysed hits, or to sounds; KL, the classes' middles, and what the critic asks."""
        encoder = self.model.encoder
        if isinstance(encoder, HitEncoder) and not self.critic_listens():
            encoder.look_at(self.model.decoder.control)
        mean, log_variance = self.posterior(batch)
        at_home = batch["at_home"][:, None]
        noise = torch.randn_like(mean)
        z = torch.where(at_home, 0.1 * noise, mean + noise * torch.exp(0.5 * log_variance))
        hit = self.model.decoder.hit(z, batch["knobs"])
        labels = batch["knobs"][:, : len(CLASSES)].argmax(1)
        terms = {
            "kl": kl_loss(mean, log_variance, self.recipe.kl.free_bits),
            "centre": self.centres(mean, log_variance, labels, ~batch["at_home"]),
        }
        loss = self.beta() * terms["kl"] + self.recipe.loss.centre * terms["centre"]
        if "drafts" in batch and not self.critic_listens():
            terms["guess"] = self._guessed(batch["drafts"], batch["heard"])
            loss = loss + self.recipe.loss.guess * terms["guess"]
        if self.progress < self.recipe.analysed.share:
            far = distance(hit, self.targets.rows(batch["asked"]), self.model.decoder.sound.fade)
            return loss + sum(WEIGHTS[k] * v for k, v in far.items()), {**terms, **far}
        sound, frames = self.model.decoder.sound, batch["wanted"].shape[-1] // FRAME
        certain = sound.tones(hit, frames, batch["start"]) + sound.stroke(hit, frames, batch["start"])
        made = certain + sound.noise(hit, frames, batch["start"])
        return self._listen(batch, made, certain, loss, terms)

    def _listen(
        self, batch: Batch, made: Tensor, certain: Tensor, loss: Tensor, terms: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Add how far the sounds are from the wanted ones.

        Waveforms are compared without the noise: the best guess of a random phase is silence, and that is
        what a stroke of noise would learn.
        """
        weights, wanted = self.recipe.loss, batch["wanted"]
        samples = batch["start"][:, None] * FRAME + torch.arange(wanted.shape[-1])[None]
        attack = (samples < weights.transient_ms * SAMPLE_RATE_HZ / 1000)[:, None].float()
        terms["spectral"] = self.spectral(made, wanted, 1 + weights.attack * attack)
        terms["transient"] = transient_loss(certain, wanted, attack)
        terms["level"] = level_loss(made, wanted)
        terms["loudest"] = loudest_loss(made, wanted)
        loss = loss + terms["spectral"] + weights.transient * terms["transient"]
        terms["balance"] = self.balance(made, wanted)
        terms["partials"] = self.partials(made, wanted)
        loss = loss + weights.balance * terms["balance"] + weights.partials * terms["partials"]
        loss = loss + weights.level * terms["level"] + weights.loudest * terms["loudest"]
        if self.critic_listens():
            critic = self.recipe.critic
            labels = batch["knobs"][:, : len(CLASSES)].argmax(1)
            strange = self._of_no_recording(batch)
            extra = self.opponent.listen(made, wanted, labels)  # type: ignore[union-attr,operator]
            terms["deceive"], terms["features"] = extra
            terms["strange"] = self.opponent.suspect(strange, labels)  # type: ignore[union-attr,operator]
            weight = critic.weight * ramp(self.progress - critic.start, critic.warmup)
            loss = loss + weight * (extra[0] + terms["strange"]) + critic.features * extra[1]
        return loss, terms

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of what the encoder sees, worked out once a batch."""
        if "posterior" in batch:
            return batch["posterior"]
        views = Views(*(table[batch["heard"]].float() for table in self.views))
        encoder: nn.Module = self.model.encoder
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.critic_listens()):
            if isinstance(encoder, RotatedEncoder):  # of a run that is opened again
                assert isinstance(encoder.encoder, HitEncoder)
                found = encoder.turned(*encoder.encoder.judge(views))
            else:
                assert isinstance(encoder, HitEncoder)
                batch["drafts"] = drafts = encoder.drafts(views, 0.0 if self.critic_listens() else ASIDE)
                found = drafts.mean, drafts.log_variance
        if self.critic_listens():
            batch["posterior"] = found
        return found

    def _guessed(self, drafts: Drafts, heard: Tensor) -> Tensor:
        """How wrongly the encoder reads the class and the knobs off what it hears."""
        knobs = self.told[heard]
        classes, attributes = knobs.split([len(CLASSES), knobs.shape[1] - len(CLASSES)], 1)
        wrong = nn.functional.cross_entropy(drafts.classes, classes.argmax(1))
        return wrong + (drafts.attributes - attributes).abs().mean()

    def critic_listens(self) -> bool:
        """Whether the last part has begun."""
        critic = self.recipe.critic
        return self.opponent is not None and critic.start < 1 and self.progress >= critic.start

    def opponent_loss(self, batch: Batch) -> Tensor | None:
        """What the critic descends."""
        if self.opponent is None or not self.critic_listens():
            return None
        labels = batch["knobs"][:, : len(CLASSES)].argmax(1)
        with torch.no_grad():
            mean, log_variance = self.posterior(batch)
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            hit = self.model.decoder.hit(z, batch["knobs"])
            frames = batch["wanted"].shape[-1] // FRAME
            made = self.model.decoder.sound(hit, frames, batch["start"])
            made = torch.cat([made, self._of_no_recording(batch)])
        return self.opponent.judge(made, batch["wanted"], labels.repeat(2), labels)  # type: ignore[operator]

    def _of_no_recording(self, batch: Batch) -> Tensor:
        """Hits whose latents are those of another, whatever its class: what hands find between recordings."""
        mean, log_variance = self.posterior(batch)
        z = (mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)).roll(1, 0)
        hit = self.model.decoder.hit(z, batch["knobs"])
        return self.model.decoder.sound(hit, batch["wanted"].shape[-1] // FRAME, batch["start"])

    # Judging and showing --------------------------------------------------------------------------

    def render(self, z: Tensor, knobs: Tensor, seconds: float = 1.0) -> Tensor:
        """Strike once and hold: ``z [N, Z]``, ``knobs [N, K]`` to ``[N, 1, S]``."""
        frames = min(FRAMES, -(-round(seconds * SAMPLE_RATE_HZ) // FRAME))
        audio = self.model.decoder.sound(self.model.decoder.hit(z, knobs), frames)
        return audio[..., : round(seconds * SAMPLE_RATE_HZ)]

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Spectral distance of the first second, at the posterior's mean."""
        mean, log_variance = self.model.encoder(batch["heard"])
        made = self.render(mean, batch["knobs"])
        wanted = batch["heard"][..., : made.shape[-1]]
        spectral = self.judged(made, wanted)
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": spectral + 0.3 * loudest_loss(made, wanted),
            "spectral": spectral,
            "level": level_loss(made, wanted),
            "loudest": loudest_loss(made, wanted),
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    def show(self, logger: Any, step: int) -> None:
        """Sounds and spectrograms of two validation hits beside what is made of them."""
        from common.spectrogram import spectrogram_figure

        batch = self.validation_batches()[0]
        batch = {k: v[:4].to(self.device) if isinstance(v, Tensor) else v for k, v in batch.items()}
        with torch.no_grad():
            mean, _ = self.model.encoder(batch["heard"])
            made = self.render(mean, batch["knobs"])
        for row in range(min(2, len(mean))):
            pair = torch.cat([batch["heard"][row, 0, : made.shape[-1]], made[row, 0]]).clamp(-1, 1)
            logger.add_audio(f"hit{row}", pair[None].cpu(), step, sample_rate=SAMPLE_RATE_HZ)
        figure = spectrogram_figure(
            [("heard", batch["heard"][0, 0].cpu().numpy()), ("made", made[0, 0].cpu().numpy())],
            SAMPLE_RATE_HZ,
        )
        logger.add_figure("spectrograms", figure, step)

    # The way out ----------------------------------------------------------------------------------

    def take_network(self, network: nn.Module) -> None:
        """It says what a hit is made of; the sound stays the task's own."""
        self.model.decoder.control = Answering(network)  # type: ignore[assignment]

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Latents and knobs in, once per hit; two seconds of audio out."""
        shape = self.model.shape
        inputs = [
            Port("z", "latent", "event", tuple(f"z{i + 1}" for i in range(shape.latents)), -4.0, 4.0),
            Port("knobs", "class", "event", tuple(shape.knobs), -1.0, 1.0),
        ]
        return inputs, [Port("audio", "audio", "event", ("audio",), -1.0, 1.0, length=FRAMES * FRAME)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Two seconds of audio in; posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        return [Port("audio", "audio", "event", ("audio",), -1.0, 1.0, length=MAX_SAMPLES)], outputs

    def decoder_metadata(self) -> dict[str, Any]:
        """Classes and attributes."""
        definitions: dict[str, str] = {
            name: f"{SOUND_ATTRIBUTES[name].definition}, among the sounds of the class"
            for name in self.recipe.model.attributes
        }
        scales = {name: GroupedScale(values) for name, values in self.facts.get("scales", {}).items()}
        return {"classes": list(CLASSES), "attributes": grouped_description(definitions, scales)}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The inlet reads z first."""
        control = self.model.decoder.control
        assert isinstance(control, HitControl)
        return control.inlet, slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Hits padded to two seconds."""
        sounds = self.sounds[split]
        for first in range(0, len(sounds), 16):
            yield torch.from_numpy(_padded(sounds[first : first + 16]))

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Loudness, brightness and decay."""
        return self.measured[split]

    def kinds_of_items(self, split: str) -> list[str]:
        """Their classes."""
        return [CLASSES[i] for i in self.labels[split][:, : len(CLASSES)].argmax(1)]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Whole hits, 16 a batch."""
        rng = np.random.default_rng(seed)
        picked = rng.permutation(len(self.sounds[split]))[:count]
        for first in range(0, len(picked), 16):
            group = picked[first : first + 16]
            heard = _padded([self.sounds[split][i] for i in group])
            with torch.no_grad():
                mean, _ = self.model.encoder(torch.from_numpy(heard))
            feeds = {"z": mean.numpy()[:, :, None], "knobs": self.labels[split][group][:, :, None]}
            yield feeds, {"audio": heard}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """Every class that was trained, struck at every z; 0.6 s each."""
        present = [i for i, n in enumerate(self.facts["class_counts"]) if n]
        sounds, audio = [], []
        for number in present:
            knobs = torch.zeros(len(z), len(self.model.shape.knobs))
            knobs[:, number] = 1.0
            with torch.no_grad():
                made = self.render(z, knobs, 0.6)[:, 0].numpy()
            sounds += [(f"{CLASSES[number]} {i}", row) for i, row in enumerate(made)]
            audio.append(made.reshape(-1))
        from common.spectrogram import mosaic_figure

        figure = mosaic_figure(sounds, SAMPLE_RATE_HZ, len(z))
        figure.suptitle(title, fontsize=9)
        return figure, np.clip(np.concatenate(audio), -1, 1), SAMPLE_RATE_HZ


def _padded(sounds: Sequence[np.ndarray]) -> np.ndarray:
    """Two seconds of each, float32 [N, 1, samples]."""
    out = np.zeros((len(sounds), 1, MAX_SAMPLES), np.float32)
    for row, sound in enumerate(sounds):
        out[row, 0, : len(sound)] = sound
    return out
