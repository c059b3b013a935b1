"""The names of kinds: the files of a folder, one a kind, and what is said of a name that is none of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common.refusal import Refusal

SHARED = ("base",)  # files that say what all kinds of a folder have in common


def kinds_in(folders: Iterable[str | Path]) -> tuple[str, ...]:
    """List the kinds that have a file in one of the folders, by name.

    Parameters
    ----------
    folders : iterable of path
        A package's ``__path__``, or folders of it.
    """
    found = {module.name for module in pkgutil.iter_modules([str(folder) for folder in folders])}
    return tuple(sorted(found.difference(SHARED)))


def singular(name: str, known: Sequence[str]) -> str:
    """Read the name of a kind as files of before kinds were singular have it: ``drums`` is ``drum``."""
    return name[:-1] if name not in known and name.endswith("s") and name[:-1] in known else name


def check_kind(name: str, known: Sequence[str]) -> str:
    """Give the name back when it is one of the known.

    Raises
    ------
    Refusal
        When it is not; a plural is told what its kind is called.
    """
    if name in known:
        return name
    one = singular(name, known)
    if one != name:
        raise Refusal(f"there is no kind '{name}'; the kind is called {one}")
    raise Refusal(f"there is no kind '{name}'; choose one of {', '.join(known)}")


def class_of(module_name: str, base: type) -> Any:
    """Import a kind's file and give the class under `base` that it defines itself."""
    module = importlib.import_module(module_name)
    return next(
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, base) and found.__module__ == module.__name__
    )
