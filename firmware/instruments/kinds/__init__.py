"""The kinds of instrument, a file each, found by its name: every file but ``base.py`` defines ``KIND``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from common.kinds import kinds_in
from firmware.instruments.kinds.base import InstrumentKind

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Names of all kinds, sorted."""
    return kinds_in([FOLDER])


def named(name: str) -> InstrumentKind:
    """Return the kind of this name, one of `names`."""
    kind = import_module(f"{__name__}.{name}").KIND
    assert isinstance(kind, InstrumentKind)
    return kind
