"""How loud every frame of a sound is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from common.audio import SAMPLE_RATE_HZ
from train.models.voice.shape import HOP

SIZE = 2048
FLOOR = 1e-10


Numbers = TypeVar("Numbers", np.ndarray, Tensor)


def weighting(squared: Numbers) -> Numbers:
    """A-weighting (IEC 61672) of amplitudes at frequencies whose squares are given, Hz²; 1 at 1 kHz."""
    root = ((squared + 107.7**2) * (squared + 737.9**2)) ** 0.5
    return 1.2589 * 12194**2 * squared**2 / ((squared + 20.6**2) * root * (squared + 12194**2))


def swell_db(swell: Sequence[int], held: int, frames: int) -> np.ndarray:
    """What MIDI's expression does to a note's loudness, dB, float32 [frames].

    It goes in a straight line from one value to the other until the note is let go; 127 is 0 dB, and an
    attenuation is its square (SoundFont 2.04, 8.4.7).
    """
    part = np.minimum(np.arange(frames) / max(1, held), 1.0)
    value = swell[0] + (swell[1] - swell[0]) * part
    return np.asarray(40 * np.log10(np.maximum(value, 1.0) / 127), np.float32)


def loudness_db(x: np.ndarray, frames: int) -> np.ndarray:
    """A-weighted level around every frame, dB of full scale, float32 [frames]."""
    weight = weighting(np.fft.rfftfreq(SIZE, 1 / SAMPLE_RATE_HZ) ** 2 + 1e-9)
    window = np.hanning(SIZE)
    padded = np.pad(x, (SIZE // 2, SIZE // 2 + HOP))
    views = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP][:frames]
    scale = 2 / ((window**2).sum() * SIZE)
    power = [
        (np.abs(np.fft.rfft(part * window)) ** 2 @ weight**2) * scale
        for part in np.array_split(views, max(1, frames // 256))
    ]
    return (10 * np.log10(np.concatenate(power) + FLOOR)).astype(np.float32)
