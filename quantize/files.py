"""Write a file whole or not at all: under a temporary name beside it, then renamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from train import written
from train.refusal import Refusal

if TYPE_CHECKING:
    import onnx
    from matplotlib.figure import Figure


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; `path` appears when the block ends well, else nothing is left.

    Raises
    ------
    Refusal
        When the folder is missing or the disk says no.
    """
    if not path.parent.is_dir():
        raise Refusal(f"there is no folder {path.parent} to write {path.name} into; make it first.")
    try:
        with written.whole(path) as temporary:
            yield temporary
    except OSError as error:
        raise Refusal(
            f"cannot write {path} ({error.strerror or error}); make room or choose another place."
        ) from None


def write_bytes(data: bytes, path: Path) -> None:
    """Write bytes."""
    with whole(path) as temporary:
        temporary.write_bytes(data)


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text."""
    write_bytes(text.encode("utf-8"), path)


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write an ONNX model."""
    write_bytes(model.SerializeToString(), path)


def write_picture(figure: Figure, path: Path, dots_per_inch: int) -> None:
    """Draw a figure into a PNG."""
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=dots_per_inch, format="png")
