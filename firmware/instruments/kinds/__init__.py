"""The kinds of instrument, a file each, found by its name: every file but ``base.py`` defines ``KIND``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from firmware.instruments.kinds.base import InstrumentKind

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of all kinds, sorted."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py") if path.stem != "base")


def named(name: str) -> InstrumentKind:
    """Return the kind of this name, one of `names`."""
    kind = import_module(f"{__name__}.{name}").KIND
    assert isinstance(kind, InstrumentKind)
    return kind
