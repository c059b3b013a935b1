"""A list of digests written before a change, and compared after it: the command of both lists."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path


def run(about: str | None, digests: Callable[[], Iterable[tuple[str, str]]], noun: str) -> int:
    """Write the list, or compare with one written before: status 1 when a line differs."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("file", type=Path, nargs="?", help="where to write the list")
    parser.add_argument("--against", type=Path, help="a list written before the change")
    chosen = parser.parse_args()
    lines = [f"{digest}  {name}" for name, digest in digests()]
    if chosen.file:
        chosen.file.write_text("\n".join(lines) + "\n")
    if not chosen.against:
        print(f"{len(lines)} {noun}")
        return 0
    before = chosen.against.read_text().splitlines()
    changed = sorted(set(before) ^ set(lines), key=lambda line: line.split("  ")[-1])
    print("\n".join(changed) or f"{len(lines)} {noun}, all as they were")
    return 1 if changed else 0
