"""Training of the drive VAE: windows of dry and wet, an encoder that hears both, three directions for z.

``direction = "timbre"``: dry in, modified sound reconstructed; z is whatever helps.
``direction = "topology"``: the first latents are tied to effect type and amount through the differences
between pairs that share a dry phrase or an effect, and a critic of the joint density (FactorVAE, Kim and
Mnih 2018) keeps the dimensions independent.
``direction = "matching"``: an invertible flow learns beside the VAE to read each effect's parameters from z,
and the encoder is asked to put z where the flow would read them rightly (:mod:`train.latents.space`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from train.attributes.effect import ParameterTable, Setting, amount_of
from train.export.export import Port
from train.latents.motion import moving_latents
from train.latents.table import Block
from train.losses import SpectralLoss, kl_loss, kl_per_latent, ramp
from train.models.drive import HOP, DriveShape, DriveVAE
from train.models.flow import ParameterFlow
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task, evenly

if TYPE_CHECKING:
    from train.data.kinds.drive import DriveItem
    from train.data.store import DataSet

ENCODER_PACE = 0.4  # of the learning rate
PRE_EMPHASIS = 0.85
APART = 2.0  # distance that effects keep in the type latents
SILENCE = 0.05  # energy per window that counts as silence: −53 dBFS over 0.2 s


class DriveModelSection(Section):
    """Sizes; see ``DriveShape``."""

    latents: int = Field(8, ge=1, le=64)
    channels: int = Field(16, ge=4, multiple_of=4)
    kernel: int = Field(3, ge=2, le=9)
    dilations: tuple[int, ...] = (1, 3, 9, 27, 81, 243)
    film: int = Field(64, ge=4, multiple_of=4)
    encoder: int = Field(64, ge=4, multiple_of=4)
    seconds: float = Field(0.5, ge=0.1, le=4.0)


class DriveLossSection(Section):
    """Weights of the reconstruction and of the topology."""

    esr: float = Field(1.0, ge=0)
    emphasised: float = Field(1.0, ge=0, description="ESR behind a pre-emphasis filter")
    power: float = Field(0.5, gt=0, le=1, description="error ratios are raised to this before the mean")
    dc: float = Field(0.5, ge=0)
    spectral: float = Field(0.05, ge=0)
    sizes: tuple[int, ...] = (1024, 256)
    moving: float = Field(
        0.3, ge=0, le=1, description="part of the windows whose z moves within its posterior"
    )
    same: float = Field(1.0, ge=0, description="topology: pairs of one effect agree in the type latents")
    apart: float = Field(1.0, ge=0, description="topology: effects differ in the type latents")
    amount: float = Field(
        2.0, ge=0, description="topology: the amount latent follows the difference in amount"
    )
    matching: float = Field(
        0.1, ge=0, description="matching: z lies where the flow would read the right parameters"
    )
    independence: float = Field(0.05, ge=0, description="topology: weight of the total correlation")


class DriveRecipe(Recipe):
    """A recipe of kind ``drive``."""

    kind: Literal["drive"]
    direction: Literal["timbre", "topology", "matching"] = "timbre"
    window: int = Field(9600, ge=2400, multiple_of=48, description="samples that count in a training window")
    type_latents: int = Field(
        4, ge=1, description="topology: latents tied to the type; the next is the amount"
    )
    often: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="how often an effect is drawn, by name; 1 where it is not named"
    )
    model: DriveModelSection = DriveModelSection()
    loss: DriveLossSection = DriveLossSection()


class Independence(nn.Module):
    """FactorVAE's discriminator: was z drawn jointly? ``[N, Z]`` to logits ``[N]``."""

    def __init__(self, latents: int, hidden: int = 64):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(latents, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Log-odds that z is a joint draw."""
        return self.body(z)[:, 0]


def error_to_signal(made: Tensor, wanted: Tensor) -> Tensor:
    """Error energy over signal energy of each row, ``[N, 1, S]`` to ``[N]``."""
    error = ((made - wanted) ** 2).sum((1, 2))
    return error / ((wanted**2).sum((1, 2)) + SILENCE)


def emphasise(audio: Tensor) -> Tensor:
    """First-order pre-emphasis, so that highs count (Wright and Välimäki 2020)."""
    return audio[..., 1:] - PRE_EMPHASIS * audio[..., :-1]


def balanced(indices: np.ndarray, effects: Sequence[str], count: int) -> np.ndarray:
    """At most ``count`` of the indices, as many of every effect as there are, evenly spaced in each."""
    members: dict[str, list[int]] = {}
    for index, effect in zip(indices.tolist(), effects, strict=True):
        members.setdefault(effect, []).append(index)
    room, chosen = count, []
    for left, some in zip(range(len(members), 0, -1), sorted(members.values(), key=len), strict=True):
        share = evenly(np.array(some), max(1, room // left))
        room -= len(share)
        chosen += share.tolist()
    return np.array(sorted(chosen), dtype=np.int64)


class DriveTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = DriveRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("drive",)
    judge: ClassVar[str] = "train.judges.drive"
    recipe: DriveRecipe
    model: DriveVAE
    data: DataSet[DriveItem]

    def __init__(self, recipe: DriveRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        if recipe.direction == "topology" and recipe.type_latents >= recipe.model.latents:
            raise Refusal(
                f"{recipe.name}: type_latents = {recipe.type_latents} leaves no latent of "
                f"{recipe.model.latents} for the amount; lower it"
            )
        self.spectral = SpectralLoss(recipe.loss.sizes, linear=1.0)
        self.lead = -(-self.model.shape.past // HOP) * HOP
        self.heard_samples = self.model.encoder.picture.samples
        self.picked: dict[str, np.ndarray] = {}
        self.pairs: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.amounts: dict[int, float] = {}

    @staticmethod
    def truth(wanted: np.ndarray, made: np.ndarray) -> dict[str, float]:
        """Energy of the error over that of the signal, of all rows together."""
        signal, error = (np.asarray(x, np.float64) for x in (wanted, made - wanted))
        return {"esr": float((error**2).sum() / max(float((signal**2).sum()), 1e-30))}

    def build(self) -> DriveVAE:
        """Make the untrained model."""
        return DriveVAE(DriveShape(**self.recipe.model.model_dump()))

    def build_opponent(self) -> nn.Module | None:
        """The judge of independence, or the flow that reads parameters once these are known."""
        recipe = self.recipe
        if recipe.direction == "topology" and recipe.loss.independence > 0:
            return Independence(recipe.model.latents)
        if recipe.direction == "matching" and "table" in self.facts:
            self.table = ParameterTable.from_json(self.facts["table"])
            return ParameterFlow(
                self.table.latents, len(self.table.effects), torch.from_numpy(self.table.known())
            )
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The decoder at the recipe's pace; the encoder slower, or its latents run away from the prior."""
        return [
            {"params": list(self.model.decoder.parameters()), "pace": 1.0},
            {"params": list(self.model.encoder.parameters()), "pace": ENCODER_PACE},
        ]

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet[DriveItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Read the pairs and rank every effect's amount over the training split."""
        self.data = data
        for split in splits:
            picked = data.split(split)
            if not len(picked):
                raise Refusal(
                    f"{data.directory} has no pairs in its {split} split; add phrases and prepare again"
                )
            if split == "validation":
                effects = [data.manifest[index]["effect"] for index in picked.tolist()]
                picked = balanced(picked, effects, self.recipe.fit.validation_items)
            self.picked[split] = picked
            for index in picked.tolist():
                dry, wet = data.pair(index)
                if not (np.isfinite(dry).all() and np.isfinite(wet).all()):
                    raise Refusal(
                        f"{data.manifest[index]['name']} in {data.directory} holds NaN or infinity; "
                        "leave it out and prepare again"
                    )
                self.pairs[index] = dry, wet
        if "amounts" not in self.facts:
            found: dict[str, list[float]] = {}
            for index in self.picked["train"].tolist():
                value = amount_of(data.manifest[index]["parameters"])
                if value is not None:
                    found.setdefault(data.manifest[index]["effect"], []).append(value[1])
            self.facts["amounts"] = {
                effect: np.quantile(values, np.linspace(0, 1, 33)).tolist()
                for effect, values in found.items()
            }
            self.facts["effects"] = sorted(
                {data.manifest[i]["effect"] for i in self.picked["train"].tolist()}
            )
            strange = sorted(set(self.recipe.often) - set(self.facts["effects"]))
            if strange:
                raise Refusal(
                    f"{self.recipe.name}: often.{strange[0]} names no effect that {data.directory} trains "
                    f"on; it has {', '.join(self.facts['effects'])}"
                )
            if self.recipe.direction == "matching":
                rows = [data.manifest[i] for i in self.picked["train"].tolist()]
                self.facts["table"] = ParameterTable.of(rows, self.latents).as_json()
                self.opponent = self.build_opponent()
        for picked in self.picked.values():
            for index in picked.tolist():
                self.amounts[index] = self.relative_amount(data.manifest[index])
        train = self.picked["train"] if "train" in self.picked else np.zeros(0, int)
        self.by_effect: dict[str, list[int]] = {}
        self.by_phrase: dict[str, list[int]] = {}
        for index in train.tolist():
            item = data.manifest[index]
            self.by_effect.setdefault(item["effect"], []).append(index)
            self.by_phrase.setdefault(item["dry_file"], []).append(index)
        self.up_to = np.cumsum([self.recipe.often.get(effect, 1.0) for effect in self.by_effect])

    def relative_amount(self, item: Setting) -> float:
        """Amount of an item among its effect's, −1 to 1; NaN where the manifest does not say."""
        value = amount_of(item["parameters"])
        table = self.facts["amounts"].get(item["effect"])
        if value is None or table is None or table[-1] <= table[0]:
            return float("nan")
        return float(np.interp(value[1], table, np.linspace(-1, 1, len(table))))

    def heard(self, index: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """What the encoder hears of an item, ``[2, S]``: a loud window, or pieces in a row."""
        dry, wet = self._long_enough(index)
        start = 0
        if len(dry) > self.heard_samples:
            if rng is None:
                start = self._loud_starts(wet, 1)[0]
            else:  # the loudest of three: silence says nothing of a device
                starts = rng.integers(0, len(dry) - self.heard_samples, 3)
                parts = [float((wet[s : s + self.heard_samples] ** 2).sum()) for s in starts]
                start = int(starts[int(np.argmax(parts))])
        return self._heard_at(dry, wet, start)

    def windows_heard(self, index: int, count: int) -> list[np.ndarray]:
        """The loudest windows of an item, see :meth:`loud_windows`."""
        return self.loud_windows(*self._long_enough(index), count)

    def loud_windows(self, dry: np.ndarray, wet: np.ndarray, count: int) -> list[np.ndarray]:
        """The ``count`` loudest windows ``[2, S]`` that overlap by half at most; at least one."""
        return [self._heard_at(dry, wet, start) for start in self._loud_starts(wet, count)]

    def _long_enough(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """An item, and what follows it in its file and split until there is enough to hear."""
        dry, wet = self.pairs[index]
        item = self.data.manifest[index]
        following = index
        while len(dry) < self.heard_samples:
            following += 1
            if following not in self.pairs:
                break
            other = self.data.manifest[following]
            if (other["file"], other["split"]) != (item["file"], item["split"]):
                break
            dry = np.concatenate([dry, self.pairs[following][0]])
            wet = np.concatenate([wet, self.pairs[following][1]])
        return dry, wet

    def _loud_starts(self, wet: np.ndarray, count: int) -> list[int]:
        """Where the loudest windows begin, loudest first."""
        need = self.heard_samples
        if len(wet) <= need:
            return [0]
        total = np.concatenate([[0.0], np.cumsum(wet.astype(np.float64) ** 2)])
        energy = (total[need:] - total[:-need])[::HOP]
        starts: list[int] = []
        while len(starts) < count and energy.max() > 0:
            best = int(energy.argmax())
            starts.append(best * HOP)
            energy[max(0, best - need // HOP // 2) : best + need // HOP // 2 + 1] = 0.0
        return starts or [0]

    def _heard_at(self, dry: np.ndarray, wet: np.ndarray, start: int) -> np.ndarray:
        out = np.zeros((2, self.heard_samples), np.float32)
        window = slice(start, start + self.heard_samples)
        out[0, : len(dry[window])], out[1, : len(wet[window])] = dry[window], wet[window]
        return out

    def window(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A training window with its past: dry ``[lead + window]``, wet ``[window]``."""
        dry, wet = self.pairs[index]
        size = self.recipe.window
        # In the middle of a recording the past is unknown; at its beginning it is silence.
        first = self.lead if self.data.manifest[index]["continues"] else 0
        start = int(rng.integers(first, max(first + 1, len(dry) - size + 1)))
        past = np.zeros(self.lead + size, np.float32)
        wanted = np.zeros(size, np.float32)
        known = dry[max(0, start - self.lead) : start + size]
        offset = max(0, self.lead - start)
        past[offset : offset + len(known)] = known
        wanted[: len(wet[start : start + size])] = wet[start : start + size]
        return past, wanted

    def draw(self, step: int) -> Batch:
        """Pick windows; for the topology in triples: a pair, one of its phrase, one of its effect."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        effects = list(self.by_effect)
        picked: list[int] = []
        while len(picked) < recipe.fit.batch:
            effect = effects[int(np.searchsorted(self.up_to, rng.uniform(0, self.up_to[-1])))]
            index = int(rng.choice(self.by_effect[effect]))
            picked.append(index)
            if recipe.direction == "topology":
                item = self.data.manifest[index]
                picked.append(int(rng.choice(self.by_phrase[item["dry_file"]])))
                picked.append(int(rng.choice(self.by_effect[item["effect"]])))
        windows = [self.window(i, rng) for i in picked]
        kinds = [effects.index(self.data.manifest[i]["effect"]) for i in picked]
        if recipe.direction == "matching":
            rows = [self.data.manifest[i] for i in picked]
            more = {
                "parameters": torch.from_numpy(self.table.standardised(rows)),
                "kind": torch.tensor([self.table.effects.index(row["effect"]) for row in rows]),
            }
        else:
            more = {}
        return {
            **more,
            "heard": torch.from_numpy(np.stack([self.heard(i, rng) for i in picked])),
            "dry": torch.from_numpy(np.stack([dry for dry, _ in windows])[:, None]),
            "wanted": torch.from_numpy(np.stack([wet for _, wet in windows])[:, None]),
            "effect": torch.tensor(kinds),
            "amount": torch.tensor([self.amounts[i] for i in picked], dtype=torch.float32),
            "names": [self.data.manifest[i]["name"] for i in picked],
        }

    def validation_batches(self) -> list[Batch]:
        """The first second of validation pairs, or all of a shorter one."""
        return list(self.whole_items("validation", SAMPLE_RATE_HZ))

    def whole_items(self, split: str, longest: int) -> Iterator[Batch]:
        """Items of a split from their first sample, equal lengths in a batch, at most ``longest`` samples."""
        groups: dict[int, list[int]] = {}
        for index in self.picked[split].tolist():
            size = min(longest, len(self.pairs[index][0])) // HOP * HOP
            groups.setdefault(size, []).append(index)
        for size, members in sorted(groups.items()):
            for first in range(0, len(members), 16):
                group = members[first : first + 16]
                cut = [self.pairs[i] for i in group]
                yield {
                    "heard": torch.from_numpy(np.stack([self.heard(i) for i in group])),
                    "dry": torch.from_numpy(np.stack([dry[:size] for dry, _ in cut])[:, None]),
                    "wanted": torch.from_numpy(np.stack([wet[:size] for _, wet in cut])[:, None]),
                    "index": group,
                    "names": [self.data.manifest[i]["name"] for i in group],
                }

    # Losses ---------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction, KL and what the topology asks."""
        weights = self.recipe.loss
        mean, log_variance = self.model.encoder(batch["heard"])
        frames = batch["dry"].shape[-1] // HOP
        z = moving_latents(mean, torch.exp(0.5 * log_variance), frames, weights.moving)
        made = self.model.decoder(batch["dry"], z)[..., self.lead :]
        wanted = batch["wanted"]
        terms = {
            "esr": self._mean(error_to_signal(made, wanted)),
            "emphasised": self._mean(error_to_signal(emphasise(made), emphasise(wanted))),
            "dc": ((made - wanted).mean(-1) ** 2 / ((wanted**2).mean(-1) + SILENCE)).mean(),
            "kl": kl_loss(mean, log_variance, self.recipe.kl.free_bits),
        }
        total = (
            weights.esr * terms["esr"] + weights.emphasised * terms["emphasised"] + weights.dc * terms["dc"]
        )
        if weights.spectral:
            terms["spectral"] = self.spectral(made, wanted)
            total = total + weights.spectral * terms["spectral"]
        total = total + self.beta() * terms["kl"]
        if self.recipe.direction == "topology":
            total = total + self.topology(mean, log_variance, batch, terms) * ramp(self.progress, 0.2)
        if self.recipe.direction == "matching":
            with torch.no_grad():
                terms["unread"] = self.unread(mean, log_variance, batch)
            terms["misplaced"] = self.misplaced(mean, log_variance, batch)
            total = total + weights.matching * terms["misplaced"] * ramp(self.progress, 0.2)
        return total, terms

    def _mean(self, ratios: Tensor) -> Tensor:
        """Mean of error ratios to the recipe's power: below 1, easy effects weigh as much as hard ones."""
        return ((ratios + 1e-5) ** self.recipe.loss.power).mean()

    def topology(self, mean: Tensor, log_variance: Tensor, batch: Batch, terms: dict[str, Tensor]) -> Tensor:
        """What the difference vectors between the pairs of a batch must be.

        A batch is made of triples (see :meth:`draw`), so that some of its pairs share a phrase and some an
        effect. Amounts are compared where they are known on both sides.
        """
        weights, kinds = self.recipe.loss, self.recipe.type_latents
        effect, amount = batch["effect"], batch["amount"]
        i, j = torch.triu_indices(len(mean), len(mean), 1)
        alike = (effect[i] == effect[j]).float()
        square = ((mean[i] - mean[j])[:, :kinds] ** 2).sum(1)
        short = F.relu(APART - torch.sqrt(square + 1e-6)) ** 2
        # Amounts in (−1, 1) are spread to about a unit normal's quartiles.
        error = (mean[i] - mean[j])[:, kinds] - 1.2 * (amount[i] - amount[j])
        known = torch.isfinite(error)
        terms["same"] = (square * alike).sum() / alike.sum().clamp(min=1)
        terms["apart"] = (short * (1 - alike)).sum() / (1 - alike).sum().clamp(min=1)
        terms["amount"] = torch.where(known, error, 0.0).square().sum() / known.sum().clamp(min=1)
        total = (
            weights.same * terms["same"] + weights.apart * terms["apart"] + weights.amount * terms["amount"]
        )
        if self.opponent is not None:
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            terms["total_correlation"] = self.opponent(z).mean()
            total = total + weights.independence * terms["total_correlation"]
        return total

    def unread(self, mean: Tensor, log_variance: Tensor, batch: Batch) -> Tensor:
        """Mean square error of the standardised parameters that the flow reads from z."""
        assert isinstance(self.opponent, ParameterFlow)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        u, _ = self.opponent(z, batch["kind"])
        known = torch.isfinite(batch["parameters"])
        error = torch.where(known, u - batch["parameters"], 0.0)
        return error.square().sum() / known.sum().clamp(min=1)

    def misplaced(self, mean: Tensor, log_variance: Tensor, batch: Batch) -> Tensor:
        """Square distance of z to where the flow would read the right parameters, for each parameter.

        The encoder is shown that place and moves towards it. It doesn't descend through the flow: what the
        flow reads far from the latents it has met means nothing, and an encoder that followed it there ran
        away, the flow behind it.
        """
        assert isinstance(self.opponent, ParameterFlow)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        with torch.no_grad():
            place = self.opponent.corrected(z, batch["kind"], batch["parameters"])
        known = torch.isfinite(batch["parameters"])
        return (z - place).square().sum() / known.sum().clamp(min=1)

    def opponent_loss(self, batch: Batch) -> Tensor | None:
        """Tell joint draws from draws whose dimensions were shuffled over the batch; or read parameters."""
        if self.opponent is None:
            return None
        with torch.no_grad():
            mean, log_variance = self.model.encoder(batch["heard"])
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        if isinstance(self.opponent, ParameterFlow):
            return -self.opponent.log_likelihood(z, batch["kind"], batch["parameters"]).mean()
        with torch.no_grad():
            shuffled = torch.stack([column[torch.randperm(len(z))] for column in z.T], 1)
        joint, product = self.opponent(z), self.opponent(shuffled)
        return F.softplus(-joint).mean() + F.softplus(product).mean()

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """ESR of whole items at the posterior's mean."""
        mean, log_variance = self.model.encoder(batch["heard"])
        wanted = batch["wanted"]
        made = self.render(batch["dry"], mean)
        esr = error_to_signal(made, wanted)
        emphasised = error_to_signal(emphasise(made), emphasise(wanted))
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": (esr + emphasised).clamp(max=2.0).mean(),
            "esr": esr.mean(),
            "emphasised": emphasised.mean(),
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    def render(self, dry: Tensor, z: Tensor) -> Tensor:
        """Distort ``dry [N, 1, 48·T]`` with held ``z [N, Z]``."""
        return self.model.decoder(dry, z[:, :, None].expand(-1, -1, dry.shape[-1] // HOP))

    # The way out ----------------------------------------------------------------------------------

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Audio and latent in, wet out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        inputs = [
            Port("audio", "audio", "1", ("audio",), -1.0, 1.0),
            Port("latent", "latent", f"1/{HOP}", names, -4.0, 4.0),
        ]
        return inputs, [Port("wet", "audio", "1", ("audio",), -1.0, 1.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """A window of dry and wet in, posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        return [Port("pair", "audio", "event", ("dry", "wet"), -1.0, 1.0, length=self.heard_samples)], outputs

    def decoder_metadata(self) -> dict[str, Any]:
        """Which effects it learnt; no attributes, no latency."""
        return {"effects": self.facts.get("effects", []), "attributes": [], "latency_samples": 0}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The first layer of the FiLM network."""
        return self.model.decoder.film_in, slice(0, self.latents)

    def latent_blocks(self) -> list[Block]:
        """Tied latents stay apart: the type's, the amount, the rest."""
        if self.recipe.direction == "topology":
            kinds, size = self.recipe.type_latents, self.latents
            tied = [Block(tuple(range(kinds)), "type"), Block((kinds,), "amount", signed=True)]
            rest = tuple(range(kinds + 1, size))
            return [*tied, Block(rest)] if rest else tied
        return super().latent_blocks()

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """One window of every item."""
        members = self.picked[split].tolist()
        for first in range(0, len(members), 16):
            yield torch.from_numpy(np.stack([self.heard(i) for i in members[first : first + 16]]))

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """How much louder, brighter and denser the wet side is."""
        rows = np.array([change(self.heard(i)) for i in self.picked[split].tolist()])
        return {name: rows[:, column] for column, name in enumerate(("gain", "brightness", "compression"))}

    def kinds_of_items(self, split: str) -> list[str]:
        """Their effects."""
        return [self.data.manifest[i]["effect"] for i in self.picked[split].tolist()]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Half-second windows of the split, 8 a batch."""
        rng = np.random.default_rng(seed)
        members = rng.permutation(self.picked[split])[:count].tolist()
        size = min([SAMPLE_RATE_HZ // 2, *(len(self.pairs[i][0]) for i in members)]) // HOP * HOP
        for first in range(0, len(members), 8):
            group = members[first : first + 8]
            with torch.no_grad():
                mean, _ = self.model.encoder(torch.from_numpy(np.stack([self.heard(i) for i in group])))
            latent = np.repeat(mean.numpy()[:, :, None], size // HOP, 2)
            dry = np.stack([self.pairs[i][0][:size] for i in group])[:, None]
            wet = np.stack([self.pairs[i][1][:size] for i in group])[:, None]
            yield {"audio": dry, "latent": latent}, {"wet": wet}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """The curve that a slow sine draws, and a phrase, at every z."""
        import matplotlib.pyplot as plt

        index = max(self.pairs, key=lambda i: float((self.pairs[i][0][:SAMPLE_RATE_HZ] ** 2).sum()))
        phrase = self.pairs[index][0][: SAMPLE_RATE_HZ // HOP * HOP]
        phrase = np.pad(phrase, (0, -len(phrase) % HOP))
        sine = 0.7 * np.sin(2 * np.pi * 100 * np.arange(2400) / SAMPLE_RATE_HZ).astype(np.float32)
        with torch.no_grad():
            curves = self.render(torch.from_numpy(sine)[None, None].expand(len(z), -1, -1), z)[:, 0].numpy()
            sounds = self.render(torch.from_numpy(phrase)[None, None].expand(len(z), -1, -1), z)[:, 0].numpy()
        figure, axes = plt.subplots(1, len(z), figsize=(2.2 * len(z), 2.2), sharey=True, squeeze=False)
        for place, curve in zip(axes[0], curves, strict=True):
            place.plot(sine[-480:], curve[-480:], lw=1)
            place.set(xlabel="dry", xlim=(-0.75, 0.75))
        axes[0, 0].set_ylabel("wet")
        figure.suptitle(title, fontsize=9)
        figure.tight_layout()
        return figure, np.clip(sounds.reshape(-1), -1, 1), SAMPLE_RATE_HZ


def change(pair: np.ndarray) -> tuple[float, float, float]:
    """Level, spectral centroid and crest factor of wet against dry, as logarithms; ``pair`` is [2, S]."""
    levels = np.sqrt((pair**2).mean(1) + 1e-9)
    spectra = np.abs(np.fft.rfft(pair * np.hanning(pair.shape[1]), axis=1)) + 1e-6
    bins = np.arange(spectra.shape[1])
    centroids = (spectra * bins).sum(1) / spectra.sum(1) + 1.0
    crests = (np.abs(pair).max(1) + 1e-9) / levels
    return (
        float(np.log(levels[1] / levels[0])),
        float(np.log(centroids[1] / centroids[0])),
        float(np.log(crests[0] / crests[1])),
    )
