"""What a one-shot is like: the quantities behind a drum model's named knobs and the latents' signs.

Brightness is the spectral centroid (Grey and Gordon, "Perceptual effects of spectral modifications on
musical timbres", JASA 63(5), 1978), on a log scale; decay the time to fall by 30 dB on the
backward-integrated energy (Schroeder, "New method of measuring reverberation time", JASA 37(3), 1965), on a
log scale; loudness the largest 25 ms RMS level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.audio import SAMPLE_RATE_HZ

FRAME_SAMPLES = 1200  # 25 ms


def brightness(audio: np.ndarray) -> float:
    """Log2 of the spectral centroid of the whole sound, in octaves above 20 Hz; 0 for silence."""
    size = 1 << max(10, int(np.ceil(np.log2(max(1, len(audio))))))
    spectrum = np.abs(np.fft.rfft(audio, size)) ** 2
    total = spectrum.sum()
    if total <= 0:
        return 0.0
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    return float(np.log2(max(20.0, (spectrum * hz).sum() / total) / 20.0))


def decay(audio: np.ndarray) -> float:
    """Log10 of the seconds until 30 dB of the remaining energy are gone; −3 (1 ms) at least."""
    remaining = np.cumsum(audio[::-1].astype(np.float64) ** 2)[::-1]
    if not len(remaining) or remaining[0] <= 0:
        return -3.0
    below = np.flatnonzero(remaining < remaining[0] * 1e-3)
    seconds = (below[0] if len(below) else len(remaining)) / SAMPLE_RATE_HZ
    return float(np.log10(max(1e-3, seconds)))


def loudness(audio: np.ndarray) -> float:
    """Largest RMS level over 25 ms, dBFS; −120 for silence."""
    energy = np.concatenate([np.zeros(1), np.cumsum(np.pad(audio.astype(np.float64) ** 2, FRAME_SAMPLES))])
    power = (energy[FRAME_SAMPLES:] - energy[:-FRAME_SAMPLES]).max() / FRAME_SAMPLES
    return float(10 * np.log10(max(power, 1e-12)))


@dataclass(frozen=True)
class SoundAttribute:
    """An analyser and the words for its knob."""

    measure: Callable[[np.ndarray], float]
    definition: str


SOUND_ATTRIBUTES: dict[str, SoundAttribute] = {
    "brightness": SoundAttribute(brightness, "spectral centroid, octaves above 20 Hz"),
    "decay": SoundAttribute(decay, "log10 seconds to −30 dB of remaining energy"),
    "loudness": SoundAttribute(loudness, "largest 25 ms level, dBFS"),
}


def measure_sound(audio: np.ndarray) -> dict[str, float]:
    """All attributes of a mono sound at 48 kHz."""
    return {name: attribute.measure(audio) for name, attribute in SOUND_ATTRIBUTES.items()}
