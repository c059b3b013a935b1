"""Tutorials of the manual, read and run as they are written."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MANUALS = ROOT / "docs" / "manuals"


def blocks(page: str, kind: str) -> list[str]:
    """What stands in a page's fences of a kind, in order."""
    text = (MANUALS / page).read_text(encoding="utf-8")
    return [block.strip() for block in re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)]


def free_port() -> str:
    """A UDP port of this computer that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def started(command: str, folder: Path, port: str = "9000") -> subprocess.Popen[str]:
    """Start a command of a page in a folder, its port 9000 moved to another."""
    program, *words = command.replace("9000", port).split()
    words = [str(ROOT / word) if word.startswith("firmware/") else word for word in words]
    script = ROOT / "vaectrol.py" if program == "vaectrol" else ROOT / words.pop(0)
    return subprocess.Popen(
        [sys.executable, str(script), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(command: str, folder: Path) -> str:
    """Run a command to its end; what it said."""
    with started(command, folder) as running:
        said, wrong = running.communicate()
    assert running.returncode == 0, wrong
    return said
