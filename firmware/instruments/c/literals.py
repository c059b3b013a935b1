"""Literals of C."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def number(value: float) -> str:
    """Return a float literal that reads back as the same float32."""
    text = repr(float(np.float32(value)))
    if "e" not in text and "." not in text:
        text += ".0"
    return f"{text}f"


def floats(values: Iterable[float]) -> str:
    """Return the body of a float array, some to a line."""
    words = [number(value) for value in values]
    rows = [", ".join(words[at : at + 10]) for at in range(0, len(words), 10)]
    return "{" + ",\n    ".join(rows) + "}"


def integers(values: Iterable[int]) -> str:
    """Return the body of an integer array; an empty one gets a zero, which C needs."""
    return "{" + (", ".join(str(int(value)) for value in values) or "0") + "}"


def text(value: str) -> str:
    """Return a C string literal."""
    plain = value.encode("ascii", "replace").decode().replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'
