"""Result files as JSON: written whole or not at all, read with a sentence where they are not ours."""

from __future__ import annotations

import json
from pathlib import Path

from firmware.files import write_text
from hardware.refusal import Refusal


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
