"""Training of a prior: what follows in the latents of a trained model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from train.export.export import Port
from train.latents import coupling, forecasts
from train.latents.codec import Codec
from train.latents.training import LatentTraining
from train.models.prior import NARROWEST, WIDEST, Prior, mixed_in
from train.recipe import Recipe, Section
from train.training import Batch

if TYPE_CHECKING:
    from train.data.store import DataSet

STEADY = 8
"""Frames of a window before the network has heard enough to be judged."""
MOST_VALIDATED = 1024
JUDGED_TEMPERATURES = (0.5, 1.0, 1.5)
STILL_S = 5.0
DATA_SAMPLE = 20_000


class PriorModelSection(Section):
    """Sizes."""

    hidden: int = Field(default=96, ge=4, multiple_of=4, description="what is remembered from frame to frame")


class PriorRecipe(Recipe):
    """A recipe of kind ``prior``."""

    kind: Literal["prior"]
    codec: str = Field(default="", description="run or decoder (.onnx) whose latents it learns; --start")
    every: int = Field(default=4, ge=1, le=64, description="frames of the latents to one of the prior")
    window: int = Field(default=192, ge=16, description="frames in a training window")
    noise: float = Field(default=0.05, ge=0, description="added to what it hears, in spreads of the latents")
    own: float = Field(default=0.2, ge=0, le=1, description="part of the frames that it drew itself")
    own_after: float = Field(default=0.2, ge=0, le=1, description="part of the training before that")
    listened_s: float = Field(default=600.0, gt=20, description="judged of what it says by itself")
    model: PriorModelSection = PriorModelSection()


class PriorTraining(LatentTraining):
    """See :class:`train.training.Training`."""

    recipe_type: ClassVar[type[Recipe]] = PriorRecipe
    recipe: PriorRecipe
    model: Prior

    def __init__(self, recipe: PriorRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.sequences: dict[str, list[tuple[str, np.ndarray]]] = {}

    def build(self) -> Prior:
        """Make the untrained model."""
        return Prior(self.latents, self.recipe.model.hidden)

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet, splits: Sequence[str] = ("train", "validation")) -> None:
        """Let the encoder hear the data set."""
        if self.codec is None:
            if not self.recipe.codec:
                raise Refusal(
                    "a prior needs a model whose latents it learns; name its run or its decoder with --start"
                )
            self.codec = Codec.open(self.recipe.codec)
        self.data = data
        for split in splits:
            self.sequences[split] = self.codec.sequences(data, split)
        if "train" not in splits:
            return
        shortest = self.recipe.every * (self.recipe.window + 1)
        if not any(len(z) > shortest for _, z in self.sequences["train"]):
            raise Refusal(
                f"{data.directory} has no item of more than {shortest} frames to train on; choose a shorter "
                "window with --set window=…"
            )
        lengths = np.array([max(0, len(z) - shortest) for _, z in self.sequences["train"]], float)
        self.up_to = np.cumsum(lengths / lengths.sum())
        frames = np.concatenate([z for _, z in self.sequences["train"]])
        self.spread = torch.tensor(frames.std(0) + 1e-6)
        self.facts = {
            **self.facts_of(self.codec, self.recipe.every * self.frame_ticks),
            "data": coupling.quantiles(frames).round(6).tolist(),
        }

    @property
    def frame_ticks(self) -> int:
        """Samples of a frame of the latents."""
        assert self.codec is not None
        spec = self.codec.about.input_with("latent")
        rate = spec.frames_per_sample if spec is not None else None
        if rate is None or rate.numerator != 1:
            raise Refusal(f"{self.codec.encoder} says no rate of its latents; a prior needs those that move")
        return rate.denominator

    def draw(self, step: int) -> Batch:
        """Pick windows, each begun at any frame of the latents."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        rows, names = [], []
        for _ in range(recipe.fit.batch):
            which = min(int(np.searchsorted(self.up_to, rng.random(), side="right")), len(self.up_to) - 1)
            name, z = self.sequences["train"][which]
            span = recipe.every * recipe.window
            first = int(rng.integers(0, len(z) - span))
            rows.append(z[first : first + span + 1 : recipe.every])
            names.append(name)
        return {"z": torch.from_numpy(np.stack(rows)), "names": names}

    def validation_batches(self) -> list[Batch]:
        """The beginning of every item, one a batch."""
        return [
            {"z": torch.from_numpy(z[:: self.recipe.every][None, :MOST_VALIDATED]), "names": [name]}
            for name, z in self.sequences["validation"][: self.recipe.fit.validation_items]
        ]

    # Losses ---------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """What came, told by what was heard before it: noise, and some of its own, among that."""
        z, recipe = batch["z"], self.recipe
        heard = z[:, :-1] + recipe.noise * self.spread * torch.randn_like(z[:, :-1])
        if recipe.own and self.progress >= recipe.own_after:
            heard = mixed_in(self.model, heard, recipe.own)
        said, _ = self.model(heard)
        surprise = said.surprise(z[:, 1:])[:, STEADY:].sum(-1).mean()
        return surprise, {"surprise": surprise}

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Nats a frame."""
        return {"score": self.surprise(batch["z"]).mean()}

    def surprise(self, z: Tensor) -> Tensor:
        """Negative log-likelihood ``[N, T - 2]`` of all frames but two, in nats."""
        said, _ = self.model(z[:, :-1])
        return said.surprise(z[:, 1:])[:, forecasts.REMEMBERED - 1 :].sum(-1)

    # The way out ----------------------------------------------------------------------------------

    def know_itself(self) -> None:
        """Tie what it says to the data, and judge it beside trivial forecasts on the test split."""
        table = np.array(self.facts["data"])
        walls = coupling.Walls.about(table)
        own = coupling.own_tables(self.model, walls, self.recipe.every, self.recipe.seed)
        self.facts = {
            **self.facts,
            "own": own.round(6).tolist(),
            "figures": {**self.beside_forecasts(), **self.by_itself(own, table, walls)},
        }

    def beside_forecasts(self) -> dict[str, float]:
        """Nats a frame on what was held out, and by how much others are worse."""
        assert self.codec is not None and self.data is not None
        every = self.recipe.every
        held_out = [z[::every] for _, z in self.codec.sequences(self.data, "test")]
        train = [z[first::every] for _, z in self.sequences["train"] for first in range(0, every, 2)]
        with torch.no_grad():
            own = torch.cat([self.surprise(torch.from_numpy(z)[None])[0] for z in held_out]).mean()
        found = {"surprise": float(own)}
        for name in ("last_frame", "last_frame_two_ways", "linear"):
            found[f"surprise {name.replace('_', ' ')}"] = getattr(forecasts, name)(train, held_out)
        return {name: round(value, 4) for name, value in found.items()}

    def by_itself(self, own: np.ndarray, table: np.ndarray, walls: coupling.Walls) -> dict[str, float]:
        """How far some minutes of it are from the data (Kolmogorov-Smirnov), and how still it ever is."""
        from scipy.stats import ks_2samp

        frames = np.concatenate([z for _, z in self.sequences["train"]])
        sample = frames[np.linspace(0, len(frames) - 1, min(len(frames), DATA_SAMPLE)).astype(int)]
        hertz = SAMPLE_RATE_HZ / self.facts["ticks"]
        count, still = int(self.recipe.listened_s * hertz), int(STILL_S * hertz)
        found: dict[str, float] = {}
        walks = coupling.walk(self.model, walls, JUDGED_TEMPERATURES, count, seed=7)
        for temperature, walked in zip(JUDGED_TEMPERATURES, walks, strict=True):
            tables = coupling.table_at(own, temperature)
            for words, played in (
                ("uncoupled", walked),
                ("", coupling.coupled(coupling.between(walked, self.recipe.every), tables, table)),
            ):
                away = max(ks_2samp(played[:, i], sample[:, i]).statistic for i in range(self.latents))
                found[f"distance {words} at {temperature:g}".replace("  ", " ")] = round(float(away), 4)
            windows = np.lib.stride_tricks.sliding_window_view(walked, still, axis=0)[:: still // 8]
            reach = table[:, -1] - table[:, 0]
            moved = ((windows.max(-1) - windows.min(-1)) / reach).min()
            found[f"least travel in 5 s at {temperature:g}"] = round(float(moved), 4)
        return found

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z and the state in; steps, chances and the state after it out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        held = tuple(f"h{i + 1}" for i in range(self.recipe.model.hidden))
        ways = ("likely", "else")
        steps = tuple(f"{name}.{way}" for way in ways for name in names)
        chances = (*steps, *(f"{name}.share" for name in names))
        return [
            Port("latent", "latent", "event", names, -4.0, 4.0),
            Port("state", "state", "event", held, -1.0, 1.0),
        ], [
            Port("steps", "condition", "event", steps, -WIDEST, WIDEST),
            Port("chances", "condition", "event", chances, 0.0, 1.0),
            Port("after", "state", "event", held, -1.0, 1.0),
        ]

    def decoder_metadata(self) -> dict[str, Any]:
        """Whose latents it goes on in, and how what it says is tied to them."""
        facts = self.facts
        if "own" not in facts:
            return {"part": "prior"}
        return {
            "kind": facts["of"],
            "part": "prior",
            "codec": facts["codec"],
            "latents": facts["latents"],
            "prior": {
                "ticks": facts["ticks"],
                "widest": WIDEST,
                "narrowest": NARROWEST,
                "temperatures": list(coupling.TEMPERATURES),
                "own": facts["own"],
                "data": facts["data"],
            },
            "metrics": facts["figures"],
        }

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Frames and states of windows, half of the frames its own."""
        chosen = self.sequences[split]
        picked = np.random.default_rng(seed).permutation(len(chosen))[:count]
        torch.manual_seed(seed)
        for index in picked.tolist():
            z = torch.from_numpy(chosen[index][1][:: self.recipe.every][None, : self.recipe.window])
            heard = mixed_in(self.model, z, 0.5)
            with torch.no_grad():
                states, _ = self.model.cell(heard)
            before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
            yield {"latent": heard[0, :, :, None].numpy(), "state": before[0, :, :, None].numpy()}, {}
