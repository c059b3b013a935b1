"""The commands as a builder types them, against a simulated board; a wrong one is a sentence and status 2."""

from __future__ import annotations

import json
import threading

import pytest
from rich.console import Console
from typer.testing import CliRunner

import vaectrol
from common.refusal import Refusal
from hardware import monitor
from hardware.board import load_board
from hardware.protocol import Link
from hardware.simulated import ConverterErrors, SimulatedBoard


@pytest.fixture
def module(board_library):
    errors = {"cv_1": ConverterErrors(gain=0.01, offset_volts=0.02, noise_volts_rms=0.0005)}
    with SimulatedBoard(load_board("patch_sm"), board_library, errors) as board:
        yield board


def run(*words: str, stdin: str = ""):
    return CliRunner().invoke(vaectrol.build_app(), list(words), input=stdin)


def test_monitor_once_shows_load_inputs_latents_and_gates(module):
    module.jacks.volts["cv_2"] = -1.5
    module.jacks.gates["gate_in_1"] = True
    out = run("monitor", "--port", module.device, "--once")
    assert out.exit_code == 0, out.exception
    for word in ("voltmeter", "Daisy Patch SM", "CPU mean", "cv_2", "latent/1", "gate_in_1 ●", "CV_2"):
        assert word in out.output, out.output


def test_monitor_as_json_is_for_machines(module):
    out = run("monitor", "--port", module.device, "--json")
    said = json.loads(out.output)
    assert said["hello"]["board"] == "patch_sm" and len(said["report"]["volts"]) == 8


def test_monitor_lives_until_the_board_goes(module):
    seen = []
    with Link(module.device) as link:
        described = monitor.connect(link)
        threading.Timer(0.6, module.unplug).start()
        with pytest.raises(Refusal, match=r"went away|stopped sending"):
            for report in monitor.reports(link, 20):
                seen.append(monitor.render(described, report))
    assert len(seen) > 3
    console = Console(record=True, width=110)
    console.print(seen[-1])
    assert "CPU mean" in console.export_text()


def test_bars_fill_from_empty_to_full():
    assert monitor.bar(0.0, 4) == "    "
    assert monitor.bar(1.0, 4) == monitor.bar(7.0, 4) == "████"
    assert monitor.bar(0.5 + 1 / 32, 4) == "██▏ "
    assert monitor.bar(None, 4) == "····"


def test_calibrate_leads_through_and_shows_cents(module, monkeypatch):
    monkeypatch.setattr("hardware.calibrate.READING_S", 0.02)
    real = monitor.time.sleep
    asked: list[float] = []

    def patch_by_hand(text, **_):
        volts = float(text.split()[1])
        asked.append(volts)
        module.jacks.volts["cv_1"] = volts
        real(0.02)
        return ""

    monkeypatch.setattr("typer.prompt", patch_by_hand)
    out = run("calibrate", "cv_1", "--port", module.device, "--at=0,1,3")
    assert out.exit_code == 0, (out.output, out.exception)
    assert asked == [0.0, 1.0, 3.0]
    assert "error in cents" in out.output and "Stored in the module." in out.output
    assert "Between the points" in out.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("calibrate", "cv_99", "--port", "PORT"), "no CV input 'cv_99'"),
        (("calibrate", "cv_1", "--port", "PORT", "--at=one"), "is not a list of volts"),
        (("monitor", "--port", "/dev/ttyNOWHERE"), "there is no port /dev/ttyNOWHERE"),
        (("flash", "nothing.bin"), "cannot read the image nothing.bin"),
        (("board", "show", "toaster"), "there is no board 'toaster'"),
        (("board", "bom", "toaster"), "there is no bill of materials"),
        (("board", "panel", "toaster"), "there is no panel"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_status_2(module, capsys, words, sentence):
    status = vaectrol.main([module.device if word == "PORT" else word for word in words])
    said = capsys.readouterr().err
    assert status == 2 and sentence in said and "Traceback" not in said


def test_board_commands_print_tables(tmp_path):
    assert "patch_sm" in run("board", "list").output
    assert "| cv_5 | CV 5 | CV_5 | C6 | PC1 |" in run("board", "show", "patch_sm").output
    assert json.loads(run("board", "show", "rpi5", "--json").output)["processor"]["core"] == "cortex-a76"
    assert "WM8731" in run("board", "bom", "rpi").output
    assert run("board", "panel", "rpi", "-o", str(tmp_path)).exit_code == 0
    assert (tmp_path / "rpi.svg").exists() and (tmp_path / "rpi.dxf").exists()
