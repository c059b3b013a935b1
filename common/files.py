"""Files: written whole or not at all, under a temporary name that is changed then; found through links."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common.refusal import CannotWrite, Refusal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Lend a name to write to; it becomes `path` when the block ends well, else nothing is left of it.

    Raises
    ------
    CannotWrite
        The place can't be written to; what was there before stays.
    """
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        yield part
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise CannotWrite(path, error.strerror or error) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises
    ------
    CannotWrite
        A file is in the way, or the disk says no.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(folder, error.strerror or error) from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""
    with whole(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: object) -> None:
    """Write JSON, indented so that a change shows in a diff."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON object; a `Refusal` where the file is absent or something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is not a report of ours: {error}.") from None
    if not isinstance(found, dict):
        raise Refusal(f"{path} is not a report of ours: it holds no JSON object.")
    return found


def write_picture(path: Path, figure: Figure, dots_per_inch: int = 80) -> None:
    """Draw a figure into a PNG, and close it."""
    import matplotlib.pyplot as plt

    with whole(path) as part:
        figure.savefig(part, dpi=dots_per_inch, format="png")
    plt.close(figure)


def files_below(folder: Path) -> list[Path]:
    """List all files in a folder and below it, sorted.

    Links to folders are followed, which `Path.rglob` does not do; a folder that is reached twice, or lies
    above itself, is entered once, by its own name rather than by a link.
    """
    return [path for path in _entries_below(folder) if path.is_file()]


def links_to_nothing(folder: Path) -> list[Path]:
    """List the links in a folder and below it whose target is gone, sorted."""
    return [path for path in _entries_below(folder) if path.is_symlink() and not path.exists()]


def _entries_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    entered: set[str] = set()
    for at, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort(key=lambda name: (os.path.islink(os.path.join(at, name)), name))
        found += [Path(at, name) for name in names]
    return sorted(found)
