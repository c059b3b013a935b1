"""Training of the ear: drums mixed while it learns, and what is no drum beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from train.export.export import Port
from train.models.ear.figures import Tally, offset
from train.models.ear.mixture import Material, Mixture, drawn, drums, leveled, told
from train.models.ear.network import GROUPS, HOP, SCENES, SURE_HOPS, EarModel, EarNetwork, EarShape
from train.models.ear.picking import SLOW
from train.recipe import Recipe, Section
from train.training import Batch, Training

if TYPE_CHECKING:
    from train.data.kinds.ear import EarItem
    from train.data.store import DataSet

LOUDEST_LOGIT = 12.0
LATER = 0.5
"""Logits more that are asked for where a stroke is found a hop late."""
UNASKED = 0.02
"""Weight of hops in which no onset was said, beside those after one."""
VALIDATED_S = 8.0
COSINE_SCALE = 16.0


class EarModelSection(Section):
    """Sizes; see ``EarShape``."""

    bands: int = Field(default=40, ge=8, le=64, multiple_of=4)
    rises: int = Field(default=2, ge=0, le=4, description="filters of each band by itself; 0: none")
    channels: int = Field(default=40, ge=4, multiple_of=4)
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    embedding: int = Field(default=16, ge=4, le=32, multiple_of=4)


class EarLossSection(Section):
    """Weights."""

    onset: float = Field(default=3.0, gt=0)
    missed: float = Field(default=3.0, gt=0, description="weight of a hop with a stroke over one without")
    groups: float = Field(default=1.0, gt=0)
    calm: float = Field(default=0.5, ge=0, description="no group where something else than drums sounds")
    instruments: float = Field(default=0.2, ge=0)
    scene: float = Field(default=0.3, ge=0)


class EarRecipe(Recipe):
    """A recipe of kind ``ear``."""

    kind: Literal["ear"]
    window: int = Field(default=448, ge=64, description="hops of a training mixture")
    speeds: tuple[float, ...] = Field(
        default=(0.8, 1.25), description="also learn every one-shot played at these speeds"
    )
    others: float = Field(default=0.18, ge=0, le=0.8, description="part of the mixtures without a drum")
    varied: bool = Field(default=True, description="instruments that fade sooner or are made of two")
    pool: int = Field(default=6000, ge=1, description="mixtures that are drawn, and met again and again")
    decided: int = Field(default=8, ge=1, description="hops after a stroke in which its group is asked for")
    model: EarModelSection = EarModelSection()
    loss: EarLossSection = EarLossSection()


class EarTraining(Training):
    """See :class:`train.training.Training`."""

    recipe_type: ClassVar[type[Recipe]] = EarRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("ear",)
    judge: ClassVar[str] = "train.judges.ear.judge"
    recipe: EarRecipe
    model: EarModel

    def __init__(self, recipe: EarRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.material: dict[str, Material] = {}
        self.validated: list[Mixture] = []
        self.met: dict[int, Batch] = {}

    def build(self) -> EarModel:
        """Make the untrained model."""
        return EarModel(self.shape, int(self.facts.get("instruments", 1)))

    @property
    def shape(self) -> EarShape:
        """Sizes."""
        return EarShape(**self.recipe.model.model_dump())

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet[EarItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Take the sounds into memory; there is an answer for every instrument of the training split."""
        for split in splits:
            self.material[split] = Material(data, split, *self._more(split))
        if "train" in splits and "instruments" not in self.facts:
            self.facts = {**self.facts, "instruments": self.material["train"].count}
            torch.manual_seed(self.recipe.seed)
            self.model = self.build()

    def _more(self, split: str) -> tuple[tuple[float, ...], bool]:
        """What is learnt from beyond the data themselves."""
        return (self.recipe.speeds, self.recipe.varied) if split == "train" else ((), False)

    def share(self, other: Any) -> bool:
        """Take the sounds of another task of the same data set."""
        if not isinstance(other, EarTraining) or not other.material:
            return False
        self.material = dict(other.material)
        return True

    def draw(self, step: int) -> Batch:
        """Some of the pool; each is mixed when it is first met, and is the same in a resumed training."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        return _joined([self._met(n) for n in rng.integers(recipe.pool, size=recipe.fit.batch).tolist()])

    def _met(self, number: int) -> Batch:
        """Mixture of a number, as it is learnt from."""
        if number not in self.met:
            rng = np.random.default_rng([self.recipe.seed, 1, number])
            samples = self.recipe.window * HOP
            self.met[number] = self._batch([drawn(self.material["train"], rng, samples, self.recipe.others)])
        return self.met[number]

    def validation_batches(self) -> list[Batch]:
        """Drums of unheard kits, struck by an unheard drummer, and what is no drum."""
        self.validated = self.judged("validation", self.recipe.fit.validation_items)
        return [{**self._batch([mixture]), "which": at} for at, mixture in enumerate(self.validated)]

    def judged(self, split: str, count: int, seconds: float = VALIDATED_S) -> list[Mixture]:
        """Mixtures to judge by: three of drums to one of anything."""
        samples = round(seconds * SAMPLE_RATE_HZ / HOP) * HOP
        found = []
        for number in range(count):
            rng = np.random.default_rng([7, number])
            if number % 4 == 3:
                found.append(drawn(self.material[split], rng, samples))
            else:
                found.append(leveled(drums(self.material[split], rng, samples), rng, -18.0, 0.0))
        return found

    def _batch(self, mixtures: list[Mixture]) -> Batch:
        said = [told(mixture, self.recipe.decided, SURE_HOPS) for mixture in mixtures]
        fields = ("onset", "onset_weight", "groups", "groups_weight", "instrument", "scene")
        audio = torch.from_numpy(np.stack([m.audio for m in mixtures]))[:, None]
        decoder, sound = self.model.decoder, {"audio": audio}
        if isinstance(decoder, EarNetwork):  # what it hears first is not learnt, and smaller
            with torch.no_grad():
                sound = {"bands": decoder.ear(audio)[:, :-1]}
        return {
            **sound,
            **{name: torch.from_numpy(np.stack([getattr(one, name) for one in said])) for name in fields},
            "names": [f"{len(m.events)} strokes" for m in mixtures],
        }

    # Losses ---------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Five answers, each where it is asked for."""
        strokes, scene, embedding = self._said(batch)
        heard = slice(self.shape.memory, None)
        weights = self.recipe.loss
        groups = F.binary_cross_entropy_with_logits(strokes[:, 1:], batch["groups"], reduction="none").mean(1)
        decided = batch["groups_weight"][:, heard]
        terms = {
            "onset": 10.0 * self._onset_loss(strokes[:, 0], batch, heard),
            "groups": (groups[:, heard] * decided).sum() / decided.sum().clamp(min=1.0),
            "calm": self._calm_loss(strokes[..., heard], batch["scene"][:, heard]),
            "scene": self._scene_loss(scene, batch["scene"]),
            "instruments": self._instrument_loss(embedding, batch["instrument"]),
        }
        total = sum((getattr(weights, name) * term for name, term in terms.items()), torch.zeros(()))
        return total, terms

    def _said(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What the network says; one that stands in the decoder's place hears for itself."""
        decoder = self.model.decoder
        return decoder.answers(batch["bands"]) if "bands" in batch else decoder(batch["audio"])

    def _onset_loss(self, onset: Tensor, batch: Batch, heard: slice) -> Tensor:
        """A stroke may be found in its own hop or, a little surer, in the next; nowhere else is one."""
        later = F.pad(onset[:, 1:], (0, 1), value=-LOUDEST_LOGIT) - LATER
        found = torch.logaddexp(onset, later)
        wanted = batch["onset"][:, heard]
        free = (batch["onset_weight"] * (1.0 - batch["onset"]))[:, heard]
        missed = self.recipe.loss.missed * (F.softplus(-found[:, heard]) * wanted).sum()
        invented = (F.softplus(onset[:, heard]) * free).sum()
        return (missed + invented) / (wanted.sum() + free.sum()).clamp(min=1.0)

    def _calm_loss(self, strokes: Tensor, scene: Tensor) -> Tensor:
        """Where something else sounds and an onset was said, no group should be."""
        other = (scene == SCENES.index("pitched")) | (scene == SCENES.index("noise"))
        said = torch.sigmoid(strokes[:, :1].detach())
        recent = F.max_pool1d(F.pad(said, (self.recipe.decided - 1, 0)), self.recipe.decided, 1)[:, 0]
        asked = (recent + UNASKED) * other
        groups = F.softplus(strokes[:, 1:]).mean(1)
        return (groups * asked).sum() / asked.sum().clamp(min=1.0)

    @staticmethod
    def _scene_loss(scene: Tensor, wanted: Tensor) -> Tensor:
        hops = scene.shape[-1]
        settled = min(hops - 1, 128)
        decay = (1.0 - SLOW) ** torch.arange(hops, dtype=torch.float32)
        lag = torch.arange(hops)[None] - torch.arange(hops)[:, None]
        mean = scene @ torch.where(lag >= 0, SLOW * decay[lag.clamp(min=0)], torch.zeros(()))
        asked = wanted[:, settled:]
        if not bool((asked >= 0).any()):
            return torch.zeros(())
        return F.cross_entropy(mean[..., settled:], asked, ignore_index=-1)

    def _instrument_loss(self, embedding: Tensor, wanted: Tensor) -> Tensor:
        at = (wanted >= 0) & (wanted < self.model.instruments.out_features)
        if not bool(at.any()):
            return torch.zeros(())
        rows = F.normalize(embedding.transpose(1, 2)[at], dim=1)
        table = F.normalize(self.model.instruments.weight, dim=1)
        return F.cross_entropy(COSINE_SCALE * rows @ table.T, wanted[at])

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """What is wrong of the strokes of a mixture: missed or invented ones, and wrong groups."""
        tally = Tally()
        strokes, scene, _ = self._said(batch)
        mixture = self.validated[int(batch["which"])]
        tally.add(mixture, strokes[0].cpu().numpy(), scene[0].cpu().numpy())
        _, terms = self.loss(batch)
        wrong = tally.missed + tally.false + tally.groups_wrong
        asked = ("onset", "groups", "calm", "scene")
        return {
            "score": sum((getattr(self.recipe.loss, name) * terms[name] for name in asked), torch.zeros(())),
            "wrong": torch.tensor(float(wrong)),
            "missed": torch.tensor(float(tally.missed)),
            "false": torch.tensor(float(tally.false)),
            "strokes": torch.tensor(float(tally.wanted)),
            **{name: terms[name] for name in asked},
        }

    # The way out ----------------------------------------------------------------------------------

    def know_itself(self) -> None:
        """Move the onset so that 0 is its best threshold on the validation split, and judge there."""
        mixtures = self.judged("validation", self.recipe.fit.validation_items)
        outlet = self.model.decoder.strokes
        assert outlet.bias is not None
        with torch.no_grad():
            said = [self.model.decoder(torch.from_numpy(m.audio)[None, None])[0][0].numpy() for m in mixtures]
            moved = offset(list(zip(mixtures, said, strict=True)))
            outlet.bias[0] += moved
        tally = Tally(threshold=-moved)
        for mixture, strokes in zip(mixtures, said, strict=True):
            tally.add(mixture, strokes)
        self.facts = {**self.facts, "moved": moved, "figures": tally.figures()}

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Audio in; logits and the embedding out."""
        rate = f"1/{HOP}"
        embedding = tuple(f"e{i + 1}" for i in range(self.recipe.model.embedding))
        edge = LOUDEST_LOGIT
        return [Port("audio", "audio", "1", ("mono",), -1.0, 1.0)], [
            Port("strokes", "pattern", rate, ("onset", *GROUPS), -edge, edge),
            Port("scene", "class", rate, SCENES, -edge, edge),
            Port("embedding", "condition", rate, embedding, -edge, edge),
        ]

    def decoder_metadata(self) -> dict[str, Any]:
        """It has no latents."""
        figures = self.facts.get("figures")
        return {"latents": [], **({"metrics": figures} if figures else {})}

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Mixtures of the split."""
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            mixture = drawn(self.material[split], rng, self.recipe.window * HOP)
            yield {"audio": mixture.audio[None, None]}, {}


def _joined(batches: Sequence[Batch]) -> Batch:
    """Batches as one."""
    names = [name for one in batches for name in one["names"]]
    tensors = {name: torch.cat([one[name] for one in batches]) for name in batches[0] if name != "names"}
    return {**tensors, "names": names}
