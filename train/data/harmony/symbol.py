"""Chord symbols: Harte's syntax (ISMIR 2005), as ``Eb:min7/b3``, and what lead sheets write, as ``Ebm7``."""

from __future__ import annotations

import re

from common.chords import QUALITIES, number_of

NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
DEGREES = {1: 0, 2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 11, 8: 12, 9: 14, 10: 16, 11: 17, 12: 19, 13: 21}
# Semitones above the root, by the shorthands of Harte's table and of the Billboard annotations
SHORTHANDS = {
    **{name: frozenset(notes) for name, notes in QUALITIES.items()},
    "": frozenset({0, 4, 7}),
    "dim": frozenset({0, 3, 6}),
    "dim7": frozenset({0, 3, 6, 9}),
    "hdim7": frozenset({0, 3, 6, 10}),
    "minmaj7": frozenset({0, 3, 7, 11}),
    "maj6": frozenset({0, 4, 7, 9}),
    "6": frozenset({0, 4, 7, 9}),
    "min6": frozenset({0, 3, 7, 9}),
    "9": frozenset({0, 2, 4, 7, 10}),
    "maj9": frozenset({0, 2, 4, 7, 11}),
    "min9": frozenset({0, 2, 3, 7, 10}),
    "11": frozenset({0, 2, 4, 5, 7, 10}),
    "maj11": frozenset({0, 2, 4, 5, 7, 11}),
    "min11": frozenset({0, 2, 3, 5, 7, 10}),
    "13": frozenset({0, 2, 4, 7, 9, 10}),
    "maj13": frozenset({0, 2, 4, 7, 9, 11}),
    "min13": frozenset({0, 2, 3, 7, 9, 10}),
    "sus2": frozenset({0, 2, 7}),
    "sus4": frozenset({0, 5, 7}),
    "1": frozenset({0}),
}
# How lead sheets spell a shorthand
SPELT = {
    "m": "min",
    "-": "min",
    "M": "maj",
    "m7": "min7",
    "-7": "min7",
    "M7": "maj7",
    "m6": "min6",
    "m9": "min9",
    "m11": "min11",
    "M9": "maj9",
    "m7b5": "hdim7",
    "o": "dim",
    "o7": "dim7",
    "+": "aug",
    "mM7": "minmaj7",
    "7sus4": "sus4",
}
_NOTE = re.compile(r"([A-G])([b#]*)")
_HARTE = re.compile(r"([A-G][b#]*)(?::([a-z0-9]*)(?:\(([^)]*)\))?)?(?:/([b#]*\d+))?")
_DEGREE = re.compile(r"(\*?)([b#]*)(\d+)")
SILENT = frozenset({"N", "X", "*", "&pause", "?"})
"""What stands where no chord is heard, or none that has a name."""


def note_of(text: str) -> int | None:
    """Semitones above C, 0 to 11, of a note's name; None where it is none."""
    found = _NOTE.fullmatch(text)
    if found is None:
        return None
    return (NATURALS[found[1]] + found[2].count("#") - found[2].count("b")) % 12


def chord_of(symbol: str, tonic: int) -> int | None:
    """Number of a chord (`common.chords`) by its symbol; the bass does not count.

    Parameters
    ----------
    symbol : str
        As ``Eb:min7/b3``, ``Eb:maj(9)`` or ``Ebm7``.
    tonic : int
        Semitones above C.

    Returns
    -------
    int or None
        None for what is no chord's symbol.
    """
    found = _HARTE.fullmatch(symbol)
    if found is not None:
        root, short, added = found[1], found[2], found[3]
        notes = SHORTHANDS.get(short if short is not None else "")
        if short == "" and added:  # a list of degrees alone
            notes = frozenset({0})
        if notes is None:
            return None
        changed = _with(notes, added) if added else notes
    else:
        note = re.match(r"[A-G][b#]?", symbol)
        if note is None:
            return None
        root, rest = note[0], symbol[note.end() :].partition("/")[0]
        changed = SHORTHANDS.get(SPELT.get(rest, rest))
    if changed is None:
        return None
    above = note_of(root)
    return None if above is None else number_of(above - tonic, quality_of(changed))


def _with(notes: frozenset[int], degrees: str) -> frozenset[int] | None:
    """Add the degrees in a symbol's brackets, and take out those with a star."""
    out = set(notes)
    for text in degrees.split(","):
        found = _DEGREE.fullmatch(text.strip())
        if found is None or int(found[3]) not in DEGREES:
            return None
        at = (DEGREES[int(found[3])] + found[2].count("#") - found[2].count("b")) % 12
        if found[1]:
            out.discard(at)
        else:
            out.add(at)
    return frozenset(out)


def quality_of(notes: frozenset[int]) -> str:
    """The quality that says most of a chord's third, fifth and seventh."""
    if 4 in notes:
        if 8 in notes and 7 not in notes:
            return "aug"
        return "7" if 10 in notes else "maj7" if 11 in notes else "maj"
    if 3 in notes:
        if 6 in notes and 7 not in notes:
            return "hdim" if 10 in notes else "dim"
        return "min7" if 10 in notes else "min"
    return "sus" if notes & {2, 5} else "5"
