"""What is measured of a made texture beside the recording."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

CENTS = 50.0
FLOOR_DB = -80.0
FRAME = 120
"""2.5 ms."""
ATTACK_RISE_DB = 9.0
AROUND = 24
"""Frames about an attack: 60 ms."""


def log_mel_db(audio: np.ndarray) -> np.ndarray:
    """80 mel bands in dB of full scale, [80, frames]; windows of 2048 samples, 512 apart."""
    from librosa.feature import melspectrogram

    power = melspectrogram(y=audio, sr=SAMPLE_RATE_HZ, n_fft=2048, hop_length=512, n_mels=80, fmax=16_000)
    return np.maximum(10 * np.log10(power / (2048 / 4) ** 2 + 1e-12), FLOOR_DB)


def log_mel_distance_db(made: np.ndarray, wanted: np.ndarray) -> float:
    """Mean difference of mel bands, where the recording or what was made of it is above −80 dBFS."""
    a, b = log_mel_db(made), log_mel_db(wanted)
    there = np.maximum(a, b) > FLOOR_DB
    return float(np.abs(a - b)[there].mean()) if there.any() else 0.0


def levels_db(audio: np.ndarray, frame: int) -> np.ndarray:
    """Level of whole frames, dBFS."""
    count = len(audio) // frame
    power = (audio[: count * frame].astype(np.float64) ** 2).reshape(count, frame).mean(1)
    return np.asarray(10 * np.log10(power + 1e-8))


def loudness_error_db(made: np.ndarray, wanted: np.ndarray) -> float:
    """Median difference of level over frames of 25 ms that sound in the recording."""
    a, b = (levels_db(x, 1200) for x in (made, wanted))
    sounding = b > -60
    return float(np.median(np.abs(a - b)[sounding])) if sounding.any() else 0.0


def pitch_hz(audio: np.ndarray) -> np.ndarray:
    """Fundamental by pYIN (Mauch and Dixon 2014), NaN where there is none; frames of 512 samples."""
    from librosa import pyin

    return np.asarray(
        pyin(audio, fmin=40, fmax=1500, sr=SAMPLE_RATE_HZ, frame_length=4096, hop_length=512)[0]
    )


def pitch_kept(made: np.ndarray, wanted: np.ndarray) -> tuple[int, int]:
    """Frames whose pitch is within 50 cents of the recording's, and those that have a pitch there."""
    a, b = pitch_hz(made), pitch_hz(wanted)
    voiced = ~np.isnan(b)
    with np.errstate(invalid="ignore"):
        near = np.abs(1200 * np.log2(a / b)) <= CENTS
    return int((near & voiced).sum()), int(voiced.sum())


def attack_ms(made: np.ndarray, wanted: np.ndarray) -> float:
    """How much later the sharpest attack of a recording comes in what was made; NaN where none is sharp.

    An attack is where the level has risen by 9 dB in 15 ms. It comes when the level is half way up, in dB.
    """
    a, b = (levels_db(x, FRAME) for x in (made, wanted))
    rise = b[6:] - b[:-6]
    if not len(rise) or rise.max() < ATTACK_RISE_DB or b.max() < -50:
        return float("nan")
    middle = int(rise.argmax()) + 3
    first, last = max(0, middle - AROUND), middle + AROUND
    times = []
    for levels in (a[first:last], b[first:last]):
        half = 0.5 * (levels[: AROUND // 2].mean() + levels.max())
        times.append(float(np.argmax(levels >= half)))
    return (times[0] - times[1]) * 1000 * FRAME / SAMPLE_RATE_HZ
