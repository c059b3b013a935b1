"""A copy of the whole tree to add things to, as somebody does who follows CONTRIBUTING.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.png", "*.wav", "*.mp3", "results", "results*")


class CopiedTree:
    """The sources and the command ``vaectrol`` of the copy; factory models come along where wished for."""

    def __init__(self, folder: Path, models: bool = False) -> None:
        self.folder = folder / "tree"
        self.folder.mkdir()
        for item in ROOT.iterdir():
            if item.name == "docs" or (item / "__init__.py").is_file():
                shutil.copytree(item, self.folder / item.name, ignore=LEFT_OUT)
            elif item.suffix in (".py", ".toml"):
                shutil.copy(item, self.folder)
        if not models:
            for model in self.folder.rglob("*.onnx"):
                model.unlink()
        programs = folder / "bin"
        programs.mkdir()
        for name, what in (("vaectrol", f" {self.folder / 'vaectrol.py'}"), ("python", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{what} "$@"\n')
            (programs / name).chmod(0o755)
        self._environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}

    def shell(self, commands: str) -> str:
        """Run shell commands in the copy and return what they print; stops at the first that fails."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def steps_of(section: str) -> str:
    """Shell commands of the first block of a section of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return re.search(r"^```sh\n(.*?)^```", body, re.DOTALL | re.MULTILINE)[1]
