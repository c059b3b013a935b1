"""Our own declarations of a foreign interface, held to its real header by a compiler, at compile time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path


def assertions(
    structs: Mapping[tuple[str, str], Iterable[tuple[str, str]]], numbers: Iterable[tuple[str, str]]
) -> list[str]:
    """Write a check of the size of each struct and the place and size of each member, and of each number.

    Parameters
    ----------
    structs : mapping of (ours, theirs) to pairs of members
    numbers : pairs of constant expressions
    """
    lines = []
    for (ours, theirs), members in structs.items():
        lines.append(f"sizeof({ours}) == sizeof({theirs})")
        for mine, real in members:
            lines.append(f"offsetof({ours}, {mine}) == offsetof({theirs}, {real})")
            lines.append(f"sizeof((({ours} *)0)->{mine}) == sizeof((({theirs} *)0)->{real})")
    lines += [f"({mine}) == ({real})" for mine, real in numbers]
    return [f'_Static_assert({line}, "{line}");'.replace("\\", "") for line in lines]


def compile_checks(
    includes: Iterable[str], checks: list[str], dirs: Iterable[Path], folder: Path, target: str
) -> None:
    """Compile them for a target of zig; an AssertionError with what failed."""
    source = folder / "abi.c"
    lines = ["#include <stddef.h>", *(f"#include {name}" for name in includes), *checks]
    source.write_text("\n".join(lines) + "\n")
    words = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-std=c11",
        "-target",
        target,
        "-c",
        "-o",
        str(folder / "abi.o"),
    ]
    words += [word for path in dirs for word in ("-isystem", str(path))]
    done = subprocess.run([*words, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
