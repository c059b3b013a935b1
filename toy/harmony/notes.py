"""Notes whose partials, vibrato, attack and noise are known: what an analysis should find again.

An instrument has a slope of its partials, a strength of the even ones, a formant and hiss. It is bowed (a
slow attack, vibrato, a steady level) or plucked (a quick attack, a decay). Partials are whole multiples of
the fundamental at constant ratios, so that the truth is one row of numbers a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ

PARTIALS = 40
NOTES_AN_INSTRUMENT = 12
BEGIN_S, RELEASE_S = 0.05, 0.3
HIGHEST_HZ = 18_000.0
LETTERS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class ToyNote:
    """One note: what it is made of, and its sound.

    Attributes
    ----------
    amplitudes : ndarray, shape (PARTIALS,)
        Of every partial while the envelope is 1.
    vibrato_cents, vibrato_hz : float
        How far the pitch swings either way, and how often a second.
    attack_s, decay_db_s : float
        The envelope is ``(1 − exp(−t / attack)) · 10^(−decay · t / 20)`` while the note is held.
    hiss : float
        Root mean square of the white noise while the envelope is 1.
    """

    name: str
    instrument: str
    key: int
    held_s: float
    amplitudes: np.ndarray
    vibrato_cents: float
    vibrato_hz: float
    attack_s: float
    decay_db_s: float
    hiss: float
    audio: np.ndarray


def notes(seed: int, count: int) -> Iterator[ToyNote]:
    """``count`` notes, the same for the same seed: a dozen of one instrument, then of the next."""
    for number in range(count):
        which, place = divmod(number, NOTES_AN_INSTRUMENT)
        instrument = np.random.default_rng([seed, which])
        bowed = bool(instrument.random() < 0.5)
        slope_db, even = float(instrument.uniform(-14, -5)), float(instrument.uniform(0.05, 1.0))
        formant_hz, hiss = float(instrument.uniform(500, 3000)), float(10 ** instrument.uniform(-4, -2.5))
        attack_s = float(instrument.uniform(0.03, 0.12) if bowed else instrument.uniform(0.002, 0.006))
        decay_db_s = 0.0 if bowed else float(instrument.uniform(10, 40))
        lowest = int(instrument.integers(36, 60))
        rng = np.random.default_rng([seed, which, place])
        key, held_s = lowest + 2 * place, float(rng.uniform(0.6, 1.2))
        hz = 440 * 2 ** ((key - 69) / 12)
        k = np.arange(1, PARTIALS + 1)
        level_db = slope_db * np.log2(k) + 9 * np.exp(-((np.log2(k * hz / formant_hz)) ** 2))
        amplitudes = 10 ** (level_db / 20) * np.where(k % 2 == 0, even, 1.0) * (k * hz < HIGHEST_HZ)
        amplitudes *= 0.3 / np.sqrt((amplitudes**2).sum())
        depth = float(rng.uniform(10, 40)) if bowed else 0.0
        rate = float(rng.uniform(4.5, 6.5))
        audio = _sound(rng, hz, amplitudes, held_s, attack_s, decay_db_s, depth, rate, hiss)
        name = f"{LETTERS[key % 12]}{key // 12 - 1}_{place:02d}"
        yield ToyNote(
            name=name,
            instrument=f"{'bowed' if bowed else 'plucked'}-{which:02d}",
            key=key,
            held_s=held_s,
            amplitudes=amplitudes,
            vibrato_cents=depth,
            vibrato_hz=rate,
            attack_s=attack_s,
            decay_db_s=decay_db_s,
            hiss=hiss,
            audio=audio,
        )


def _sound(
    rng: np.random.Generator,
    hz: float,
    amplitudes: np.ndarray,
    held_s: float,
    attack_s: float,
    decay_db_s: float,
    vibrato_cents: float,
    vibrato_hz: float,
    hiss: float,
) -> np.ndarray:
    t = np.arange(round((BEGIN_S + held_s + RELEASE_S) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ - BEGIN_S
    cents = vibrato_cents * np.sin(2 * np.pi * vibrato_hz * t)
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (cents / 1200)) / SAMPLE_RATE_HZ
    envelope = np.where(t > 0, (1 - np.exp(-np.maximum(t, 0) / attack_s)) * 10 ** (-decay_db_s * t / 20), 0.0)
    envelope *= np.exp(-np.maximum(t - held_s, 0) / 0.04)
    tones = sum(a * np.sin(k * phase) for k, a in enumerate(amplitudes, 1) if a > 0)
    return np.asarray(envelope * (tones + hiss * rng.standard_normal(len(t))))


def describe(note: ToyNote) -> dict[str, Any]:
    """What is known of a note, for the manifest."""
    return {
        "key": note.key,
        "instrument": note.instrument,
        "begin_s": BEGIN_S,
        "held_s": round(BEGIN_S + note.held_s, 6),
        "amplitudes": [round(float(a), 6) for a in note.amplitudes],
        "vibrato_cents": round(note.vibrato_cents, 3),
        "vibrato_hz": round(note.vibrato_hz, 4),
        "attack_s": round(note.attack_s, 5),
        "decay_db_s": round(note.decay_db_s, 3),
        "hiss": round(note.hiss, 6),
    }
