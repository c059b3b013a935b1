"""Training of what finds the knobs of the instrument `modal`: the likelihood of patches by their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from train.export.export import Port
from train.models.modal.network import PatchModel, PatchShape, step_of
from train.models.modal.parameters import NAMES, SIZE
from train.models.modal.picture import FRAMES, MELS, PLANES
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task, evenly

AT_ONCE = 256
PITCH = NAMES.index("pitch")
MOST_LATENT_ITEMS = 4_000
"""Training patches by which the latents are turned and their tables written."""


class PatchModelSection(Section):
    """Sizes; see ``PatchShape``."""

    latents: int = Field(default=64, ge=SIZE, le=128)
    widths: tuple[int, int, int, int, int] = (16, 24, 32, 48, 48)
    partials: tuple[int, int, int, int] = (24, 32, 32, 32)
    finder: int = Field(default=16, ge=4, le=256)
    joined: int = Field(default=80, ge=16, le=1024)
    dropout: float = Field(default=0.15, ge=0, lt=1)
    couplings: int = Field(default=6, ge=0, le=16, multiple_of=2)
    hidden: int = Field(default=64, ge=16, le=512)


class PatchLossSection(Section):
    """Weights."""

    middle: float = Field(default=8.0, ge=0, description="weight of the middle answer's squared error")
    pitch: float = Field(default=0.2, ge=0, description="weight of where the first mode is looked for")


class PatchRecipe(Recipe):
    """A recipe of kind ``modal``."""

    kind: Literal["modal"]
    model: PatchModelSection = PatchModelSection()
    loss: PatchLossSection = PatchLossSection()


class PatchTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = PatchRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("modal",)
    judge: ClassVar[str] = "train.judges.modal.judge"
    on_board: ClassVar[bool] = False
    recipe: PatchRecipe
    model: PatchModel

    def __init__(self, recipe: PatchRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.pictures: dict[str, np.ndarray] = {}
        self.positions: dict[str, np.ndarray] = {}
        self.labels: dict[str, list[str]] = {}

    def build(self) -> PatchModel:
        """Make the untrained model."""
        return PatchModel(PatchShape(**self.recipe.model.model_dump()))

    def prepare(self, data: Any, splits: Sequence[str] = ("train", "validation")) -> None:
        """Take pictures and positions of splits into memory."""
        self.check_data(data, f"{self.recipe.name} needs")
        for split in splits:
            indices = data.split(split)
            self.pictures[split] = data.arrays["pictures"][indices]
            self.positions[split] = data.arrays["positions"][indices]
            self.labels[split] = [data.manifest[index]["label"] for index in indices]

    def _batch(self, split: str, picked: np.ndarray) -> Batch:
        return {
            "pictures": torch.from_numpy(self.pictures[split][picked]).flatten(1, 2),
            "positions": torch.from_numpy(self.positions[split][picked]),
            "names": [f"patch {i}" for i in picked],
        }

    def draw(self, step: int) -> Batch:
        """Pick patches; every pass over the data is in an order of its own."""
        batch, count = self.recipe.fit.batch, len(self.positions["train"])
        places = np.arange(step * batch, (step + 1) * batch)
        picked = np.zeros(batch, np.int64)
        for turn in np.unique(places // count):
            now = places // count == turn
            order = np.random.default_rng([self.recipe.seed, int(turn)]).permutation(count)
            picked[now] = order[places[now] % count]
        return self._batch("train", picked)

    def validation_batches(self) -> list[Batch]:
        """Validation patches in one batch, so that variances are theirs all."""
        count = len(self.positions["validation"])
        return [self._batch("validation", evenly(np.arange(count), self.recipe.fit.validation_items))]

    def _middle(self, z: Tensor) -> Tensor:
        """The middle answer ``[N, 16]``."""
        return self.model.decoder(z[..., None], z.new_zeros(len(z), SIZE, 1))[..., 0]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Likelihood, how far the middle answer is off, and where the first mode was looked for."""
        z, logits = self.model.encoder.seen(batch["pictures"])
        positions = batch["positions"]
        terms = {
            "likelihood": -self.model.decoder.log_likelihood(z, positions).mean() / SIZE,
            "middle": (self._middle(z) - positions).square().mean(),
            "pitch": nn.functional.cross_entropy(logits, step_of(positions[:, PITCH])),
        }
        weights = self.recipe.loss
        return terms["likelihood"] + weights.middle * terms["middle"] + weights.pitch * terms["pitch"], terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """What is left of the positions' variance, as a mean over the parameters; the likelihood."""
        z, _ = self.model.encoder(batch["pictures"])
        wanted = batch["positions"]
        left = (self._middle(z) - wanted).square().mean(0) / wanted.var(0, unbiased=False)
        return {
            "score": left.mean(),
            "r2_worst": 1.0 - left.max(),
            "likelihood": -self.model.decoder.log_likelihood(z, wanted).mean() / SIZE,
        }

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """What the encoder said and a draw in, positions out."""
        z = Port("z", "latent", "event", tuple(f"z{i + 1}" for i in range(self.latents)), -4.0, 4.0)
        draw = Port("draw", "pattern", "event", tuple(f"draw {name}" for name in NAMES), -6.0, 6.0)
        return [z, draw], [Port("positions", "pattern", "event", NAMES, 0.0, 1.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Pictures in, posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        rows = tuple(f"plane {i + 1} row {band + 1}" for i in range(PLANES) for band in range(MELS))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        return [Port("pictures", "pattern", "event", rows, 0.0, 255.0, FRAMES)], outputs

    def decoder_metadata(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The first layer that reads z."""
        return self.model.decoder.inlet, slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Pictures, some at once."""
        pictures = self._shown(split, self.pictures)
        for first in range(0, len(pictures), AT_ONCE):
            yield torch.from_numpy(pictures[first : first + AT_ONCE]).flatten(1, 2)

    def _shown(self, split: str, of: dict[str, np.ndarray]) -> np.ndarray:
        return of[split][evenly(np.arange(len(of[split])), MOST_LATENT_ITEMS)]

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """The positions themselves."""
        positions = self._shown(split, self.positions)
        return {name: positions[:, at].astype(float) for at, name in enumerate(NAMES)}

    def kinds_of_items(self, split: str) -> list[str]:
        """What excites each most."""
        picked = evenly(np.arange(len(self.labels[split])), MOST_LATENT_ITEMS)
        return [self.labels[split][index] for index in picked]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Middle answers to some patches."""
        picked = np.random.default_rng(seed).permutation(len(self.positions[split]))[:count]
        with torch.no_grad():
            z, _ = self.model.encoder(torch.from_numpy(self.pictures[split][picked]).flatten(1, 2))
        draw = np.zeros((len(picked), SIZE, 1), np.float32)
        yield (
            {"z": z.numpy()[..., None], "draw": draw},
            {"positions": self.positions[split][picked][..., None]},
        )

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """The sound of each middle answer, and its positions as bars."""
        import matplotlib.pyplot as plt

        from common.audio import SAMPLE_RATE_HZ
        from train.models.modal.sound import stroke

        with torch.no_grad():
            positions = self.model.decoder(z[..., None], z.new_zeros(len(z), SIZE, 1))[..., 0]
            sound = stroke(positions, 500).numpy()
        figure, axes = plt.subplots(figsize=(5, 2.4))
        axes.imshow(positions.numpy().T, vmin=0, vmax=1, aspect="auto")
        axes.set_yticks(range(SIZE), NAMES, fontsize=5)
        axes.set_title(title, fontsize=8)
        return figure, sound.reshape(-1), SAMPLE_RATE_HZ
