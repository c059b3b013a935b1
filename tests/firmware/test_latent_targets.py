"""The latent layer, all stages under moving controls and gates, is the same to the bit on every target."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from firmware import toolchain

HERE = Path(__file__).parent
SOURCES = [
    HERE / "latents_minute.c",
    *sorted((toolchain.ENGINE / "latents").glob("*.c")),
    *sorted((toolchain.ENGINE / "control").glob("*.c")),
    toolchain.ENGINE / "instruments" / "step_clock.c",
]


def sums(target: str, seconds: int, folder: Path) -> list[str]:
    """A checksum of all latents, knobs and strikes of every second."""
    if not toolchain.can_run(target):
        pytest.skip(f"{toolchain.TARGETS[target].runner[0]} is not installed")
    if target == "m7":
        return _on_m7(seconds, folder)
    if target == "wasm":
        module = toolchain.link_shared(
            [*SOURCES, toolchain.ENGINE / "kernels" / "freestanding.c"], "wasm", folder / "minute.wasm"
        )
        words = ["node", str(HERE / "latents_minute.mjs"), str(module), str(seconds)]
    else:
        program = toolchain.link_program(
            [HERE / "latents_minute_main.c", *SOURCES], target, folder / f"minute-{target}"
        )
        words = [*toolchain.run_command(target, program), str(seconds)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def _on_m7(seconds: int, folder: Path) -> list[str]:
    from bench.m7.elf import read_elf
    from bench.m7.emulator import Machine
    from bench.m7.link import link
    from hardware.board import load_board

    board = load_board("patch_sm")
    objects = [
        toolchain.compile_source(source, "m7")
        for source in [*SOURCES, toolchain.ENGINE / "kernels" / "freestanding.c"]
    ]
    machine = Machine(read_elf(link(objects, board, folder / "minute.elf")), board)
    place = machine.place(bytes(4 * seconds), "dtcm")
    machine.call("latents_minute", seconds, place)
    return [f"{one:08x}" for one in machine.read_array(place, np.dtype(np.uint32), seconds)]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return sums("host", 60, tmp_path_factory.mktemp("here"))


def test_every_second_of_it_is_another(here):
    assert len(set(here)) == 60


@pytest.mark.parametrize("target", ["m7", "aarch64", "wasm"])
def test_five_seconds_of_the_layer_are_the_same_on_every_target(target, here, tmp_path):
    assert sums(target, 5, tmp_path) == here[:5]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["m7", "aarch64", "wasm"])
def test_a_minute_of_the_layer_is_the_same_on_every_target(target, here, tmp_path):
    assert sums(target, 60, tmp_path) == here
