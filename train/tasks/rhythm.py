"""Training of the rhythm VAE: patterns, and attributes faded out of the latents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from common.drums import PARTS
from common.model_metadata import ModelMetadata
from common.refusal import Refusal
from train.attributes.rhythm import PATTERN_ATTRIBUTES
from train.attributes.rhythm_soft import soft_attributes
from train.attributes.scale import AttributeScale, described, scales_of
from train.export.export import Port
from train.losses import kl_loss, kl_per_latent, ramp
from train.models.fader import LatentAdversary
from train.models.rhythm import (
    STEPS,
    Drafts,
    Principal,
    RhythmEncoder,
    RhythmShape,
    RhythmVAE,
    begin_at,
    pattern_of,
)
from train.recipe import FaderSection, Recipe, Section
from train.tasks.base import Batch, Task

if TYPE_CHECKING:
    from train.data.kinds.rhythm import RhythmItem
    from train.data.store import DataSet

V = len(PARTS)


# Part of the training patterns beyond either end of an attribute's knob
EDGE = 0.02
# What the knobs are taught to move, of what they ask for
SPAN = 1.0
# Part of the training patterns, those with the most ordinary attributes, from which the beat at rest is taken
NEAR_MIDDLE = 0.1


class RhythmModelSection(Section):
    """Sizes; see ``RhythmShape``."""

    latents: int = Field(default=32, ge=1, le=128)
    hidden: int = Field(default=128, ge=4, multiple_of=4)
    planes: int = Field(default=20, ge=4, multiple_of=4)
    gated: bool = Field(default=True, description="a gate for every plane")
    channels: int = Field(default=32, ge=4, multiple_of=4)
    encoder: int = Field(default=288, ge=4, multiple_of=4)
    look: int = Field(default=160, ge=4, multiple_of=4)
    looks: int = Field(default=2, ge=0, le=8)


class RhythmLossSection(Section):
    """Weights of the reconstruction and of the knobs."""

    onset: float = Field(default=1.0, ge=0)
    positive: float = Field(default=1.5, gt=0, description="weight of an onset against a rest")
    velocity: float = Field(default=4.0, ge=0)
    micro: float = Field(default=20.0, ge=0)
    control: float = Field(default=30.0, ge=0, description="weight of the moved attributes")
    span: float = Field(default=30.0, ge=0, description="weight of how far a single knob moves its attribute")
    temperature: float = Field(
        default=2.0, gt=0, description="of the onsets, where the attributes' gradient passes"
    )
    drafts: float = Field(default=0.5, ge=0, description="onsets that the encoder's earlier drafts miss")
    read: float = Field(default=10.0, ge=0, description="attributes as the encoder reads them")


class RhythmAugmentSection(Section):
    """Changes to a pattern that leave it what it is; 0 or false switches one off."""

    rotate_bars: bool = Field(
        default=True, description="let the second bar come first in half of the patterns"
    )
    mix: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="part of the patterns that get voices or a bar of another drummer's",
    )
    velocity: float = Field(default=0.05, ge=0, description="spread of a common factor on the velocities")
    touch: float = Field(default=0.0, ge=0, description="spread of the exponent that bends the velocities")
    feel: float = Field(default=0.0, ge=0, description="spread of how early or late all is, in steps")
    mute: float = Field(default=0.005, ge=0, le=1, description="part of the patterns replaced by silence")


class RhythmRecipe(Recipe):
    """A recipe of kind ``rhythm``."""

    kind: Literal["rhythm"]
    model: RhythmModelSection = RhythmModelSection()
    loss: RhythmLossSection = RhythmLossSection()
    augment: RhythmAugmentSection = RhythmAugmentSection()
    fader: FaderSection = FaderSection(weight=1.0)


def onset_f1(made: np.ndarray, wanted: np.ndarray) -> float:
    """F1 of all onsets of all patterns together; ``[N, 9, 32]`` booleans."""
    hits = (made & wanted).sum()
    return float(2 * hits / max(1, made.sum() + wanted.sum()))


@dataclass(frozen=True)
class Followed:
    """How attributes followed moved knobs, in units of each attribute's spread.

    Attributes
    ----------
    far : Tensor, [attributes]
        How far off they were, on average.
    number : Tensor of int64, [N]
        The knob that was low and then high.
    moved, asked : Tensor, [N]
        By how much its attribute rose, and should have risen.
    """

    far: Tensor
    number: Tensor
    moved: Tensor
    asked: Tensor

    def short(self, pull: Tensor | None = None) -> Tensor:
        """Distance of what moved from what was asked, each attribute by its ``pull``."""
        weight = torch.ones_like(self.moved) if pull is None else pull[self.number]
        return (weight * F.smooth_l1_loss(self.moved, self.asked, reduction="none")).mean()

    def spans(self) -> list[Tensor]:
        """What moved over what was asked, by attribute."""
        return [
            self.moved[self.number == one].sum() / self.asked[self.number == one].sum().clamp(min=1e-6)
            for one in range(len(self.far))
        ]


class RhythmTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = RhythmRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("rhythm",)
    judge: ClassVar[str] = "train.judges.rhythm"
    recipe: RhythmRecipe
    model: RhythmVAE

    def __init__(self, recipe: RhythmRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.patterns: dict[str, np.ndarray] = {}
        self.knobs: dict[str, np.ndarray] = {}
        self.names: dict[str, list[str]] = {}
        self.styles: dict[str, list[str]] = {}
        self.drummers: list[np.ndarray] = []
        self.measured: dict[str, np.ndarray] = {}
        count = len(PATTERN_ATTRIBUTES)
        # How hard each attribute is pulled, and the moving sums of what was asked and what moved
        self.register_buffer("pull", torch.ones(count))
        self.register_buffer("asked", torch.full((count,), 1e-3))
        self.register_buffer("moved", torch.full((count,), 1e-3))
        self.pull: Tensor
        self.asked: Tensor
        self.moved: Tensor

    @classmethod
    def facts_of_file(cls, about: ModelMetadata) -> dict[str, Any]:
        """The attributes' scales."""
        return {"scales": scales_of(about)}

    @staticmethod
    def tuning_distance(made: Tensor, wanted: Tensor) -> Tensor | None:
        """Cross entropy of the onsets above the least possible; velocity and timing where there is one."""
        if made.ndim != 3 or made.shape[1] != 3 * V:
            return None
        likely = wanted[:, :V].clamp(1e-4, 1 - 1e-4)
        entropy = F.binary_cross_entropy
        onset = entropy(made[:, :V].clamp(1e-4, 1 - 1e-4), likely) - entropy(likely, likely)
        struck = wanted[:, :V].clamp(0, 1).repeat(1, 2, 1)
        rest = (((made[:, V:] - wanted[:, V:]) ** 2) * struck).sum() / struck.sum().clamp(min=1)
        return onset + rest

    @staticmethod
    def agreement(reference: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """Part of the steps whose onset decision (probability above one half) is the same."""
        same = (reference[:, :V] > 0.5) == (other[:, :V] > 0.5)
        return {"onset_agreement": float(same.mean())}

    @staticmethod
    def truth(wanted: np.ndarray, made: np.ndarray) -> dict[str, float]:
        """F1 of the onsets."""
        return {"onset_f1": onset_f1(made[:, :V] > 0.5, wanted[:, :V] > 0.5)}

    def build(self) -> RhythmVAE:
        """Make the untrained model."""
        return RhythmVAE(RhythmShape(attributes=len(PATTERN_ATTRIBUTES), **self.recipe.model.model_dump()))

    def build_opponent(self) -> nn.Module | None:
        """The latent adversary."""
        fader = self.recipe.fader
        if fader.weight <= 0:
            return None
        return LatentAdversary(self.latents, len(PATTERN_ATTRIBUTES), fader.bins, fader.hidden)

    def opponent_rate(self) -> float:
        """Learning rate of the adversary."""
        return self.recipe.fader.learning_rate

    def opponent_rounds(self) -> int:
        """Adversary steps per step."""
        return self.recipe.fader.rounds

    def prepare(self, data: DataSet[RhythmItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Read the patterns and measure their attributes."""
        for split in splits:
            picked = self.items_of(data, split, "prepare it from more patterns")
            self.patterns[split] = np.stack([data.pattern(int(i)) for i in picked])
            self.names[split] = [data.manifest[int(i)]["name"] for i in picked]
            self.styles[split] = [str(data.manifest[int(i)].get("style") or "?") for i in picked]
            bad = np.flatnonzero(~np.isfinite(self.patterns[split]).all((1, 2)))
            if len(bad):
                raise Refusal(
                    f"{self.names[split][bad[0]]} in {data.directory} holds NaN; prepare the data again"
                )
            self.measured[split] = np.concatenate(
                [
                    soft_attributes(torch.from_numpy(self.patterns[split][first : first + 1024])).numpy()
                    for first in range(0, len(self.patterns[split]), 1024)
                ]
            )
            if split == "train":
                who = np.array([str(data.manifest[int(i)].get("drummer") or "?") for i in picked])
                self.drummers = [np.flatnonzero(who == one) for one in sorted(set(who))]
            if split == "train" and "scales" not in self.facts:
                self.facts["scales"] = {
                    name: AttributeScale.fit(self.measured[split][:, i], edge=EDGE).values
                    for i, name in enumerate(PATTERN_ATTRIBUTES)
                }
            self.knobs[split] = self.to_knobs(self.measured[split])

    def begin(self) -> None:
        """A linear autoencoder: the principal axes of the onsets."""
        onsets, knobs = (torch.from_numpy(one["train"]) for one in (self.patterns, self.knobs))
        begin_at(self.model, Principal.of(onsets[:, :V], knobs, self.latents))

    def to_knobs(self, measured: np.ndarray) -> np.ndarray:
        """Knob positions ``[N, 6]`` of measured attributes ``[N, 6]``."""
        scales = self.facts["scales"]
        columns = [AttributeScale(scales[n]).knob(measured[:, i]) for i, n in enumerate(PATTERN_ATTRIBUTES)]
        return np.stack(columns, 1).astype(np.float32)

    def draw(self, step: int) -> Batch:
        """Pick patterns; mix some, turn the bars round, bend the velocities, and measure what came out."""
        recipe, augment = self.recipe, self.recipe.augment
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        picked = rng.integers(0, len(self.patterns["train"]), recipe.fit.batch)
        patterns = self.patterns["train"][picked].copy()
        if augment.rotate_bars:
            turned = rng.random(len(picked)) < 0.5
            patterns[turned] = np.roll(patterns[turned], STEPS // 2, axis=2)
        if augment.mix:
            other = self.patterns["train"][self.anyone(rng, len(picked))]
            voices = np.tile(rng.random((len(picked), V, 1)) < rng.random((len(picked), 1, 1)), (1, 3, STEPS))
            bar = np.broadcast_to(np.arange(STEPS) >= STEPS // 2, patterns.shape)
            taken = np.where(rng.random((len(picked), 1, 1)) < 0.7, voices, bar)
            taken = taken & (rng.random((len(picked), 1, 1)) < augment.mix)
            patterns = np.where(taken, other, patterns)
        if augment.velocity:
            factor = 1 + rng.normal(0, augment.velocity, (len(picked), 1, 1)).astype(np.float32)
            patterns[:, V : 2 * V] = np.clip(patterns[:, V : 2 * V] * factor, 0, 1)
        if augment.touch:
            bend = np.exp(rng.normal(0, augment.touch, (len(picked), 1, 1))).astype(np.float32)
            patterns[:, V : 2 * V] **= bend
        if augment.feel:
            late = rng.normal(0, augment.feel, (len(picked), 1, 1)).astype(np.float32) * patterns[:, :V]
            patterns[:, 2 * V :] = np.clip(patterns[:, 2 * V :] + late, -0.5, 0.5)
        if augment.mute:
            patterns[rng.random(len(picked)) < augment.mute] = 0.0
        knobs = self.to_knobs(soft_attributes(torch.from_numpy(patterns)).numpy())
        return {
            "pattern": torch.from_numpy(patterns),
            "knobs": torch.from_numpy(knobs),
            "names": [self.names["train"][i] for i in picked],
        }

    def anyone(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Training patterns, every drummer as often as any other."""
        who = rng.integers(0, len(self.drummers), count)
        return np.array([rng.choice(self.drummers[one]) for one in who])

    def validation_batches(self) -> list[Batch]:
        """All validation patterns in batches of 256."""
        patterns, knobs = self.patterns["validation"], self.knobs["validation"]
        return [
            {
                "pattern": torch.from_numpy(patterns[i : i + 256]),
                "knobs": torch.from_numpy(knobs[i : i + 256]),
                "names": self.names["validation"][i : i + 256],
            }
            for i in range(0, len(patterns), 256)
        ]

    def reconstruction(self, logits: Tensor, pattern: Tensor) -> dict[str, Tensor]:
        """Onset, velocity and microtiming terms, each summed over the pattern and averaged over the batch."""
        _, velocity, micro = logits.split(V, 1)
        there = pattern[:, :V]
        speed = (torch.sigmoid(velocity) - pattern[:, V : 2 * V]) ** 2 * there
        late = (torch.tanh(micro) * 0.5 - pattern[:, 2 * V :]) ** 2 * there
        return {
            "onset": self.missed_onsets(logits, pattern),
            "velocity": speed.sum((1, 2)).mean(),
            "micro": late.sum((1, 2)).mean(),
        }

    def distance(self, terms: dict[str, Tensor]) -> Tensor:
        """The reconstruction's terms, each by its weight."""
        loss = self.recipe.loss
        return loss.onset * terms["onset"] + loss.velocity * terms["velocity"] + loss.micro * terms["micro"]

    def missed_onsets(self, logits: Tensor, pattern: Tensor) -> Tensor:
        """Cross entropy of the onsets, summed over the pattern and averaged over the batch."""
        there = pattern[:, :V]
        weight = 1.0 + (self.recipe.loss.positive - 1.0) * there
        heard = F.binary_cross_entropy_with_logits(logits[:, :V], there, weight, reduction="none")
        return heard.sum((1, 2)).mean()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction, KL, what the adversary must not see, and attributes that follow moved knobs."""
        recipe, loss = self.recipe, self.recipe.loss
        mean, log_variance = self.posterior(batch)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        logits = self.model.decoder.logits(z[:, :, None], batch["knobs"][:, :, None])
        terms = self.reconstruction(logits, batch["pattern"])
        terms["kl"] = kl_loss(mean, log_variance, recipe.kl.free_bits)
        total = self.distance(terms) + self.beta() * terms["kl"]
        if "drafts" in batch:
            terms["drafts"], terms["read"] = self.draft_loss(batch)
            total = total + loss.drafts * terms["drafts"] + loss.read * terms["read"]
        if self.opponent is not None:
            # beyond chance nothing more is hidden
            chance = math.log(recipe.fader.bins)
            terms["hidden"] = self.opponent.loss(z, batch["knobs"]).clamp(max=chance)  # type: ignore[operator]
            total = total - recipe.fader.weight * ramp(self.progress, recipe.fader.warmup) * terms["hidden"]
        if loss.control + loss.span > 0:
            followed = self.follow(z.detach(), batch["knobs"])
            self.watch_span(followed)
            terms["control"], terms["span"] = (self.pull * followed.far).mean(), followed.short(self.pull)
            total = total + ramp(self.progress, 0.3) * (
                loss.control * terms["control"] + loss.span * terms["span"]
            )
        return total, terms

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, worked out once for the opponent and the loss."""
        if "posterior" not in batch:
            encoder = self.model.encoder
            if isinstance(encoder, RhythmEncoder):  # not yet a finished run's, which is turned
                encoder.look_at(self.model.decoder)
                drafts = batch["drafts"] = encoder.drafts(batch["pattern"])
                batch["posterior"] = drafts.mean, drafts.log_variance
            else:
                batch["posterior"] = encoder(batch["pattern"])
        return batch["posterior"]

    def draft_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Onsets that the earlier drafts miss, on average; how far off the attributes are read."""
        drafts: Drafts = batch["drafts"]
        read = F.smooth_l1_loss(drafts.attributes, batch["knobs"])
        missed = [self.missed_onsets(logits, batch["pattern"]) for logits in drafts.heard]
        return torch.stack(missed).mean() if missed else read.new_zeros(()), read

    def follow(self, z: Tensor, knobs: Tensor) -> Followed:
        """Move knobs and latents as a hand or an LFO would and measure how the decoded pattern follows.

        Half of the patterns have their latents and knobs a random part of the way to the next pattern's; the
        latents of half are then anywhere a hand may put them: each dimension taken from a pattern of its own,
        all drawn in towards the middle by a random part. In half of them, half of the knobs go a random part
        of the way to anywhere. Every pattern is decoded twice, with one of its knobs low and then high, and
        at the ends of its travel every other time.
        """
        z, knobs = z[: (len(z) + 1) // 2], knobs[: (len(z) + 1) // 2]
        count, device = len(z), z.device

        def half(*shape: int) -> Tensor:
            return torch.rand(*shape, device=device) < 0.5

        sway = torch.rand(count, 1, device=device) * half(count, 1)
        z, knobs = torch.lerp(z, z.roll(1, 0), sway), torch.lerp(knobs, knobs.roll(1, 0), sway)
        order = torch.rand(z.shape, device=device).argsort(0)
        anywhere = torch.lerp(z.mean(0), z.gather(0, order), torch.rand(count, 1, device=device))
        z = torch.where(half(count, 1), anywhere, z)
        blend = torch.rand(knobs.shape, device=device) * half(*knobs.shape) * half(count, 1)
        knobs = knobs + blend * (2 * torch.rand_like(knobs) - 1 - knobs)
        number = torch.randint(knobs.shape[1], (count, 1), device=device)
        outward = torch.rand(2, count, 1, device=device)
        outward = torch.where(half(count, 1), 1.0, outward)  # the ends are the hardest to reach
        places = outward * torch.tensor([-1.0, 1.0], device=device)[:, None, None]
        both = torch.cat([knobs.scatter(1, number, place) for place in places])
        logits = self.model.decoder.logits(z.repeat(2, 1)[:, :, None], both[:, :, None])
        slope = torch.sigmoid(logits[:, :V] / self.recipe.loss.temperature)
        made = soft_attributes(pattern_of(logits), slope)
        scale = self.attribute_spread.to(device)
        made, wanted = made / scale, self.from_knobs(both) / scale
        moved, asked = ((one[count:] - one[:count]).gather(1, number)[:, 0] for one in (made, wanted))
        return Followed(F.smooth_l1_loss(made, wanted, reduction="none").mean(0), number[:, 0], moved, asked)

    def watch_span(self, followed: Followed) -> None:
        """Pull harder at attributes that move less than they should, and less at the others."""
        if self.progress < 0.05:  # nothing follows yet
            return
        with torch.no_grad():
            for sums, values in ((self.asked, followed.asked), (self.moved, followed.moved)):
                sums.mul_(0.98).index_add_(0, followed.number, values, alpha=0.02)
            self.pull.mul_(torch.exp(0.01 * (SPAN - self.moved / self.asked))).clamp_(0.3, 6.0)

    def from_knobs(self, knobs: Tensor) -> Tensor:
        """Attribute values ``[N, 6]`` that knob positions stand for."""
        columns = []
        for index, name in enumerate(PATTERN_ATTRIBUTES):
            table = torch.tensor(self.facts["scales"][name], device=knobs.device, dtype=torch.float32)
            place = (knobs[:, index].clamp(-1, 1) + 1) * 0.5 * (len(table) - 1)
            low = place.floor().long().clamp(max=len(table) - 2)
            part = place - low
            columns.append(table[low] * (1 - part) + table[low + 1] * part)
        return torch.stack(columns, 1)

    @property
    def attribute_spread(self) -> Tensor:
        """Distance from the 10 % to the 90 % quantile of every attribute."""
        spreads = []
        for name in PATTERN_ATTRIBUTES:
            values = np.asarray(self.facts["scales"][name])
            spreads.append(max(1e-3, float(np.quantile(values, 0.9) - np.quantile(values, 0.1))))
        return torch.tensor(spreads, dtype=torch.float32)

    def opponent_loss(self, batch: Batch) -> Tensor | None:
        """What the adversary descends."""
        if self.opponent is None:
            return None
        mean, log_variance = (part.detach() for part in self.posterior(batch))
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.opponent.loss(z, batch["knobs"])  # type: ignore[operator]

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Reconstruction at the posterior's mean, and onset F1."""
        recipe = self.recipe
        if isinstance(self.model.encoder, RhythmEncoder):
            self.model.encoder.look_at(self.model.decoder)
        mean, log_variance = self.model.encoder(batch["pattern"])
        logits = self.model.decoder.logits(mean[:, :, None], batch["knobs"][:, :, None])
        terms = self.reconstruction(logits, batch["pattern"])
        kl = kl_per_latent(mean, log_variance)
        made, there = logits[:, :V] > 0, batch["pattern"][:, :V] > 0.5
        hits = (made & there).sum().float()
        f1 = 2 * hits / (made.sum() + there.sum()).clamp(min=1)
        loss = recipe.loss
        total = self.distance(terms)
        followed = self.follow(mean, batch["knobs"])
        control, span = followed.far.mean(), followed.short()
        return {
            "score": total + loss.control * control + loss.span * span,
            "f1": f1,
            "kl": kl.sum(),
            "control": control,
            "span": span,
            **{
                f"span_{name}": value
                for name, value in zip(PATTERN_ATTRIBUTES, followed.spans(), strict=True)
            },
            "active_latents": (kl > 0.05).sum().float(),
            **terms,
        }

    def show(self, logger: Any, step: int) -> None:
        """A validation pattern above its reconstruction."""
        from train.piano_roll import pattern_figure

        batch = self.validation_batches()[0]
        with torch.no_grad():
            pattern = batch["pattern"][:1].to(self.device)
            mean, _ = self.model.encoder(pattern)
            made = self.model.decoder(mean[:, :, None], batch["knobs"][:1, :, None].to(self.device))
        figure = pattern_figure([("played", pattern[0].cpu().numpy()), ("made", made[0].cpu().numpy())])
        logger.add_figure("patterns", figure, step)

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z and attributes in, a pattern out; one evaluation per event."""
        inputs = [
            Port("z", "latent", "event", tuple(f"z{i + 1}" for i in range(self.latents)), -4.0, 4.0),
            Port("attributes", "attribute", "event", tuple(PATTERN_ATTRIBUTES), -1.0, 1.0),
        ]
        channels = tuple(
            f"{what}:{voice}" for what in ("onset", "velocity", "microtiming") for voice in PARTS
        )
        return inputs, [Port("pattern", "pattern", "event", channels, -0.5, 1.0, length=STEPS)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """A pattern in, posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        channels = self.decoder_ports()[1][0].channels
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        return [Port("pattern", "pattern", "event", channels, -0.5, 1.0, length=STEPS)], outputs

    def decoder_metadata(self) -> dict[str, Any]:
        """Voices and attributes."""
        return {
            "voices": list(PARTS),
            "attributes": described(
                {name: attribute.definition for name, attribute in PATTERN_ATTRIBUTES.items()},
                self.facts.get("scales", {}),
            ),
        }

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The first layer reads z first."""
        return self.model.decoder.inlet, slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Patterns in batches."""
        patterns = self.patterns[split]
        for first in range(0, len(patterns), 256):
            yield torch.from_numpy(patterns[first : first + 256])

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """The attributes."""
        values = self.measured[split]
        return {name: values[:, i] for i, name in enumerate(PATTERN_ATTRIBUTES)}

    def kinds_of_items(self, split: str) -> list[str]:
        """Their styles."""
        return self.styles[split]

    def home(self) -> int:
        """The most typical beat: the mean of latents is a mixture that nobody plays.

        Of the training patterns whose attributes are near the middle of their knobs, where the knobs rest,
        the one that shares most onsets with all others.
        """
        onsets = self.patterns["train"][:, :V].reshape(len(self.patterns["train"]), -1) >= 0.5
        beside = onsets[np.linspace(0, len(onsets) - 1, min(2000, len(onsets))).round().astype(int)]
        off_middle = np.abs(self.knobs["train"]).max(1)
        near = np.flatnonzero(off_middle <= np.quantile(off_middle, NEAR_MIDDLE))
        shared = onsets[near].astype(np.float32) @ beside.T.astype(np.float32)
        both = onsets[near].sum(1)[:, None] + beside.sum(1)
        return int(near[(2 * shared / np.maximum(both, 1)).mean(1).argmax()])

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Patterns of the split, 256 a batch."""
        picked = np.random.default_rng(seed).permutation(len(self.patterns[split]))[:count]
        for first in range(0, len(picked), 256):
            group = picked[first : first + 256]
            patterns = self.patterns[split][group]
            with torch.no_grad():
                mean, _ = self.model.encoder(torch.from_numpy(patterns))
            yield (
                {"z": mean.numpy()[:, :, None], "attributes": self.knobs[split][group][:, :, None]},
                {"pattern": patterns},
            )

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """Patterns at every z with all attributes in the middle, and how they sound at 110 BPM."""
        from common.audio import SAMPLE_RATE_HZ
        from train.piano_roll import pattern_figure
        from train.sonify import sonify

        attributes = torch.zeros(len(z), len(PATTERN_ATTRIBUTES), 1)
        with torch.no_grad():
            made = self.model.decoder(z[:, :, None], attributes).numpy()
        figure = pattern_figure([(f"position {i}", pattern) for i, pattern in enumerate(made)], columns=1)
        figure.suptitle(title, fontsize=9)
        return figure, np.concatenate([sonify(pattern) for pattern in made]), SAMPLE_RATE_HZ
