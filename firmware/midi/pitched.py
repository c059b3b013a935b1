"""Notes that leave a board as gates and volts: what a MIDI file writes of them, and how they sound here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from common.spool import largest, release, spans, spooled
from firmware.build import Built
from firmware.instruments import kinds
from firmware.play.hits import wires
from firmware.play.host import Rendered

LOWEST_KEY = 36
"""MIDI's number of the note at 0 V: C2, 65.4 Hz, as most analogue oscillators are tuned."""
PLAYED_BY = "a plain synthesizer"
LOUDEST = 0.5
"""Peak of the mixture, −6 dBFS."""
LONGEST_S = 4.0
"""Of a note that nothing ends."""
DECAY_PER_S, RELEASE_S, ATTACK_S = 2.0, 0.08, 0.004
HARMONICS = 5
LEVEL = 0.2
"""Of a note; a page, which can't know the peak of what is to come, plays them at this one."""


@dataclass(frozen=True)
class Note:
    """A note: samples at which it begins and ends, its key, its channel."""

    begin: int
    end: int
    key: int
    channel: int


@dataclass(frozen=True)
class Voice:
    """Numbers of the outputs that say notes; `until_next` and `channel` as in `Pitch` and `Note`."""

    gate: int
    cv: int
    until_next: bool
    channel: int


def voices_of(built: Built) -> list[Voice]:
    """List the gates that the kind gives a pitch, where both reach jacks."""
    gates, cvs = wires(built)
    return [
        Voice(gates[gate], cvs[pitch.cv], pitch.until_next, channel)
        for channel, (gate, pitch) in enumerate(kinds.named(built.assignment.kind).pitched.items())
        if gate in gates and pitch.cv in cvs
    ]


def pitched_notes(built: Built, rendered: Rendered) -> list[Note]:
    """List the notes of all gates that the kind gives a pitch, in order; what reaches no jack is none."""
    found: list[Note] = []
    for voice in voices_of(built):
        rises, falls = _edges(rendered.gates, voice.gate)
        for number, begin in enumerate(rises):
            later = falls[np.searchsorted(falls, begin) :]
            end = int(later[0]) if len(later) else rendered.gates.size
            if voice.until_next:
                end = int(rises[number + 1]) if number + 1 < len(rises) else rendered.gates.size
            found += _held(rendered.cv[voice.cv], int(begin), end, voice.channel)
    return sorted(found, key=lambda note: (note.begin, note.channel))


def _held(volts: NDArray[np.float32], begin: int, end: int, channel: int) -> list[Note]:
    """Cut what one gate holds where its pitch changes: tied notes are several."""
    keys = np.round(volts[begin:end].astype(np.float64) * 12).astype(int)
    cuts = [0, *(np.flatnonzero(np.diff(keys)) + 1), len(keys)]
    return [
        Note(begin + first, begin + last, LOWEST_KEY + int(keys[first]), channel)
        for first, last in pairwise(cuts)
        if last > first
    ]


def _edges(gates: NDArray[np.uint32], bit: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Samples at which one gate goes high, and low."""
    rises, falls = [], []
    before = np.int8(0)
    for span in spans(gates.size, through=[gates]):
        level = (gates[span] >> bit & 1).astype(np.int8)
        steps = np.diff(level, prepend=before)
        rises.append(span.start + np.flatnonzero(steps > 0))
        falls.append(span.start + np.flatnonzero(steps < 0))
        before = level[-1]
    empty = np.zeros(0, np.intp)
    return (np.concatenate(rises), np.concatenate(falls)) if rises else (empty, empty)


def hz_of(key: int) -> float:
    """Frequency of a MIDI key in equal temperament, 440 Hz for the 69th."""
    return 440.0 * float(2.0 ** ((key - 69) / 12))


def sound_notes(built: Built, rendered: Rendered) -> tuple[NDArray[np.float32], str]:
    """Play a rendering's notes on a few harmonics that decay.

    Returns
    -------
    array, shape (2, ticks), float32
        Left and right.
    str
        What they are played by.
    """
    rate = built.board.audio.sample_rate_hz
    ticks = rendered.gates.size
    mix = spooled((2, ticks), "float32")
    for note in pitched_notes(built, rendered):
        lasts = min(note.end - note.begin, round(LONGEST_S * rate)) + round(RELEASE_S * rate)
        span = slice(note.begin, min(ticks, note.begin + lasts))
        time = np.arange(span.stop - span.start) / rate
        shape = np.minimum(1.0, time / ATTACK_S) * np.exp(-DECAY_PER_S * time)
        shape *= np.clip((lasts / rate - time) / RELEASE_S, 0.0, 1.0)
        hz = hz_of(note.key)
        tone = sum(np.sin(2 * np.pi * n * hz * time) / n**1.5 for n in range(1, HARMONICS + 1))
        mix[:, span] += (LEVEL * shape * tone).astype(np.float32)
    release(mix)
    peak = largest(mix)
    if peak > 0:
        for span in spans(ticks, through=[mix]):
            mix[:, span] *= np.float32(LOUDEST / peak)
    return mix, PLAYED_BY
