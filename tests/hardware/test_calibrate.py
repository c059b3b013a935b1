"""Calibration: in tune over five octaves afterwards, and nothing implausible is ever believed."""

from __future__ import annotations

import time

import pytest

from common.refusal import Refusal
from hardware.board import load_board
from hardware.calibrate import CENTS_PER_VOLT, calibrate, input_index, measure, octave_points
from hardware.protocol import Link
from hardware.simulated import STORAGE_BYTES, ConverterErrors, SimulatedBoard

# ±1 % gain, ±20 mV offset, bent by 30 mV at the ends: the corners of what the issue asks for
CORNERS = [
    ConverterErrors(gain=gain, offset_volts=offset, bend_volts=bend, noise_volts_rms=0.0015)
    for gain, offset, bend in [
        (0.01, 0.02, 0.03),
        (0.01, -0.02, -0.03),
        (-0.01, 0.02, -0.03),
        (-0.01, -0.02, 0.03),
    ]
]
OCTAVES = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
BOARD = load_board("patch_sm")


@pytest.fixture(autouse=True)
def quicker(monkeypatch):
    monkeypatch.setattr("hardware.calibrate.READINGS", 12)
    monkeypatch.setattr("hardware.calibrate.READING_S", 0.02)


def error_cents(link: Link, board: SimulatedBoard, name: str, volts: float) -> float:
    """Mean error of the module's own volts at `volts`, averaged until noise is not what is measured."""
    board.jacks.volts[name] = volts
    time.sleep(0.01)
    index = input_index(BOARD, 8, name)
    said = measure(link, index, BOARD.adcs[index], volts).said_volts
    return CENTS_PER_VOLT * (said - volts)


@pytest.mark.parametrize(
    "errors", CORNERS, ids=lambda e: f"{e.gain:+.2f} {e.offset_volts:+.2f} {e.bend_volts:+.2f}"
)
def test_within_two_cents_over_five_octaves_after_calibration(board_library, errors):
    with SimulatedBoard(BOARD, board_library, {"cv_2": errors}) as board, Link(board.device) as link:

        def patch(adc, volts):
            board.jacks.volts[adc.name] = volts
            time.sleep(0.01)
            return volts

        outcome = calibrate(link, BOARD, "cv_2", OCTAVES, patch)
        assert outcome.stored
        assert max(map(abs, outcome.before_cents)) > 20
        assert max(map(abs, outcome.after_cents)) < 0.1
        # between the points, where the straight lines are at their worst
        worst = max(abs(error_cents(link, board, "cv_2", volts)) for volts in (-0.5, 0.5, 1.5, 2.5, 3.5))
        assert worst <= 2.0


def test_two_points_remove_gain_and_offset(board_library):
    errors = {"cv_1": ConverterErrors(gain=0.01, offset_volts=-0.02, noise_volts_rms=0.0005)}
    with SimulatedBoard(BOARD, board_library, errors) as board, Link(board.device) as link:

        def patch(adc, volts):
            board.jacks.volts[adc.name] = volts
            time.sleep(0.01)
            return volts

        outcome = calibrate(link, BOARD, "CV_1", (1.0, 3.0), patch)
        assert outcome.between_cents is None
        assert abs(error_cents(link, board, "cv_1", 2.0)) <= 2.0


def test_a_calibration_survives_power_off(board_library):
    flash = bytearray(b"\xff" * STORAGE_BYTES)
    errors = {"cv_1": ConverterErrors(gain=0.01)}
    with SimulatedBoard(BOARD, board_library, errors, flash=flash) as board, Link(board.device) as link:
        board.jacks.volts["cv_1"] = 1.0

        def patch(adc, volts):
            board.jacks.volts[adc.name] = volts
            time.sleep(0.01)
            return volts

        calibrate(link, BOARD, "cv_1", (1.0, 3.0), patch)
        before = link.ask("calibration", input=0)["points"]
    with SimulatedBoard(BOARD, board_library, errors, flash=flash) as board, Link(board.device) as link:
        assert link.ask("calibration", input=0)["points"] == before


@pytest.mark.parametrize(
    ("volts_at_jack", "noise", "sentence"),
    [(1.0, 0.001, "is the cable in that jack"), (3.0, 0.4, "stands still"), (7.0, 0.001, "end of its range")],
)
def test_implausible_points_are_refused_and_the_old_calibration_stands(
    board_library, volts_at_jack, noise, sentence
):
    errors = {"cv_1": ConverterErrors(noise_volts_rms=noise)}
    said: list[str] = []
    with SimulatedBoard(BOARD, board_library, errors) as board, Link(board.device) as link:
        before = link.ask("calibration", input=0)["points"]
        board.jacks.volts["cv_1"] = volts_at_jack
        with pytest.raises(Refusal, match=sentence) as refusal:
            calibrate(link, BOARD, "cv_1", (3.0, 1.0), lambda adc, volts: volts, said.append, tries=2)
        assert "old calibration stands" in str(refusal.value)
        assert len(said) == 1
        assert link.ask("calibration", input=0)["points"] == before


def test_the_module_itself_refuses_points_that_cannot_be(board_library):
    with SimulatedBoard(BOARD, board_library) as board, Link(board.device) as link:
        with pytest.raises(Refusal, match=r"0\.25 V"):
            link.ask("calibrate", input=0, points=[[0.4, 1.0], [0.39, 1.1]])
        with pytest.raises(Refusal, match=r"0\.5 V beside"):
            link.ask("calibrate", input=0, points=[[0.1, 1.0], [0.2, 3.0]])


def test_unplugged_half_way_the_old_calibration_stands(board_library):
    flash = bytearray(b"\xff" * STORAGE_BYTES)
    with SimulatedBoard(BOARD, board_library, flash=flash) as board, Link(board.device) as link:

        def patch(adc, volts):
            board.jacks.volts[adc.name] = volts
            if volts == 3.0:
                board.unplug()
            time.sleep(0.01)
            return volts

        with pytest.raises(Refusal, match="old calibration stands"):
            calibrate(link, BOARD, "cv_1", (1.0, 3.0), patch)
    assert flash == b"\xff" * STORAGE_BYTES


def test_knobs_and_unknown_inputs_are_not_calibrated():
    with pytest.raises(Refusal, match="is a knob"):
        input_index(BOARD, 12, "knob_1")
    with pytest.raises(Refusal, match="no CV input 'cv_9'"):
        input_index(BOARD, 8, "cv_9")
    assert octave_points(BOARD.adc("cv_1")) == (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
