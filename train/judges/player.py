"""A trained model to be judged, whether it is a run (torch) or model files (onnxruntime)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from common import model_metadata
from common.outputs import encoder_beside
from common.refusal import Refusal
from train.export.export import as_tuple
from train.latents.table import LatentRow
from train.tasks.base import Task
from train.training import Training

if TYPE_CHECKING:
    import onnxruntime

Encode = Callable[[np.ndarray], np.ndarray]
Answer = Callable[[dict[str, np.ndarray]], tuple[np.ndarray, ...]]


@dataclass
class Player:
    """Encode and decode numpy arrays, one item or many.

    Attributes
    ----------
    name : str
        For reports.
    task : Training
        Of the kind, with the facts of the training data; its own model is the float one.
    encode : callable
        Input ``[N, …]`` to posterior means ``[N, Z]``; a `Refusal` of a kind without latents of its own.
    decode : callable
        Feeds by input name, ``[N, C, T]``, to the output ``[N, C, T]``; the first where there are several.
    answer : callable
        The same, to all outputs.
    latents : list of LatentRow
        The latent table.
    own : bool
        Whether the task's model is the one that is judged, so that it has gradients: true of a run.
    """

    name: str
    task: Training
    encode: Encode
    answer: Answer
    latents: list[LatentRow]
    own: bool = False

    def decode(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        """Give the first output, or the only one."""
        return self.answer(feeds)[0]

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


def _hears_nothing(x: np.ndarray) -> np.ndarray:
    raise Refusal("a model of this kind has no latents that a sound could be turned into")


def _from_run(folder: Path) -> Player:
    import torch

    from train.run import load_run, load_training

    task = load_training(folder)
    encode, latents = _hears_nothing, []
    if isinstance(task, Task):
        run = load_run(folder)
        task, latents = run.task, run.latents

        def encode(x: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return run.model.encoder(torch.from_numpy(x))[0].numpy()  # type: ignore[operator]

    order = [p.name for p in task.decoder_ports()[0]]

    def answer(feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        with torch.no_grad():
            said = task.model.decoder(*(torch.from_numpy(feeds[n]) for n in order))  # type: ignore[operator]
        return tuple(one.numpy() for one in as_tuple(said))

    return Player(task.recipe.name, task, encode, answer, latents, own=True)


def _from_files(path: Path) -> Player:
    from train.kinds import parse_recipe, task_class, training_kinds

    about = model_metadata.read_file(path)
    if about.kind not in training_kinds() or not about.recipe:
        raise Refusal(f"{path} says nothing of how it was trained; evaluate the run folder instead")
    recipe = parse_recipe(about.recipe, str(path))
    kind = task_class(recipe.kind)
    encode = _encoder_beside(path, about.codec) if issubclass(kind, Task) else _hears_nothing
    if not issubclass(kind, Task) and not kind.judge:
        raise Refusal(
            f"{path} is of kind {recipe.kind}, judged when it was trained: its metadata hold the figures"
        )
    task = kind(recipe, kind.facts_of_file(about))
    task.eval()
    decoder = _session(path)

    def answer(feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        count = len(next(iter(feeds.values())))
        rows = [decoder.run(None, {n: v[i : i + 1] for n, v in feeds.items()}) for i in range(count)]
        return tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))

    latents = [cast(LatentRow, latent.model_dump()) for latent in about.latents]
    return Player(path.name, task, encode, answer, latents)


def _session(path: Path) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _encoder_beside(path: Path, codec: str) -> Encode:
    """The encoder that lies beside a decoder; a `Refusal` where none does, or one of another training."""
    beside = encoder_beside(path)
    if not beside.exists():
        raise Refusal(f"{path} has no encoder beside it ({beside.name}); copy it there from the run")
    theirs = model_metadata.read_file(beside).codec
    if codec and theirs and codec != theirs:
        raise Refusal(
            f"{beside} is of another training than {path.name} ({theirs[:8]} beside {codec[:8]}); "
            "put the encoder of the same run there"
        )
    encoder = _session(beside)

    def encode(x: np.ndarray) -> np.ndarray:
        name = encoder.get_inputs()[0].name
        return np.concatenate([encoder.run(None, {name: row[None]})[0] for row in x])

    return encode
