"""Training of codes: the frames of a trained model's latents as numbers, the first of which lie on a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from common import pitch
from common.refusal import Refusal
from train.export.export import Port
from train.latents.codec import one_core
from train.latents.codes import Codes
from train.latents.training import LatentTraining
from train.models.source_filter.ear import HOP, Ear
from train.models.texture import LATE
from train.recipe import Recipe, Section
from train.training import Batch

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from train.data.store import DataSet

FLOOR = -1.0
"""Loudness as an ear tells it, -43 dBFS: quieter frames say nothing of timbre."""
FIRST_REACH, SETTLED = 0.25, 0.7
"""Reach of the map's pull at first, in its edges; part of the training after which it has none."""
STILL_FRAMES = 12
JUDGED_ITEMS, JUDGED_FRAMES = 48, 281
LOUDNESS_STEPS, VOICING_STEPS = 16, 255
MIDDLE_OCTAVES, MIDDLE_LOUDNESS = 0.0, 2.5


class CodesModelSection(Section):
    """Sizes."""

    side: int = Field(default=16, ge=2, le=32, description="codes along an edge of the map: a power of two")
    books: int = Field(default=3, ge=1, le=4, description="one on the map, the others for what is left")

    @field_validator("side")
    @classmethod
    def _halves(cls, side: int) -> int:
        if side & (side - 1):
            raise ValueError("a map has 2, 4, 8, 16 or 32 codes along an edge; choose a power of two")
        return side


class CodesRecipe(Recipe):
    """A recipe of kind ``codes``."""

    kind: Literal["codes"]
    codec: str = Field(default="", description="run or decoder (.onnx) whose latents they are; --start")
    decay: float = Field(default=0.98, gt=0, lt=1, description="of what was known, part that a step keeps")
    patience: int = Field(default=200, ge=1, description="steps without a frame after which a code is moved")
    frames: int = Field(default=16, ge=4, le=64, description="of a gesture that are heard")
    lead: int = Field(default=4, ge=0, le=16, description="of a gesture before it is heard")
    model: CodesModelSection = CodesModelSection()


@dataclass(frozen=True)
class Heard:
    """A recording as a codec hears it: latents ``[T, Z]``; loudness, octaves, voicing ``[T]``; its sound."""

    name: str
    latents: np.ndarray
    loudness: np.ndarray
    octaves: np.ndarray
    voicing: np.ndarray
    audio: np.ndarray

    @property
    def loud(self) -> np.ndarray:
        """Which frames sound."""
        return np.asarray(self.loudness > FLOOR)


class CodesTraining(LatentTraining):
    """See :class:`train.training.Training`. Nothing descends: codes follow the means of their frames."""

    recipe_type: ClassVar[type[Recipe]] = CodesRecipe
    on_board: ClassVar[bool] = False
    recipe: CodesRecipe
    model: Codes

    def __init__(self, recipe: CodesRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.heard: dict[str, list[Heard]] = {}
        self.frames: dict[str, Tensor] = {}

    def build(self) -> Codes:
        """Make the untrained books."""
        return Codes(self.latents, self.recipe.model.side, self.recipe.model.books)

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet, splits: Sequence[str] = ("train", "validation")) -> None:
        """Let the encoder hear the data set."""
        if self.codec is None:
            raise Refusal(
                "codes need a model whose latents they are; name its run or its decoder with --start"
            )
        self.data = data
        for split in splits:
            self.heard[split] = [self._hear(*one) for one in self.codec.heard(data, split)]
            sounding = [one.latents[one.loud] for one in self.heard[split]]
            self.frames[split] = torch.from_numpy(np.concatenate(sounding))
            if not len(self.frames[split]):
                raise Refusal(f"nothing in the {split} split of {data.directory} is louder than -43 dBFS")
        if "train" in splits:
            self.facts = self.facts_of(self.codec, HOP)

    def _hear(self, name: str, given: np.ndarray, told: list[np.ndarray]) -> Heard:
        if len(told) < 2 or told[0].shape[2] * HOP != given.shape[2]:
            assert self.codec is not None
            raise Refusal(f"{self.codec.encoder} tells no loudness a hop; codes are those of a texture")
        period, voicing = pitch.track(given[0, 0])
        return Heard(
            name,
            np.ascontiguousarray(told[0][0].T, np.float32),
            told[1][0, 0],
            pitch.octaves(period).astype(np.float32),
            voicing.astype(np.float32),
            given[0, 0],
        )

    def begin(self) -> None:
        """Lay the map out about the mean, along the two directions in which frames differ most."""
        frames = self.frames["train"]
        middle = frames.mean(0)
        _, spread, ways = torch.linalg.svd(
            frames[:: max(1, len(frames) // 20_000)] - middle, full_matrices=False
        )
        ways = (
            ways[:2] * torch.where(ways[:2].abs().max(1).values == ways[:2].max(1).values, 1.0, -1.0)[:, None]
        )
        reach = spread[:2] / len(frames[:: max(1, len(frames) // 20_000)]) ** 0.5
        places = 2 * self.model.grid / (self.recipe.model.side - 1) - 1
        self.model.books[0] = middle + (places * reach) @ ways

    def draw(self, step: int) -> Batch:
        """Pick frames from all over the training split."""
        rng = np.random.default_rng([self.recipe.seed, step, self.global_rank if self._trainer else 0])
        frames = self.frames["train"]
        picked = torch.from_numpy(rng.integers(0, len(frames), self.recipe.fit.batch))
        return {"z": frames[picked], "names": [f"step {step}"]}

    def validation_batches(self) -> list[Batch]:
        """All sounding frames of the validation split."""
        frames = self.frames["validation"]
        return [{"z": frames, "names": ["validation"] * len(frames)}]

    # Learning -------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """One that only counts steps."""
        return [torch.optim.SGD([self.model.books], lr=1.0)]

    def training_step(self, batch: Batch, index: int) -> None:
        """Follow the means of a batch."""
        self.progress = max(int(batch["step"]) / self.recipe.fit.steps, self.time_progress)
        loss, terms = self.loss(batch)
        optimizers = self.optimizers()
        (optimizers[0] if isinstance(optimizers, list) else optimizers).step()
        self.log("train/loss", loss, prog_bar=True)
        self.log_dict({f"train/{k}": v for k, v in terms.items()})

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error that the books leave, once they have followed."""
        first = FIRST_REACH * self.recipe.model.side
        reach = first * (1 / first) ** (self.progress / SETTLED) if self.progress < SETTLED else 0.0
        left = self.model.learn(batch["z"], self.recipe.decay, reach, self.recipe.patience).mean()
        return left, {"left": left}

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Part of the frames' variance that the books leave, and what part of the map is used."""
        z = batch["z"]
        found = self.model.indices(z)
        left = (z - self.model.said(found)).square().sum() / (z - z.mean(0)).square().sum()
        return {"score": left, "used": torch.tensor(used(found[:, 0], len(self.model.grid))["perplexity"])}

    # The way out ----------------------------------------------------------------------------------

    def know_itself(self) -> None:
        """Cut a gesture for every code; judge the books by the model's own sound."""
        assert self.codec is not None and self.data is not None
        decoder = one_core(self.codec.decoder)
        self.facts = {
            **self.facts,
            "gestures": self._gestures(),
            "figures": {**self._usage(), **self._made_again(decoder), **self._neighbours(decoder)},
        }

    def _usage(self) -> dict[str, float]:
        """What part of the map is used, by the training split and by the test split."""
        assert self.codec is not None and self.data is not None
        self.prepare(self.data, ("test",))
        found = {}
        for split in ("train", "test"):
            numbers = self.model.indices(self.frames[split])
            for name, value in used(numbers[:, 0], len(self.model.grid)).items():
                found[f"{name}, {split}"] = round(value, 4)
        return found

    def _made_again(self, decoder: InferenceSession) -> dict[str, float]:
        """Distance of held-out recordings to what is made of their latents, and of the codes of those."""
        from train.judges.distances import mr_stft

        chosen = [one for one in self.heard["test"] if one.loud.any()]
        step = max(1, len(chosen) // JUDGED_ITEMS)
        distances = []
        for one in chosen[::step]:
            count = min(len(one.latents), JUDGED_FRAMES)
            z = torch.from_numpy(one.latents[:count])
            ways = [z] + [
                self.model.said(self.model.indices(z)[:, : n + 1]) for n in range(len(self.model.books))
            ]
            control = np.stack([one.octaves[:count], one.voicing[:count], one.loudness[:count]])
            wanted = np.ascontiguousarray(one.audio[: count * HOP - LATE])
            distances.append([mr_stft(played(decoder, way.numpy(), control)[LATE:], wanted) for way in ways])
        mean = np.mean(distances, 0)
        rows = {"distance, continuous": mean[0], "distance, all books": mean[-1], "ratio": mean[-1] / mean[0]}
        rows |= {f"ratio, {n} of the books": mean[n] / mean[0] for n in range(1, len(mean) - 1)}
        return {name: round(float(value), 4) for name, value in rows.items()}

    def _neighbours(self, decoder: InferenceSession) -> dict[str, float]:
        """How near codes side by side on the map are beside any two, by the log-mel of their sound."""
        control = np.tile([[MIDDLE_OCTAVES], [0.95], [MIDDLE_LOUDNESS]], STILL_FRAMES).astype(np.float32)
        pictures = []
        for row in self.model.books[0].numpy():
            sound = played(decoder, np.tile(row, (STILL_FRAMES, 1)), control)
            with torch.no_grad():
                pictures.append(
                    Ear()(torch.from_numpy(sound)[None, None])[0, :-1, STILL_FRAMES // 2 :].mean(1)
                )
        away = torch.cdist(torch.stack(pictures), torch.stack(pictures))
        places = torch.cdist(self.model.grid, self.model.grid)
        beside = away[(places > 0) & (places < 1.2)].mean()
        return {"neighbours, part of any two": round(float(beside / away[places > 0].mean()), 4)}

    def _gestures(self) -> dict[str, list[Any]]:
        """For each code, the moment of a training recording that is nearest to it, with what surrounds it."""
        count = self.recipe.lead + self.recipe.frames
        best: dict[int, tuple[float, Heard, int]] = {}
        for one in self.heard["train"]:
            if len(one.latents) < count:
                continue
            z = torch.from_numpy(one.latents)
            numbers = self.model.nearest(z, 0)
            away = (z - self.model.books[0][numbers]).square().sum(1).numpy()
            middles = np.arange(len(z))
            fits = (middles >= count // 2) & (middles + count - count // 2 <= len(z)) & one.loud
            for at in np.flatnonzero(fits).tolist():
                code = int(numbers[at])
                if code not in best or away[at] < best[code][0]:
                    best[code] = (float(away[at]), one, at - count // 2)
        found: dict[str, list[Any]] = {"gestures": [], "loudness": [], "voicing": []}
        for code in range(len(self.model.grid)):
            if code not in best:
                alone = [code] + [
                    int(self.model.nearest(torch.zeros(1, self.latents), s))
                    for s in range(1, len(self.model.books))
                ]
                rows, falls, voiced = [alone] * count, [0] * count, [VOICING_STEPS] * count
            else:
                _, one, first = best[code]
                span = slice(first, first + count)
                rows = self.model.indices(torch.from_numpy(one.latents[span])).tolist()
                loudest = one.loudness[span][self.recipe.lead :].max()
                falls = (
                    np.clip(np.round(LOUDNESS_STEPS * (loudest - one.loudness[span])), 0, 255)
                    .astype(int)
                    .tolist()
                )
                voiced = np.round(VOICING_STEPS * np.clip(one.voicing[span], 0, 1)).astype(int).tolist()
            found["gestures"].append(rows)
            found["loudness"].append(falls)
            found["voicing"].append(voiced)
        return found

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Latents in; the same as the codes say them, and their numbers, out."""
        names = tuple(f"z{i + 1}" for i in range(self.latents))
        numbers = tuple(f"book {i + 1}" for i in range(self.recipe.model.books))
        last = float(self.recipe.model.side**2 - 1)
        return [Port("latent", "latent", f"1/{HOP}", names, -4.0, 4.0)], [
            Port("said", "latent", f"1/{HOP}", names, -8.0, 8.0),
            Port("numbers", "condition", f"1/{HOP}", numbers, 0.0, last),
        ]

    def decoder_metadata(self) -> dict[str, Any]:
        """Whose latents they are, and all that an instrument needs of them."""
        facts = self.facts
        if "gestures" not in facts:
            return {"part": "codes"}
        return {
            "kind": facts["of"],
            "part": "codes",
            "codec": facts["codec"],
            "latents": facts["latents"],
            "codes": {
                "ticks": HOP,
                "side": self.recipe.model.side,
                "books": [
                    [[float(f"{value:.5g}") for value in row] for row in book]
                    for book in self.model.books.tolist()
                ],
                "lead": self.recipe.lead,
                **facts["gestures"],
            },
            "metrics": facts["figures"],
        }

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Frames of some recordings, and what the codes say of them."""
        chosen = self.heard[split]
        for index in np.random.default_rng(seed).permutation(len(chosen))[:count].tolist():
            z = torch.from_numpy(chosen[index].latents.T[None])
            said, numbers = self.model(z)
            yield {"latent": z.numpy()}, {"said": said.numpy(), "numbers": numbers.numpy()}


def used(numbers: Tensor, size: int) -> dict[str, float]:
    """Part of ``size`` codes that ``numbers [M]`` name at all, and their perplexity as a part of it."""
    chances = torch.bincount(numbers, minlength=size).double() / len(numbers)
    entropy = -(chances * chances.clamp_min(1e-12).log()).sum()
    return {"codes used": float((chances > 0).sum()) / size, "perplexity": float(entropy.exp()) / size}


def played(decoder: InferenceSession, z: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Sound ``[T * HOP]`` of a decoder's file by ``z [T, Z]`` and pitch, voicing, loudness ``[3, T]``."""
    feeds = {"latent": z.T[None].astype(np.float32), "control": control[None].astype(np.float32)}
    named = {one.name for one in decoder.get_inputs()}
    return np.asarray(decoder.run(["audio"], {k: v for k, v in feeds.items() if k in named})[0][0, 0])
