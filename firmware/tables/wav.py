"""A table of latents as a WAV file: sixteen channels, a hundred frames a second.

Full scale is the end of a latent's quantile table. The file's comment says which model the latents are of.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.files import write_bytes
from common.refusal import Refusal
from firmware.instruments.latents.tables import FRAME_HZ, FRAMES, FULL, LATENTS

COMMENT = re.compile(rb"model ([0-9a-f]{8})")
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    frames : array, shape (frames, 16), int16
        ±32767: the ends of each latent's quantile table.
    model : str
        Hash of the model whose latents they are, eight hexadecimal digits; "" where a file does not say.
    """

    frames: NDArray[np.int16]
    model: str = ""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.frames) / FRAME_HZ


def write_table(path: Path, table: Table) -> None:
    """Write a table as a WAV file of 16-bit numbers."""
    data = np.ascontiguousarray(table.frames, "<i2").tobytes()
    width = 2 * LATENTS
    layout = struct.pack("<HHIIHH", PCM, LATENTS, FRAME_HZ, FRAME_HZ * width, width, 16)
    said = f"Vaectrol table, model {table.model}\0".encode()
    comment = b"INFO" + _chunk(b"ICMT", said)
    body = b"WAVE" + _chunk(b"fmt ", layout) + _chunk(b"LIST", comment) + _chunk(b"data", data)
    write_bytes(path, _chunk(b"RIFF", body))


def read_table(path: Path) -> Table:
    """Read a table; frames at another rate become frames at a hundred a second.

    Raises
    ------
    Refusal
        The file is not there, no WAV file, torn, of another number of channels, empty, or too long.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror or error}.") from error
    if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        raise Refusal(f"{path.name} is no WAV file; a table is one of {LATENTS} channels.")
    chunks = dict(_chunks(raw, path))
    layout, data = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(layout) < 16 or data is None:
        raise Refusal(f"{path.name} is torn: a part that every WAV file has is missing; write it again.")
    code, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", layout[:16])
    if code == EXTENSIBLE and len(layout) >= 26:
        code = struct.unpack("<H", layout[24:26])[0]
    if channels != LATENTS:
        raise Refusal(f"{path.name} has {channels} channels and a table {LATENTS}; a channel is a latent.")
    frames = _at_our_rate(_samples(data, code, bits, path), rate_hz, path)
    if not 1 <= len(frames) <= FRAMES:
        raise Refusal(
            f"{path.name} has {len(frames)} frames at {FRAME_HZ} a second; a table has 1 to {FRAMES}, "
            f"which is {FRAMES // FRAME_HZ} s. Cut it."
        )
    said = COMMENT.search(chunks.get(b"LIST", b""))
    return Table(np.rint(frames * FULL).astype(np.int16), said[1].decode() if said else "")


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _chunks(raw: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(raw):
        name, size = struct.unpack("<4sI", raw[at : at + 8])
        if at + 8 + size > len(raw):
            raise Refusal(
                f"{path.name} is torn: it ends within its {name.decode('ascii', 'replace')!r} part."
            )
        yield name, raw[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _samples(data: bytes, code: int, bits: int, path: Path) -> NDArray[np.float64]:
    """All samples, ±1, shape (frames, 16)."""
    kinds = {(PCM, 16): ("<i2", FULL), (PCM, 32): ("<i4", 2**31 - 1), (FLOAT, 32): ("<f4", 1)}
    if (code, bits) not in kinds:
        raise Refusal(f"{path.name} has {bits}-bit samples of kind {code}; use 16 or 32 bits, or floats.")
    kind, full = kinds[code, bits]
    whole = len(data) // (LATENTS * bits // 8) * (LATENTS * bits // 8)
    if whole != len(data):
        raise Refusal(f"{path.name} is torn: its last frame is not whole.")
    samples = np.frombuffer(data, kind).astype(np.float64).reshape(-1, LATENTS) / full
    if not np.isfinite(samples).all():
        raise Refusal(f"{path.name} holds numbers that are not finite; write it again.")
    return np.clip(samples, -1.0, 1.0)


def _at_our_rate(samples: NDArray[np.float64], rate_hz: int, path: Path) -> NDArray[np.float64]:
    if rate_hz == FRAME_HZ or len(samples) == 0:
        return samples
    if rate_hz == 0:
        raise Refusal(f"{path.name} is torn: it has 0 frames a second.")
    count = max(1, round(len(samples) * FRAME_HZ / rate_hz))
    at = np.arange(count) * rate_hz / FRAME_HZ
    own = np.arange(len(samples))
    return np.stack([np.interp(at, own, channel) for channel in samples.T], axis=1)
