"""Where a command is about to write, looked at before the work that would be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from common.refusal import Refusal


def check_file(path: Path, suffix: str, over: Iterable[Path] = ()) -> None:
    """Refuse a place where a file of this suffix can't or shouldn't be written.

    Parameters
    ----------
    path : Path
        The file to write; one of the same suffix that is there is replaced.
    suffix : str
        What its name must end in, as ``.wav``.
    over : iterable of Path
        Files that are read: none of them may be written over.

    Raises
    ------
    Refusal
        A folder, a file of another kind, an input, or a place without permission.
    """
    if path.is_dir():
        raise Refusal(f"{path} is a folder; give the name of a file, as {path / f'name{suffix}'}.")
    if path.suffix.lower() != suffix:
        raise Refusal(
            f"{path} does not end in {suffix}, and that is what is written; name it {path.stem}{suffix}."
        )
    for read in over:
        if path.exists() and read.exists() and path.samefile(read):
            raise Refusal(f"{path} is read here, and would be written over; choose another name.")
    _check_parents(path)


def check_folder(path: Path, *, ours: str = "") -> None:
    """Refuse a place where a folder can't or shouldn't be filled.

    Parameters
    ----------
    path : Path
        The folder; made later where it is missing.
    ours : str
        A name that every folder of this command holds: any other folder must be empty. "": any will do.

    Raises
    ------
    Refusal
        A file, a folder that holds something else, or a place without permission.
    """
    if path.exists() and not path.is_dir():
        raise Refusal(f"{path} is a file; give the name of a folder.")
    if path.is_dir() and ours and any(path.iterdir()) and not (path / ours).exists():
        raise Refusal(
            f"{path} holds something else already; name an empty folder, or one that is not there yet."
        )
    if path.is_dir() and not os.access(path, os.W_OK):
        raise Refusal(f"you may not write into {path}; choose a folder of your own.")
    _check_parents(path)


def _check_parents(path: Path) -> None:
    there = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    if not there.is_dir():
        raise Refusal(f"{there} is a file, so there can be no {path}; choose another place.")
    if not path.exists() and not os.access(there, os.W_OK):
        raise Refusal(f"you may not write into {there}; choose a folder of your own.")


def encoder_beside(path: Path) -> Path:
    """Say where the encoder of a decoder's file lies: ``NAME.encoder.onnx`` beside ``NAME.int8.onnx``."""
    return path.with_name(path.name.split(".")[0] + ".encoder.onnx")
