"""A trained model to be judged, whether it is a run (torch) or model files (onnxruntime)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from common import model_metadata
from common.refusal import Refusal
from train.export.pack import encoder_beside
from train.latents.table import LatentRow
from train.tasks.base import Task

Decode = Callable[[dict[str, np.ndarray]], np.ndarray]
Encode = Callable[[np.ndarray], np.ndarray]


@dataclass
class Player:
    """Encode and decode numpy arrays, one item or many.

    Attributes
    ----------
    name : str
        For reports.
    task : Task
        Of the kind, with the facts of the training data; its own model is the float one.
    encode : callable
        Input ``[N, …]`` to posterior means ``[N, Z]``.
    decode : callable
        Feeds by input name, ``[N, C, T]``, to the output ``[N, C, T]``.
    latents : list of LatentRow
        The latent table.
    own : bool
        Whether the task's model is the one that is judged, so that it has gradients: true of a run.
    """

    name: str
    task: Task
    encode: Encode
    decode: Decode
    latents: list[LatentRow]
    own: bool = False

    def prior(self, count: int, seed: int) -> np.ndarray:
        """Latents as random knob positions make them: each dimension's table at an even random place."""
        return self.at_places(np.random.default_rng(seed).random((count, len(self.latents))))

    def at_places(self, places: np.ndarray) -> np.ndarray:
        """Latents at knob positions ``places [N, Z]``, 0 to 1, by the latent table."""
        columns = [
            np.interp(places[:, i], np.linspace(0, 1, len(row["quantiles"])), row["quantiles"])
            for i, row in enumerate(self.latents)
        ]
        return np.stack(columns, 1).astype(np.float32)


def open_player(path: str | Path) -> Player:
    """Open a run folder, or a decoder's ONNX file beside its encoder's.

    Raises
    ------
    Refusal
        When it is neither.
    """
    source = Path(path)
    if source.is_dir():
        return _from_run(source)
    if source.suffix == ".onnx" and source.exists():
        return _from_files(source)
    raise Refusal(f"{source} is neither a run folder nor an .onnx file; give one of them")


def _from_run(folder: Path) -> Player:
    import torch

    from train.run import load_run

    run = load_run(folder)
    order = [p.name for p in run.task.decoder_ports()[0]]

    def encode(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return run.model.encoder(torch.from_numpy(x))[0].numpy()  # type: ignore[operator]

    def decode(feeds: dict[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return run.model.decoder(*(torch.from_numpy(feeds[n]) for n in order)).numpy()  # type: ignore[operator]

    return Player(run.recipe.name, run.task, encode, decode, run.latents, own=True)


def _from_files(path: Path) -> Player:
    import onnxruntime

    from train.kinds import parse_recipe, task_class, training_kinds

    about = model_metadata.read_file(path)
    if about.kind not in training_kinds() or not about.recipe:
        raise Refusal(f"{path} says nothing of how it was trained; evaluate the run folder instead")
    recipe = parse_recipe(about.recipe, str(path))
    kind = task_class(recipe.kind)
    if not issubclass(kind, Task):
        raise Refusal(f"{path} is a {recipe.kind}, judged when it was trained: its metadata hold the figures")
    beside = encoder_beside(path)
    if not beside.exists():
        raise Refusal(f"{path} has no encoder beside it ({beside.name}); copy it there from the run")
    theirs = model_metadata.read_file(beside).codec
    if about.codec and theirs and about.codec != theirs:
        raise Refusal(
            f"{beside} is of another training than {path.name} ({theirs[:8]} beside {about.codec[:8]}); "
            "put the encoder of the same run there"
        )
    task = kind(recipe, kind.facts_of_file(about))
    task.eval()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    decoder = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    encoder = onnxruntime.InferenceSession(str(beside), options, providers=["CPUExecutionProvider"])

    def encode(x: np.ndarray) -> np.ndarray:
        name = encoder.get_inputs()[0].name
        return np.concatenate([encoder.run(None, {name: row[None]})[0] for row in x])

    def decode(feeds: dict[str, np.ndarray]) -> np.ndarray:
        count = len(next(iter(feeds.values())))
        rows = [decoder.run(None, {n: v[i : i + 1] for n, v in feeds.items()})[0] for i in range(count)]
        return np.concatenate(rows)

    latents = [cast(LatentRow, latent.model_dump()) for latent in about.latents]
    return Player(path.name, task, encode, decode, latents)
