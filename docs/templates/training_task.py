"""Training of the envelope VAE: halves of sines of any length and steepness, which are made here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from train.export.export import Port
from train.losses import kl_loss, kl_per_latent
from train.models.envelope import POINTS, EnvelopeShape, EnvelopeVAE
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task

SIZES = {"train": 512, "validation": 64, "test": 64}


class EnvelopeModelSection(Section):
    """Sizes; see ``EnvelopeShape``."""

    latents: int = Field(default=2, ge=1, le=8)
    hidden: int = Field(default=32, ge=4, multiple_of=4)


class EnvelopeRecipe(Recipe):
    """A recipe of kind ``envelope``: its sections are what a recipe may set."""

    kind: Literal["envelope"]
    model: EnvelopeModelSection = EnvelopeModelSection()


class EnvelopeTask(Task):
    """See :class:`train.tasks.base.Task`, which says what else a kind may declare.

    A kind that trains on a data set names it in ``data_kinds``, and reads it in ``prepare``. One that
    ``vaectrol evaluate`` judges names the module in ``judge``.
    """

    recipe_type: ClassVar[type[Recipe]] = EnvelopeRecipe
    recipe: EnvelopeRecipe
    model: EnvelopeVAE

    def __init__(self, recipe: EnvelopeRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.envelopes: dict[str, np.ndarray] = {}

    def build(self) -> EnvelopeVAE:
        """Make the untrained model."""
        return EnvelopeVAE(EnvelopeShape(**self.recipe.model.model_dump()))

    def prepare(self, data: Any, splits: Sequence[str] = ("train", "validation")) -> None:
        """Make the envelopes of some splits, the same every time."""
        for split in splits:
            rng = np.random.default_rng(list(SIZES).index(split))
            length, power = rng.uniform(0.2, 1.0, (SIZES[split], 1)), rng.uniform(0.5, 4.0, (SIZES[split], 1))
            phase = np.minimum(np.linspace(0, 1, POINTS) / length, 1.0)
            self.envelopes[split] = (np.sin(np.pi * phase).clip(0) ** power).astype(np.float32)[:, :, None]

    def draw(self, step: int) -> Batch:
        """Pick envelopes; random only through the step's number and the seed."""
        rng = np.random.default_rng([self.recipe.seed, step])
        picked = rng.integers(0, SIZES["train"], self.recipe.fit.batch)
        return {
            "levels": torch.from_numpy(self.envelopes["train"][picked]),
            "names": [f"envelope {i}" for i in picked],
        }

    def validation_batches(self) -> list[Batch]:
        """The validation split in one batch."""
        levels = torch.from_numpy(self.envelopes["validation"])
        return [{"levels": levels, "names": [f"envelope {i}" for i in range(len(levels))]}]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error and KL."""
        mean, log_variance = self.model.encoder(batch["levels"])
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        made = self.model.decoder(z[:, :, None])
        terms = {
            "reconstruction": ((made - batch["levels"]) ** 2).sum(1).mean(),
            "kl": kl_loss(mean, log_variance, self.recipe.kl.free_bits),
        }
        return terms["reconstruction"] + self.beta() * terms["kl"], terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error at the posterior's mean; ``score`` is what must fall."""
        mean, log_variance = self.model.encoder(batch["levels"])
        made = self.model.decoder(mean[:, :, None])
        return {
            "score": ((made - batch["levels"]) ** 2).sum(1).mean(),
            "kl": kl_per_latent(mean, log_variance).sum(),
        }

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z in, levels out; one evaluation per event."""
        z = Port("z", "latent", "event", tuple(f"z{i + 1}" for i in range(self.latents)), -4.0, 4.0)
        return [z], [Port("levels", "pattern", "event", self._points(), 0.0, 1.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Levels in, posterior out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        outputs = [
            Port("mean", "latent", "event", names, -4.0, 4.0),
            Port("log_variance", "latent", "event", names, -10.0, 4.0),
        ]
        return [Port("levels", "pattern", "event", self._points(), 0.0, 1.0)], outputs

    def _points(self) -> tuple[str, ...]:
        return tuple(f"level {i}" for i in range(POINTS))

    def decoder_metadata(self) -> dict[str, Any]:
        """Nothing beyond ports and latents."""
        return {"attributes": []}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The first layer that reads z: the latents' turn is folded into it."""
        return self.model.decoder.inlet, slice(0, self.latents)

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """All at once."""
        yield torch.from_numpy(self.envelopes[split])

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """What can be heard of each: latents get their signs by it."""
        levels = self.envelopes[split][:, :, 0]
        return {"loudness": levels.sum(1), "length": (levels > 0.05).sum(1).astype(float)}

    def kinds_of_items(self, split: str) -> list[str]:
        """A word for each, to colour the map by."""
        return ["long" if length > POINTS / 2 else "short" for length in self.descriptors(split)["length"]]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """What the decoder is fed with and should answer; quantize calibrates by it."""
        picked = np.random.default_rng(seed).permutation(SIZES[split])[:count]
        levels = self.envelopes[split][picked]
        with torch.no_grad():
            mean, _ = self.model.encoder(torch.from_numpy(levels))
        yield {"z": mean.numpy()[:, :, None]}, {"levels": levels}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, None, int]:
        """A curve for every z."""
        import matplotlib.pyplot as plt

        with torch.no_grad():
            made = self.model.decoder(z[:, :, None]).numpy()[:, :, 0]
        figure, axes = plt.subplots(figsize=(4, 2.4))
        for number, curve in enumerate(made):
            axes.plot(curve, label=str(number))
        axes.set(xlabel="point", ylabel="level", title=title)
        return figure, None, 0
