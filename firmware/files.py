"""Write files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hardware.refusal import Refusal


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path` and rename it.

    Raises
    ------
    Refusal
        The place can't be written to; what was there before stays, and nothing else is left behind.
    """
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        part = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror or error}.") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
