"""What several tests of the firmware share: parts of the engine as libraries."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "firmware" / "engine"


def prototypes(source: Path) -> str:
    """Return the declarations of every ``shim_`` function of `source`, for cffi."""
    text = source.read_text()
    found = re.findall(r"^((?:const )?\w+ \*?shim_\w+\([^)]*\))\s*\{", text, flags=re.MULTILINE)
    return ";\n".join(found) + ";"


def shim_library(shim: str, folder: Path, *parts: str) -> SimpleNamespace:
    """Build a shim with the engine's sources in `parts`: ``.lib`` (functions ``shim_…``) and ``.ffi``."""
    from cffi import FFI

    from firmware import toolchain

    source = Path(__file__).parent / shim
    ffi = FFI()
    ffi.cdef(prototypes(source))
    sources = [source, *(path for part in parts for path in sorted((ENGINE / part).glob("*.c")))]
    out = toolchain.link_shared(sources, "host", folder / f"{source.stem}.so")
    return SimpleNamespace(ffi=ffi, lib=ffi.dlopen(str(out)))


@pytest.fixture(scope="session")
def control(tmp_path_factory):
    """The controls of the engine."""
    return shim_library("control_shim.c", tmp_path_factory.mktemp("control"), "control")


@pytest.fixture(scope="session")
def instruments(tmp_path_factory):
    """The engine's rhythm and drum with models whose answers are known."""
    return shim_library("instrument_shim.c", tmp_path_factory.mktemp("shim"), "control", "instruments")
