"""A run folder, read back: its recipe, card, model and task."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from train.kinds import load_recipe, task_class
from train.latents.table import RotatedEncoder
from train.recipe import Recipe
from train.tasks.base import Task


@dataclass
class Run:
    """A finished run, loaded.

    Attributes
    ----------
    directory : Path
        Where it lies.
    recipe : Recipe
        What was trained.
    task : Task
        Losses, ports and metadata around the model.
    model : nn.Module
        ``encoder`` and ``decoder`` in eval mode, latents rotated; the same module as ``task.model``.
    latents, map : list of dict, dict
        The latent table and the plane of docs/design.md#controls.
    card : dict
        Data set reference (``data.path``, ``data.hash``), licence, credits, figures.
    """

    directory: Path
    recipe: Recipe
    task: Task
    model: torch.nn.Module
    latents: list[dict[str, Any]]
    map: dict[str, Any]
    card: dict[str, Any]

    def prepare(self, *splits: str, data: Any = None) -> None:
        """Bring splits of the run's data set (or of ``data``) into ``task``."""
        if data is None and self.card["data"]:
            from train.data.store import DataSet

            data = DataSet.open(self.card["data"]["path"])
        self.task.prepare(data, splits)

    def metadata(self) -> dict[str, Any]:
        """Everything a decoder's model file says beyond its ports, for whoever writes one."""
        recipe = self.recipe
        return {
            "kind": recipe.kind,
            "name": recipe.name,
            "version": version(),
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "part": "decoder",
            "latents": self.latents,
            "map": self.map,
            "data": self.card.get("data", {}),
            "licence": self.card.get("licence", ""),
            "credits": self.card.get("credits", []),
            "recipe": recipe.model_dump(mode="json"),
            "metrics": self.card.get("metrics", {}),
            "seed": recipe.seed,
            **self.task.decoder_metadata(),
        }


def version() -> str:
    """Version of the project."""
    return importlib.metadata.version("vaectrol")


def count_parameters(module: Any) -> int:
    """Numbers that a module learns."""
    return sum(p.numel() for p in module.parameters())


def load_run(directory: str | Path) -> Run:
    """Load a finished run.

    Raises
    ------
    Refusal
        When there is none, or it was never finished.
    """
    folder = Path(directory)
    recipe = _recipe_of(folder)
    card = _read_json(folder / "card.json")
    task = task_class(recipe.kind)(recipe, card.get("facts"))
    task.model.encoder = RotatedEncoder(task.model.encoder, task.latents)  # type: ignore[arg-type]
    _take_weights(task.model, _torch_load(folder / "model.pt"), folder)
    task.eval()
    table = _read_json(folder / "latent.json")
    return Run(folder, recipe, task, task.model, table["latents"], table["map"], card)


def load_task(directory: str | Path, which: str = "best") -> Task:
    """Load a run's checkpoint as it was trained, latents unrotated."""
    folder = Path(directory)
    recipe = _recipe_of(folder)
    checkpoint = _torch_load(folder / "checkpoints" / f"{which}.ckpt")
    task = task_class(recipe.kind)(recipe, checkpoint["facts"])
    _take_weights(task, checkpoint["state_dict"], folder)
    return task


def _take_weights(module: torch.nn.Module, state: dict[str, Any], folder: Path) -> None:
    """Load a run's weights.

    Raises
    ------
    Refusal
        When the networks of this version are built otherwise than those of the run.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError:
        raise Refusal(
            f"{folder} is of a version of Vaectrol whose networks were built otherwise; train it again"
        ) from None


def _recipe_of(folder: Path) -> Recipe:
    if not (folder / "recipe.toml").exists():
        raise Refusal(
            f"{folder} is not a run (no recipe.toml); train one with `vaectrol train RECIPE --data DIR`"
        )
    return load_recipe(folder / "recipe.toml")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Refusal(f"the run is not finished: {path} cannot be read ({error}); train it again") from None


def _torch_load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Refusal(
            f"there is no {path}; train the run again, or with --resume if it was interrupted"
        ) from None
    except Exception as error:
        raise Refusal(
            f"{path} cannot be read ({type(error).__name__}); the file is damaged, train again"
        ) from None
