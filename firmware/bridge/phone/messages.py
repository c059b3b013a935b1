"""What a phone may say over its WebSocket: one JSON object a message, names and positions in it."""

from __future__ import annotations

import json
import math

from firmware.bridge.mapping import PHONE

LONGEST_BYTES = 4096
"""Of a message; all that a phone can say at once is a tenth of it."""
NAMES = frozenset(name.removeprefix("phone/") for name in PHONE)


class Unread(ValueError):
    """A message that is none; the reason is the end of a sentence."""


def read_message(text: str) -> list[tuple[str, float]]:
    """Take a message apart: ``{"tilt_x": 0.5, "pad_1": 1}`` says two things.

    Returns
    -------
    list of (str, float)
        Names without ``phone/``, values from 0 to 1.

    Raises
    ------
    Unread
        No JSON object, a name that a phone does not have, a value that is no number from 0 to 1.
    """
    if len(text) > LONGEST_BYTES:
        raise Unread("is too long")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise Unread("is no JSON") from None
    if not isinstance(said, dict):
        raise Unread("is no object of names and positions")
    found = []
    for name, value in said.items():
        if name not in NAMES:
            raise Unread("names what a phone does not have")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            raise Unread("has a position that is no number from 0 to 1")
        found.append((name, float(value)))
    return found


def is_held(name: str) -> bool:
    """Whether a name is held and let go, so that a phone that goes away must not leave it held."""
    return name.startswith(("pad_", "shake"))


def rounded(value: float) -> float:
    """Return a value as it is shown to a page."""
    return round(value, 4) if math.isfinite(value) else 0.0
