"""The simulated board's program: an instrument with a real board's tables, compiled for this computer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from firmware import toolchain

if TYPE_CHECKING:
    from firmware.build import Built

PORT = Path(__file__).resolve().parent
SERIAL = PORT.parent / "serial"


def link(built: Built, out: Path) -> Path:
    """Link a build for the host (`firmware.build.generate`) into the library that a simulated board loads."""
    sources = [*built.sources, *sorted(PORT.glob("*.c")), *sorted(SERIAL.glob("*.c"))]
    extra = [f"-I{folder}" for folder in built.include_dirs]
    return toolchain.link_shared(sources, "host", out / f"{built.name}-{built.board.name}.so", extra=extra)


def simulated_program(
    instrument: str | Path, board: str, out: Path, models: Mapping[str, Path] | None = None
) -> Path:
    """Build `instrument` as it is on `board`, to run on this computer under `hardware.simulated`."""
    from firmware.build import generate

    return link(generate(instrument, board, out, models=models, target="host"), out)
