"""Folders of sounds for the data tests: a decaying tone in any format, small MIDI files."""

from __future__ import annotations

import mido
import numpy as np
import soundfile

SAMPLE_RATE_HZ = 44_100


def hit(frequency_hz=180.0, seconds=0.25, rate_hz=SAMPLE_RATE_HZ, lead=0, noise=0.0, seed=0):
    """A struck tone that starts abruptly after ``lead`` samples of silence: float64 [n], peak about 0.8."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = 0.8 * np.exp(-t / (0.2 * seconds)) * np.cos(2 * np.pi * frequency_hz * t)
    tone += noise * np.exp(-t / (0.1 * seconds)) * np.random.default_rng(seed).standard_normal(len(t))
    return np.concatenate([np.zeros(lead), tone])


def write(path, audio, rate_hz=SAMPLE_RATE_HZ, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate_hz, **more)
    return path


def kits(folder, kits=3, takes=2):
    """A small honest folder: KIT/kick_N.wav, snare and hat, each kit with its own pitches."""
    for kit in range(kits):
        for number, (name, hz) in enumerate((("kick", 60), ("snare", 220), ("closed hat", 3000))):
            for take in range(takes):
                audio = hit(hz * 1.3**kit, 0.1 + 0.05 * kit, noise=0.05 * number, seed=take)
                write(
                    folder / f"Kit {'ABCDEFGH'[kit]}" / f"{name}_{take + 1:02d}.wav",
                    (0.5 + 0.2 * take) * audio,
                )
    return folder


def midi(path, notes, ticks_per_beat=480, meter=(4, 4), channel=9, bpm=120, beats=8, meters=()):
    """Write notes (beat, note, velocity) as a one-track file; ``meters`` adds (beat, over, under)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [(round(beat * ticks_per_beat), 1, note, velocity) for beat, note, velocity in notes]
    events += [(round(beat * ticks_per_beat), 0, num, den) for beat, num, den in ((0, *meter), *meters)]
    events += [(round(beats * ticks_per_beat), 2, 0, 0)]
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))])
    now = 0
    for tick, kind, a, b in sorted(events):
        if kind == 0:
            message = mido.MetaMessage("time_signature", numerator=a, denominator=b, time=tick - now)
        elif kind == 1:
            message = mido.Message("note_on", channel=channel, note=a, velocity=b, time=tick - now)
        else:
            message = mido.MetaMessage("end_of_track", time=tick - now)
        track.append(message)
        now = tick
    mido.MidiFile(type=0, ticks_per_beat=ticks_per_beat, tracks=[track]).save(path)
    return path


def beat(bars=2, beats_per_bar=4, step=0.5):
    """Kick, snare and hats, enough to be a pattern."""
    notes = []
    for bar in range(bars):
        start = bar * beats_per_bar
        notes += [(start, 36, 110), (start + 1, 38, 100)]
        notes += [(start + k * step, 42, 60) for k in range(int(beats_per_bar / step))]
    return notes
