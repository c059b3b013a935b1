"""One sound file, decoded: the only reader of sound, so that every room refuses the same in the same words.

A stranger's file may be anything. Its sizes are looked at before memory is asked for, and whatever the
decoder raises becomes a :class:`~common.refusal.LeftOut` with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from common.refusal import LeftOut

# No converter is slower or faster than these; a resampler asked for other rates would ask for all memory
RATES_HZ = (1000, 768_000)
# Numbers (samples times channels) a second of sound may have on average: 192 kHz in stereo
VALUES_PER_SECOND = 384_000
# Never more than this at once: 4 GiB as float64
MAX_VALUES = 2**29


class RecordingFacts(TypedDict):
    """What a sound file says of itself."""

    format: str
    subtype: str
    rate_hz: int
    channels: int
    seconds: float


@dataclass(frozen=True)
class Recording:
    """A decoded file: audio float64 [n, channels], and what the file said of itself."""

    audio: np.ndarray
    rate_hz: int
    facts: RecordingFacts


def read_recording(path: Path, max_seconds: float) -> Recording:
    """Decode a file with libsndfile.

    Raises
    ------
    LeftOut
        When it is empty, unreadable, truncated, too long or too large, at a rate that no sound has, or holds
        numbers that are no sound.
    """
    try:
        if path.stat().st_size == 0:
            raise LeftOut("is empty (0 bytes)")
        _check_length_of_chunks(path)
        audio, facts = _decode(path, max_seconds)
    except LeftOut:
        raise
    except MemoryError as error:
        raise LeftOut("needs more memory than there is; cut it into shorter files") from error
    except Exception as error:  # the decoder's own, and what a damaged header leads it to
        said = str(error).split(": ", 1)[-1].strip().rstrip(".") or type(error).__name__
        kind = path.suffix.lstrip(".")
        raise LeftOut(f"cannot be decoded ({said}); is it really a {kind or 'sound'} file?") from error
    if not np.isfinite(audio).all():
        raise LeftOut("holds values that are not numbers (NaN or infinity)")
    return Recording(audio, facts["rate_hz"], facts)


def _decode(path: Path, max_seconds: float) -> tuple[np.ndarray, RecordingFacts]:
    import soundfile

    with soundfile.SoundFile(path) as file:
        rate_hz, frames, channels = file.samplerate, file.frames, file.channels
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            raise LeftOut(
                f"claims a sample rate of {rate_hz:,} Hz; sound has {RATES_HZ[0]:,} to {RATES_HZ[1]:,} Hz, "
                "so its header is damaged"
            )
        if frames > max_seconds * rate_hz:
            raise LeftOut(
                f"lasts {frames / rate_hz:.0f} s, more than {max_seconds:.0f}; cut it into shorter files"
            )
        if frames * channels > min(MAX_VALUES, max_seconds * VALUES_PER_SECOND):
            raise LeftOut(
                f"is too large to read at once ({channels} channels of {frames:,} samples); "
                "cut it into shorter files or keep two of its channels"
            )
        facts: RecordingFacts = {
            "format": file.format,
            "subtype": file.subtype,
            "rate_hz": rate_hz,
            "channels": channels,
            "seconds": round(frames / rate_hz, 6),
        }
        # a codec that cannot seek must be told how much to read
        audio = file.read(frames, dtype="float64", always_2d=True)
    if len(audio) < frames:
        raise LeftOut(f"is truncated: {frames} frames promised, {len(audio)} there")
    if len(audio) == 0:
        raise LeftOut("holds no samples")
    return audio, facts


def _check_length_of_chunks(path: Path) -> None:
    """Find a WAV or AIFF that ends before its chunk sizes say so; libsndfile reads those silently."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(12)
        order = {b"RIFF": "little", b"FORM": "big"}.get(head[:4])
        if order is None or head[8:12] not in (b"WAVE", b"AIFF", b"AIFC"):
            return
        position = 12
        while position + 8 <= size:
            file.seek(position)
            name = file.read(4)
            length = int.from_bytes(file.read(4), order)  # type: ignore[arg-type]
            if name in (b"data", b"SSND"):
                # 0 and the largest numbers are written by programs that stream to a pipe
                if 0 < length < 0xFFFFFF00 and position + 8 + length > size:
                    missing = position + 8 + length - size
                    raise LeftOut(f"is truncated: {missing} of {length} bytes of sound are missing")
                return
            position += 8 + length + length % 2
