"""Render single notes of melodic General MIDI programs with fluidsynth: known pitches, for a voice to learn.

Every instrument is played over its range at three strengths, one file a note, with a manifest that says its
key, how long it was held, how it swells (MIDI's expression at its begin and end), and its split: some
instruments are kept whole for the test, and of the others every tenth note or so validates. The same numbers
give the same notes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from train.data.soundfonts.render import BEAT_S, TICKS_PER_BEAT, Watch, check, played, write_manifest

VELOCITIES = (45, 80, 115)
KEYS_APART = 3
SHORTEST_S, LONGEST_S = 0.7, 1.7
RELEASE_S = 0.5
"""After the key is let go; a file ends there."""
PAUSE_S = 0.7
BEGIN_S = 0.1
SILENT = 1e-3
LEVEL = 0.5
VALIDATED = 11
"""Of so many notes of an instrument that is learnt, one validates."""
SWELL_EVERY_S = 0.02


@dataclass(frozen=True)
class Melodic:
    """Program, lowest and highest key; whether a note can swell; whether it is kept for the test."""

    program: int
    lowest: int
    highest: int
    sustained: bool = False
    test: bool = False


INSTRUMENTS = {
    "piano": Melodic(0, 33, 93),
    "piano-electric": Melodic(4, 33, 88),
    "harpsichord": Melodic(6, 36, 84),
    "clavinet": Melodic(7, 36, 84),
    "vibraphone": Melodic(11, 53, 89),
    "marimba": Melodic(12, 48, 84),
    "organ-church": Melodic(19, 36, 84, sustained=True),
    "accordion": Melodic(21, 53, 84, sustained=True),
    "harmonica": Melodic(22, 60, 88, sustained=True),
    "guitar-nylon": Melodic(24, 40, 81),
    "guitar-steel": Melodic(25, 40, 81, test=True),
    "guitar-jazz": Melodic(26, 40, 81),
    "bass-acoustic": Melodic(32, 28, 60),
    "bass-finger": Melodic(33, 28, 60),
    "bass-fretless": Melodic(35, 28, 60),
    "violin": Melodic(40, 55, 93, sustained=True),
    "viola": Melodic(41, 48, 84, sustained=True, test=True),
    "cello": Melodic(42, 36, 76, sustained=True),
    "contrabass": Melodic(43, 28, 60, sustained=True),
    "pizzicato": Melodic(45, 40, 84),
    "harp": Melodic(46, 36, 90),
    "trumpet": Melodic(56, 54, 82, sustained=True),
    "trombone": Melodic(57, 40, 72, sustained=True, test=True),
    "tuba": Melodic(58, 28, 58, sustained=True),
    "trumpet-muted": Melodic(59, 54, 82, sustained=True),
    "horn": Melodic(60, 41, 77, sustained=True),
    "sax-soprano": Melodic(64, 56, 86, sustained=True),
    "sax-alto": Melodic(65, 49, 80, sustained=True),
    "sax-tenor": Melodic(66, 44, 75, sustained=True),
    "oboe": Melodic(68, 58, 89, sustained=True, test=True),
    "english-horn": Melodic(69, 52, 80, sustained=True),
    "bassoon": Melodic(70, 34, 72, sustained=True),
    "clarinet": Melodic(71, 50, 86, sustained=True),
    "flute": Melodic(73, 60, 93, sustained=True),
    "recorder": Melodic(74, 65, 92, sustained=True, test=True),
    "pan-flute": Melodic(75, 60, 90, sustained=True),
    "ocarina": Melodic(79, 60, 88, sustained=True),
    "lead-square": Melodic(80, 36, 84, sustained=True),
    "lead-saw": Melodic(81, 36, 84, sustained=True),
    "banjo": Melodic(105, 48, 84),
    "koto": Melodic(107, 45, 81),
    "kalimba": Melodic(108, 60, 88),
}


@dataclass(frozen=True)
class PlayedNote:
    """A note: when it begins, how long it is held, its key and velocity, and its swell."""

    start_s: float
    held_s: float
    key: int
    velocity: int
    swell: tuple[int, int] | None


def notes_of(instrument: Melodic) -> list[PlayedNote]:
    """All notes of an instrument, one after the other."""
    rng = np.random.default_rng(instrument.program)
    notes, now = [], BEGIN_S
    for lowest in range(instrument.lowest, instrument.highest + 1, KEYS_APART):
        for velocity in VELOCITIES:
            key = min(instrument.highest, lowest + int(rng.integers(0, KEYS_APART)))
            held = float(rng.uniform(SHORTEST_S, LONGEST_S))
            begin, end = (int(value) for value in rng.integers(50, 128, 2))
            swells = instrument.sustained and rng.random() < 0.3
            notes.append(PlayedNote(now, held, key, velocity, (begin, end) if swells else None))
            now += held + PAUSE_S
    return notes


def write_notes(instrument: Melodic, notes: Sequence[PlayedNote], path: Path) -> None:
    """Write the notes as a MIDI file."""
    import mido

    events: list[tuple[float, mido.Message]] = []
    for note in notes:
        end = note.start_s + note.held_s
        begin = note.swell[0] if note.swell else 127
        events.append((note.start_s - 0.02, mido.Message("control_change", control=11, value=begin)))
        if note.swell:
            for at in np.arange(0, note.held_s, SWELL_EVERY_S):
                value = round(begin + (note.swell[1] - begin) * at / note.held_s)
                told = mido.Message("control_change", control=11, value=value)
                events.append((note.start_s + float(at), told))
        events.append((note.start_s, mido.Message("note_on", note=note.key, velocity=note.velocity)))
        events.append((end, mido.Message("note_off", note=note.key)))
    song = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    track = mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=round(BEAT_S * 1e6)))
    track.append(mido.Message("program_change", program=instrument.program))
    done = 0
    for at, message in sorted(events, key=lambda event: event[0]):
        tick = round(at * TICKS_PER_BEAT / BEAT_S)
        track.append(message.copy(time=tick - done))
        done = tick
    track.append(mido.Message("note_off", note=0, time=round(PAUSE_S * TICKS_PER_BEAT / BEAT_S)))
    song.save(str(path))


def render_notes(soundfonts: Sequence[Path], out: Path, watch: Watch) -> dict[str, int]:
    """Render notes of every instrument of some soundfonts into a folder, with a manifest.

    Parameters
    ----------
    soundfonts : sequence of Path
        ``.sf2`` or ``.sf3`` of General MIDI.
    out : Path
        Must not be there, or be empty.
    watch : callable
        Shows progress.

    Returns
    -------
    dict of str to int
        Notes of each instrument.

    Raises
    ------
    Refusal
        A soundfont is missing, ``out`` holds something, fluidsynth fails, or nothing sounds.
    """
    import soundfile

    check(soundfonts, out)
    rows: list[dict[str, str]] = []
    counts: dict[str, int] = {}
    todo = [(font, name) for font in soundfonts for name in INSTRUMENTS]
    for font, name in watch(todo, "rendering"):
        instrument = INSTRUMENTS[name]
        notes = notes_of(instrument)
        with tempfile.TemporaryDirectory() as folder:
            song = Path(folder) / "notes.mid"
            write_notes(instrument, notes, song)
            audio = played(font, song)
        loud = float(np.quantile(np.abs(audio), 0.995))
        if loud < SILENT:
            continue
        (out / name).mkdir(parents=True, exist_ok=True)
        for number, note in enumerate(notes):
            first = round(note.start_s * SAMPLE_RATE_HZ)
            sound = audio[first : first + round((note.held_s + RELEASE_S) * SAMPLE_RATE_HZ)] * (LEVEL / loud)
            relative = f"{name}/{font.stem.lower().replace('_', '-')}__{number:03d}.flac"
            soundfile.write(out / relative, np.clip(sound, -1, 1), SAMPLE_RATE_HZ, subtype="PCM_16")
            learnt = "validation" if number % VALIDATED == VALIDATED // 2 else "train"
            rows.append(
                {
                    "path": relative,
                    "key": str(note.key),
                    "velocity": str(note.velocity),
                    "held_s": f"{note.held_s:.3f}",
                    "swell": f"{note.swell[0]} {note.swell[1]}" if note.swell else "",
                    "split": "test" if instrument.test else learnt,
                    "group": name if instrument.test else relative,
                    "set": font.stem,
                    "licence": "MIT",
                }
            )
            counts[name] = counts.get(name, 0) + 1
    if not counts:
        raise Refusal(f"no instrument of {soundfonts[0]} sounds; is it a General MIDI soundfont?")
    write_manifest(rows, out)
    return counts
