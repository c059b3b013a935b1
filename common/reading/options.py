"""Options as people write them on the command line."""

from __future__ import annotations

from pathlib import Path

from common.refusal import Refusal


def pairs(words: list[str] | None, option: str) -> dict[str, Path]:
    """Split NAME=FILE options; refuse what has no ``=``."""
    found = {}
    for word in words or []:
        name, equals, file = word.partition("=")
        if not (name and equals and file):
            raise Refusal(f"{option} takes NAME=FILE, not {word!r}.")
        found[name] = Path(file)
    return found
