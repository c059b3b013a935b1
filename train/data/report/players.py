"""Excerpts of items to hear in the report: beside what is suspicious, and one for each group of sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.page import Finding, Heard, Sound
from common.spectrogram import excerpt, player
from train.data.manifest import Item

EACH_FINDING = 4
ALL_FINDINGS = 24
"""The page stays a few megabytes."""
LONGEST_S = 1.5


class Players:
    """Lends players of items, as long as the page has room.

    Parameters
    ----------
    items : list of dict
        The manifest's.
    hear : callable
        Item index → its players.
    """

    def __init__(self, items: Sequence[Item], hear: Callable[[int], list[Sound]]):
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


def item_player(title: str, audio: np.ndarray, note: str = "") -> Sound:
    """Make the player of an excerpt of an item."""
    return player(title, excerpt(audio, SAMPLE_RATE_HZ, LONGEST_S), SAMPLE_RATE_HZ, note, top_db=None)
