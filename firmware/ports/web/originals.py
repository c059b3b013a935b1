"""Sounds a model was judged on, beside what it makes of them: small enough for a page."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np

from common.refusal import Refusal
from firmware.ports.web.page import Pair, mp3

MADE = "made"
"""A sound whose title says so is the model's; the one before it in its group is the original."""
MOST_PAIRS = 8


def read_originals(path: Path) -> list[Pair]:
    """Read the pairs in a ``heard.json`` of ``vaectrol evaluate``, the first eight.

    Raises
    ------
    Refusal
        No such file, or none of that kind.
    """
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
        pairs = [pair for group in groups if (pair := _pair(group))]
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refusal(f"{path} holds no judged sounds; give the heard.json of `vaectrol evaluate`.") from None
    return pairs[:MOST_PAIRS]


def _pair(group: list[dict[str, str]]) -> Pair | None:
    titles = [sound["title"] for sound in group]
    at = next((number for number, title in enumerate(titles) if MADE in title.replace(",", " ").split()), 0)
    if at == 0:
        return None
    title = titles[0].rpartition(",")[0] or titles[0]
    return Pair(title, _smaller(group[at - 1]["source"]), _smaller(group[at]["source"]))


def _smaller(source: str) -> str:
    """Write a sound inside an address as MP3."""
    import soundfile

    head, comma, data = source.partition(",")
    if not (comma and head.startswith("data:audio/")):
        raise ValueError("no sound inside")
    audio, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32", always_2d=True)
    mono = np.ascontiguousarray(audio.mean(axis=1))
    return f"data:audio/mpeg;base64,{base64.b64encode(mp3(mono, rate_hz)).decode()}"
