"""A dry guitar phrase, what a drive is shown with: a riff, a line and ringing chords on plucked strings.

Composed, not drawn: the same sixteen seconds for everyone, so that two drives can be compared on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from toy import sources as s
from toy.phrases import midi_hz, plucked_string

BPM = 100.0
BEATS_A_BAR = 4
BARS = 6
RING_BEATS = 3.5
"""After the last bar."""
PEAK = 0.4
"""−8 dBFS: a pickup into a module that leaves room for a harder pick."""
OPEN_STRINGS = (40, 45, 50, 55, 59, 64)
"""MIDI notes of E A D G B E."""
STOP_TICKS = 240
"""A string that is plucked again stops within 5 ms."""
STRUM_S = 0.008
"""From string to string of a chord."""


@dataclass(frozen=True)
class Note:
    """One pluck.

    Attributes
    ----------
    beat, beats : float
        When it begins, and how long the finger stays.
    string, fret : int
        String 0 is the low E.
    force : float
        0 … 1: loudness and brightness.
    muted : bool
        The palm lies on the strings.
    """

    beat: float
    beats: float
    string: int
    fret: int
    force: float = 0.8
    muted: bool = False


def _fifth(beat: float, beats: float, string: int, fret: int, force: float = 0.85) -> list[Note]:
    """Three strings: root, fifth, octave."""
    return [
        Note(beat, beats, string, fret, force),
        Note(beat, beats, string + 1, fret + 2, 0.9 * force),
        Note(beat, beats, string + 2, fret + 2, 0.8 * force),
    ]


def _chug(beat: float, count: int, string: int = 0, fret: int = 0) -> list[Note]:
    """Palm-muted eighths, the first of two a little harder."""
    return [Note(beat + 0.5 * n, 0.5, string, fret, 0.95 - 0.15 * (n % 2), True) for n in range(count)]


def _riff(bar: int, answer: int) -> list[Note]:
    """Chugs on E and three fifths; the last of them differs from bar to bar."""
    at = bar * BEATS_A_BAR
    return [
        *_fifth(at, 0.75, 0, 0, 0.95),
        *_chug(at + 0.75, 2),
        *_fifth(at + 1.75, 0.5, 0, 3),
        *_chug(at + 2.25, 1),
        *_fifth(at + 2.75, 0.5, 0, 5),
        *_fifth(at + 3.25, 0.75, 0, answer),
    ]


def _line(bar: int) -> list[Note]:
    """Two bars of minor pentatonic, the last note of each held."""
    at = bar * BEATS_A_BAR
    first = [
        (0, 0.5, 2, 2),
        (0.5, 0.5, 2, 4),
        (1, 0.5, 3, 2),
        (1.5, 1.0, 3, 4),
        (2.5, 0.5, 3, 2),
        (3, 1.0, 2, 4),
    ]
    second = [
        (4, 0.5, 3, 4),
        (4.5, 0.5, 4, 3),
        (5, 0.75, 4, 5),
        (5.75, 0.25, 4, 3),
        (6, 0.5, 3, 4),
        (6.5, 1.5, 3, 2),
    ]
    return [Note(at + beat, beats, string, fret, 0.95) for beat, beats, string, fret in (*first, *second)]


def _chords(bar: int) -> list[Note]:
    """Two bars of fifths left to ring, and the last one to the end."""
    at = bar * BEATS_A_BAR
    return [
        *_fifth(at, 2.0, 0, 0, 0.9),
        *_fifth(at + 2, 1.5, 0, 3, 0.85),
        *_chug(at + 3.5, 1, 0, 3),
        *_fifth(at + 4, 2.0, 1, 0, 0.9),
        *_fifth(at + 6, 1.0, 0, 3, 0.8),
        *_chug(at + 7, 2, 0, 2),
        *_fifth(at + 8, RING_BEATS, 0, 0, 1.0),
    ]


def guitar() -> np.ndarray:
    """Play the phrase: float32 [n] at 48 kHz, peak −8 dBFS."""
    notes = sorted([*_riff(0, 3), *_riff(1, 7), *_line(2), *_chords(4)], key=lambda note: note.beat)
    tick = SAMPLE_RATE_HZ * 60 / BPM
    total = round((BARS * BEATS_A_BAR + RING_BEATS) * tick)
    rng = np.random.default_rng(12)
    out = np.zeros(total)
    for string, open_note in enumerate(OPEN_STRINGS):
        played = [note for note in notes if note.string == string]
        starts = [round(note.beat * tick + string * STRUM_S * SAMPLE_RATE_HZ) for note in played]
        for note, start, following in zip(played, starts, [*starts[1:], total][: len(starts)], strict=True):
            length = min(round(note.beats * tick), following - start)
            tone = plucked_string(
                rng,
                length,
                midi_hz(open_note + note.fret),
                0.3 if note.muted else 7.0,
                note.force * (0.4 if note.muted else 0.6),
                0.17,
            )
            edge = min(STOP_TICKS, length)
            tone[-edge:] *= np.linspace(1, 0, edge)
            out[start : start + length] += note.force * tone
    out = s.low_pass(s.high_pass(out, 60.0), 6000.0)  # a pickup hears neither rumble nor air
    fade = round(0.4 * SAMPLE_RATE_HZ)
    out[-fade:] *= np.linspace(1, 0, fade)
    return (out * (PEAK / np.abs(out).max())).astype(np.float32)
