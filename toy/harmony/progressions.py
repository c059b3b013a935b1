"""Songs as chords from a written grammar: phrases of four bars that end as cadences do, at known rates.

A song is sections, a section is phrases, a phrase is four bars: an opening and one of four cadences.
How often each cadence is drawn is :data:`CADENCES`; the openings are in :data:`PHRASES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

NOTES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
CADENCES = {"authentic": 0.45, "half": 0.25, "plagal": 0.2, "deceptive": 0.1}
# Semitones above the tonic and qualities; a bar with two chords holds each for half of it
MAJOR = {
    "authentic": [[(7, "7")], [(0, "maj")]],
    "half": [[(2, "min7")], [(7, "maj")]],
    "plagal": [[(5, "maj")], [(0, "maj")]],
    "deceptive": [[(7, "7")], [(9, "min")]],
}
MINOR = {
    "authentic": [[(7, "7")], [(0, "min")]],
    "half": [[(5, "min7")], [(7, "maj")]],
    "plagal": [[(5, "min")], [(0, "min")]],
    "deceptive": [[(7, "7")], [(8, "maj")]],
}
PHRASES = {
    "major": [
        [[(0, "maj")], [(0, "maj")]],
        [[(0, "maj")], [(9, "min")]],
        [[(0, "maj")], [(5, "maj")]],
        [[(0, "maj"), (4, "min")], [(5, "maj"), (2, "min7")]],
        [[(9, "min")], [(5, "maj")]],
        [[(0, "maj7")], [(9, "min7")]],
        [[(0, "maj")], [(10, "maj")]],
        [[(0, "maj"), (7, "sus4")], [(9, "min"), (4, "7")]],
    ],
    "minor": [
        [[(0, "min")], [(0, "min")]],
        [[(0, "min")], [(8, "maj")]],
        [[(0, "min")], [(5, "min7")]],
        [[(0, "min"), (10, "maj")], [(8, "maj7"), (3, "maj")]],
        [[(3, "maj")], [(10, "maj")]],
        [[(0, "min7")], [(2, "hdim7")]],
    ],
}


@dataclass(frozen=True)
class Song:
    """One generated song and its truth; bars are symbols with spaces between."""

    name: str
    title: str
    tonic: str
    mode: str
    bars: list[str]
    cadences: list[str]


def songs(seed: int, count: int) -> Iterator[Song]:
    """Draw songs; the same seed gives the same ones, and each depends on its own number alone."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        mode = "minor" if rng.random() < 0.3 else "major"
        tonic = int(rng.integers(12))
        endings = MINOR if mode == "minor" else MAJOR
        sections: list[tuple[list[str], list[str]]] = []
        for _ in range(2):
            bars: list[str] = []
            drawn: list[str] = []
            for _ in range(2):
                opening = PHRASES[mode][int(rng.integers(len(PHRASES[mode])))]
                cadence = str(rng.choice(list(CADENCES), p=list(CADENCES.values())))
                drawn.append(cadence)
                for bar in [*opening, *endings[cadence]]:
                    bars.append(" ".join(f"{NOTES[(tonic + at) % 12]}:{what}" for at, what in bar))
            sections.append((bars, drawn))
        form = [sections[one] for one in (0, 0, 1, 0)]
        yield Song(
            f"song_{number:04d}",
            f"Song {number}",
            NOTES[tonic],
            mode,
            [bar for bars, _ in form for bar in bars],
            [cadence for _, drawn in form for cadence in drawn],
        )


def describe(song: Song) -> dict:
    """What shaped a song, for the manifest."""
    return {"title": song.title, "tonic": song.tonic, "mode": song.mode, "cadences": song.cadences}


def to_text(song: Song) -> str:
    """Write a song as chord text, four bars a line."""
    lines = [f"# title: {song.title}", f"# tonic: {song.tonic}"]
    lines += [f"| {' | '.join(song.bars[at : at + 4])} |" for at in range(0, len(song.bars), 4)]
    return "\n".join(lines) + "\n"
