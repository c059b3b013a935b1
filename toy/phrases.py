"""Dry phrases to send through a distortion: plucked strings, synth bass, drum loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from toy import drums, rhythms
from toy import sources as s


@dataclass(frozen=True)
class Phrase:
    """A dry phrase, float32 [n] at 48 kHz, and what made it."""

    name: str
    kind: str
    audio: np.ndarray
    parameters: dict[str, Any]


# Semitones above the root: phrases stay in one scale, as players do.
SCALES = {
    "minor_pentatonic": (0, 3, 5, 7, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "blues": (0, 3, 5, 6, 7, 10),
}


def midi_hz(note: float) -> float:
    """Frequency of a MIDI note number, A4 = 69 = 440 Hz."""
    return 440.0 * 2 ** ((note - 69) / 12)


def plucked_string(
    rng: np.random.Generator, n: int, frequency_hz: float, t60_s: float, brightness: float, pick: float
) -> np.ndarray:
    """Extended Karplus–Strong (Jaffe & Smith 1983): shaped noise around a damped delay loop.

    The loop's filter is two taps; its own half-sample-like delay is counted in the tuning.
    """
    from scipy.signal import lfilter

    period = SAMPLE_RATE_HZ / frequency_hz
    damping = 0.5 - 0.45 * brightness  # weight of the second tap, and the loop filter's delay in samples
    whole = int(period - damping)
    fraction = period - damping - whole
    burst = np.zeros(n)
    length = min(n, whole)
    burst[:length] = s.low_pass(rng.uniform(-1, 1, length), 2000 + 10_000 * brightness)
    lag = max(1, round(pick * whole))
    burst[lag:] -= 0.9 * burst[:-lag].copy()
    loss = 10 ** (-3 / (frequency_hz * t60_s))
    # loop = loss · ((1−d) + d z⁻¹) · ((1−f) + f z⁻¹) · z^−whole
    taps = loss * np.convolve([1 - damping, damping], [1 - fraction, fraction])
    feedback = np.zeros(whole + 3)
    feedback[0] = 1.0
    feedback[whole : whole + 3] -= taps
    return lfilter([1.0], feedback, burst)


def plucked(rng: np.random.Generator, seconds: float) -> tuple[np.ndarray, dict[str, Any]]:
    """A guitar-like line: single notes and double stops, some palm-muted."""
    n = round(seconds * SAMPLE_RATE_HZ)
    scale_name = str(rng.choice(sorted(SCALES)))
    scale, root = SCALES[scale_name], int(rng.integers(40, 53))
    bpm, brightness, pick = float(rng.uniform(80, 150)), float(rng.random()), float(rng.uniform(0.08, 0.4))
    out, notes, beat = np.zeros(n), [], 0.0
    while (start := round(beat * 60 / bpm * SAMPLE_RATE_HZ)) < n - 2400:
        muted = rng.random() < 0.25
        t60_s = float(rng.uniform(0.15, 0.4) if muted else rng.uniform(1.5, 5.0))
        for _ in range(2 if rng.random() < 0.25 else 1):
            note = root + int(rng.choice(scale)) + 12 * int(rng.integers(0, 2))
            velocity = float(rng.uniform(0.4, 1.0))
            # a fresh pluck stops the string: each note lives until at most two seconds later
            length = min(n - start, 2 * SAMPLE_RATE_HZ)
            tone = plucked_string(
                rng, length, midi_hz(note), t60_s, brightness * (0.4 if muted else velocity), pick
            )
            tone[-480:] *= np.linspace(1, 0, 480)
            out[start : start + length] += velocity * tone
            notes.append(
                {"note": note, "start_s": start / SAMPLE_RATE_HZ, "velocity": velocity, "t60_s": t60_s}
            )
        beat += float(rng.choice([0.5, 0.5, 1.0, 1.5]))
    return out, {"scale": scale_name, "bpm": bpm, "brightness": brightness, "pick": pick, "notes": notes}


def synth_bass(rng: np.random.Generator, seconds: float) -> tuple[np.ndarray, dict[str, Any]]:
    """A mono bass: square or FM tone, a low-pass that closes after each note, a sub below."""
    n = round(seconds * SAMPLE_RATE_HZ)
    scale_name = str(rng.choice(sorted(SCALES)))
    scale, root = SCALES[scale_name], int(rng.integers(28, 41))
    bpm, brightness = float(rng.uniform(80, 150)), float(rng.random())
    kind = str(rng.choice(["square", "fm"]))
    out, notes, beat = np.zeros(n), [], 0.0
    while (start := round(beat * 60 / bpm * SAMPLE_RATE_HZ)) < n - 2400:
        beats = float(rng.choice([0.25, 0.5, 0.5, 1.0]))
        length = min(n - start, round(0.9 * beats * 60 / bpm * SAMPLE_RATE_HZ))
        note = root + int(rng.choice(scale))
        frequency_hz, velocity = midi_hz(note), float(rng.uniform(0.5, 1.0))
        fall = s.decay(length, float(rng.uniform(0.15, 0.9)))
        if kind == "square":
            raw = s.square(length, frequency_hz, rng.random())
            shut = s.low_pass(raw, 2.5 * frequency_hz)
            opened = s.low_pass(raw, drums.geometric(brightness, 500, 6000))
            tone = fall * opened + (1 - fall) * shut
        else:
            tone = s.fm(length, frequency_hz, 1.0, 4 * brightness * fall)
        tone += 0.5 * np.sin(2 * np.pi * frequency_hz * s.times(length))
        edge = min(length // 4, 240)
        tone[:edge] *= np.linspace(0, 1, edge)
        tone[-edge:] *= np.linspace(1, 0, edge)
        out[start : start + length] += velocity * tone
        notes.append({"note": note, "start_s": start / SAMPLE_RATE_HZ, "velocity": velocity})
        beat += beats
    return out, {"scale": scale_name, "bpm": bpm, "brightness": brightness, "tone": kind, "notes": notes}


# Which toy drum class plays which voice of a toy rhythm.
KIT = ("kick", "snare", "hat_closed", "hat_open", "tom", "tom", "tom", "cymbal", "cymbal")


def drum_loop(rng: np.random.Generator, seconds: float) -> tuple[np.ndarray, dict[str, Any]]:
    """A toy rhythm played by toy drums."""
    n = round(seconds * SAMPLE_RATE_HZ)
    played = rhythms.pattern(int(rng.integers(2**31)), int(rng.integers(10_000)))
    kit = {}
    for label in sorted(set(KIT)):
        # of each class, any of a thousand instruments
        instrument = drums.CLASSES.index(label) + len(drums.CLASSES) * int(rng.integers(1000))
        kit[label] = drums.hit(int(rng.integers(2**31)), instrument * drums.HITS_PER_INSTRUMENT).audio
    out = np.zeros(n)
    step_s = 60 / played.bpm / 4
    for voice, step in zip(*np.nonzero(played.grid[:9]), strict=True):
        when_s = (step + float(played.grid[18 + voice, step])) * step_s
        start = round(when_s * SAMPLE_RATE_HZ)
        sound = kit[KIT[voice]]
        length = min(len(sound), n - start)
        if length > 0:
            out[start : start + length] += float(played.grid[9 + voice, step]) * sound[:length]
    return out, {"style": played.style, "bpm": played.bpm}


KINDS: dict[str, Callable[[np.random.Generator, float], tuple[np.ndarray, dict[str, Any]]]] = {
    "plucked": plucked,
    "bass": synth_bass,
    "drums": drum_loop,
}


def phrase(seed: int, index: int, seconds: float) -> Phrase:
    """Make phrase ``index``: kinds follow one another, the peak lies between -12 and -1 dBFS."""
    kind = sorted(KINDS)[index % len(KINDS)]
    rng = np.random.default_rng([seed, 21, index])
    audio, parameters = KINDS[kind](rng, seconds)
    audio = s.high_pass(audio, 20.0)
    fade = min(len(audio) // 4, 480)
    audio[len(audio) - fade :] *= np.linspace(1, 0, fade)
    level_db = float(rng.uniform(-12, -1))
    audio *= 10 ** (level_db / 20) / max(float(np.max(np.abs(audio))), 1e-9)
    return Phrase(f"{kind}_{index:04d}", kind, audio.astype(np.float32), {**parameters, "level_db": level_db})
