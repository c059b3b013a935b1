"""Files are written whole or not at all: under a temporary name beside their place, and renamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Lend a name to write to, which becomes ``path`` at the end; after an exception nothing is left of it.

    Raises
    ------
    OSError
        As the writing does; what lay at ``path`` before is untouched.
    """
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def save_figure(figure: Any, path: Path) -> None:
    """Draw a pyplot figure into a PNG, and close it."""
    import matplotlib.pyplot as plt

    with whole(path) as part:
        figure.savefig(part, dpi=80, format="png")
    plt.close(figure)
