"""A run folder, read back: its recipe, card, model and task."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch

from common.audio import SAMPLE_RATE_HZ
from common.outputs import check_folder
from common.refusal import Refusal
from common.version import version
from train.kinds import load_recipe, task_class
from train.latents.table import LatentRow, PlaneMap, RotatedEncoder
from train.recipe import Recipe
from train.tasks.base import Task
from train.training import Training


class DataReference(TypedDict, total=False):
    """Which data set a run was trained on, and what that says of its licence; empty for a kind with its own.

    ``path``, ``hash``, ``kind``, ``items`` as they were when it was trained.
    """

    path: str
    hash: str
    kind: str
    items: int
    licence: str
    credits: list[str]
    title: str


class Spent(TypedDict):
    """What a training took, by the clock and of the CPU (all threads); older cards say ``processor_s``."""

    wall_s: float
    cpu_s: float
    threads: int
    machine: str


class Card(TypedDict):
    """What ``card.json`` holds; older ones say no version.

    ``facts`` is what the task measured on its training data; ``metrics`` the figures of the best validation.
    """

    version: NotRequired[str]
    name: str
    title: str
    kind: str
    data: DataReference
    licence: str
    credits: list[str]
    facts: dict[str, Any]
    parameters: int
    metrics: dict[str, float]
    spent: Spent


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
    latents, map : list of LatentRow, PlaneMap
        The latent table and the plane of docs/design.md#controls.
    card : Card
        Data set reference (``data.path``, ``data.hash``), licence, credits, figures.
    """

    directory: Path
    recipe: Recipe
    task: Task
    model: torch.nn.Module
    latents: list[LatentRow]
    map: PlaneMap
    card: Card

    def prepare(self, *splits: str, data: Any = None) -> None:
        """Bring splits of the run's data set (or of ``data``) into ``task``."""
        if data is None and self.card["data"]:
            from train.data.store import DataSet

            data = DataSet.open(self.card["data"]["path"])
        self.task.prepare(data, splits)

    def metadata(self) -> dict[str, Any]:
        """Everything a decoder's model file says beyond its ports, for whoever writes one."""
        return {
            **metadata_of(self.task, self.card),
            "latents": self.latents,
            "map": self.map,
            "codec": codec_of(self.model),
            **self.task.decoder_metadata(),
        }


def metadata_of(task: Training, card: Card) -> dict[str, Any]:
    """What every model file says of how it was trained."""
    recipe = task.recipe
    return {
        "kind": recipe.kind,
        "name": recipe.name,
        "version": version(),
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "part": "decoder",
        "data": card.get("data", {}),
        "licence": card.get("licence", ""),
        "credits": card.get("credits", []),
        "recipe": recipe.model_dump(mode="json"),
        "metrics": card.get("metrics", {}),
        "seed": recipe.seed,
    }


# What a training writes beside NAME.onnx, and what was made from it afterwards
FILES = ("recipe.toml", "data.json", "model.pt", "latent.json", "metrics.json", "card.json", "flow.pt")
FOLDERS = ("checkpoints", "latent", "log", "evaluation", "probes")


def check_place(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to train where something else is; nothing is changed.

    Parameters
    ----------
    folder : Path
        Of the run.
    resume, overwrite : bool
        What was said about a run that is there: go on with it, or remove it.

    Raises
    ------
    Refusal
        When there is a run and neither was said, no run and one of them was, both were, or the folder holds
        other things.
    """
    if resume and overwrite:
        raise Refusal("--resume goes on with a run and --overwrite removes it; choose one")
    check_folder(folder)
    found = what_is_there(folder)
    can_go_on = (folder / "checkpoints" / "last.ckpt").exists()
    if resume and not can_go_on:
        raise Refusal(
            f"{folder} holds {found} without a checkpoint to go on from; replace it by --overwrite"
            if found
            else f"{folder} holds no run; train without --resume"
        )
    if found and not (resume or overwrite):
        way = "go on with it by --resume, replace it" if can_go_on else "replace it"
        raise Refusal(f"{folder} holds {found}; {way} by --overwrite, or choose another folder with -o")
    if not found and folder.is_dir() and any(_foreign(path) for path in folder.iterdir()):
        raise Refusal(f"{folder} holds other files and no run; choose another folder with -o")


def what_is_there(folder: Path) -> str:
    """Say which run a folder holds, as "a finished run (drum, score 0.7)"; empty when there is none."""
    if (folder / "card.json").exists():
        try:
            card = json.loads((folder / "card.json").read_text())
            return f"a finished run ({card['name']}, score {card['metrics']['score']:.4g})"
        except (OSError, ValueError, KeyError, TypeError):
            return "a finished run"
    if any((folder / "checkpoints").glob("*.ckpt")):
        return "an unfinished run"
    return ""


def _foreign(path: Path) -> bool:
    """Whether a training never leaves such a file, not even when it is killed."""
    return path.name not in (*FILES, *FOLDERS) and path.suffix != ".part" and not path.name.startswith(".")


def remove_run(folder: Path) -> None:
    """Remove what a run wrote, and nothing else."""
    try:
        name = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8")).get("name", "")
    except (OSError, ValueError):
        name = ""
    models = [folder / f"{name}.onnx", folder / f"{name}.encoder.onnx"] if name else []
    for path in (*(folder / one for one in FOLDERS), *(folder / one for one in FILES), *models):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def codec_of(model: torch.nn.Module) -> str:
    """Give a hash of all that a model learnt: its encoder and its decoder bear the same, and no others."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def count_parameters(module: Any) -> int:
    """Numbers that a module learns."""
    return sum(p.numel() for p in module.parameters())


def load_run(directory: str | Path) -> Run:
    """Load a finished run.

    Raises
    ------
    Refusal
        When there is none, it was never finished, or it learnt no latents of its own.
    """
    folder = Path(directory)
    recipe = _recipe_of(folder)
    card: Card = _read_json(folder / "card.json")
    task = task_class(recipe.kind)(recipe, card.get("facts"))
    if not isinstance(task, Task):
        raise Refusal(
            f"{folder} is a run of kind {recipe.kind}, which has no encoder and decoder; give the run whose "
            "latents it learnt"
        )
    task.model.encoder = RotatedEncoder(task.model.encoder, task.latents)  # type: ignore[arg-type]
    _take_weights(task.model, _torch_load(folder / "model.pt"), folder)
    task.eval()
    table = _read_json(folder / "latent.json")
    return Run(folder, recipe, task, task.model, table["latents"], table["map"], card)


def load_training(directory: str | Path) -> Training:
    """Load what a finished run trained, whether it has latents of its own or none."""
    folder = Path(directory)
    recipe = _recipe_of(folder)
    kind = task_class(recipe.kind)
    if issubclass(kind, Task):
        return load_run(folder).task
    task = kind(recipe, _read_json(folder / "card.json").get("facts"))
    _take_weights(task.model, _torch_load(folder / "model.pt"), folder)
    task.eval()
    return task


def load_task(directory: str | Path, which: str = "best") -> Training:
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
