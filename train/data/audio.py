"""One sound file, from any format and rate to a mono one-shot at 48 kHz that starts at its onset."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.reading.recording import RecordingFacts, read_recording
from common.refusal import LeftOut

MAX_SECONDS_READ = 30.0
MAX_SAMPLES = 2 * SAMPLE_RATE_HZ
SILENCE_DB = -60.0
ONSET_DB = -45.0
TAIL_DB = -60.0
FADE_SAMPLES = 960
CUT_FADE_SAMPLES = 2880


class OneShotFacts(RecordingFacts):
    """What was found in a file of one hit, all before anything was done to it; ``seconds`` once trimmed.

    ``mono`` says how the channels became one, ``dc`` is a share of full scale, ``cut_at_limit`` tells that
    the sound was still going at two seconds.
    """

    mono: str
    peak_db: float
    clipped: int
    dc: float
    onset_seconds: float
    cut_at_limit: bool


class Shot(TypedDict):
    """Level (dBFS, LUFS) and length of a trimmed sound."""

    peak_db: float
    loudness_lufs: float
    seconds: float


def to_mono(audio: np.ndarray) -> tuple[np.ndarray, str]:
    """Average the channels; when they would cancel each other, take the loudest.

    Returns
    -------
    mono : float64 [n]
    how : str
        ``mono``, ``average`` or ``channel K: …``.
    """
    if audio.shape[1] == 1:
        return audio[:, 0], "mono"
    mixed = audio.mean(axis=1)
    powers = (audio**2).mean(axis=0)
    # Uncorrelated channels lose 10·log10(channels) dB; anything 3 dB below that cancels
    if (mixed**2).mean() < 0.5 * powers.mean() / audio.shape[1]:
        loudest = int(np.argmax(powers))
        if powers.sum() > 1.05 * powers[loudest]:
            return audio[:, loudest], f"channel {loudest + 1}: the others are out of phase with it"
    return mixed, "average"


def offset(audio: np.ndarray, rate_hz: int) -> float:
    """Estimate the DC offset of a mono sound.

    The mean of 20 ms frames, each weighted by the inverse of its variance (the least-squares estimate when
    the sound itself is the noise): quiet head and tail decide, and a kick's lopsided first swing does not.
    """
    frame = max(1, round(0.020 * rate_hz))
    count = len(audio) // frame
    if count < 2:
        return float(audio.mean())
    frames = audio[: count * frame].reshape(count, frame)
    weight = 1.0 / (frames.var(axis=1) + 1e-10)
    return float((weight * frames.mean(axis=1)).sum() / weight.sum())


def resample(audio: np.ndarray, rate_hz: int, to_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Resample mono audio with soxr's very-high-quality linear-phase filter (soxr VHQ, 28 bit)."""
    if rate_hz == to_hz:
        return np.asarray(audio, float)
    import soxr

    return soxr.resample(np.asarray(audio, float), rate_hz, to_hz, quality="VHQ")


def onset(audio: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> int:
    """Find the sample where the sound starts.

    The first sample above -45 dB of the peak, or above 2.5 times the noise that stands before the sound where
    that is more, walked back to the zero crossing before it (at most 1 ms). To be asked at the rate of the
    file: a resampler's filter rings before a hard edge.
    """
    level = np.abs(audio)
    peak = float(level.max())
    if peak == 0:
        return 0
    threshold = peak * 10 ** (ONSET_DB / 20)
    # the floor of the recording: the quieter of the 5 ms frames before the attack
    frame = max(1, round(0.005 * rate_hz))
    head = level[: max(0, int(np.argmax(level > 0.25 * peak)) - frame)]
    if len(head) >= 4 * frame:
        peaks = head[: len(head) // frame * frame].reshape(-1, frame).max(axis=1)
        threshold = max(threshold, min(2.5 * float(np.quantile(peaks, 0.2)), 0.25 * peak))
    first = int(np.argmax(level > threshold))
    earliest = max(0, first - round(0.001 * rate_hz))
    before = np.nonzero(np.signbit(audio[earliest:first]) != np.signbit(audio[first]))[0]
    silent = np.nonzero(level[earliest:first] <= 1e-3 * threshold)[0]
    back = max(before.max(initial=-1), silent.max(initial=-1))
    return earliest + int(back) + 1 if back >= 0 else first


def trim(audio: np.ndarray, start: int) -> tuple[np.ndarray, bool]:
    """Cut a mono sound at 48 kHz to begin at ``start`` and end where it has died, at most two seconds.

    The end is faded by a half cosine over 20 ms (60 ms when the sound was still going), never over more than
    a quarter of it: a 20 ms click stays a click. Also tells whether the sound was still going.
    """
    kept = audio[start:]
    level = np.abs(kept)
    loud = np.nonzero(level > level.max() * 10 ** (TAIL_DB / 20))[0]
    end = min(len(kept), int(loud[-1]) + 1 + 48)
    cut = end > MAX_SAMPLES
    end = min(end, MAX_SAMPLES)
    kept = kept[:end].copy()
    fade = min(CUT_FADE_SAMPLES if cut else FADE_SAMPLES, len(kept) // 4)
    if fade:
        kept[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return kept, bool(cut)


@cache
def _k_weighting() -> np.ndarray:
    """The two biquads of ITU-R BS.1770-4, tables 1 and 2 (48 kHz), as second-order sections [2, 6]."""
    return np.array(
        [
            [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
            [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
        ]
    )


def loudness_lufs(audio: np.ndarray) -> float:
    """Loudest momentary loudness: K-weighted power over 400 ms (BS.1770-4), zero-padded when shorter."""
    from scipy.signal import sosfilt

    window = round(0.4 * SAMPLE_RATE_HZ)
    weighted = sosfilt(_k_weighting(), np.concatenate([audio, np.zeros(window)]))
    summed = np.cumsum(np.concatenate([[0.0], weighted**2]))
    power = float((summed[window:] - summed[:-window]).max()) / window
    return float(-0.691 + 10 * np.log10(max(power, 1e-12)))


def decibels(amplitude: float) -> float:
    """Amplitude as dB of full scale, floored at -240."""
    return float(20 * np.log10(max(amplitude, 1e-12)))


def clipped_samples(audio: np.ndarray) -> int:
    """Count samples that sit in runs of three or more at the file's own extreme, near full scale."""
    peak = float(np.abs(audio).max())
    if peak < 0.7:
        return 0
    total = 0
    for side in (audio, -audio):
        flat = side >= 0.99995 * peak
        edges = np.diff(np.concatenate([[0], flat.view(np.int8) if flat.ndim == 1 else flat, [0]]))
        lengths = np.nonzero(edges == -1)[0] - np.nonzero(edges == 1)[0]
        total += int(lengths[lengths >= 3].sum())
    return total


def one_shot(path: Path) -> tuple[np.ndarray, Shot, OneShotFacts]:
    """Turn a file into a one-shot.

    Returns
    -------
    audio : float32 [n]
        Mono, 48 kHz, onset at sample 0, level as in the file.
    item : dict
        ``peak_db`` (dBFS of ``audio``), ``loudness_lufs``, ``seconds``.
    facts : dict
        What was found, for the report.

    Raises
    ------
    LeftOut
    """
    recording = read_recording(path, MAX_SECONDS_READ)
    mono, how = to_mono(recording.audio)
    peak_db = decibels(float(np.abs(recording.audio).max()))
    dc = offset(mono, recording.rate_hz)
    if decibels(float(np.abs(mono - dc).max())) < SILENCE_DB:
        if peak_db >= SILENCE_DB:
            raise LeftOut(f"is a constant {dc:+.3g} of full scale (DC) without any sound")
        raise LeftOut(f"is silent (peak {peak_db:.0f} dBFS)")
    first = onset(mono - dc, recording.rate_hz)
    start = round(first * SAMPLE_RATE_HZ / recording.rate_hz)
    audio, cut = trim(resample(mono - dc, recording.rate_hz), start)
    facts: OneShotFacts = {
        **recording.facts,
        "mono": how,
        "peak_db": peak_db,
        "clipped": clipped_samples(mono),
        "dc": dc,
        "onset_seconds": first / recording.rate_hz,
        "cut_at_limit": cut,
    }
    audio32 = audio.astype(np.float32)
    item: Shot = {
        "peak_db": decibels(float(np.abs(audio32).max())),
        "loudness_lufs": loudness_lufs(audio),
        "seconds": len(audio32) / SAMPLE_RATE_HZ,
    }
    return audio32, item, facts
