"""One sound file, decoded: the only reader of sound, so that every room refuses the same in the same words.

A stranger's file may be anything. Its sizes are looked at before memory is asked for, and whatever the
decoder raises becomes a :class:`~common.refusal.LeftOut` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    with Stream(path, max_seconds) as file:
        if file.frames * file.channels > MAX_VALUES:
            raise LeftOut(file.too_large())
        (_, audio), *_ = file.pieces(max(1, file.frames))
        return Recording(audio, file.rate_hz, file.facts)


class Stream:
    """A file that is open, checked, and decoded piece by piece; a context manager.

    Attributes
    ----------
    frames, channels, rate_hz : int
    facts : RecordingFacts
        What the file says of itself.

    Raises
    ------
    LeftOut
        As `read_recording`; what only the samples show, while they are read.
    """

    def __init__(self, path: Path, max_seconds: float):
        import soundfile

        self.path = path
        with self._reasons():
            if path.stat().st_size == 0:
                raise LeftOut("is empty (0 bytes)")
            _check_length_of_chunks(path)
            self._file = soundfile.SoundFile(path)
        file = self._file
        self.frames, self.channels, self.rate_hz = file.frames, file.channels, file.samplerate
        try:
            self._check_sizes(max_seconds)
        except LeftOut:
            file.close()
            raise
        self.facts: RecordingFacts = {
            "format": file.format,
            "subtype": file.subtype,
            "rate_hz": self.rate_hz,
            "channels": self.channels,
            "seconds": round(self.frames / self.rate_hz, 6),
        }

    def __enter__(self) -> Stream:
        """Nothing more to do: it is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def _check_sizes(self, max_seconds: float) -> None:
        if not RATES_HZ[0] <= self.rate_hz <= RATES_HZ[1]:
            raise LeftOut(
                f"claims a sample rate of {self.rate_hz:,} Hz; sound has {RATES_HZ[0]:,} to "
                f"{RATES_HZ[1]:,} Hz, so its header is damaged"
            )
        if self.frames > max_seconds * self.rate_hz:
            raise LeftOut(
                f"lasts {self.frames / self.rate_hz:.0f} s, more than {max_seconds:.0f}; "
                "cut it into shorter files"
            )
        if self.frames * self.channels > max_seconds * VALUES_PER_SECOND:
            raise LeftOut(self.too_large())

    def too_large(self) -> str:
        """Say that it is too large."""
        return (
            f"is too large to read at once ({self.channels} channels of {self.frames:,} samples); "
            "cut it into shorter files or keep two of its channels"
        )

    def pieces(self, frames: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Decode from the beginning to the end: spans and float64 [n, channels], `frames` at a time."""
        begin = 0
        while begin < self.frames:
            # a codec that cannot seek must be told how much to read
            wanted = min(frames, self.frames - begin)
            with self._reasons():
                audio = self._file.read(wanted, dtype="float64", always_2d=True)
            if len(audio) < wanted:
                raise LeftOut(f"is truncated: {self.frames} frames promised, {begin + len(audio)} there")
            if not np.isfinite(audio).all():
                raise LeftOut("holds values that are not numbers (NaN or infinity)")
            yield slice(begin, begin + wanted), audio
            begin += wanted
        if begin == 0:
            raise LeftOut("holds no samples")

    def part(self, begin: int, end: int) -> np.ndarray:
        """Decode frames ``begin`` to ``end``: float64 [n, channels]."""
        with self._reasons():
            self._file.seek(begin)
            audio = self._file.read(end - begin, dtype="float64", always_2d=True)
        if len(audio) < end - begin:
            raise LeftOut(f"is truncated: {self.frames} frames promised, {begin + len(audio)} there")
        return np.asarray(audio)

    @contextmanager
    def _reasons(self) -> Iterator[None]:
        try:
            yield
        except LeftOut:
            raise
        except MemoryError as error:
            raise LeftOut("needs more memory than there is; cut it into shorter files") from error
        except Exception as error:  # the decoder's own, and what a damaged header leads it to
            said = str(error).split(": ", 1)[-1].strip().rstrip(".") or type(error).__name__
            kind = self.path.suffix.lstrip(".")
            raise LeftOut(f"cannot be decoded ({said}); is it really a {kind or 'sound'} file?") from error


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
