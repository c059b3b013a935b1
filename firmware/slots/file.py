"""A slot file: a model's numbers for one image, behind a head that says for which (``engine/slots``)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from common.files import write_bytes
from common.refusal import Refusal

MAGIC, VERSION = b"VMOD", 1
HEAD = struct.Struct("<4sHHIII16s16s32s28s")
"""``ModelHead``."""
NAME_BYTES, LICENCE_BYTES = 31, 27
SUFFIX = ".vmodel"


@dataclass(frozen=True)
class SlotFile:
    """A model as a slot holds it.

    Attributes
    ----------
    board : str
    signature : bytes
        Of the image that it fits.
    hash : int
        Of the model files that it was made of.
    name, licence : str
    payload : bytes
    """

    board: str
    signature: bytes
    hash: int
    name: str
    licence: str
    payload: bytes

    @property
    def head(self) -> bytes:
        """The head."""
        return HEAD.pack(
            MAGIC,
            VERSION,
            HEAD.size,
            len(self.payload),
            zlib.crc32(self.payload),
            self.hash,
            self.signature,
            _ascii(self.board, 15),
            _ascii(self.name, NAME_BYTES),
            _ascii(self.licence, LICENCE_BYTES),
        )

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_bytes(path, self.head + self.payload)


def read_slot_file(path: Path) -> SlotFile:
    """Read a slot file.

    Raises
    ------
    Refusal
        It is not there, no slot file, of another version, or torn.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror or error}.") from error
    if raw[:4] != MAGIC or len(raw) < HEAD.size:
        raise Refusal(f"{path.name} is no slot file; make one with `vaectrol send MODEL.onnx --out FILE`.")
    _, version, head_bytes, size, crc, hash_, signature, board, name, licence = HEAD.unpack_from(raw)
    if (version, head_bytes) != (VERSION, HEAD.size):
        raise Refusal(f"{path.name} is a slot file of version {version}, and this program reads {VERSION}.")
    payload = raw[HEAD.size :]
    if len(payload) != size or zlib.crc32(payload) != crc:
        raise Refusal(
            f"{path.name} is torn: it has {len(payload)} bytes of numbers where its head says {size}, or "
            "some were changed; make it again."
        )
    words = [text.rstrip(b"\0").decode("ascii", "replace") for text in (board, name, licence)]
    return SlotFile(words[0], signature, hash_, words[1], words[2], payload)


def _ascii(text: str, most: int) -> bytes:
    return text.encode("ascii", "replace")[:most]
