"""Board descriptions: the pins that are right, and files that are refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.refusal import Refusal
from hardware.board import available_boards, load_board
from hardware.tables import board_tables
from hardware.wiring import memory_table, wiring_table

pytestmark = pytest.mark.fast

# As measured on the board; libDaisy v8 names C6..C9 in its header in another order.
PATCH_SM_CV_PINS = {
    "CV_1": ("C5", "PA3"),
    "CV_2": ("C4", "PA6"),
    "CV_3": ("C3", "PA2"),
    "CV_4": ("C2", "PA7"),
    "CV_5": ("C6", "PC1"),
    "CV_6": ("C7", "PC0"),
    "CV_7": ("C8", "PB1"),
    "CV_8": ("C9", "PC4"),
}


@pytest.mark.parametrize("name", ["patch_sm", "patch_init"])
def test_cv_inputs_are_on_the_pins_of_the_silk_screen(name):
    board = load_board(name)
    pins = {adc.silk: (adc.pin, adc.mcu) for adc in board.adcs if adc.silk.startswith("CV_")}
    assert pins == PATCH_SM_CV_PINS
    for silk, (pin, mcu) in PATCH_SM_CV_PINS.items():
        assert board.pins[pin] == mcu
        adc = next(adc for adc in board.adcs if adc.silk == silk)
        assert adc.index == int(silk[-1]) - 1  # GetAdcValue(CV_1) is channel 0


def test_patch_init_has_knobs_on_cv_1_to_4_and_jacks_on_cv_5_to_8():
    board = load_board("patch_init")
    assert {adc.silk for adc in board.adcs if adc.kind == "knob"} == {"CV_1", "CV_2", "CV_3", "CV_4"}
    assert board.adc("knob_1").travel_low_volts == 0.0 and board.adc("knob_1").low_volts == -5.0
    assert [dac.is_led for dac in board.dacs] == [False, True]


@pytest.mark.parametrize("name", available_boards())
def test_every_board_is_whole(name):
    board = load_board(name)
    assert board.name == name
    for region in board.memory:
        assert 0 < region.left_bytes <= region.bytes
    mcus = [part.mcu for part in (*board.adcs, *board.gates_in, *board.gates_out, *board.buttons) if part.mcu]
    assert len(mcus) == len(set(mcus)), "one pin, two jobs"
    indices = [adc.index for adc in board.adcs]
    assert len(indices) == len(set(indices))
    for jack in (*board.adcs, *board.gates_in, *board.gates_out, *board.buttons):
        if jack.pin in board.pins and board.port == "daisy":
            assert board.pins[jack.pin] == jack.mcu, jack.name
        if jack.pin in board.pins and board.port == "rpi":
            assert board.pins[jack.pin].split()[0] == jack.mcu, jack.name
    assert wiring_table(board).count("\n") >= 4 and memory_table(board).startswith("| region")


@pytest.mark.parametrize("name", available_boards())
def test_volts_and_codes_are_each_others_inverse(name):
    for adc in load_board(name).adcs:
        for volts in (adc.low_volts, 0.25 * adc.low_volts + 0.75 * adc.high_volts, adc.high_volts):
            step = (adc.high_volts - adc.low_volts) / adc.full_code
            assert adc.volts(adc.code(volts)) == pytest.approx(volts, abs=step)
        assert adc.code(adc.high_volts + 9) == (0 if adc.inverted else adc.full_code)


def test_every_board_has_the_jacks_that_instruments_name():
    for name in available_boards():
        names = {adc.name for adc in load_board(name).adcs}
        assert {f"knob_{n}" for n in range(1, 5)} | {f"cv_{n}" for n in range(1, 5)} <= names, name
        assert [gate.name for gate in load_board(name).gates_in[:2]] == ["gate_in_1", "gate_in_2"]


def test_the_true_rate_is_what_the_clock_tree_gives():
    assert load_board("patch_sm").audio.true_rate_hz == pytest.approx(16e6 / 6 * 295 / 16 / 1024, abs=0.01)
    assert load_board("patch_sm").cycles_per_frame == 10_000


def test_tables_compile_as_c_and_as_cpp(tmp_path):
    import subprocess
    import sys

    for name in available_boards():
        (tmp_path / "board.h").write_text(board_tables(load_board(name)))
        for suffix, standard in (("c", "c11"), ("cpp", "c++17")):
            source = tmp_path / f"t.{suffix}"
            tables = ("inputs", "gates_in", "buttons", "gates_out", "leds", "dacs")
            used = " + ".join(f"(int)sizeof board_{table}" for table in tables)
            source.write_text(f'#include "board.h"\nint f(void);\nint f(void) {{ return {used}; }}\n')
            command = [
                sys.executable,
                "-m",
                "ziglang",
                "cc",
                f"-std={standard}",
                "-Wall",
                "-Wextra",
                "-Werror",
            ]
            subprocess.run([*command, "-c", str(source), "-o", str(tmp_path / "t.o")], check=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('extends = "patch_sm"\nname = "x"\nclok = 3\n', r"x\.toml: clok: Extra inputs"),
        (
            'extends = "patch_sm"\nname = "x"\n[[memory]]\nname = "itcm"\nreserved_bytes = 70000\n',
            "reserves 70000 of 65536",
        ),
        ('extends = "x"\n', "extends itself"),
        (
            'extends = "patch_sm"\nname = "x"\n[[adcs]]\nname = "cv_1"\nhigh_volts = -7.0\n',
            "not above low_volts",
        ),
        ("name = [", "not valid TOML"),
        ('extends = "nowhere"\n', "cannot read the board file"),
    ],
)
def test_a_bad_board_file_is_refused_with_file_and_field(tmp_path, text, sentence):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(Refusal, match=sentence):
        load_board(path)


def test_an_unknown_board_lists_the_known_ones():
    with pytest.raises(Refusal, match="choose disting_nt, host, patch_init, patch_sm, rpi4, rpi5, seed"):
        load_board("eurotoaster")


def test_two_functions_on_one_pin_are_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "patch_sm"\nname = "mine"\n[[gates_in]]\nname = "gate_in_1"\npin = "B9"\n')
    with pytest.raises(Refusal, match=r"mine\.toml: .*pin B9 is both gate_in_1 and gate_in_2"):
        load_board(path)


@pytest.mark.parametrize("name", ["patch_sm", "rpi4"])
def test_the_manual_has_the_wiring_of_today(name):
    manual = (Path(__file__).resolve().parents[2] / "docs" / "manuals" / "boards.md").read_text()
    assert wiring_table(load_board(name)) in manual, f"copy it from `vaectrol board show {name}`"
