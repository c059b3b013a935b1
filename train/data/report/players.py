"""Excerpts of items to hear in the report: beside what is suspicious, and one for each group of sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from common.page import Finding, Heard, Sound, picture, sound_source
from common.spectrogram import DEPTH_DB, card_figure

EACH_FINDING = 4
ALL_FINDINGS = 24
"""The page stays a few megabytes."""
LONGEST_S = 1.5
FADE_S = 0.02
RANGE = f"Brightness is the level from the loudest place of each sound down to {DEPTH_DB:.0f} dB below it."


class Players:
    """Lends players of items, as long as the page has room.

    Parameters
    ----------
    items : list of dict
        The manifest's.
    hear : callable
        Item index → its players.
    """

    def __init__(self, items: list[dict[str, Any]], hear: Callable[[int], list[Sound]]):
        self.hear = hear
        self.left = ALL_FINDINGS
        self.index: dict[str, int] = {}
        for number, item in enumerate(items):
            self.index.setdefault(item["file"], number)
            self.index.setdefault(item["name"], number)

    def beside(self, findings: Iterable[Finding]) -> list[Heard]:
        """Put players of the first files beside every finding that asks for a look, the gravest first."""
        order = sorted(findings, key=lambda one: one.level != "fix")
        return [Heard(one, self.of(one.files) if one.level != "fine" else []) for one in order]

    def of(self, files: Sequence[str]) -> list[Sound]:
        """Players of the first of these files; a line of twins names both."""
        named = [part for line in files[:EACH_FINDING] for part in line.split(" = ")]
        known = [self.index[name] for name in named if name in self.index]
        sounds = [sound for index in known[:EACH_FINDING] for sound in self.hear(index)][: self.left]
        self.left -= len(sounds)
        return sounds


def player(title: str, audio: np.ndarray, rate_hz: int, note: str = "") -> Sound:
    """Make an excerpt's player below its spectrogram."""
    cut = np.array(audio[: round(LONGEST_S * rate_hz)], np.float32)
    if len(cut) < len(audio):
        fade = round(FADE_S * rate_hz)
        cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)  # an abrupt end would click, and be seen
    drawn = picture(card_figure(cut, rate_hz, top_db=None), f"Spectrogram of {title}")
    return Sound(title, sound_source(cut, rate_hz), drawn, note)
