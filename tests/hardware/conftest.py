"""Shared by the board tests: the module's program, built for this computer around the test instrument."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORTS = ROOT / "firmware" / "ports"
CONTROL = ROOT / "firmware" / "engine" / "control"
VOLTMETER = [
    Path(__file__).with_name("voltmeter.c"),
    CONTROL / "calibration.c",
    CONTROL / "store.c",
]
SERIAL = [PORTS / "serial" / "protocol.c", PORTS / "serial" / "json.c"]


@pytest.fixture(scope="session")
def board_library(tmp_path_factory) -> Path:
    """The simulated board with the voltmeter in it, as a shared library."""
    from firmware.toolchain import link_shared

    sources = [*VOLTMETER, *SERIAL, PORTS / "simulated" / "board.c"]
    return link_shared(sources, "host", tmp_path_factory.mktemp("board") / "board.so")
