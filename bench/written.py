"""Write result files whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from hardware.refusal import Refusal


def write_text(path: Path, text: str) -> None:
    """Write `text` to a temporary file beside `path` and rename it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as part:
            part.write(text)
        os.chmod(part.name, 0o644)
        os.replace(part.name, path)
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror}.") from None


def write_json(path: Path, content: object) -> None:
    """Write `content` as JSON, indented so that a change shows in a diff."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON object; a `Refusal` where the file is absent or something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is not a report of ours: {error}.") from None
    if not isinstance(found, dict):
        raise Refusal(f"{path} is not a report of ours: it holds no JSON object.")
    return found
