"""A model file as an instrument needs it: its metadata, read and checked, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.model_metadata import ModelMetadata, key, read_file
from common.refusal import Refusal

MODELS_DIR = Path(__file__).parent


@dataclass(frozen=True)
class ModelFile:
    """One ONNX file and what it says about itself."""

    path: Path
    about: ModelMetadata

    @property
    def kind(self) -> str:
        """Say what it is: ``drum``, ``rhythm``, ``drive``."""
        return self.about.kind

    def hop(self, tensor: str) -> int:
        """Samples per frame of an input."""
        entry = self.about.input(tensor)
        rate = entry.frames_per_sample if entry else None
        if rate is None or rate.numerator != 1:
            raise Refusal(
                f"{self.path.name}: input {tensor} has rate {entry.rate if entry else ''!r}; an instrument "
                "needs 1/N."
            )
        return rate.denominator


def read_model(path: Path) -> ModelFile:
    """Read the metadata of `path`.

    Raises
    ------
    Refusal
        No such file, not ONNX, damaged metadata, or none that says which kind it is.
    """
    about = read_file(path)
    if not about.kind:
        raise Refusal(
            f"{path.name} does not say what it is (metadata {key('kind')}); an instrument needs a model from "
            "`vaectrol train` or `vaectrol quantize`."
        )
    return ModelFile(path, about)


def named_file(text: str) -> tuple[str, Path]:
    """Read ROLE=FILE of a command line; a `Refusal` where it is anything else."""
    role, separator, path = text.partition("=")
    if not separator:
        raise Refusal(f"--model {text!r}: write the role and the file, as drum=my.int8.onnx.")
    return role, Path(path)


def knob_channels(model: ModelFile) -> list[str]:
    """Names of the channels of the model's knob input: classes as ``class:NAME``, attributes by name."""
    entry = model.about.input_with("class", "attribute", "condition")
    return list(entry.channels) if entry else []


def find_model(name: str, beside: Path) -> Path | None:
    """Find a model by path, or a factory model by name, quantized before float; None where there is none."""
    if name.endswith(".onnx"):
        candidates = [beside / name, Path(name)]
    else:
        folders = (beside, MODELS_DIR, MODELS_DIR / name)
        candidates = [folder / f"{name}{end}" for end in (".int8.onnx", ".onnx") for folder in folders]
    return next((path for path in candidates if path.is_file()), None)
