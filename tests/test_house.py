"""The promises of the house itself: who may import whom, and what stays cheap to load."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("common", "toy", "train", "quantize", "firmware", "bench", "hardware")
# docs/design.md#rooms. A tuple entry allows that package (and what is below it).
ALLOWED = {
    "common": (),
    "toy": (),
    "hardware": (),
    "train": ("firmware.compiler",),
    "quantize": ("train", "firmware.compiler"),
    "firmware": ("hardware",),
    "bench": ("firmware", "hardware"),
}
HEAVY = ("torch", "librosa", "onnxruntime", "lightning", "onnx", "matplotlib", "scipy")


def imported_modules(path: Path) -> list[str]:
    """Every absolute module name that a file imports, at any depth of the file."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room):
    for path in (ROOT / room).rglob("*.py"):
        for name in imported_modules(path):
            other = name.split(".")[0]
            if other in ROOMS and other not in (room, "common"):
                assert any(name == ok or name.startswith(ok + ".") for ok in ALLOWED[room]), (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


@pytest.mark.parametrize("room", ["firmware", "hardware"])
def test_the_device_side_never_imports_torch(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not any(name.split(".")[0] in ("torch", "lightning") for name in imported_modules(path)), path


@pytest.mark.parametrize(
    "statement", [f"import {room}" for room in ROOMS] + ["import vaectrol; vaectrol.build_app()"]
)
def test_importing_loads_nothing_heavy(statement):
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package_and_of_the_changelog():
    out = subprocess.run(
        [sys.executable, "vaectrol.py", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    version = importlib.metadata.version("vaectrol")
    assert (out.returncode, out.stdout) == (0, f"vaectrol {version}\n")
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_help_lists_the_commands():
    out = subprocess.run([sys.executable, "vaectrol.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0
    assert "Eurorack" in out.stdout
