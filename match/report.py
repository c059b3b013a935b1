"""The page of a match: target, guess, match and nearest neighbour, seen and heard side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.measures import measure
from common.page import Page, Sound
from common.spectrogram import RANGE, excerpt, player
from match.nearest import fitted
from match.preset import Preset
from match.target import Target

SHOWN_S = 1.0


class Matched(Protocol):
    """A sound and what was found for it, of whatever kind of model."""

    @property
    def target(self) -> Target:
        """What was asked for."""

    @property
    def words(self) -> str:
        """What is said of it."""

    @property
    def guessed(self) -> np.ndarray:
        """What the search began with."""

    @property
    def matched(self) -> np.ndarray:
        """What it ended with."""

    @property
    def guess_mr_stft(self) -> float:
        """How far the first is."""

    @property
    def mr_stft(self) -> float:
        """How far the last is."""


class Opponent(Protocol):
    """The nearest of what was there before."""

    @property
    def name(self) -> str:
        """Which."""

    @property
    def audio(self) -> np.ndarray:
        """Its sound."""

    @property
    def mr_stft(self) -> float:
        """How far it is."""


def write_report(
    model: str,
    found: Sequence[Matched],
    presets: Sequence[Preset],
    neighbours: Sequence[Opponent],
    opponent: str = "nearest training sound",
) -> str:
    """Write the page.

    Parameters
    ----------
    neighbours : sequence of Opponent
        One a match, or none at all.
    opponent : str
        What they are.
    """
    distance = measure("mr_stft")
    page = Page(
        f"{len(found)} {'sound' if len(found) == 1 else 'sounds'} matched by {model}",
        "The encoder's guess, and what gradient steps through the decoder made of it.",
        "Each preset is a file beside this page.",
    )
    gains = [one.mr_stft / one.guess_mr_stft for one in found]
    figures = {
        f"{distance.name}, the match, mean": distance.write(float(np.mean([f.mr_stft for f in found]))),
        "the same, the encoder's guess": distance.write(float(np.mean([f.guess_mr_stft for f in found]))),
        "match beside guess, median": f"{100 * (float(np.median(gains)) - 1):+.1f} %".replace("-", "−"),
    }
    if neighbours:
        nearer = [one.mr_stft < other.mr_stft for one, other in zip(found, neighbours, strict=True)]
        figures[f"the {opponent}"] = distance.write(float(np.mean([other.mr_stft for other in neighbours])))
        figures["matches nearer than that"] = f"{100 * float(np.mean(nearer)):.0f} %"
    page.opening.figures(figures)
    for i, one in enumerate(found):
        section = page.section(one.target.name, RANGE if i == 0 else "")
        shown = [
            _player("target", fitted(one.target.audio, len(one.matched)), one.words),
            _player("encoder's guess", one.guessed, distance.say(one.guess_mr_stft)),
            _player("match", one.matched, distance.say(one.mr_stft)),
        ]
        if neighbours:
            other = neighbours[i]
            shown.append(_player(opponent, other.audio, f"{other.name}, {distance.say(other.mr_stft)}"))
        section.sounds(shown, columns=4)
    page.section("Presets", "Positions of the module's parameters, 0 to 1.").table(
        ["parameter", *(preset.name for preset in presets)],
        [
            [words_of(name), *(f"{preset.parameters[name]:.3f}" for preset in presets)]
            for name in presets[0].parameters
        ],
    )
    return page.html()


def words_of(parameter: str) -> str:
    """Say a parameter's name as a page does."""
    return parameter.removeprefix("attribute/").replace("/", " ")


def _player(title: str, audio: np.ndarray, note: str) -> Sound:
    return player(title, excerpt(audio, SAMPLE_RATE_HZ, SHOWN_S), SAMPLE_RATE_HZ, note)
