"""The program for a Pi, or for the PC in front of one: the port in C, linked with the instrument by zig.

No SDK: zig carries glibc's and the kernel's headers, and ALSA is looked up when the program starts.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.refusal import Refusal
from hardware.board import Board
from hardware.tables import board_tables

if TYPE_CHECKING:
    from firmware.build import Built

PORT = Path(__file__).resolve().parent
SERIAL = PORT.parent / "serial"
TRIPLES = {
    "aarch64": "aarch64-linux-gnu.2.31",
    "aarch64-dotprod": "aarch64-linux-gnu.2.31",
    "host": "native-native-gnu",
}
"""glibc 2.31 is Raspberry Pi OS 11's; newer ones run the same program."""
FLAGS = [
    *("-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror"),
    *("-fno-sanitize=undefined", "-pthread"),
]


def port_sources() -> list[Path]:
    """C of the port and of the protocol."""
    return [*sorted(PORT.glob("*.c")), *sorted(SERIAL.glob("*.c"))]


def link_program(
    objects: Sequence[Path], board: Board, out: Path, name: str, target: str, extra: Sequence[str] = ()
) -> Path:
    """Compile the port for `target` (`aarch64`, or `host` for this PC) and link it with `objects`.

    Raises
    ------
    Refusal
        The compiler's first complaint.
    """
    out.mkdir(parents=True, exist_ok=True)
    generated = out / f"{name}.generated"
    generated.mkdir(exist_ok=True)
    (generated / "board.h").write_text(board_tables(board))
    program = out / name
    triple = TRIPLES[target]
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        *([] if target == "host" else ["-target", triple]),
        *FLAGS,
    ]
    command += [*extra, "-I", str(generated), *map(str, port_sources()), *map(str, objects), "-ldl", "-lm"]
    done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False)
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise Refusal(f"Linking {name} for {board.name} failed: {complaints[0]}\n{done.stderr}")
    return program


def pc_program(
    instrument: str | Path, out: Path, board: str = "rpi4", models: Mapping[str, Path] | None = None
) -> Path:
    """Build the Pi's program for this PC: the same sources and board tables, this machine's code."""
    from firmware.build import generate
    from firmware.toolchain import compile_object

    if platform.system() != "Linux":
        raise Refusal("the Pi program runs on Linux only; build it for rpi4 or rpi5 and copy it there.")
    built = generate(instrument, board, out, models=models, target="host")
    objects = compile_object(built.sources, "host", out / "objects", extra=[f"-I{out}"])
    return link_program(objects, built.board, out, f"{built.name}-pc", "host")


def link(built: Built, out: Path) -> Path:
    """Link what `firmware.build` built into the program to run on the Pi."""
    target = built.target if built.target in TRIPLES else "aarch64"
    if target == "host" and platform.system() != "Linux":
        raise Refusal("the Pi program runs on Linux only; build it for rpi4 or rpi5 and copy it there.")
    return link_program(built.objects, built.board, out, f"{built.name}-{built.board.name}", target)
