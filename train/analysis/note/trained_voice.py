"""A trained voice, asked about notes: what their timbre is, and what it says of their frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import model_metadata
from common.outputs import encoder_beside
from common.refusal import Refusal

SOUND = "HarmonicBank"
FACTORY = Path(__file__).parents[3] / "firmware" / "models"


@dataclass(frozen=True)
class TrainedVoice:
    """A voice's model files, opened.

    Attributes
    ----------
    about : ModelMetadata
        Of its decoder.
    """

    about: model_metadata.ModelMetadata
    _encoder: Any
    _decoder: Any

    @classmethod
    def open(cls, place: str) -> TrainedVoice:
        """Open a run's folder, a decoder's file with its encoder's beside it, or a factory model by name.

        Raises
        ------
        Refusal
            No such files, files of another kind, or two of different trainings.
        """
        decoder = _decoder_of(place)
        encoder = encoder_beside(decoder)
        for path in (decoder, encoder):
            if not path.is_file():
                raise Refusal(f"there is no {path}; name a voice's run, or its decoder beside its encoder")
        about = model_metadata.read_file(decoder)
        theirs = model_metadata.read_file(encoder)
        if about.codec != theirs.codec:
            raise Refusal(
                f"{encoder} is of another training than {decoder.name}; put the encoder of the same one there"
            )
        return cls(about, _session(encoder.read_bytes()), _session(_without_sound(decoder)))

    @property
    def latents(self) -> int:
        """How many say the timbre."""
        return len(self.about.latents)

    def timbre(self, seen: np.ndarray) -> np.ndarray:
        """Latents ``[Z]`` of what an encoder reads of a note, ``[SEEN, SEEN_FRAMES]``."""
        found: list[np.ndarray] = self._encoder.run(["mean"], {"frames": seen[None].astype(np.float32)})
        return found[0][0]

    def numbers(self, z: np.ndarray, control: np.ndarray) -> np.ndarray:
        """What the network says, ``[K + B, T]``, of latents ``[Z]`` and a control ``[C, T]``."""
        latent = np.repeat(z[:, None], control.shape[1], 1).astype(np.float32)
        feeds = {"latent": latent[None], "control": control[None].astype(np.float32)}
        found: list[np.ndarray] = self._decoder.run(None, feeds)
        return found[0][0]


def _decoder_of(place: str) -> Path:
    path = Path(place)
    if path.is_dir():
        found = sorted(path.glob("*.encoder.onnx"))
        if not found:
            raise Refusal(f"{path} is no finished run of a voice: it holds no encoder; train one first")
        return found[0].with_name(found[0].name.replace(".encoder.onnx", ".onnx"))
    return path if path.suffix == ".onnx" else FACTORY / f"{place}.int8.onnx"


def _without_sound(path: Path) -> bytes:
    """Take the bank off a decoder: what it says of the levels is then its output."""
    import onnx

    model = onnx.load(str(path))
    sounds = [node for node in model.graph.node if node.op_type == SOUND]
    if len(sounds) != 1:
        raise Refusal(f"{path} is no voice: it does not end in {SOUND}; name the file of a voice")
    del model.graph.output[:]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(sounds[0].input[0], onnx.TensorProto.FLOAT, None)
    )
    model.graph.node.remove(sounds[0])
    return bytes(model.SerializeToString())


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # the bank's filters are left over
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
