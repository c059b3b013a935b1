"""Bills of materials whose values give what the board descriptions promise."""

from __future__ import annotations

import math

import pytest

from common.refusal import Refusal
from hardware.board import load_board
from hardware.bom import load_bom
from hardware.panel import load_panel

PI = load_bom("rpi")
BOARD = load_board("rpi4")


def ohms(reference: str) -> float:
    return PI[reference].amount


def test_cv_inputs_use_the_converters_whole_range():
    adc = BOARD.adc("cv_1")
    gain = -ohms("R15") / ohms("R11")
    middle = 3.3 * ohms("R20") / (ohms("R19") + ohms("R20")) * (1 - gain)
    assert middle == pytest.approx(1.65, abs=0.01)
    at_high, at_low = (middle + gain * volts for volts in (adc.high_volts, adc.low_volts))
    assert adc.inverted
    assert -0.02 < at_high < 0.02 and 3.28 < at_low < 3.32


def test_audio_stages_match_the_boards_full_scale():
    codec_volts = math.sqrt(2.0)  # 1 V rms
    assert codec_volts / (ohms("R3") / ohms("R1")) == pytest.approx(
        BOARD.audio.full_scale_volts_in, rel=0.005
    )
    assert codec_volts * ohms("R7") / ohms("R5") == pytest.approx(BOARD.audio.full_scale_volts_out, rel=0.005)
    assert BOARD.audio.polarity_in == BOARD.audio.polarity_out == -1
    assert 1 / (2 * math.pi * ohms("R7") * PI["C3"].amount) > 30_000


def test_cv_outputs_have_the_codes_per_volt_of_the_board():
    dac = BOARD.dacs[0]
    gain = 1 + ohms("R39") / ohms("R41")
    assert 4096 / (2.048 * gain) == pytest.approx(dac.codes_per_volt, rel=0.005)


def test_gate_inputs_switch_at_a_volt():
    threshold = 0.65 * (1 + ohms("R29") / ohms("R31"))
    gate = BOARD.gates_in[0]
    assert gate.low_threshold_volts < threshold <= gate.high_threshold_volts
    assert gate.inverted


def test_the_crystal_gives_the_rate():
    assert PI["Y1"].amount / 256 == BOARD.audio.true_rate_hz


@pytest.mark.parametrize(("bom", "panel"), [("rpi", "rpi"), ("patch_sm", "patch_sm")])
def test_jacks_and_pots_are_those_of_the_panel(bom, panel):
    parts = load_bom(bom)
    kinds = [part.kind for part in load_panel(panel).parts]
    jacks = {line.reference: line for line in parts.values() if line.value == "3.5 mm mono jack"}
    assert sum(line.quantity for line in jacks.values()) == kinds.count("jack")
    assert sum(name.startswith("RV") for name in parts) == kinds.count("knob")


def test_every_line_says_why():
    for bom in ("rpi", "patch_sm"):
        for line in load_bom(bom).values():
            assert len(line.why) > 4, line.reference


def test_no_such_bill():
    with pytest.raises(Refusal, match="choose patch_sm, rpi"):
        load_bom("nothing")
