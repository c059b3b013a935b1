"""Training of the drum VAE: windows of hits, controls that move, losses on spectrum, bands and attack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from common.model_metadata import ModelMetadata
from common.refusal import Refusal
from train.attributes.scale import AttributeScale, described, scales_of
from train.attributes.sound import SOUND_ATTRIBUTES, measure_sound
from train.attributes.sound import decay as measure_decay
from train.export.export import Port
from train.latents.motion import moving_latents
from train.losses import (
    BandEnvelopeLoss,
    SpectralLoss,
    kl_loss,
    kl_per_latent,
    level_loss,
    loudest_loss,
    ramp,
    transient_loss,
)
from train.models.drum import HOP, DrumShape, DrumVAE
from train.models.fader import LatentAdversary
from train.recipe import FaderSection, Recipe, Section
from train.tasks.base import Batch, Task, evenly

MAX_SAMPLES = 2 * SAMPLE_RATE_HZ


class DrumModelSection(Section):
    """Sizes; see ``DrumShape``."""

    latents: int = Field(default=8, ge=1, le=64)
    attributes: tuple[Literal["brightness", "decay"], ...] = ("brightness", "decay")
    low: int = Field(default=64, ge=4, multiple_of=4)
    high: int = Field(default=48, ge=4, multiple_of=4)
    low_dilations: tuple[int, ...] = (1, 2, 4, 8)
    high_dilations: tuple[int, ...] = (1, 3, 9)
    tones: int = Field(default=48, ge=4, multiple_of=4)
    noise_taps: int = Field(default=4, ge=1, le=16)
    pqmf_taps: int = Field(default=96, ge=64, multiple_of=32)
    encoder: int = Field(default=64, ge=4, multiple_of=4)


class DrumLossSection(Section):
    """Weights of the reconstruction."""

    spectral: float = Field(default=1.0, ge=0)
    sizes: tuple[int, ...] = (2048, 512, 128)
    linear: float = Field(default=0.5, ge=0, description="weight of linear beside log magnitudes")
    convergence: float = Field(default=0.0, ge=0, description="weight of the loudest bins' distance")
    bands: float = Field(default=0.3, ge=0)
    attack: float = Field(default=10.0, ge=0, description="how much more the spectra of the attack count")
    transient: float = Field(default=0.1, ge=0, description="weight of the attack's waveform")
    transient_ms: float = Field(default=8.0, gt=0, description="length of the attack")
    level: float = Field(default=0.3, ge=0)
    loudest: float = Field(default=0.0, ge=0, description="weight of the loudest 25 ms' level")
    moving: float = Field(
        default=0.5, ge=0, le=1, description="part of the hits whose z moves within its posterior"
    )
    switching: float = Field(
        default=0.15, ge=0, le=1, description="part of the hits that turn into another under way"
    )


class DrumAugmentSection(Section):
    """Changes to a sound that leave it what it is; 0 switches one off."""

    gain_db: float = Field(default=0.0, ge=0, description="level by up to ± this")
    polarity: bool = False
    shift_ms: float = Field(default=0.5, ge=0, description="the encoder hears the sound up to this much late")
    damp: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="part of the hits that are damped, for the encoder and the decoder each in its own way",
    )
    speed: float = Field(default=0.0, ge=0, description="octaves that a hit is sped up or slowed by, at most")
    mute: float = Field(default=0.01, ge=0, le=1, description="part of the hits replaced by silence")


class CriticSection(Section):
    """Second stage: the encoder rests, a critic listens."""

    start: float = Field(
        default=1.0, ge=0, le=1, description="part of the training after which it begins; 1 never"
    )
    weight: float = Field(default=0.1, ge=0)
    features: float = Field(default=1.0, ge=0)
    channels: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=3e-4, gt=0)


class DistilSection(Section):
    """Learn from a larger decoder, on latents of the prior too."""

    teacher: str = Field(default="", description="folder of a finished drum run; empty leaves it out")
    weight: float = Field(default=1.0, ge=0)


class DrumRecipe(Recipe):
    """A recipe of kind ``drum``."""

    kind: Literal["drum"]
    window_s: float = Field(default=0.35, ge=0.1, le=2.0, description="length of the training windows")
    model: DrumModelSection = DrumModelSection()
    loss: DrumLossSection = DrumLossSection()
    augment: DrumAugmentSection = DrumAugmentSection()
    fader: FaderSection = FaderSection()
    critic: CriticSection = CriticSection()
    distil: DistilSection = DistilSection()


def damped(sound: np.ndarray, part: float) -> np.ndarray:
    """A hit with its decay to −30 dB cut to ``part`` of what it was, 20 ms at least, at the same peak.

    What the decay knob should do. The encoder hears one damping of a hit and the decoder is asked for
    another, which it can only know from the knob.
    """
    seconds = 10.0 ** measure_decay(sound)
    wanted = max(0.02, seconds * part)
    if wanted >= seconds:
        return sound
    # Powers of e in 1/s for a fall by 30 dB in each time; their difference takes the one to the other.
    slope = 30 / 20 * np.log(10) * (1 / wanted - 1 / seconds)
    out = sound * np.exp(-slope * np.arange(len(sound)) / SAMPLE_RATE_HZ).astype(np.float32)
    return out * (np.abs(sound).max() / max(1e-9, np.abs(out).max()))


def at_speed(sound: np.ndarray, speed: float) -> np.ndarray:
    """A hit played at ``speed`` times its speed, pitch with it."""
    import soxr

    return soxr.resample(sound, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ, quality="LQ")[:MAX_SAMPLES].astype(
        np.float32
    )


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
        self.envelopes = BandEnvelopeLoss()
        self.basis = self.model.shape.basis
        # Half a prototype, in whole samples: the attack gets the synthesis filters' rising half.
        self.delay = recipe.model.pqmf_taps // 2
        self.sounds: dict[str, list[np.ndarray]] = {}
        self.labels: dict[str, np.ndarray] = {}
        self.names: dict[str, list[str]] = {}
        self.measured: dict[str, dict[str, np.ndarray]] = {}
        self.teacher: nn.Module | None = None

    @classmethod
    def facts_of_file(cls, about: ModelMetadata) -> dict[str, Any]:
        """The attributes' scales; which classes were trained is not said."""
        return {"scales": scales_of(about), "class_counts": []}

    def build(self) -> DrumVAE:
        """Make the untrained model."""
        return DrumVAE(DrumShape(**self.recipe.model.model_dump()), self.recipe.seed)

    def build_opponent(self) -> nn.Module | None:
        """The latent adversary or the critic; not both in one recipe."""
        recipe = self.recipe
        if recipe.fader.weight > 0 and recipe.critic.start < 1:
            raise Refusal(f"{recipe.name}: fader.weight and critic.start < 1 exclude each other; choose one")
        if recipe.fader.weight > 0 and recipe.model.attributes:
            fader = recipe.fader
            return LatentAdversary(self.latents, len(recipe.model.attributes), fader.bins, fader.hidden)
        if recipe.critic.start < 1:
            from train.models.critic import SpectralCritic

            return SpectralCritic(recipe.critic.channels)
        return None

    def opponent_rate(self) -> float:
        """Learning rate of whichever opponent there is."""
        recipe = self.recipe
        return recipe.fader.learning_rate if recipe.fader.weight > 0 else recipe.critic.learning_rate

    def opponent_rounds(self) -> int:
        """Adversary steps per step."""
        return self.recipe.fader.rounds if self.recipe.fader.weight > 0 else 1

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Inlet and gains learn faster, for they make steep exponents; so do tones, which start near zero."""
        decoder = self.model.decoder
        groups = [
            {"params": [*decoder.inlet.parameters(), *decoder.gains.parameters()], "pace": 2.0},
            {"params": [*decoder.amplitudes.parameters()], "pace": 3.0},
        ]
        known = {id(p) for group in groups for p in group["params"]}  # type: ignore[attr-defined]
        rest = [p for p in self.model.parameters() if p.requires_grad and id(p) not in known]
        return [{"params": rest, "pace": 1.0}, *groups]

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: Any, splits: Sequence[str] = ("train", "validation")) -> None:
        """Read the hits, peak-normalised, and measure their attributes."""
        classes = data.class_index()
        names = self.recipe.model.attributes
        for split in splits:
            picked = data.split(split)
            if split == "validation":
                picked = evenly(picked, self.recipe.fit.validation_items)
            if not len(picked):
                raise Refusal(f"{data.directory} has nothing in its {split} split; prepare it from more kits")
            sounds = [data.audio(int(i))[:MAX_SAMPLES] for i in picked]
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
                self.facts["scales"] = {n: AttributeScale.fit(self.measured[split][n]).values for n in names}
                self.facts["class_counts"] = one_hot.sum(0).astype(int).tolist()
            self.labels[split] = np.concatenate([one_hot, self.attribute_knobs(self.measured[split])], 1)
        if "train" not in splits:
            return
        if self.recipe.distil.teacher:
            self._meet_teacher()
        # Classes are uneven; a rarer class is drawn more often, by the root of its rarity.
        counts = self.labels["train"][:, : len(CLASSES)].sum(0)
        weight = self.labels["train"][:, : len(CLASSES)] @ (1 / np.sqrt(np.maximum(counts, 1)))
        self.chances = weight / weight.sum()

    def attribute_knobs(self, measured: dict[str, np.ndarray]) -> np.ndarray:
        """Knob positions ``[N, attributes]`` of measured quantities."""
        names = self.recipe.model.attributes
        columns = [AttributeScale(self.facts["scales"][n]).knob(measured[n]) for n in names]
        count = len(next(iter(measured.values())))
        return np.array(columns, np.float32).T.reshape(count, len(names))

    def draw(self, step: int) -> Batch:
        """Pick hits and lay out their windows in time."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        count = recipe.fit.batch
        picked = rng.choice(len(self.chances), count, p=self.chances)
        heard = np.zeros((count, 1, MAX_SAMPLES), np.float32)
        source = heard.copy()
        knobs, heard_knobs = self.labels["train"][picked].copy(), self.labels["train"][picked].copy()
        augment = recipe.augment
        for row, index in enumerate(picked):
            sound = self.sounds["train"][index].copy()
            changed = augment.speed > 0 and rng.random() < 0.5
            if changed:
                sound = at_speed(sound, 2.0 ** rng.uniform(-augment.speed, augment.speed))
            if augment.gain_db:
                sound *= np.float32(10 ** (rng.uniform(-augment.gain_db, augment.gain_db) / 20))
            if augment.polarity and rng.random() < 0.5:
                sound = -sound
            if augment.mute and rng.random() < augment.mute:
                sound[:] = 0.0
            for place, told in ((source, knobs), (heard, heard_knobs)):
                damps = augment.damp > 0 and rng.random() < augment.damp
                part = damped(sound, rng.uniform(0.1, 1.0)) if damps else sound
                if damps or changed:
                    told[row, len(CLASSES) :] = self.attribute_knobs(
                        {name: np.array([value]) for name, value in measure_sound(part).items()}
                    )
                place[row, 0, : len(part)] = part
        frames = round(recipe.window_s * SAMPLE_RATE_HZ / HOP)
        lengths = np.array([len(self.sounds["train"][i]) for i in picked])
        past = self.model.shape.past_frames
        # A third of the batches starts from cleared state at the trigger, as the engine does.
        fresh = rng.random() < 0.33
        lead = 0 if fresh else past
        late = np.zeros(count, int) if fresh else rng.integers(0, HOP, count)  # samples into the frame
        start = np.zeros(count, int)
        if not fresh:
            inner = rng.random(count) < 0.45
            # Most of them while it sounds; some long after, where a short hit must be silent.
            last = np.where(rng.random(count) < 0.2, MAX_SAMPLES, lengths) / HOP - frames / 2
            start = np.where(inner, rng.uniform(0, np.maximum(1, last)), 0).astype(np.int64)
        ticks = (start[:, None] - lead + np.arange(lead + frames)[None]) * HOP + late[:, None]
        if not fresh:
            # What rings before a trigger: nothing, or the tail of an earlier hit.
            earlier = rng.random(count) < 0.5
            tail = rng.uniform(0.05, 1.5, count) * SAMPLE_RATE_HZ
            before = np.where(earlier[:, None], tail[:, None] + np.arange(lead + frames)[None] * HOP, -1)
            ticks = np.where(ticks < 0, before, ticks)
        target = (start[:, None] * HOP + late[:, None]) + np.arange(frames * HOP)[None] - self.delay
        wanted = np.take_along_axis(source[:, 0], np.clip(target, 0, MAX_SAMPLES - 1), 1)
        wanted *= (target >= 0) & (target < MAX_SAMPLES)
        shift = int(rng.integers(0, round(augment.shift_ms * SAMPLE_RATE_HZ / 1000) + 1))
        if shift:
            heard = np.concatenate([np.zeros((count, 1, shift), np.float32), heard[..., :-shift]], -1)
        return {
            "heard": torch.from_numpy(heard),
            "source": torch.from_numpy(source),
            "knobs": torch.from_numpy(knobs),
            "heard_knobs": torch.from_numpy(heard_knobs),
            "seconds": torch.from_numpy(ticks / SAMPLE_RATE_HZ),
            "wanted": torch.from_numpy(wanted[:, None]),
            "target": torch.from_numpy(target),
            "lead": lead,
            "names": [self.names["train"][i] for i in picked],
        }

    def validation_batches(self) -> list[Batch]:
        """Whole first seconds of validation hits."""
        batches = []
        sounds = self.sounds["validation"]
        for first in range(0, len(sounds), 16):
            group = sounds[first : first + 16]
            heard = np.zeros((len(group), 1, MAX_SAMPLES), np.float32)
            for row, sound in enumerate(group):
                heard[row, 0, : len(sound)] = sound
            batches.append(
                {
                    "heard": torch.from_numpy(heard),
                    "knobs": torch.from_numpy(self.labels["validation"][first : first + 16]),
                    "names": self.names["validation"][first : first + 16],
                }
            )
        return batches

    # Losses ---------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction of the windows, KL, and what the opponent asks."""
        recipe = self.recipe
        mean, log_variance = self.posterior(batch)
        seconds = batch["seconds"]
        frames, lead = seconds.shape[1], int(batch["lead"])
        z = moving_latents(mean, torch.exp(0.5 * log_variance), frames, recipe.loss.moving)
        knobs = batch["knobs"][:, :, None].expand(-1, -1, frames)
        wanted = batch["wanted"]
        if recipe.loss.switching and torch.rand(()) < 0.5:
            z, knobs, wanted = self._switch(batch, z, knobs, wanted, lead)
        made = self.model.decoder(z, knobs, self.basis(seconds))[..., lead * HOP :]
        attack = (batch["target"] >= -self.delay) & (
            batch["target"] < recipe.loss.transient_ms * SAMPLE_RATE_HZ / 1000
        )
        attack = attack[:, None].float()
        terms = {
            "spectral": self.spectral(made, wanted, 1 + recipe.loss.attack * attack),
            "bands": self.envelopes(made, wanted),
            "transient": transient_loss(made, wanted, attack),
            "level": level_loss(made, wanted),
            "kl": kl_loss(mean, log_variance, recipe.kl.free_bits),
        }
        loss = recipe.loss.spectral * terms["spectral"] + recipe.loss.bands * terms["bands"]
        loss = loss + recipe.loss.level * terms["level"]
        if recipe.loss.loudest:
            terms["loudest"] = loudest_loss(made, wanted)
            loss = loss + recipe.loss.loudest * terms["loudest"]
        loss = loss + recipe.loss.transient * terms["transient"] + self.beta() * terms["kl"]
        if recipe.fader.weight > 0 and self.opponent is not None:
            hidden = self.opponent.loss(mean, batch["heard_knobs"][:, len(CLASSES) :])  # type: ignore[operator]
            terms["hidden"] = hidden
            loss = loss - recipe.fader.weight * ramp(self.progress, recipe.fader.warmup) * hidden
        elif self.critic_listens():
            extra = self.opponent.listen(made, wanted)  # type: ignore[union-attr,operator]
            terms["deceive"], terms["features"] = extra
            loss = loss + recipe.critic.weight * extra[0] + recipe.critic.features * extra[1]
        if recipe.distil.teacher:
            terms["distil"] = self._distil(batch)
            loss = loss + recipe.distil.weight * terms["distil"]
        return loss, terms

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of what the encoder hears, worked out once for the opponent and the loss."""
        if "posterior" not in batch:
            batch["posterior"] = self.model.encoder(batch["heard"])
        return batch["posterior"]

    def _switch(
        self, batch: Batch, z: Tensor, knobs: Tensor, wanted: Tensor, lead: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let some hits become their neighbour in the batch at some frame: the target turns with them."""
        count, _, frames = z.shape
        turns = torch.rand(count) < self.recipe.loss.switching * 2
        at = torch.randint(lead, frames, (count,))
        other_source = batch["source"].roll(1, 0)
        index = batch["target"].clamp(0, MAX_SAMPLES - 1)
        other = torch.gather(other_source[:, 0], 1, index) * (batch["target"] >= 0)
        frame = torch.arange(frames)[None]
        after = ((frame >= at[:, None]) & turns[:, None])[:, None].to(z.device)
        sample = torch.arange(wanted.shape[-1])[None] - (at[:, None] - lead) * HOP - self.delay
        # Over 2 ms, as the overlapping frames do it.
        mixed = (((sample + 48) / 96).clamp(0, 1) * turns[:, None])[:, None].to(z.device)
        return (
            torch.where(after, z.roll(1, 0), z),
            torch.where(after, knobs.roll(1, 0), knobs),
            wanted * (1 - mixed) + other[:, None] * mixed,
        )

    def critic_listens(self) -> bool:
        """Whether the second stage has begun."""
        critic = self.recipe.critic
        return self.opponent is not None and critic.start < 1 and self.progress >= critic.start

    def opponent_loss(self, batch: Batch) -> Tensor | None:
        """What the adversary or the critic descends."""
        if self.opponent is None:
            return None
        if self.recipe.fader.weight > 0:
            mean = self.posterior(batch)[0].detach()
            return self.opponent.loss(mean, batch["heard_knobs"][:, len(CLASSES) :])  # type: ignore[operator]
        if not self.critic_listens():
            return None
        self.model.encoder.requires_grad_(False)
        with torch.no_grad():
            mean, _ = self.model.encoder(batch["heard"])
            frames = batch["seconds"].shape[1]
            z = mean[:, :, None].expand(-1, -1, frames)
            knobs = batch["knobs"][:, :, None].expand(-1, -1, frames)
            made = self.model.decoder(z, knobs, self.basis(batch["seconds"]))
        made = made[..., int(batch["lead"]) * HOP :]
        return self.opponent.judge(made, batch["wanted"])  # type: ignore[operator]

    def _meet_teacher(self) -> None:
        """Load the teacher and take over its encoder, so that both speak of the same latents."""
        from train.run import load_task

        where = self.recipe.distil.teacher
        teacher = load_task(where)
        if not isinstance(teacher, DrumTask) or teacher.recipe.model.encoder != self.recipe.model.encoder:
            raise Refusal(f"{where} is no teacher for {self.recipe.name}: it must be a drum run like it")
        if teacher.latents != self.latents:
            raise Refusal(f"{where} is no teacher for {self.recipe.name}: it has {teacher.latents} latents")
        # Kept out of the module's own parameters: a teacher is not trained and not saved with the pupil.
        object.__setattr__(self, "teacher", teacher.model.eval().requires_grad_(False))
        self.model.encoder.load_state_dict(teacher.model.encoder.state_dict())
        self.model.encoder.requires_grad_(False)

    def _distil(self, batch: Batch) -> Tensor:
        """Distance to the teacher on latents of the prior."""
        assert self.teacher is not None
        count, frames = batch["seconds"].shape
        z = torch.randn(count, self.latents, 1, device=batch["seconds"].device).expand(-1, -1, frames)
        inputs = (z, batch["knobs"][:, :, None].expand(-1, -1, frames), self.basis(batch["seconds"]))
        with torch.no_grad():
            wanted = self.teacher.decoder(*inputs)  # type: ignore[operator]
        return self.spectral(self.model.decoder(*inputs), wanted)

    # Judging and showing --------------------------------------------------------------------------

    def render(self, z: Tensor, knobs: Tensor, seconds: float = 1.0) -> Tensor:
        """Strike once from cleared state and hold: ``z [N, Z]``, ``knobs [N, K]`` to ``[N, 1, S]``.

        The first ``delay`` samples are taken off, so that the sound lies where the recording's does.
        """
        frames = round(seconds * SAMPLE_RATE_HZ / HOP) + 2
        t = (torch.arange(frames) / (SAMPLE_RATE_HZ / HOP))[None].expand(len(z), -1).to(z.device)
        held = z[:, :, None].expand(-1, -1, frames), knobs[:, :, None].expand(-1, -1, frames)
        audio = self.model.decoder(*held, self.basis(t))
        return audio[..., self.delay : self.delay + round(seconds * SAMPLE_RATE_HZ)]

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Spectral distance of the first second, at the posterior's mean."""
        mean, log_variance = self.model.encoder(batch["heard"])
        made = self.render(mean, batch["knobs"])
        wanted = batch["heard"][..., : made.shape[-1]]
        spectral = self.spectral(made, wanted)
        bands = self.envelopes(made, wanted)
        level = level_loss(made, wanted)
        loudest = loudest_loss(made, wanted)
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": spectral + 0.3 * bands + 0.3 * level + self.recipe.loss.loudest * loudest,
            "level": level,
            "loudest": loudest,
            "spectral": spectral,
            "bands": bands,
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

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """z, knobs and time in; audio out."""
        shape = self.model.shape
        rate = f"1/{HOP}"
        inputs = [
            Port("z", "latent", rate, tuple(f"z{i + 1}" for i in range(shape.latents)), -4.0, 4.0),
            Port("knobs", "class", rate, tuple(shape.knobs), -1.0, 1.0),
            Port("time", "time", rate, tuple(self.basis.names()), -1.0, 1.0),
        ]
        return inputs, [Port("audio", "audio", "1", ("audio",), -1.0, 1.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Two seconds of audio in; posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        return [Port("audio", "audio", "event", ("audio",), -1.0, 1.0, length=MAX_SAMPLES)], outputs

    def decoder_metadata(self) -> dict[str, Any]:
        """Time basis, classes, attributes and the model's own latency."""
        return {
            "time_basis": self.basis.metadata(),
            "classes": list(CLASSES),
            "attributes": described(
                {name: SOUND_ATTRIBUTES[name].definition for name in self.recipe.model.attributes},
                self.facts.get("scales", {}),
            ),
            "latency_samples": self.delay,
        }

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The inlet reads z first."""
        return self.model.decoder.inlet, slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Hits padded to two seconds."""
        sounds = self.sounds[split]
        for first in range(0, len(sounds), 16):
            group = sounds[first : first + 16]
            heard = torch.zeros(len(group), 1, MAX_SAMPLES)
            for row, sound in enumerate(group):
                heard[row, 0, : len(sound)] = torch.from_numpy(sound)
            yield heard

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Loudness, brightness and decay."""
        return self.measured[split]

    def kinds_of_items(self, split: str) -> list[str]:
        """Their classes."""
        return [CLASSES[i] for i in self.labels[split][:, : len(CLASSES)].argmax(1)]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Whole hits of 0.6 s from cleared state, 16 a batch; the target is late by the model's latency."""
        rng = np.random.default_rng(seed)
        picked = rng.permutation(len(self.sounds[split]))[:count]
        frames = 600
        seconds = (torch.arange(frames) * HOP / SAMPLE_RATE_HZ)[None]
        for first in range(0, len(picked), 16):
            group = picked[first : first + 16]
            heard = np.zeros((len(group), 1, MAX_SAMPLES), np.float32)
            for row, index in enumerate(group):
                heard[row, 0, : len(self.sounds[split][index])] = self.sounds[split][index]
            with torch.no_grad():
                mean, _ = self.model.encoder(torch.from_numpy(heard))
            knobs = self.labels[split][group]
            feeds = {
                "z": np.repeat(mean.numpy()[:, :, None], frames, 2),
                "knobs": np.repeat(knobs[:, :, None], frames, 2),
                "time": self.basis(seconds).numpy().repeat(len(group), 0),
            }
            late = np.pad(heard, ((0, 0), (0, 0), (self.delay, 0)))[..., : frames * HOP]
            yield feeds, {"audio": late}

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
        from common.spectrogram import spectrogram_figure

        figure = spectrogram_figure(sounds, SAMPLE_RATE_HZ, columns=len(z))
        figure.suptitle(title, fontsize=9)
        return figure, np.clip(np.concatenate(audio), -1, 1), SAMPLE_RATE_HZ
