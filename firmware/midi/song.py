"""A MIDI file as a CV script: the same rendering as if its events had been written down in CSV."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from common.files import write_text
from common.reading.midi_file import MidiFile, read_midi
from common.refusal import LeftOut, Refusal
from firmware.build import Built
from firmware.midi.player import Message, MidiPlayer
from firmware.play.render import Scribe
from firmware.script.cv_script import LONGEST_S, Script, script_text

CLOCKS_A_BEAT = 24
"""MIDI's clock: so many pulses a quarter note."""
TEMPO = 500_000
"""Microseconds a quarter note before a file says another: 120 beats a minute."""


@dataclass(frozen=True)
class Song:
    """A file's messages in seconds, and the tempo that it begins with, in microseconds a quarter note."""

    messages: list[tuple[Fraction, Message]]
    seconds: Fraction
    tempo: int


def read_song(path: Path) -> Song:
    """Read a MIDI file, with the clock that a sequencer would send beside it.

    Raises
    ------
    Refusal
        It is no MIDI file that can be read.
    """
    try:
        return timed(read_midi(path))
    except LeftOut as reason:
        raise Refusal(f"cannot play {path}: it {reason}.") from None
    except OSError as error:
        raise Refusal(f"cannot read the MIDI file {path}: {error.strerror}.") from None


def timed(file: MidiFile) -> Song:
    """Give every message its time, exactly, and add start and clock."""
    tempos = [(0, TEMPO), *((tick, m.tempo) for tick, m in file.messages if m.type == "set_tempo")]
    ends = [tick for tick, _ in tempos[1:]]
    marks: list[tuple[int, Fraction, int]] = []
    at = Fraction(0)
    for (tick, tempo), following in zip(tempos, [*ends, None], strict=True):
        marks.append((tick, at, tempo))
        if following is not None:
            at += Fraction((following - tick) * tempo, file.ticks_per_beat * 1_000_000)

    begins = [tick for tick, _, _ in marks]

    def seconds(tick: Fraction | int) -> Fraction:
        begin, passed, tempo = marks[bisect_right(begins, tick) - 1]
        return passed + (tick - begin) * Fraction(tempo, file.ticks_per_beat * 1_000_000)

    last = file.messages[-1][0] if file.messages else 0
    clocks = int(Fraction(last * CLOCKS_A_BEAT, file.ticks_per_beat))
    sent: list[tuple[Fraction, int, Message]] = [(Fraction(0), 0, SimpleNamespace(type="start"))]
    for pulse in range(clocks + 1 if last else 0):
        when = Fraction(pulse * file.ticks_per_beat, CLOCKS_A_BEAT)
        if when < last:
            sent.append((seconds(when), 1, SimpleNamespace(type="clock")))
    sent += [(seconds(tick), 2, message) for tick, message in file.messages if not message.is_meta]
    sent.sort(key=lambda one: one[:2])
    begins_with = next((tempo for tick, tempo in reversed(tempos) if tick == 0), TEMPO)
    return Song([(at, message) for at, _, message in sent], seconds(last), begins_with)


GATE = "gate/"
BREAK_S = 0.005
"""A key that is pressed as another is let go begins a new note: its gate is low for so long before."""


def script_of(song: Song, player: MidiPlayer, name: str) -> Script:
    """Write down what a song moves.

    Parameters
    ----------
    player : MidiPlayer
        Of the instrument, and new: it remembers what is held.
    name : str
        Of the file, for the refusal.

    Raises
    ------
    Refusal
        Nothing of it moves this instrument, or it is longer than can be played.
    """
    if song.seconds > LONGEST_S:
        raise Refusal(f"{name} lasts {float(song.seconds):.0f} s; {LONGEST_S:.0f} s can be played.")
    knots: dict[str, list[tuple[float, float]]] = {}
    for column, at, value in _moves(song, player):
        points = knots.setdefault(column, [])
        if column.startswith(GATE) and value > 0 and points and points[-1] == (at, 0.0):
            points[-1] = (max(at - BREAK_S, points[-2][0] if len(points) > 1 else 0.0), 0.0)
        points.append((at, value))
    if not set(knots) - {"reset"}:
        channel = player.table.channel
        where = "" if channel is None else f" on channel {channel}"
        raise Refusal(
            f"nothing in {name} moves this instrument: it has no notes or controllers{where} that the [midi] "
            f"table of {player.file} names."
        )
    columns = {column: np.array(knots[column], np.float64) for column in sorted(knots)}
    return Script(
        columns={column: (points[:, 0], points[:, 1]) for column, points in columns.items()},
        seconds=float(song.seconds),
    )


def song_script(song: Song, name: str, record: Path | None = None) -> Scribe:
    """Return what writes the script of a song for an instrument; also into a CSV file, where one is named."""

    def write(built: Built, parameters: Mapping[str, int]) -> Script:
        assignment = built.assignment
        script = script_of(song, MidiPlayer(assignment.loaded, parameters, assignment.choices), name)
        if record is not None:
            write_text(record, script_text(script))
        return script

    return write


def _moves(song: Song, player: MidiPlayer) -> Iterator[tuple[str, float, float]]:
    for at, message in song.messages:
        for column, value in player.play(message):
            yield column, float(at), value
