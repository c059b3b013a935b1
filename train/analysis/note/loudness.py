"""How loud every frame of a sound is."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.models.voice.shape import HOP

SIZE = 2048
FLOOR = 1e-10


def loudness_db(x: np.ndarray, frames: int) -> np.ndarray:
    """A-weighted level (IEC 61672) around every frame, dB of full scale, float32 [frames]."""
    squared = np.fft.rfftfreq(SIZE, 1 / SAMPLE_RATE_HZ) ** 2 + 1e-9
    root = np.sqrt((squared + 107.7**2) * (squared + 737.9**2))
    weight = 1.2589 * 12194**2 * squared**2 / ((squared + 20.6**2) * root * (squared + 12194**2))
    window = np.hanning(SIZE)
    padded = np.pad(x, (SIZE // 2, SIZE // 2 + HOP))
    views = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP][:frames]
    scale = 2 / ((window**2).sum() * SIZE)
    power = [
        (np.abs(np.fft.rfft(part * window)) ** 2 @ weight**2) * scale
        for part in np.array_split(views, max(1, frames // 256))
    ]
    return (10 * np.log10(np.concatenate(power) + FLOOR)).astype(np.float32)
