"""Training of the chord VAE: progressions of eight bars, and attributes faded out of the latents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from common.chords import BARS, CHORDS, QUALITIES, ROOTS, SLOTS, SLOTS_PER_BAR
from common.model_metadata import ModelMetadata
from common.refusal import Refusal
from train.attributes.chords import DEFINITIONS
from train.attributes.scale import AttributeScale, described, scales_of
from train.export.export import Port
from train.latents.table import Block
from train.losses import kl_loss, kl_per_latent, ramp
from train.models.chords import (
    LARGEST_SCORE,
    SCORES,
    ChordsDecoder,
    ChordsShape,
    ChordsVAE,
    expected,
    measured,
    missed_nats,
    planes_of,
    read_chords,
    still_missing,
)
from train.models.fader import LatentAdversary
from train.recipe import FaderSection, Recipe, Section
from train.tasks.base import Batch, Task

if TYPE_CHECKING:
    from train.data.kinds.chords import ChordsItem
    from train.data.store import DataSet

A = len(DEFINITIONS)
# Scores beyond are held back in training: exported ones are cut at LARGEST_SCORE, and what is cut is alike
HELD_BACK = 0.9 * LARGEST_SCORE
# Part of the training windows beyond either end of an attribute's knob
EDGE = 0.02
# Part of the training windows, those with the most ordinary attributes, from which the one at rest is taken
NEAR_MIDDLE = 0.1


class ChordsModelSection(Section):
    """Sizes; see ``ChordsShape``."""

    width: int = Field(default=128, ge=4, multiple_of=4, description="channels of the decoder")
    depth: int = Field(default=3, ge=1, le=7, description="convolutions over three bars, in each half")
    encoder: int = Field(default=128, ge=4, multiple_of=4, description="channels of the encoder")


class ChordsLossSection(Section):
    """Weights of the reconstruction and of the knobs."""

    chords: float = Field(default=1.0, ge=0)
    even: float = Field(default=0.2, ge=0, description="weight of root and quality where the chord is held")
    control: float = Field(default=3.0, ge=0, description="weight of the moved attributes")
    missing: float = Field(default=0.0, ge=0, description="weight in it of the slots that still have to turn")
    loud: float = Field(default=10.0, ge=0, description="weight of scores that are too large to be exported")
    blur: float = Field(default=0.2, gt=0, description="spread of the noise on the knobs in training")


class ChordsAugmentSection(Section):
    """Changes to a progression that leave it one; 0 switches one off."""

    rotate: float = Field(default=0.3, ge=0, le=1, description="part that begins at another bar")
    mix: float = Field(default=0.2, ge=0, le=1, description="part that gets four bars of another")
    requality: float = Field(
        default=0.1, ge=0, le=1, description="part that plays one root's chords otherwise"
    )


class ChordsRecipe(Recipe):
    """A recipe of kind ``chords``."""

    kind: Literal["chords"]
    model: ChordsModelSection = ChordsModelSection()
    loss: ChordsLossSection = ChordsLossSection()
    augment: ChordsAugmentSection = ChordsAugmentSection()
    fader: FaderSection = FaderSection(weight=0.3)


class ChordsTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = ChordsRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("chords",)
    judge: ClassVar[str] = "train.judges.chords.judge"
    recipe: ChordsRecipe
    model: ChordsVAE

    def __init__(self, recipe: ChordsRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.chords: dict[str, np.ndarray] = {}
        self.knobs: dict[str, np.ndarray] = {}
        self.measured: dict[str, np.ndarray] = {}
        self.names: dict[str, list[str]] = {}
        self.modes: dict[str, list[str]] = {}

    @classmethod
    def facts_of_file(cls, about: ModelMetadata) -> dict[str, Any]:
        """The attributes' scales."""
        return {"scales": scales_of(about)}

    @staticmethod
    def tuning_distance(made: Tensor, wanted: Tensor) -> Tensor | None:
        """How much less likely the chords are that the wanted scores say, and distance of the scores."""
        if made.ndim != 3 or made.shape[1] != SCORES:
            return None
        held = F.binary_cross_entropy_with_logits(made[:, -1], torch.sigmoid(wanted[:, -1]))
        least = F.binary_cross_entropy_with_logits(wanted[:, -1], torch.sigmoid(wanted[:, -1]))
        apart = [
            F.kl_div(made[:, part].log_softmax(1), wanted[:, part].softmax(1), reduction="none").sum(1).mean()
            for part in (slice(0, ROOTS), slice(ROOTS, SCORES - 1))
        ]
        return held - least + apart[0] + apart[1]

    @staticmethod
    def agreement(reference: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """Part of the slots whose chord is the same."""
        read = [read_chords(torch.from_numpy(one)) for one in (reference, other)]
        return {"chord_agreement": float((read[0] == read[1]).float().mean())}

    @staticmethod
    def truth(wanted: np.ndarray, made: np.ndarray) -> dict[str, float]:
        """Part of the slots whose chord is the one that was played."""
        played = torch.from_numpy(wanted)
        read = read_chords(torch.from_numpy(made))
        return {"slot_accuracy": float((read == read_chords(played * 2 - 1)).float().mean())}

    def build(self) -> ChordsVAE:
        """Make the untrained model."""
        return ChordsVAE(ChordsShape(attributes=A, **self.recipe.model.model_dump()))

    def build_opponent(self) -> nn.Module | None:
        """The latent adversary."""
        fader = self.recipe.fader
        return None if fader.weight <= 0 else LatentAdversary(self.latents, A, fader.bins, fader.hidden)

    def opponent_rate(self) -> float:
        """Learning rate of the adversary."""
        return self.recipe.fader.learning_rate

    def opponent_rounds(self) -> int:
        """Adversary steps per step."""
        return self.recipe.fader.rounds

    def prepare(self, data: DataSet[ChordsItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Read the windows and measure their attributes."""
        for split in splits:
            picked = self.items_of(data, split, "prepare it from more songs")
            chords = np.array(data.arrays["chords"])[picked].astype(np.int64)
            if chords.max() >= CHORDS:
                raise Refusal(
                    f"{data.directory} holds chord {chords.max()} of {CHORDS}; prepare the data again"
                )
            self.chords[split] = chords
            self.names[split] = [data.manifest[int(i)]["name"] for i in picked]
            self.modes[split] = [data.manifest[int(i)]["mode"] for i in picked]
            self.measured[split] = measured(torch.from_numpy(chords)).numpy()
            if split == "train" and "scales" not in self.facts:
                self.facts["scales"] = {
                    name: AttributeScale.fit(self.measured[split][:, i], edge=EDGE).values
                    for i, name in enumerate(DEFINITIONS)
                }
            self.knobs[split] = self.to_knobs(self.measured[split])

    def to_knobs(self, values: np.ndarray) -> np.ndarray:
        """Knob positions ``[N, 3]`` of measured attributes ``[N, 3]``."""
        scales = self.facts["scales"]
        columns = [AttributeScale(scales[n]).knob(values[:, i]) for i, n in enumerate(DEFINITIONS)]
        return np.stack(columns, 1).astype(np.float32)

    def from_knobs(self, knobs: Tensor) -> Tensor:
        """Attribute values ``[N, 3]`` that knob positions stand for."""
        columns = []
        for index, name in enumerate(DEFINITIONS):
            table = torch.tensor(self.facts["scales"][name], dtype=torch.float32, device=knobs.device)
            place = (knobs[:, index].clamp(-1, 1) + 1) * 0.5 * (len(table) - 1)
            low = place.floor().long().clamp(max=len(table) - 2)
            columns.append(torch.lerp(table[low], table[low + 1], place - low))
        return torch.stack(columns, 1)

    @property
    def attribute_spread(self) -> Tensor:
        """Distance from the 10 % to the 90 % quantile of every attribute."""
        spreads = [np.diff(np.quantile(self.facts["scales"][name], [0.1, 0.9]))[0] for name in DEFINITIONS]
        return torch.tensor(spreads, dtype=torch.float32).clamp(min=1e-3)

    def draw(self, step: int) -> Batch:
        """Pick windows; turn some round, mix some, play some roots otherwise, and measure what came out."""
        recipe, augment = self.recipe, self.recipe.augment
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        everything = self.chords["train"]
        picked = rng.integers(0, len(everything), recipe.fit.batch)
        chords = everything[picked].copy()
        for row in np.flatnonzero(rng.random(len(picked)) < augment.rotate):
            chords[row] = np.roll(chords[row], SLOTS_PER_BAR * int(rng.integers(1, SLOTS // SLOTS_PER_BAR)))
        mixed = rng.random(len(picked)) < augment.mix
        half = np.arange(SLOTS) >= SLOTS // 2
        other = everything[rng.integers(0, len(everything), len(picked))]
        chords = np.where(mixed[:, None] & half, other, chords)
        size = len(QUALITIES)
        for row in np.flatnonzero(rng.random(len(picked)) < augment.requality):
            root = chords[row, rng.integers(SLOTS)] // size
            lent = everything[rng.integers(len(everything), size=64)].ravel()
            lent = lent[lent // size == root]
            if len(lent):
                chords[row, chords[row] // size == root] = lent[0]
        tensor = torch.from_numpy(chords)
        return {
            "chords": tensor,
            "knobs": torch.from_numpy(self.to_knobs(measured(tensor).numpy())),
            "names": [self.names["train"][i] for i in picked],
        }

    def validation_batches(self) -> list[Batch]:
        """All validation windows in batches of 256."""
        chords, knobs = self.chords["validation"], self.knobs["validation"]
        return [
            {
                "chords": torch.from_numpy(chords[i : i + 256]),
                "knobs": torch.from_numpy(knobs[i : i + 256]),
                "names": self.names["validation"][i : i + 256],
            }
            for i in range(0, len(chords), 256)
        ]

    def told_nats(self) -> float:
        """Nats that the blurred knobs say of a progression: KL of their noise from an even draw."""
        return A * (math.log(2.0) - 0.5 * math.log(2 * math.pi * math.e * self.recipe.loss.blur**2))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction, KL, what the adversary must not see, and attributes that follow moved knobs."""
        recipe, loss = self.recipe, self.recipe.loss
        mean, log_variance = self.posterior(batch)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        knobs = batch["knobs"] + loss.blur * torch.randn_like(batch["knobs"])
        logits = self.scores(z, knobs)
        chords, size = batch["chords"], len(QUALITIES)
        terms = {
            "chords": missed_nats(logits, chords).mean(),
            "even": F.cross_entropy(logits[:, :ROOTS], chords // size) * SLOTS
            + F.cross_entropy(logits[:, ROOTS:-1], chords % size) * SLOTS,
            "kl": kl_loss(mean, log_variance, recipe.kl.free_bits),
            "loud": F.relu(logits.abs() - HELD_BACK).square().mean(),
        }
        total = loss.chords * terms["chords"] + loss.even * terms["even"] + self.beta() * terms["kl"]
        total = total + loss.loud * terms["loud"]
        if self.opponent is not None:
            chance = math.log(recipe.fader.bins)  # beyond it nothing more is hidden
            terms["hidden"] = self.opponent.loss(z, batch["knobs"]).clamp(max=chance)  # type: ignore[operator]
            total = total - recipe.fader.weight * ramp(self.progress, recipe.fader.warmup) * terms["hidden"]
        if loss.control > 0:
            terms["control"] = self.follow(z.detach(), batch["knobs"])
            total = total + ramp(self.progress, 0.3) * loss.control * terms["control"]
        return total, terms

    def scores(self, z: Tensor, knobs: Tensor) -> Tensor:
        """Scores ``[N, 23, 16]`` at latents and knobs; not bounded where the decoder is the trained one."""
        decoder = self.model.decoder
        say = decoder.logits if isinstance(decoder, ChordsDecoder) else decoder
        return say(z[:, :, None], knobs[:, :, None])

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, worked out once for the opponent and the loss."""
        if "posterior" not in batch:
            batch["posterior"] = self.model.encoder(planes_of(batch["chords"]))
        return batch["posterior"]

    def follow(self, z: Tensor, knobs: Tensor) -> Tensor:
        """Move knobs and latents as a hand would; how far off the attributes are, in parts of their spread.

        The latents of half of the progressions are anywhere a hand may put them, each taken from one of its
        own. One knob of each is at a random place, or at an end, and then at the mirrored one.
        """
        count = (len(z) + 3) // 4
        z, knobs = z[:count], knobs[:count]
        anywhere = z.gather(0, torch.rand(z.shape, device=z.device).argsort(0))
        z = torch.where(torch.rand(count, 1, device=z.device) < 0.5, anywhere, z)
        number = torch.randint(A, (count, 1), device=z.device)
        place = 2 * torch.rand(count, 1, device=z.device) - 1
        place = torch.where(torch.rand(count, 1, device=z.device) < 0.3, place.sign(), place)
        both = torch.cat([knobs.scatter(1, number, place), knobs.scatter(1, number, -place)])
        logits = self.scores(z.repeat(2, 1), both)
        scale = self.attribute_spread.to(z.device)
        asked_for = self.from_knobs(both)
        made, wanted = expected(logits) / scale, asked_for / scale
        far = F.smooth_l1_loss(made, wanted, reduction="none")
        moved, asked = ((one[:count] - one[count:]).gather(1, number) for one in (made, wanted))
        missing = self.recipe.loss.missing * still_missing(logits, asked_for).mean()
        return far.sum(1).mean() + F.smooth_l1_loss(moved, asked) + missing

    def opponent_loss(self, batch: Batch) -> Tensor | None:
        """What the adversary descends."""
        if self.opponent is None:
            return None
        mean, log_variance = (part.detach() for part in self.posterior(batch))
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.opponent.loss(z, batch["knobs"])  # type: ignore[operator]

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """The bound in nats a bar, and what is read at the posterior's mean."""
        mean, log_variance = self.model.encoder(planes_of(batch["chords"]))
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        knobs = batch["knobs"] + self.recipe.loss.blur * torch.randn_like(batch["knobs"])
        missed = missed_nats(self.scores(z, knobs), batch["chords"]).mean()
        kl = kl_per_latent(mean, log_variance)
        read = read_chords(self.model.decoder(mean[:, :, None], batch["knobs"][:, :, None]))
        control = self.follow(mean, batch["knobs"])
        accuracy = (read == batch["chords"]).float().mean()
        nats = (missed + kl.sum() + self.told_nats()) / BARS
        return {
            "score": nats + 2.0 * (1 - accuracy) + 0.2 * control,
            "nats_per_bar": nats,
            "missed": missed,
            "kl": kl.sum(),
            "accuracy": accuracy,
            "control": control,
            "active_latents": (kl > 0.05).sum().float(),
        }

    def show(self, logger: Any, step: int) -> None:
        """A validation progression above what is made of it."""
        from train.chord_sound import chords_figure

        batch = self.validation_batches()[0]
        with torch.no_grad():
            chords = batch["chords"][:1].to(self.device)
            mean, _ = self.model.encoder(planes_of(chords))
            made = read_chords(
                self.model.decoder(mean[:, :, None], batch["knobs"][:1, :, None].to(self.device))
            )
        figure = chords_figure([("played", chords[0].cpu().numpy()), ("made", made[0].cpu().numpy())])
        logger.add_figure("progressions", figure, step)

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z and attributes in, scores out; one evaluation per event."""
        inputs = [
            Port("z", "latent", "event", tuple(f"z{i + 1}" for i in range(self.latents)), -4.0, 4.0),
            Port("attributes", "attribute", "event", tuple(DEFINITIONS), -1.0, 1.0),
        ]
        return inputs, [self._progression("scores", -LARGEST_SCORE, LARGEST_SCORE)]

    def _progression(self, name: str, low: float, high: float) -> Port:
        channels = (*(f"root:{n}" for n in range(ROOTS)), *(f"quality:{q}" for q in QUALITIES), "hold")
        return Port(name, "pattern", "event", channels, low, high, length=SLOTS)

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """A progression in, posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        return [self._progression("progression", 0.0, 1.0)], outputs

    def decoder_metadata(self) -> dict[str, Any]:
        """The attributes."""
        return {"attributes": described(DEFINITIONS, self.facts.get("scales", {}))}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The first layer reads z first."""
        return self.model.decoder.lay, slice(0, self.latents)

    def latent_blocks(self) -> list[Block]:
        """Each latent is a bar's: none is turned into another, and more of it means the same in all bars."""
        return [Block((bar,), f"bar {bar + 1}", signed=True) for bar in range(BARS)]

    @property
    def latents(self) -> int:
        """One for every bar."""
        return BARS

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Progressions in batches."""
        chords = self.chords[split]
        for first in range(0, len(chords), 256):
            yield planes_of(torch.from_numpy(chords[first : first + 256]))

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """The attributes."""
        return {name: self.measured[split][:, i] for i, name in enumerate(DEFINITIONS)}

    def kinds_of_items(self, split: str) -> list[str]:
        """Their modes."""
        return self.modes[split]

    def home(self) -> int:
        """The most typical progression: of those with ordinary attributes, the one most like all others."""
        chords = self.chords["train"]
        beside = chords[np.linspace(0, len(chords) - 1, min(1000, len(chords))).round().astype(int)]
        off_middle = np.abs(self.knobs["train"]).max(1)
        near = np.flatnonzero(off_middle <= np.quantile(off_middle, NEAR_MIDDLE))[:2000]
        shared = [(chords[one] == beside).mean() for one in near]
        return int(near[int(np.argmax(shared))])

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Progressions of the split, 256 a batch."""
        picked = np.random.default_rng(seed).permutation(len(self.chords[split]))[:count]
        for first in range(0, len(picked), 256):
            group = picked[first : first + 256]
            planes = planes_of(torch.from_numpy(self.chords[split][group]))
            with torch.no_grad():
                mean, _ = self.model.encoder(planes)
            yield (
                {"z": mean.numpy()[:, :, None], "attributes": self.knobs[split][group][:, :, None]},
                {"scores": planes.numpy()},
            )

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """Progressions at every z with all attributes in the middle, and how they sound in C."""
        from train.chord_sound import chords_figure, chords_sound

        with torch.no_grad():
            made = read_chords(self.model.decoder(z[:, :, None], torch.zeros(len(z), A, 1))).numpy()
        figure = chords_figure([(f"position {i}", row) for i, row in enumerate(made)])
        figure.suptitle(title, fontsize=9)
        rate_hz = 24_000
        return figure, np.concatenate([chords_sound(row, rate_hz) for row in made]), rate_hz
