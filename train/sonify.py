"""Patterns made audible for checking by ear: nine plain voices, nothing learned."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

# Pitch in Hz (0: noise only), decay in seconds, noise part: enough to tell the voices apart.
_VOICES = (
    (55.0, 0.15, 0.05),
    (190.0, 0.10, 0.7),
    (0.0, 0.03, 1.0),
    (0.0, 0.20, 1.0),
    (90.0, 0.20, 0.1),
    (130.0, 0.18, 0.1),
    (180.0, 0.15, 0.1),
    (0.0, 0.60, 1.0),
    (0.0, 0.30, 0.8),
)


def sonify(pattern: np.ndarray, bpm: float = 110.0) -> np.ndarray:
    """Play a pattern ``[27, 32]`` once, float32 at 48 kHz."""
    voices, step_s = len(_VOICES), 15.0 / bpm
    out = np.zeros(int((32 * step_s + 0.1) * SAMPLE_RATE_HZ), np.float32)
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE_HZ).astype(np.float32)
    for voice, step in zip(*np.nonzero(pattern[:voices] >= 0.5), strict=True):
        pitch, decay, rough = _VOICES[voice]
        t = np.arange(int(decay * 5 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        tone = np.sin(2 * np.pi * pitch * t) if pitch else np.zeros(len(t))
        body = ((1 - rough) * tone + rough * 0.4 * noise[np.arange(len(t)) % SAMPLE_RATE_HZ]) * np.exp(
            -t / decay
        )
        start = int(max(0.0, (step + pattern[2 * voices + voice, step]) * step_s) * SAMPLE_RATE_HZ)
        stop = min(len(out), start + len(t))
        out[start:stop] += (0.3 * pattern[voices + voice, step] * body[: stop - start]).astype(np.float32)
    return np.clip(out, -1, 1)
