"""`vaectrol simulate`: a board on the desk that the other commands can talk to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vaectrol
from firmware.toolchain import link_shared
from hardware.protocol import Link

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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--volts", "cv_99=1"), "no 'cv_99'"),
        (("--volts", "cv_1=one"), "write a jack and its volts"),
        (("--board", "toaster"), "there is no board 'toaster'"),
        (("--model", "drum"), "write the role and the file"),
    ],
)
def test_what_is_wrong_is_one_sentence(capsys, words, sentence):
    assert vaectrol.main(["simulate", "drum", *words]) == 2
    assert sentence in capsys.readouterr().err
