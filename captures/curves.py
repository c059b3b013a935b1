"""Activation functions as ``.nam`` files name them: a name, or an object with slopes and limits."""

from __future__ import annotations

from typing import Any

from captures.document import Part
from captures.graph import CURVES, Curve
from common.refusal import Refusal

SLOPE = 0.01
"""Where a file does not say: of leaky functions."""


def read_curve(part: Part, key: str, channels: int) -> Curve:
    """Read one field."""
    if key not in part:
        raise part.wrong(key, "is missing")
    return curve_of(part, key, part.fields[key], channels)


def curve_of(part: Part, key: str, found: Any, channels: int) -> Curve:
    """Read one activation function.

    Raises
    ------
    Refusal
        A name that is not known, or numbers that do not fit.
    """
    if isinstance(found, str):
        found = {"type": found}
    if not isinstance(found, dict):
        raise part.wrong(key, "is neither a name nor an object with a type")
    fields = Part(found, f"{part.where}.{key}")
    name = fields.text("type")
    name = {"LeakyHardTanh": "LeakyHardtanh"}.get(name, name)
    if name not in CURVES or not name or name == "ELU":
        known = ", ".join(n for n in CURVES if n and n != "ELU")
        raise Refusal(
            f"{part.where}: {key} {name!r} is none of {known}; export the capture with one of them."
        )
    if name == "LeakyReLU":
        return Curve(name, (fields.number("negative_slope", SLOPE),))
    if name == "LeakyHardtanh":
        limits = (fields.number("min_val", -1.0), fields.number("max_val", 1.0))
        return Curve(name, (*limits, fields.number("min_slope", SLOPE), fields.number("max_slope", SLOPE)))
    if name == "PReLU":
        if "negative_slopes" in fields:
            slopes = fields.array("negative_slopes", (channels,))
            return Curve(name, tuple(float(s) for s in slopes))
        return Curve("LeakyReLU", (fields.number("negative_slope", SLOPE),))
    return Curve(name)
