"""Write a model file whole or not at all."""

from __future__ import annotations

from pathlib import Path

import onnx

from train.refusal import Refusal


def write_bytes(data: bytes, path: Path) -> None:
    """Write to a temporary name beside `path` and rename."""
    if not path.parent.is_dir():
        raise Refusal(f"there is no folder {path.parent} to write {path.name} into; make it first.")
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Refusal(
            f"cannot write {path} ({error.strerror or error}); make room or choose another place."
        ) from None


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write an ONNX model."""
    write_bytes(model.SerializeToString(), path)
