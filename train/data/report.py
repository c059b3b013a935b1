"""The data report: what is in the data set, what is wrong with it, what to add or drop. HTML for people, JSON
for machines."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from train.data.source import Source


def write_report(
    manifest: dict[str, Any], facts: list[dict[str, Any]], arrays: Path, source: Source
) -> dict[str, bytes]:
    """Compose the report.

    Returns
    -------
    dict
        File name to content, to be put beside the manifest.
    """
    summary = {
        "kind": manifest["kind"],
        "items": len(manifest["items"]),
        "splits": dict(Counter(item["split"] for item in manifest["items"])),
        "left_out": manifest["left_out"],
        "notes": manifest["notes"],
        "files": facts,
    }
    return {"report.json": (json.dumps(summary, indent=1) + "\n").encode()}
