"""Chords as the models know them: twelve roots counted from the tonic, ten qualities."""

from __future__ import annotations

QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "dim": (0, 3, 6, 9),
    "hdim": (0, 3, 6, 10),
    "aug": (0, 4, 8),
    "sus": (0, 5, 7),
    "5": (0, 7),
}
"""Notes of each quality, in semitones above its root."""
ROOTS = 12
CHORDS = ROOTS * len(QUALITIES)
BARS, SLOTS_PER_BAR = 8, 2
SLOTS = BARS * SLOTS_PER_BAR
"""A progression: eight bars, a chord for each half of a bar."""
DEGREES = ("I", "♭II", "II", "♭III", "III", "IV", "♭V", "V", "♭VI", "VI", "♭VII", "VII")


def number_of(root: int, quality: str) -> int:
    """Number of a chord, below ``CHORDS``; ``root`` in semitones above the tonic."""
    return root % ROOTS * len(QUALITIES) + list(QUALITIES).index(quality)


def name_of(number: int) -> str:
    """Degree and quality of a chord, as ``V:7``."""
    root, quality = divmod(int(number), len(QUALITIES))
    return f"{DEGREES[root]}:{list(QUALITIES)[quality]}"
