"""The latents of a trained model, as its encoder tells them of a data set: what a prior learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common import model_metadata
from common.model_metadata import ModelMetadata
from common.outputs import encoder_beside
from common.refusal import Refusal
from train.kinds import task_class, training_kinds
from train.tasks.base import Task

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from train.data.store import DataSet


@dataclass(frozen=True)
class Codec:
    """An encoder's model file, and what the decoder's says of the latents.

    Attributes
    ----------
    decoder, encoder : Path
    about : ModelMetadata
        Of the decoder's file: kind, codec, latents.
    """

    decoder: Path
    encoder: Path
    about: ModelMetadata

    @classmethod
    def open(cls, source: str) -> Codec:
        """Find the files of a run, or those of a decoder's model file and the encoder's beside it.

        Raises
        ------
        Refusal
            When a file is missing, says nothing of latents, or both are of different runs.
        """
        path = Path(source)
        if path.is_dir():
            found = next(iter(sorted(path.glob("*.encoder.onnx"))), None)
            if found is None:
                raise Refusal(f"{source} holds no encoder (.encoder.onnx); finish its training first")
            path = found.with_name(found.name.replace(".encoder", ""))
        about = model_metadata.read_file(path)
        if about.part != "decoder" or not about.latents or not about.codec:
            raise Refusal(f"{path} is no decoder with latents; start from a run or its decoder")
        encoder = encoder_beside(path)
        theirs = model_metadata.read_file(encoder).codec
        if theirs != about.codec:
            raise Refusal(
                f"{encoder} is of another training than {path.name} ({theirs[:8]} beside {about.codec[:8]}); "
                "put the encoder of the same run there"
            )
        return cls(path, encoder, about)

    def sequences(self, data: DataSet, split: str) -> list[tuple[str, np.ndarray]]:
        """Latents of every item of a split that moves: its name and ``[T, Z]``.

        Raises
        ------
        Refusal
            When latents of this kind do not move, or the data are of another.
        """
        found = []
        for item, _, (told, *_) in self.heard(data, split):
            rows = told if told.ndim == 2 else told.transpose(0, 2, 1).reshape(-1, told.shape[1])
            found.append((item, np.ascontiguousarray(rows, np.float32)))
        return found

    def heard(self, data: DataSet, split: str) -> Iterator[tuple[str, np.ndarray, list[np.ndarray]]]:
        """Every item of a split that moves: its name, what the encoder is given, and all that it tells.

        Raises
        ------
        Refusal
            When latents of this kind do not move, or the data are of another.
        """
        kind = task_class(self.about.kind) if self.about.kind in training_kinds() else None
        if kind is None or not issubclass(kind, Task):
            raise Refusal(
                f"{self.encoder} is of kind {self.about.kind!r}, whose latents nothing can learn from here"
            )
        kind.check_data(data, f"who learns from the latents of {self.encoder.name} needs")
        session = one_core(self.encoder)
        name, empty = session.get_inputs()[0].name, True
        for item, given in kind.heard_in_turn(data, split):
            empty = False
            yield item, given, session.run(None, {name: given})
        if empty:
            raise Refusal(f"{data.directory} has nothing in its {split} split; prepare the data again")


def one_core(path: Path) -> InferenceSession:
    """Open a model file for onnxruntime, on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
