"""CV outputs calibrated through an input: in tune afterwards, kept, and refused where it cannot be."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.ports.simulated.link import simulated_program
from hardware import calibrate as calibration
from hardware.board import load_board
from hardware.calibrate import CENTS_PER_VOLT, calibrate, calibrate_output, output_index
from hardware.protocol import Link
from hardware.simulated import STORAGE_BYTES, ConverterErrors, SimulatedBoard, patch_simulated

BOARD = load_board("patch_sm")
INPUT = {"cv_5": ConverterErrors(gain=-0.01, offset_volts=0.02, bend_volts=-0.03, noise_volts_rms=0.0015)}
OUTPUTS = [
    ConverterErrors(gain=gain, offset_volts=offset, bend_volts=bend)
    for gain, offset, bend in [(0.01, 0.02, 0.03), (0.01, -0.02, -0.03), (-0.01, 0.02, -0.03)]
]
HEADER = struct.Struct("<IHHIII")
ONE = 92
"""Bytes of one input's or output's calibration."""


@pytest.fixture(autouse=True)
def quicker(monkeypatch):
    monkeypatch.setattr(calibration, "READINGS", 20)
    monkeypatch.setattr(calibration, "READING_S", 0.01)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return simulated_program("arpeggio", "patch_sm", tmp_path_factory.mktemp("board"))


def cable(link):
    def patch(dac, adc):
        patch_simulated(link, BOARD.adcs.index(adc), output=BOARD.dacs.index(dac))

    return patch


def calibrate_input(board, link):
    def patch(adc, volts):
        board.jacks.volts[adc.name] = volts
        time.sleep(0.1)  # the board may lag behind where other tests run: half a step is cents
        return volts

    calibrate(link, BOARD, "cv_5", (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0), patch)


def cents_off(board, link, *, raw):
    """Largest error of the volts that are really at the jack, at places between the points too."""
    worst = 0.0
    for volts in (1.0, 1.75, 2.0, 2.7, 3.0, 3.3, 4.0):
        link.ask("hold", output=0, volts=volts, raw=int(raw))
        time.sleep(0.03)
        worst = max(worst, abs(board.output_volts("cv_out_1") - volts))
    return worst * CENTS_PER_VOLT


@pytest.mark.parametrize("errors", OUTPUTS, ids=["rising", "falling", "bent"])
def test_an_output_is_within_two_cents_over_three_octaves(program, errors):
    with SimulatedBoard(BOARD, program, {**INPUT, "cv_out_1": errors}) as board, Link(board.device) as link:
        calibrate_input(board, link)
        assert cents_off(board, link, raw=False) > 10
        outcome = calibrate_output(link, BOARD, "CV_OUT_1", "cv_5", cable(link))
        assert outcome.jack == "cv_out_1" and outcome.stored
        assert max(map(abs, outcome.before_cents)) > 10
        assert max(map(abs, outcome.after_cents)) < 3 and outcome.between_cents < 3
        assert cents_off(board, link, raw=True) > 10
        assert cents_off(board, link, raw=False) < 2


def test_it_survives_power_off_beside_the_inputs(program):
    flash = bytearray(b"\xff" * STORAGE_BYTES)
    errors = {**INPUT, "cv_out_1": OUTPUTS[0]}
    with SimulatedBoard(BOARD, program, errors, flash=flash) as board, Link(board.device) as link:
        calibrate_input(board, link)
        calibrate_output(link, BOARD, "cv_out_1", "cv_5", cable(link))
        kept = [link.ask("calibration", **jack)["points"] for jack in ({"input": 4}, {"output": 0})]
    with SimulatedBoard(BOARD, program, errors, flash=flash) as board, Link(board.device) as link:
        assert kept == [link.ask("calibration", **jack)["points"] for jack in ({"input": 4}, {"output": 0})]
        assert cents_off(board, link, raw=False) < 2
        assert link.ask("calibration", output=1)["points"] == []


def test_what_an_older_program_stored_of_inputs_is_read(program):
    """Its record ends before the outputs."""
    flash = bytearray(b"\xff" * STORAGE_BYTES)
    with SimulatedBoard(BOARD, program, INPUT, flash=flash) as board, Link(board.device) as link:
        calibrate_input(board, link)
        kept = link.ask("calibration", input=4)["points"]
    magic, kind, version, size, sequence, _ = HEADER.unpack_from(flash)
    assert size == 4 + 24 * ONE + 4 + 16 * ONE
    payload = bytes(flash[HEADER.size : HEADER.size + 4 + 24 * ONE])
    head = HEADER.pack(magic, kind, version, len(payload), sequence, 0)[:-4]
    flash[:] = b"\xff" * STORAGE_BYTES
    record = head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload
    flash[: len(record)] = record
    with SimulatedBoard(BOARD, program, INPUT, flash=flash) as board, Link(board.device) as link:
        assert link.ask("calibration", input=4)["points"] == kept
        assert link.ask("calibration", output=0)["points"] == []


def test_an_input_that_is_not_calibrated_measures_nothing(program):
    with (
        SimulatedBoard(BOARD, program) as board,
        Link(board.device) as link,
        pytest.raises(Refusal, match="cv_5 is not calibrated"),
    ):
        calibrate_output(link, BOARD, "cv_out_1", "cv_5", cable(link))


def test_without_the_cable_nothing_is_believed_and_the_output_plays_on(program):
    with SimulatedBoard(BOARD, program, INPUT) as board, Link(board.device) as link:
        calibrate_input(board, link)
        board.jacks.volts["cv_5"] = 0.1
        with pytest.raises(Refusal, match="The cable goes from CV_OUT_1 to CV_5"):
            calibrate_output(link, BOARD, "cv_out_1", "cv_5", lambda dac, adc: None)
        assert link.ask("calibration", output=0)["points"] == []
        link.ask("hold", output=0, volts=3.5)
        time.sleep(0.05)
        assert board.output_volts("cv_out_1") == pytest.approx(3.5, abs=2e-3)
        link.ask("hold")
        time.sleep(0.05)
        assert board.output_volts("cv_out_1") < 3


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"output": 7, "volts": 1}, "number of an output"),
        ({"output": 0, "volts": 99}, "volts from"),
        ({"output": 0, "volts": 1, "raw": 3}, "raw is 0 or 1"),
    ],
)
def test_a_hold_that_cannot_be_is_refused(program, asked, sentence):
    with (
        SimulatedBoard(BOARD, program) as board,
        Link(board.device) as link,
        pytest.raises(Refusal, match=sentence),
    ):
        link.ask("hold", **asked)


def test_points_that_cannot_be_are_refused_by_the_module(program):
    with SimulatedBoard(BOARD, program) as board, Link(board.device) as link:
        with pytest.raises(Refusal, match=r"0\.5 V beside"):
            link.ask("calibrate", output=0, points=[[0.05, 1.0], [0.6, 3.0]])
        with pytest.raises(Refusal, match="of an input or of an output"):
            link.ask("calibrate", input=0, output=0, points=[[0.2, 1.0], [0.6, 3.0]])
    assert output_index(BOARD, 2, "cv_7") is None


def test_what_is_asked_of_the_converter_lies_on_the_lines(program):
    """Straight lines between the points, as numpy draws them."""
    with SimulatedBoard(BOARD, program) as board, Link(board.device) as link:
        points = np.array([[0.11, 0.5], [0.52, 2.5], [0.88, 4.5]])
        link.ask("calibrate", output=0, points=points.tolist())
        for volts in np.linspace(0.6, 4.4, 9):
            link.ask("hold", output=0, volts=round(float(volts), 3))
            time.sleep(0.02)
            said = board._library.board_cv_out(0)[BOARD.audio.block - 1]
            assert said == pytest.approx(np.interp(round(float(volts), 3) / 5, *points.T), abs=1e-5)
