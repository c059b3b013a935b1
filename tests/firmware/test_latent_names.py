"""What is between hands and model has names everywhere: module, page, OSC, MIDI; and fits a panel."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.build import generate, host_library
from firmware.instruments.assign import MAX_PARAMETERS, assign
from firmware.instruments.latents import layer, macro
from firmware.instruments.spec import available_instruments, find_models, load_instrument
from firmware.play.host import HostInstrument
from firmware.play.live.osc import OscControl
from firmware.ports.simulated.link import simulated_program
from firmware.ports.web.describe import describe
from hardware.board import load_board
from hardware.protocol import Link
from hardware.simulated import SimulatedBoard
from tests.firmware.instances import Instance, Library, drawn_script, render_in_blocks
from tests.firmware.test_instances import same
from tests.firmware.test_latent_layer import INSTRUMENTS, LAYER

MOST_GATES = 32
NAMES = [*layer.WORDS, macro.PARAMETER]
GATES = ["hold", "clock", "reset", "record", "clear", "table_a", "table_b", "table_start", "learn"]
JACKS = "".join(
    f'\n[[gate]]\nto = "{gate}"\njack = "gate_in_{1 + number % 2}"\n' for number, gate in enumerate(GATES)
)
CONTROLLERS = "".join(f'    {{ cc = {40 + n}, to = "{name}" }},\n' for n, name in enumerate(NAMES))


def whole(name: str, folder: Path, more: str = "") -> Path:
    """An instrument file that asks for everything."""
    file = folder / f"{name}.toml"
    text = (INSTRUMENTS / f"{name}.toml").read_text()
    if name == "drum":
        text = text.replace("cc = [\n", f"cc = [\n{CONTROLLERS}", 1)
    file.write_text("macro = true\n" + text + LAYER + more)
    return file


WITH_LATENTS = [
    name
    for name in available_instruments()
    if any(model.about.latents for model in find_models(load_instrument(name), None).values())
]


@pytest.mark.parametrize("name", WITH_LATENTS)
def test_all_of_it_fits_the_panel_of_every_instrument(name, tmp_path):
    loaded = load_instrument(whole(name, tmp_path))
    assignment = assign(loaded, find_models(loaded, None), load_board("patch_sm"))
    assert len(assignment.parameters) <= MAX_PARAMETERS
    assert len(assignment.gate_names) <= MOST_GATES
    assert {one.replace(".", "/") for one in NAMES} <= {one.name for one in assignment.parameters}


def test_page_module_osc_and_midi_know_every_name(model_files, tmp_path):
    models = {"drum": model_files["drum"]}
    file = whole("drum", tmp_path, JACKS)
    built = generate(file, "patch_sm", tmp_path / "made", models=models, target="host")
    about = describe(built, 48)
    addresses = {name.replace(".", "/") for name in NAMES}
    assert addresses <= {one["name"] for one in about["parameters"] if one["words"]}
    assert set(GATES) <= set(about["gateFunctions"])
    assert about["midi"] is not None
    assert addresses <= {column for one in about["midi"]["controllers"] for column in one["columns"]}
    host = HostInstrument(host_library(built))
    control = OscControl(host, lambda: ["t", "drum", "patch_sm", "0"])
    for address in addresses:
        control.answer(f"/{address}", (0.25,))
    assert not control.unknown
    program = simulated_program(file, "patch_sm", tmp_path / "board", models)
    with SimulatedBoard(load_board("patch_sm"), program) as played, Link(played.device) as link:
        assert addresses <= {one.name for one in link.parameters()}


def test_two_instances_with_all_of_it_play_as_each_would_alone(tmp_path):
    file = whole("drum", tmp_path, JACKS)
    library = Library(file, tmp_path / "two")
    alone = host_library(generate(file, "host", tmp_path / "alone", target="host"))
    pair = [Instance(library, drawn_script(library.built, 1.0, seed)) for seed in (3, 4)]
    while not all(one.is_over for one in pair):
        for one in pair:
            one.step(48)
    for one in pair:
        blocks = [48] * (one.out.gates.size // 48)
        assert one.guards_stand
        assert same(one.out, render_in_blocks(HostInstrument(alone), one.signals, blocks))
    assert not same(pair[0].out, pair[1].out)
