"""What every training shares: steps that depend on nothing but their number, schedules, opponents, refusals.

A batch is drawn from the step's number and the recipe's seed alone, and the random state of a step is set
from the same, so that a resumed training is the uninterrupted one, bit for bit (on a CPU).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from common.model_metadata import ModelMetadata
from common.refusal import Refusal
from train.export.export import Port
from train.recipe import Recipe

if TYPE_CHECKING:
    from train.data.store import DataSet

Batch = dict[str, Any]


class LossNotFinite(Refusal):
    """The loss is NaN or infinite."""


class Training(lightning.LightningModule):
    """A model, its data, its losses and its way out to ONNX.

    A kind is one file of ``tasks/`` with one subclass in it, called what the file is called; nothing else
    names a kind. It sets the attributes and implements the abstract methods. ``model`` must have ``decoder``:
    what the model file holds.

    Parameters
    ----------
    recipe : Recipe
        Of the class's own ``recipe_type``.
    facts : dict, optional
        What was measured on the training data (attribute scales …), as saved with a run; ``prepare``
        fills it.

    Attributes
    ----------
    recipe_type : type
        The kind's recipe; its sections are the settings.
    data_kinds : tuple of str
        Kinds of data set, any of which it trains on; empty when it brings its own data.
    judge : str
        Module that judges a model on what it never met (`train/judges/evaluate.py`); empty when none does.
    on_board : bool
        Whether the decoder must fit the recipe's board.
    encoder_on_board : bool
        Whether the encoder runs there too, and so must say what the latents are.
    start_setting : str
        Setting of the recipe that ``--start`` stands for.
    """

    recipe_type: ClassVar[type[Recipe]]
    data_kinds: ClassVar[tuple[str, ...]] = ()
    judge: ClassVar[str] = ""
    on_board: ClassVar[bool] = True
    encoder_on_board: ClassVar[bool] = False
    start_setting: ClassVar[str] = "fit.start"

    def __init__(self, recipe: Recipe, facts: dict[str, Any] | None = None):
        super().__init__()
        self.automatic_optimization = False
        self.recipe = recipe
        self.facts = facts or {}
        self.progress = 0.0
        self.time_progress = 0.0  # set by a wall-clock budget
        torch.manual_seed(recipe.seed)
        self.model: nn.Module = self.build()
        self.opponent: nn.Module | None = self.build_opponent()

    @classmethod
    def check_data(cls, data: DataSet | None, words: str) -> None:
        """Refuse data that the kind does not train on.

        Parameters
        ----------
        data : DataSet or None
            What was given.
        words : str
            The refusal's beginning: "a drum recipe needs".
        """
        if not cls.data_kinds or (data is not None and data.kind in cls.data_kinds):
            return
        found = "no data set" if data is None else f"{data.directory} holds {data.kind}"
        raise Refusal(f"{words} data of kind {' or '.join(cls.data_kinds)}; {found}")

    # What a kind says of itself -------------------------------------------------------------------

    @classmethod
    def facts_of_file(cls, about: ModelMetadata) -> dict[str, Any]:
        """``facts`` as far as a decoder's model file says them, by which it is judged."""
        return {}

    @staticmethod
    def tuning_distance(made: Tensor, wanted: Tensor) -> Tensor | None:
        """Distance of two outputs ``[N, C, T]`` of the decoder that quantize tunes by.

        None where the common one will do: spectra and waveform for audio, relative error for the rest.
        """
        return None

    @staticmethod
    def agreement(reference: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """Measures of a rounded output ``[N, C, T]`` beside the float one, beyond the common ones."""
        return {}

    @staticmethod
    def truth(wanted: np.ndarray, made: np.ndarray) -> dict[str, float]:
        """Measures of an output beside what the data say it should be, beyond those that all audio has."""
        return {}

    @abstractmethod
    def build(self) -> nn.Module:
        """Make the untrained model."""

    def build_opponent(self) -> nn.Module | None:
        """Make the adversary or critic, if the recipe has one."""
        return None

    @abstractmethod
    def prepare(self, data: Any, splits: Sequence[str] = ("train", "validation")) -> None:
        """Take splits of an open data set into memory; measure ``facts`` on the training one."""

    def share(self, other: Any) -> bool:
        """Take what another task prepared of the same data set, if this one would prepare the same."""
        return False

    def begin(self) -> None:
        """Set first weights from the prepared data, where a kind has better ones than random."""

    def start_from_file(self, path: Path) -> None:
        """Take first weights from a decoder's model file and the encoder's beside it.

        Raises
        ------
        Refusal
            When the kind cannot, or the model has another shape.
        """
        raise Refusal(f"fit.start: a {self.recipe.kind} recipe starts from a run's folder, not from {path}")

    @abstractmethod
    def draw(self, step: int) -> Batch:
        """Make the batch of a step; random only through ``step`` and the seed."""

    @abstractmethod
    def validation_batches(self) -> list[Batch]:
        """Batches of the validation split, the same every time."""

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to descend and the terms to log."""

    def opponent_loss(self, batch: Batch) -> Tensor | None:
        """What the opponent descends before each step; None while it rests."""
        return None

    @abstractmethod
    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Validation figures; ``score`` among them is the one that must fall."""

    def show(self, logger: Any, step: int) -> None:
        """Log pictures and sounds to TensorBoard at a validation."""

    @abstractmethod
    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Inputs and outputs of the decoder's model file."""

    @abstractmethod
    def decoder_metadata(self) -> dict[str, Any]:
        """What the decoder's model file says beyond ports and latents."""

    @abstractmethod
    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """What the decoder's model file is fed with and what it should answer, from real items.

        Yields batches of equal length, by tensor name: latents are posterior means of the (rotated) encoder.
        The split must have been prepared.
        """

    def take_network(self, network: nn.Module) -> None:
        """Let `network` answer in the decoder's place; it takes the inputs of the decoder's model file.

        It gives the file's outputs; of a file that ends in the sound of a hit, what that sound is made of.
        """
        self.model.decoder = network

    def know_itself(self) -> None:
        """Measure ``facts`` that need the finished model: of a kind without latents of its own."""

    # What all share -------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Adam for the model, and for the opponent if there is one."""
        optimizers = [torch.optim.Adam(self.parameter_groups(), lr=self.recipe.fit.learning_rate)]
        if self.opponent is not None:
            optimizers.append(
                torch.optim.Adam(self.opponent.parameters(), lr=self.opponent_rate(), betas=(0.5, 0.9))
            )
        return optimizers

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Adam's parameter groups; ``pace`` multiplies the learning rate of one."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad], "pace": 1.0}]

    def opponent_rate(self) -> float:
        """Learning rate of the opponent."""
        return 1e-3

    def opponent_rounds(self) -> int:
        """Opponent steps per step."""
        return 1

    def training_step(self, batch: Batch, index: int) -> None:
        """One step of the opponent, if any, and one of the model."""
        step = int(batch["step"])
        fit = self.recipe.fit
        self.progress = max(step / fit.steps, self.time_progress)
        torch.manual_seed(_mix(self.recipe.seed, step, self.global_rank))
        optimizers = self.optimizers()
        ours, theirs = optimizers if isinstance(optimizers, list) else (optimizers, None)
        if theirs is not None:
            for _ in range(self.opponent_rounds()):
                opposed = self.opponent_loss(batch)
                if opposed is None:
                    break
                theirs.zero_grad()
                self.manual_backward(opposed)
                self._clip(theirs)
                theirs.step()
                self.log("train/opponent", opposed)
        rate = fit.learning_rate * min(1.0, (step + 1) / max(1, fit.warmup_steps))
        rate *= fit.final_rate + (1 - fit.final_rate) * 0.5 * (
            1 + math.cos(math.pi * min(1.0, self.progress))
        )
        for group in ours.param_groups:
            group["lr"] = rate * group["pace"]
        loss, terms = self.loss(batch)
        if not bool(torch.isfinite(loss)):
            odd = [name for name, value in terms.items() if not bool(torch.isfinite(value).all())]
            raise LossNotFinite(
                f"the loss became {float(loss.detach())} at step {step} ({', '.join(odd) or 'sum'}) on "
                f"{', '.join(batch['names'][:4])} …; the last good checkpoint is kept; lower "
                "fit.learning_rate or look at those items"
            )
        ours.zero_grad()
        self.manual_backward(loss)
        self._clip(ours)
        ours.step()
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log_dict({f"train/{k}": v.detach() for k, v in terms.items()})

    def _clip(self, optimizer: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        nn.utils.clip_grad_norm_(parameters, self.recipe.fit.clip)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Score one validation batch."""
        torch.manual_seed(_mix(self.recipe.seed, index, 7))
        size = len(batch["names"])
        figures = self.score(batch)
        self.log_dict({f"val/{k}": v for k, v in figures.items()}, batch_size=size, sync_dist=True)
        self.log("score", figures["score"], prog_bar=True, batch_size=size, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Show, when there is a logger to show to."""
        if self.trainer.sanity_checking or self.logger is None or self.global_rank:
            return
        self.show(
            self.logger.experiment,  # type: ignore[attr-defined]
            self.trainer.current_epoch,
        )

    def train_dataloader(self) -> Iterable[Batch]:
        """Batches by step number."""
        workers = self.recipe.fit.workers
        return DataLoader(_Drawn(self), batch_size=None, sampler=StepSampler(self), num_workers=workers)

    def val_dataloader(self) -> Iterable[Batch]:
        """The fixed validation batches."""
        return DataLoader(_Fixed(self.validation_batches()), batch_size=None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say whose checkpoint it is."""
        checkpoint["recipe"] = self.recipe.model_dump(mode="json")
        checkpoint["facts"] = self.facts


class StepSampler(Sampler[int]):
    """Step numbers of the interval that the trainer is at.

    The trainer is asked rather than told (``set_epoch``): it does not tell on the first interval of a resumed
    training.
    """

    def __init__(self, task: Training):
        self.task = task

    def _range(self) -> range:
        fit = self.task.recipe.fit
        first = self.task.current_epoch * fit.interval
        return range(first, min(first + fit.interval, fit.steps))

    def __iter__(self) -> Iterator[int]:
        return iter(self._range())

    def __len__(self) -> int:
        return len(self._range())


class _Drawn(Dataset[Batch]):
    def __init__(self, task: Training):
        self.task = task

    def __getitem__(self, step: int) -> Batch:
        return {**self.task.draw(step), "step": step}


class _Fixed(Dataset[Batch]):
    def __init__(self, batches: list[Batch]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


def _mix(seed: int, step: int, lane: int) -> int:
    """One number from three, without neighbours that share a sequence."""
    return (seed * 1_000_003 + step) * 8191 + lane
