"""`vaectrol simulate`: a board on the desk that the other commands can talk to."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import vaectrol
from common.refusal import ModuleGone
from firmware.toolchain import link_shared
from hardware.board import load_board
from hardware.protocol import Link
from hardware.simulated import SimulatedBoard

ROOT = Path(__file__).resolve().parents[2]
PORTS = ROOT / "firmware" / "ports"
CONTROL = ROOT / "firmware" / "engine" / "control"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    sources = [ROOT / "tests" / "hardware" / "voltmeter.c", CONTROL / "calibration.c", CONTROL / "store.c"]
    sources += [*(PORTS / "serial").glob("*.c"), PORTS / "simulated" / "board.c"]
    return link_shared(sources, "host", tmp_path_factory.mktemp("board") / "board.so")


def test_it_names_its_port_and_answers_there(program):
    words = ["simulate", "voltmeter", "--program", str(program), "--volts", "cv_2=-1.25", "--seconds", "20"]
    command = [sys.executable, "-u", "vaectrol.py", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as played:
        assert played.stdout is not None
        line = played.stdout.readline()
        assert "Daisy Patch SM at /dev/" in line
        with Link(line.split()[4]) as link:
            link.report()
            assert link.report().volts[1] == pytest.approx(-1.25, abs=0.02)
            link.ask("reboot", to="app")
        assert played.wait(timeout=15) == 0  # a board that restarts is gone


def test_a_calibration_is_rehearsed_to_its_end(program):
    """With 3 mV of noise, a clock 300 ppm fast, and nobody at the cables."""
    words = ["simulate", "voltmeter", "--program", str(program), "--gain", "0.01", "--offset", "-0.02"]
    words += ["--bend", "0.02", "--noise", "0.003", "--clock-ppm", "300", "--seconds", "60"]
    with subprocess.Popen(
        [sys.executable, "-u", "vaectrol.py", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as played:
        assert played.stdout is not None
        try:
            port = played.stdout.readline().split()[4]
            command = [sys.executable, "vaectrol.py", "calibrate", "cv_1", "cv_2", "--at=-1,0,1,2,3"]
            done = subprocess.run(
                [*command, "--port", port], cwd=ROOT, input="\n" * 10, capture_output=True, text=True
            )
        finally:
            played.terminate()
    assert done.returncode == 0, done.stderr
    assert "A rehearsal: the simulated board has +3.000 V there now." in done.stdout
    assert done.stdout.count("Stored in the module.") == 2 and "Not taken" not in done.stdout


def test_a_cable_pulled_in_the_middle_of_a_line_is_a_sentence(program):
    words = ["simulate", "voltmeter", "--program", str(program), "--pull-after", "0.3", "--seconds", "60"]
    command = [sys.executable, "-u", "vaectrol.py", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as played:
        assert played.stdout is not None
        with Link(played.stdout.readline().split()[4]) as link, pytest.raises(ModuleGone, match="went away"):
            for _ in range(200):
                link.report()
                time.sleep(0.01)
        assert played.wait(timeout=15) == 0
        assert "pulled in the middle of a line" in played.stdout.read()
    assert link._buffer and b"\n" not in link._buffer  # half a line was there, and nobody believed it


@pytest.mark.parametrize("ppm", [-300.0, 300.0])
def test_a_clock_off_by_300_ppm_runs_that_many_frames(program, ppm):
    board = load_board("patch_sm")
    played = SimulatedBoard(board, program, clock_ppm=ppm)
    assert played.frames_per_s / board.audio.true_rate_hz - 1 == pytest.approx(ppm * 1e-6, rel=1e-9)


def test_a_request_in_pieces_is_for_the_board_or_for_its_program_whole(program):
    played = SimulatedBoard(load_board("patch_sm"), program)
    request = b'{"cmd":"patch","id":1,"input":1,"volts":2.5}\n'
    text = b'{"cmd":"hello","id":2}\n' + request + b'x{"cmd":"patch",\n' + request + b'{"cmd":"p'
    for size in (1, 7, 1000):
        played.jacks.volts.clear()
        passed = b"".join(
            played._keep_patches(text[at : at + size]) for at in range(0, len(text), size)
        ) + played._keep_patches(b"arameters\n")
        assert passed == text.replace(request, b"") + b"arameters\n"
        assert played.jacks.volts == {"cv_2": 2.5}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--volts", "cv_99=1"), "no 'cv_99'"),
        (("--volts", "cv_1=one"), "write a jack and its volts"),
        (("--volts", "cv_1=nan"), "--volts cv_1 is nan; give -24 to 24"),
        (("--gain", "nan"), "--gain is nan; give -0.5 to 0.5"),
        (("--noise", "-0.003"), "--noise is -0.003; give 0 to 1"),
        (("--clock-ppm", "301"), "--clock-ppm is 301; give -300 to 300"),
        (("--pull-after", "nan"), "--pull-after is nan"),
        (("--board", "toaster"), "there is no board 'toaster'"),
        (("--model", "drum"), "write the role and the file"),
    ],
)
def test_what_is_wrong_is_one_sentence(capsys, words, sentence):
    assert vaectrol.main(["simulate", "drum", *words]) == 2
    assert sentence in capsys.readouterr().err
