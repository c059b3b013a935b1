"""What the classifiers of hits see: a log-mel picture, fine in the attack and coarse in the tail."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from common.audio import SAMPLE_RATE_HZ

SIZE, HOP, MELS = 1024, 256, 64
FINE = (24, 2)  # frames of the attack, averaged in twos
COARSE = (112, 8)
FRAMES = FINE[0] + COARSE[0]
SAMPLES = 36_000  # 0.75 s
FLOOR = 1e-3


@cache
def _bank() -> np.ndarray:
    from librosa.filters import mel

    return np.asarray(mel(sr=SAMPLE_RATE_HZ, n_fft=SIZE, n_mels=MELS, fmin=20.0, fmax=20_000.0, norm=None))


def picture(audio: np.ndarray) -> np.ndarray:
    """Features ``[1792]`` of one hit, its peak brought to 1: attack, tail, mean and spread of every band."""
    sound = np.zeros(SAMPLES, np.float64)
    sound[: len(audio)] = audio[:SAMPLES]
    sound /= max(1e-6, np.abs(sound).max())
    padded = np.pad(sound, (SIZE // 2, SIZE))
    frames = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP][:FRAMES]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    level = np.log(_bank() @ power.T + FLOOR)
    parts = (level[:, : FINE[0]], FINE[1]), (level[:, FINE[0] :], COARSE[1])
    pooled = [part.reshape(MELS, -1, by).mean(2).ravel() for part, by in parts]
    return np.concatenate([*pooled, level.mean(1), level.std(1)])


def pictures(sounds: Iterable[np.ndarray]) -> np.ndarray:
    """Features ``[N, 1792]`` of hits."""
    return np.stack([picture(sound) for sound in sounds])
