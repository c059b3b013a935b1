"""A kind of training that learns latents of its own: an encoder, a decoder, and what is told of both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from common.refusal import Refusal
from train.export.export import Port
from train.latents.table import Block
from train.losses import ramp
from train.training import Batch as Batch
from train.training import Training

if TYPE_CHECKING:
    from train.data.clips import Clip
    from train.data.store import DataSet


class Task(Training):
    """Training of an encoder and a decoder.

    ``model`` must have ``encoder`` (returns mean and log-variance, each [N, Z]) and ``decoder``.
    """

    @classmethod
    def heard_in_turn(cls, data: DataSet, split: str) -> Iterator[tuple[str, np.ndarray]]:
        """What the encoder hears of each item of a split as time goes on: its name, ``[N, C, S]``.

        The encoder answers with ``[1, Z, T]``, or ``[T, Z]`` where it hears one thing after the other.

        Raises
        ------
        Refusal
            When latents of this kind do not move while an item lasts.
        """
        raise Refusal(
            f"latents of kind {data.kind} stand still while a sound lasts, so that nothing follows them; "
            "start a prior from a model whose latents move, such as a texture"
        )

    def items_of(self, data: DataSet[Any], split: str, advice: str) -> np.ndarray:
        """Numbers of a split's items; of the validation split as many as the recipe asks for.

        Raises
        ------
        Refusal
            When the split is empty; `advice` ends its sentence.
        """
        picked = data.split(split)
        if split == "validation":
            picked = evenly(picked, self.recipe.fit.validation_items)
        if not len(picked):
            raise Refusal(f"{data.directory} has nothing in its {split} split; {advice}")
        return picked

    @abstractmethod
    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Inputs and outputs of the encoder's model file."""

    def encoder_module(self) -> nn.Module:
        """What the encoder's model file holds: the encoder, unless a kind plays another form of it."""
        return self.model.encoder  # type: ignore[return-value]

    @abstractmethod
    def latent_layer(self) -> tuple[nn.Module, slice] | None:
        """The first decoder layer that reads z, and which of its input channels are z."""

    @abstractmethod
    def encoder_inputs(self, split: str) -> Iterable[Tensor]:
        """What the encoder reads of every item of a split, in batches, in order."""

    @abstractmethod
    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Measured quantities of every item of a split, for the latents' signs."""

    @abstractmethod
    def kinds_of_items(self, split: str) -> list[str]:
        """A word for every item of a split, to colour the map by."""

    def known_items(self, split: str) -> list[Clip]:
        """What is known of every item of a split: a kind whose items have effects or parameters says more."""
        from train.data.clips import Clip

        return [Clip("", self.recipe.kind, word) for word in self.kinds_of_items(split)]

    @abstractmethod
    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray | None, int]:
        """Picture, sound and sample rate of what ``z [P, Z]`` decodes to, row by row."""

    def latent_blocks(self) -> list[Block]:
        """Which latents may be turned together into principal axes; all, unless training tied some."""
        return [Block(tuple(range(self.latents)))]

    def know_latents(self, means: np.ndarray) -> None:
        """Measure ``facts`` that need the finished latents ``[N, Z]`` of the training items."""

    def home(self) -> int | None:
        """Which training item is played while nobody moves a latent; None: what lies at the means."""
        return None

    @property
    def latents(self) -> int:
        """Size of z."""
        return int(self.recipe.model.latents)  # type: ignore[attr-defined]

    def beta(self) -> float:
        """KL weight at this point of the training."""
        kl = self.recipe.kl
        return kl.beta * ramp(self.progress, kl.warmup)


def evenly(indices: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` of the indices, evenly spaced."""
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).round().astype(int)]
