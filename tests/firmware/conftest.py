"""What several tests of the firmware share: the engine's controls as a library."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "firmware" / "engine"
SHIM = Path(__file__).parent / "control_shim.c"


def prototypes(source: Path) -> str:
    """Return the declarations of every ``shim_`` function of `source`, for cffi."""
    text = source.read_text()
    found = re.findall(r"^((?:const )?\w+ \*?shim_\w+\([^)]*\))\s*\{", text, flags=re.MULTILINE)
    return ";\n".join(found) + ";"


@pytest.fixture(scope="session")
def control(tmp_path_factory):
    """The controls of the engine: ``.lib`` (functions ``shim_…``) and ``.ffi``."""
    from cffi import FFI

    from firmware import toolchain

    ffi = FFI()
    ffi.cdef(prototypes(SHIM))
    sources = [SHIM, *sorted((ENGINE / "control").glob("*.c"))]
    out = toolchain.link_shared(sources, "host", tmp_path_factory.mktemp("control") / "control.so")
    return SimpleNamespace(ffi=ffi, lib=ffi.dlopen(str(out)))
