"""The page of a match: target, guess, match and nearest neighbour, seen and heard side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from common.measures import measure
from common.page import Page, Sound
from common.spectrogram import RANGE, excerpt, player
from match.nearest import Neighbour, fitted
from match.preset import Preset
from match.search import Found

SHOWN_S = 1.0


def write_report(
    model: str, found: Sequence[Found], presets: Sequence[Preset], neighbours: Sequence[Neighbour]
) -> str:
    """Write the page.

    Parameters
    ----------
    neighbours : sequence of Neighbour
        One a match, or none at all.
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
        figures["the nearest training sound"] = distance.write(
            float(np.mean([other.mr_stft for other in neighbours]))
        )
        figures["matches nearer than that"] = f"{100 * float(np.mean(nearer)):.0f} %"
    page.opening.figures(figures)
    for i, one in enumerate(found):
        section = page.section(one.target.name, RANGE if i == 0 else "")
        shown = [
            _player(
                "target", fitted(one.target.audio, len(one.matched)), CLASSES[one.label].replace("_", " ")
            ),
            _player("encoder's guess", one.guessed, distance.say(one.guess_mr_stft)),
            _player("match", one.matched, distance.say(one.mr_stft)),
        ]
        if neighbours:
            other = neighbours[i]
            shown.append(
                _player("nearest training sound", other.audio, f"{other.name}, {distance.say(other.mr_stft)}")
            )
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
