"""Training of the digits VAE: nothing but the ELBO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from train.export.export import Port
from train.losses import kl_loss, kl_per_latent
from train.models.digits import PIXELS, DigitsShape, DigitsVAE
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task


class DigitsModelSection(Section):
    """Sizes; see ``DigitsShape``."""

    latents: int = Field(default=4, ge=1, le=32)
    hidden: int = Field(default=128, ge=4, multiple_of=4)


class DigitsRecipe(Recipe):
    """A recipe of kind ``digits``."""

    kind: Literal["digits"]
    model: DigitsModelSection = DigitsModelSection()


class DigitsTask(Task):
    """See :class:`train.tasks.base.Task`. The data ship inside scikit-learn; no data set is opened."""

    recipe_type: ClassVar[type[Recipe]] = DigitsRecipe
    on_board: ClassVar[bool] = False
    recipe: DigitsRecipe
    model: DigitsVAE

    def __init__(self, recipe: DigitsRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.images: dict[str, np.ndarray] = {}
        self.digits: dict[str, np.ndarray] = {}

    def build(self) -> DigitsVAE:
        """Make the untrained model."""
        return DigitsVAE(DigitsShape(**self.recipe.model.model_dump()))

    def prepare(self, data: Any, splits: Sequence[str] = ("train", "validation")) -> None:
        """Load the 1,797 digits; in the file's order, which is by writer, the last fifth is held out."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = (bunch.images.reshape(-1, PIXELS, 1) / 16.0).astype(np.float32)
        first, second = int(0.8 * len(images)), int(0.9 * len(images))
        parts = {"train": slice(0, first), "validation": slice(first, second), "test": slice(second, None)}
        self.images = {name: images[part] for name, part in parts.items()}
        self.digits = {name: bunch.target[part] for name, part in parts.items()}

    def draw(self, step: int) -> Batch:
        """Pick images."""
        rng = np.random.default_rng([self.recipe.seed, step, self.global_rank if self._trainer else 0])
        picked = rng.integers(0, len(self.images["train"]), self.recipe.fit.batch)
        return {
            "image": torch.from_numpy(self.images["train"][picked]),
            "names": [f"digit {i}" for i in picked],
        }

    def validation_batches(self) -> list[Batch]:
        """The validation images in one batch."""
        images = self.images["validation"]
        return [{"image": torch.from_numpy(images), "names": [f"digit {i}" for i in range(len(images))]}]

    def elbo_terms(self, images: Tensor, z: Tensor) -> Tensor:
        """Bernoulli log-likelihood lost per image, in nats."""
        logits = self.model.decoder.logits(z[:, :, None])
        return F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((1, 2)).mean()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative ELBO with the KL weighted by beta."""
        mean, log_variance = self.model.encoder(batch["image"])
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        terms = {
            "reconstruction": self.elbo_terms(batch["image"], z),
            "kl": kl_loss(mean, log_variance, self.recipe.kl.free_bits),
        }
        return terms["reconstruction"] + self.beta() * terms["kl"], terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Negative ELBO at the recipe's full beta."""
        mean, log_variance = self.model.encoder(batch["image"])
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        reconstruction = self.elbo_terms(batch["image"], z)
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": reconstruction + self.recipe.kl.beta * kl.sum(),
            "reconstruction": reconstruction,
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z in, ink out."""
        z = Port("z", "latent", "event", tuple(f"z{i + 1}" for i in range(self.latents)), -4.0, 4.0)
        pixels = tuple(f"pixel {i // 8},{i % 8}" for i in range(PIXELS))
        return [z], [Port("ink", "pattern", "event", pixels, 0.0, 1.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Ink in, posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        pixels = self.decoder_ports()[1][0].channels
        return [Port("ink", "pattern", "event", pixels, 0.0, 1.0)], outputs

    def decoder_metadata(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The first layer reads nothing but z."""
        return self.model.decoder.body[0], slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """All images at once."""
        yield torch.from_numpy(self.images[split])

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """How much ink."""
        return {"ink": self.images[split].sum((1, 2))}

    def kinds_of_items(self, split: str) -> list[str]:
        """The digits."""
        return [str(d) for d in self.digits[split]]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """All at once."""
        picked = np.random.default_rng(seed).permutation(len(self.images[split]))[:count]
        images = self.images[split][picked]
        with torch.no_grad():
            mean, _ = self.model.encoder(torch.from_numpy(images))
        yield {"z": mean.numpy()[:, :, None]}, {"ink": images}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, None, int]:
        """A row of digits."""
        import matplotlib.pyplot as plt

        with torch.no_grad():
            made = self.model.decoder(z[:, :, None]).numpy()
        figure, axes = plt.subplots(1, len(made), figsize=(1.2 * len(made), 1.5))
        for place, image in zip(axes, made, strict=True):
            place.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            place.axis("off")
        figure.suptitle(title, fontsize=8)
        return figure, None, 0
