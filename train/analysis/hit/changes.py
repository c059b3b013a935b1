"""Changes to a hit that leave it a hit: what a player, a room or a tape machine might do to it."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.attributes.sound import decay as measure_decay

MAX_SAMPLES = 2 * SAMPLE_RATE_HZ
LOWEST_HZ, HIGHEST_HZ = 30.0, 20_000.0
COLOURS = 5  # cosines over the log of the frequency that a colouring is made of
STEEPNESS = (3.0, 2.0, 1.5, 1.2)  # of each but the first, which is level; dB of standard deviation
MOST_DB = 13.0
PAD = 480  # samples after the sound, which a colouring rings into


def damped(sound: np.ndarray, part: float) -> np.ndarray:
    """A hit with its decay to −30 dB cut to ``part`` of what it was, 20 ms at least, at the same peak.

    What the decay knob should do. The encoder hears one damping of a hit and the decoder is asked for
    another, which it can only know from the knob.
    """
    seconds = 10.0 ** measure_decay(sound)
    wanted = max(0.02, seconds * part)
    if wanted >= seconds:
        return sound
    # Powers of e in 1/s for a fall by 30 dB in each time; their difference takes the one to the other.
    slope = 30 / 20 * np.log(10) * (1 / wanted - 1 / seconds)
    out = sound * np.exp(-slope * np.arange(len(sound)) / SAMPLE_RATE_HZ).astype(np.float32)
    return out * (np.abs(sound).max() / max(1e-9, np.abs(out).max()))


def at_speed(sound: np.ndarray, speed: float) -> np.ndarray:
    """A hit played at ``speed`` times its speed, pitch with it."""
    import soxr

    return soxr.resample(sound, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ, quality="LQ")[:MAX_SAMPLES].astype(
        np.float32
    )


def coloured(sound: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A hit through a random, smooth filter without phase, at its own peak.

    What the brightness knob should do, and every microphone does.

    Parameters
    ----------
    sound : ndarray, shape (samples,)
        The hit.
    amount : float
        1 for a few dB from end to end; 0 for none.
    rng : Generator
        Draws the filter.
    """
    padded = np.pad(sound, (0, PAD))
    spectrum = np.fft.rfft(padded)
    hz = np.clip(np.fft.rfftfreq(len(padded), 1 / SAMPLE_RATE_HZ), LOWEST_HZ, HIGHEST_HZ)
    place = np.log(hz / LOWEST_HZ) / np.log(HIGHEST_HZ / LOWEST_HZ)
    sizes = amount * rng.standard_normal(COLOURS - 1) * np.array(STEEPNESS)
    decibels = sum(size * np.cos(np.pi * order * place) for order, size in enumerate(sizes, start=1))
    out = np.fft.irfft(spectrum * 10 ** (np.clip(decibels, -MOST_DB, MOST_DB) / 20), len(padded))
    out = out[: len(sound)].astype(np.float32)
    return out * (np.abs(sound).max() / max(1e-9, np.abs(out).max()))
