"""The instrument as a WebAssembly module: the board's own sources, with `web.c` around them."""

from __future__ import annotations

from pathlib import Path

from firmware import toolchain
from firmware.build import Built

WEB = Path(__file__).parent


def link(built: Built, out: Path) -> Path:
    """Link what `firmware.build.generate` made with ``target="wasm"``; only the port's calls are exported.

    Raises
    ------
    Refusal
        The compiler's or the linker's complaint.
    """
    sources = [*built.sources, WEB / "web.c"]
    module = out / f"{built.name}.wasm"
    return toolchain.link_shared(sources, "wasm", module, extra=[f"-I{built.folder}"], export_all=False)
