"""Render phrases of one note at a time with fluidsynth: sounds of one pitch, for a texture to learn.

The phrases are drawn, not composed: notes of a scale that wander about an instrument's range, long and short,
loud and soft, with swells and vibrato where a player could make them. The same numbers give the same phrases.
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

PHRASE_S = 20.0
TICK_S = BEAT_S / TICKS_PER_BEAT
SCALE = (0, 2, 3, 5, 7, 8, 10)
SILENT = 1e-3
LEVEL = 0.7


@dataclass(frozen=True)
class Instrument:
    """Program of General MIDI, lowest and highest key, and whether a note can swell and sing."""

    program: int
    lowest: int
    highest: int
    sustained: bool = True


INSTRUMENTS = {
    "guitar-nylon": Instrument(24, 40, 76, sustained=False),
    "bass-acoustic": Instrument(32, 28, 55, sustained=False),
    "bass-fretless": Instrument(35, 28, 55, sustained=False),
    "violin": Instrument(40, 55, 88),
    "viola": Instrument(41, 48, 81),
    "cello": Instrument(42, 36, 72),
    "contrabass": Instrument(43, 28, 55),
    "trumpet": Instrument(56, 54, 82),
    "trombone": Instrument(57, 40, 70),
    "tuba": Instrument(58, 28, 58),
    "trumpet-muted": Instrument(59, 54, 82),
    "horn": Instrument(60, 41, 74),
    "sax-soprano": Instrument(64, 56, 86),
    "sax-alto": Instrument(65, 49, 80),
    "sax-tenor": Instrument(66, 44, 75),
    "sax-baritone": Instrument(67, 37, 68),
    "oboe": Instrument(68, 58, 86),
    "english-horn": Instrument(69, 52, 80),
    "bassoon": Instrument(70, 34, 70),
    "clarinet": Instrument(71, 50, 84),
    "flute": Instrument(73, 60, 89),
    "recorder": Instrument(74, 65, 89),
    "pan-flute": Instrument(75, 60, 86),
    "shakuhachi": Instrument(77, 55, 84),
}


def write_phrase(instrument: Instrument, rng: np.random.Generator, path: Path) -> None:
    """Write one phrase of :data:`PHRASE_S` as a MIDI file."""
    import mido

    events: list[tuple[float, str, dict[str, int]]] = []
    now, degree = 0.05, int(rng.integers(3, 10))
    root = instrument.lowest + int(rng.integers(0, 6))
    keys = [root + 12 * octave + step for octave in range(6) for step in SCALE]
    keys = [key for key in keys if key <= instrument.highest]
    while now < PHRASE_S - 1.0:
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, len(keys) - 1))
        lasts = float(rng.choice([0.12, 0.2, 0.35, 0.6, 1.2, 2.0], p=[0.15, 0.2, 0.25, 0.2, 0.15, 0.05]))
        events.append((now, "note_on", {"note": keys[degree], "velocity": int(rng.integers(35, 125))}))
        end = now + lasts * float(rng.choice([0.6, 0.97]))
        if instrument.sustained and lasts > 0.5:
            swell, sings = rng.uniform(60, 127, 2), rng.random() < 0.6
            for at in np.arange(now, end, 0.03):
                part = (at - now) / (end - now)
                told = {"control": 11, "value": int(swell[0] + part * (swell[1] - swell[0]))}
                events.append((float(at), "control_change", told))
                if sings:
                    bend = 1200 * min(1.0, 2 * part) * np.sin(2 * np.pi * 5.5 * at)
                    events.append((float(at), "pitchwheel", {"pitch": int(bend)}))
            events.append((end, "pitchwheel", {"pitch": 0}))
            events.append((end, "control_change", {"control": 11, "value": 110}))
        events.append((end, "note_off", {"note": keys[degree], "velocity": 0}))
        now += lasts + (float(rng.uniform(0.1, 0.8)) if rng.random() < 0.2 else 0.0)
    song = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    track = mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=round(BEAT_S * 1e6)))
    track.append(mido.Message("program_change", channel=0, program=instrument.program))
    done = 0
    for at, what, told in sorted(events, key=lambda event: event[0]):
        tick = round(at / TICK_S)
        track.append(mido.Message(what, channel=0, time=tick - done, **told))
        done = tick
    track.append(mido.Message("note_off", channel=0, note=0, time=max(0, round(PHRASE_S / TICK_S) - done)))
    song.save(str(path))


def render_phrases(soundfonts: Sequence[Path], out: Path, minutes: float, watch: Watch) -> dict[str, int]:
    """Render phrases of every instrument of some soundfonts into a folder, with a manifest.

    Parameters
    ----------
    soundfonts : sequence of Path
        ``.sf2`` or ``.sf3`` of General MIDI.
    out : Path
        Must not be there, or be empty.
    minutes : float
        Of every instrument and soundfont.
    watch : callable
        Shows progress.

    Returns
    -------
    dict of str to int
        Phrases of each instrument.

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
        for number in range(max(1, round(60 * minutes / PHRASE_S))):
            rng = np.random.default_rng([INSTRUMENTS[name].program, number, soundfonts.index(font)])
            with tempfile.TemporaryDirectory() as folder:
                song = Path(folder) / "phrase.mid"
                write_phrase(INSTRUMENTS[name], rng, song)
                audio = played(font, song)[: round(PHRASE_S * SAMPLE_RATE_HZ)]
            peak = float(np.abs(audio).max(initial=0.0))
            if peak < SILENT:
                continue
            relative = f"{name}/{font.stem.lower().replace('_', '-')}__{number}.flac"
            (out / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(out / relative, audio * (LEVEL / peak), SAMPLE_RATE_HZ, subtype="PCM_16")
            rows.append({"path": relative, "group": relative, "set": font.stem})
            counts[name] = counts.get(name, 0) + 1
    if not counts:
        raise Refusal(f"no instrument of {soundfonts[0]} sounds; is it a General MIDI soundfont?")
    write_manifest(rows, out)
    return counts
