"""Whole instruments in which latents are material, all of it moving: equal on every target, block 48."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from common import model_metadata
from firmware import toolchain
from firmware.build import generate
from firmware.models.model_file import MODELS_DIR
from quantize.bend import material, surgery
from quantize.bend.sites import Inside, named
from tests.firmware.test_latent_layer import INSTRUMENTS, LAYER

HERE = Path(__file__).parent
SITES = {
    "drum": "cat_for_conv1d|conv1d_2|conv1d_4|conv1d_5",
    "drive": "latent_for_conv1d|conv1d:2|conv1d:5|conv1d_1:1",
}
"""Of bent models; a texture has a prior instead."""
PRIOR = 'decoder = "texture"\nprior = "texture.prior"\n'
OTHERS = [target for target in ("m7", "aarch64", "wasm")]


@cache
def bent(kind, folder):
    """A factory model with four sites under scale and bias."""
    model = onnx.load(str(MODELS_DIR / f"{kind}.int8.onnx"))
    about = model_metadata.read(model)
    sites = Inside(model, kind).sites(material.feeds(model, about, 2), surgery.slow_input(about, kind).name)
    file = folder / f"{kind}.bent.onnx"
    onnx.save(surgery.bend(model, named(sites, SITES[kind], kind), ["scale", "bias"]), str(file))
    return file


def instrument(kind, folder):
    """Its file, with every stage of the layer and a macro; and the models in place of its own."""
    text = "macro = true\n" + (INSTRUMENTS / f"{kind}.toml").read_text() + LAYER
    if kind == "texture":
        text = text.replace('decoder = "texture"\n', PRIOR) + "prior = true\n"
    file = folder / f"{kind}_whole.toml"
    file.write_text(text)
    return file, {kind: bent(kind, folder)} if kind in SITES else {}


def sums(kind, target, seconds, folder):
    """A checksum a second of all that leaves the module; 0 where it is silent or beyond full scale."""
    if not toolchain.can_run(target):
        pytest.skip(f"{toolchain.TARGETS[target].runner[0]} is not installed")
    file, models = instrument(kind, folder)
    built = generate(file, "patch_sm", folder / target, models=models, target=target)
    files, extra = [HERE / "instrument_minute.c", *built.sources], [f"-I{built.folder}"]
    if target == "m7":
        return _on_m7(files, extra, seconds, folder)
    if target == "wasm":
        module = toolchain.link_shared(files, "wasm", folder / "minute.wasm", extra=extra)
        words = ["node", str(HERE / "latents_minute.mjs"), str(module), str(seconds)]
    else:
        program = toolchain.link_program(
            [HERE / "latents_minute_main.c", *files], target, folder / f"minute-{target}", extra=extra
        )
        words = [*toolchain.run_command(target, program), str(seconds)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def _on_m7(files, extra, seconds, folder):
    from bench.m7.elf import read_elf
    from bench.m7.emulator import Machine
    from bench.m7.link import Placement, link
    from hardware.board import load_board

    board = load_board("patch_sm")
    objects = toolchain.compile_object(files, "m7", folder / "objects", extra=extra)
    placed = Placement(text="axi")
    image = link(objects, board, folder / "minute.elf", entry="latents_minute", placement=placed)
    machine = Machine(read_elf(image), board)
    place = machine.place(bytes(4 * seconds), "sdram")
    machine.call("latents_minute", seconds, place)
    return [f"{one:08x}" for one in machine.read_array(place, np.dtype(np.uint32), seconds)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.mark.parametrize("target", OTHERS)
def test_a_second_of_a_bent_drum_with_all_stages_is_the_same_on_every_target(target, folder):
    here = sums("drum", "host", 1, folder)
    assert here != ["00000000"]
    assert sums("drum", target, 1, folder) == here


@pytest.mark.slow
@pytest.mark.parametrize("target", OTHERS)
@pytest.mark.parametrize("kind", ["drum", "drive", "texture"])
def test_a_minute_of_whole_instruments_is_the_same_on_every_target(kind, target, folder):
    here = sums(kind, "host", 60, folder)
    assert len(set(here)) > 50  # a drum whose level is turned down is silent for a second or two
    assert sums(kind, target, 60, folder) == here
