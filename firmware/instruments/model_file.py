"""What a model file says about itself: its `vaectrol.*` metadata (docs/design.md#model-file)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from common.refusal import Refusal

MODELS_DIR = Path(__file__).parents[1] / "models"


@dataclass(frozen=True)
class ModelFile:
    """One ONNX file and its metadata.

    Attributes
    ----------
    path : Path
        The file.
    about : dict
        ``vaectrol.*`` keys without the prefix, values decoded from JSON.
    """

    path: Path
    about: dict[str, Any]

    @property
    def kind(self) -> str:
        """Say what it is: ``drum``, ``rhythm``, ``drive``."""
        return str(self.about["kind"])

    @property
    def name(self) -> str:
        """The model's own name."""
        return str(self.about.get("name", self.path.stem))

    def hop(self, tensor: str) -> int:
        """Samples per frame of an input."""
        entry = next(e for e in self.about["inputs"] if e["name"] == tensor)
        numerator, _, denominator = str(entry["rate"]).partition("/")
        if numerator != "1" or not denominator.isdigit():
            raise Refusal(
                f"{self.path.name}: input {tensor} has rate {entry['rate']!r}; an instrument needs 1/N."
            )
        return int(denominator)

    @cached_property
    def latents(self) -> list[dict[str, Any]]:
        """The latent table, in order of importance."""
        return list(self.about.get("latents", []))

    @cached_property
    def attributes(self) -> dict[str, dict[str, Any]]:
        """Named attributes by name."""
        return {entry["name"]: entry for entry in self.about.get("attributes", [])}

    @property
    def plane(self) -> dict[str, Any] | None:
        """The 2-D map: ``size`` and ``grid`` (row by row, a latent vector each), or None."""
        return self.about.get("map")

    def input_with(self, *roles: str) -> dict[str, Any] | None:
        """Return the first input whose role is one of `roles`."""
        return next((entry for entry in self.about.get("inputs", []) if entry.get("role") in roles), None)


def read_model(path: Path) -> ModelFile:
    """Read the metadata of `path`.

    Raises
    ------
    Refusal
        No such file, not ONNX, or no ``vaectrol.kind`` in it.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except FileNotFoundError:
        raise Refusal(f"there is no model file {path}.") from None
    except Exception as error:
        raise Refusal(f"{path.name} is not an ONNX file ({type(error).__name__}).") from None
    about: dict[str, Any] = {}
    for entry in model.metadata_props:
        if entry.key.startswith("vaectrol."):
            try:
                about[entry.key.removeprefix("vaectrol.")] = json.loads(entry.value)
            except json.JSONDecodeError:
                raise Refusal(f"{path.name}: its metadata {entry.key} is not JSON.") from None
    if "kind" not in about:
        raise Refusal(
            f"{path.name} does not say what it is (metadata vaectrol.kind); an instrument needs a model from "
            "`vaectrol train` or `vaectrol quantize`."
        )
    return ModelFile(path, about)


def find_model(name: str, beside: Path) -> Path | None:
    """Find a model by path, or a factory model by name, quantized before float; None where there is none."""
    if name.endswith(".onnx"):
        candidates = [beside / name, Path(name)]
    else:
        folders = (beside, MODELS_DIR, MODELS_DIR / name)
        candidates = [folder / f"{name}{end}" for end in (".int8.onnx", ".onnx") for folder in folders]
    return next((path for path in candidates if path.is_file()), None)
