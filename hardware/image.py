"""What a Daisy image is and which board it is for, read from the image itself.

The port puts one line of text into every image (`firmware/ports/daisy/identity.cpp`): `VAECTROL-IMAGE ` and a
JSON object with board, boot, version, instrument and model. The first two words of the image are the stack
pointer and the reset handler, which say where it runs.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from common.refusal import Refusal
from hardware.board import Board, Boot, load_board

MARK = b"VAECTROL-IMAGE "
DTCM = range(0x2000_0000, 0x2002_0001)
"""Where the stack starts in every image of ours, its end included."""


class Identity(BaseModel):
    """What the image says it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    board: str
    boot: str
    version: str
    instrument: str
    model: str


class Image(BaseModel):
    """An image that was read and found consistent."""

    model_config = ConfigDict(frozen=True)

    path: Path
    data: bytes
    identity: Identity
    board: Board
    boot: Boot


def read_image(path: Path, board_name: str | None = None) -> Image:
    """Read an image and check that it is whole and for that board.

    Parameters
    ----------
    path : Path
        A `.bin` made by `vaectrol build`.
    board_name : str, optional
        The board it must be for; None: whatever it says.

    Raises
    ------
    Refusal
        Not an image of ours, another board's, too big, or damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refusal(f"cannot read the image {path}: {error.strerror}.") from None
    identity = _identity(path, data)
    if board_name is not None and identity.board != board_name:
        raise Refusal(
            f"{path.name} is built for {identity.board}, not for {board_name}; "
            f"run `vaectrol build {identity.instrument} --board {board_name}`."
        )
    board = load_board(identity.board)
    boot = next((entry for entry in board.boots if entry.name == identity.boot), None)
    if boot is None:
        raise Refusal(
            f"{path.name}: {board.name} cannot start an image of kind {identity.boot!r}; build it again."
        )
    if len(data) > boot.bytes:
        raise Refusal(
            f"{path.name} has {len(data):,} bytes and {board.name} takes {boot.bytes:,} for {boot.name}; "
            "use a smaller model, or build it for qspi."
        )
    stack, reset = struct.unpack_from("<II", data)
    if stack not in DTCM or not boot.runs_at <= reset & ~1 < boot.runs_at + boot.bytes or not reset & 1:
        raise Refusal(
            f"{path.name} is damaged: its first words are no stack and reset address; build it again."
        )
    return Image(path=path, data=data, identity=identity, board=board, boot=boot)


def _identity(path: Path, data: bytes) -> Identity:
    at = data.find(MARK)
    if at < 0 or len(data) < 8:
        kind = (
            " (it is an ELF file; the .bin beside it is what gets flashed)" if data[:4] == b"\x7fELF" else ""
        )
        raise Refusal(f"{path.name} is not an image made by `vaectrol build`{kind}.")
    text = data[at + len(MARK) :].split(b"\0", 1)[0]
    try:
        return Identity.model_validate(json.loads(text.decode("ascii")))
    except (ValueError, ValidationError):
        raise Refusal(f"{path.name} is damaged: its identity cannot be read; build it again.") from None
