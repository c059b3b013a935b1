"""What the bench says to bad input: one sentence, status 2, and what was found so far is kept."""

from __future__ import annotations

import json
import os
import pty
import re
import threading
import tty
from pathlib import Path

import pytest

import vaectrol
from bench.live import module as device
from hardware.board import load_board
from hardware.simulated import SimulatedBoard
from tests.bench.test_device import library  # noqa: F401 - a fixture
from tests.bench.test_report import tiny
from tests.pages import check_page

BOARDS = Path(__file__).resolve().parents[2] / "hardware" / "boards"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("w8a16", tmp_path_factory.mktemp("model"))


def refused(capsys: pytest.CaptureFixture, *words: str) -> str:
    """Run `vaectrol bench`, and return the one sentence of its refusal."""
    assert vaectrol.main(["bench", *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("vaectrol: ")
    assert said[0].endswith(".")
    return said[0]


def test_an_unknown_board_model_or_block_is_named(model: Path, tmp_path: Path, capsys) -> None:
    assert "'no_such_board'" in refused(capsys, str(model), "--board", "no_such_board")
    assert "no_such.onnx" in refused(capsys, "no_such.onnx")
    assert "raspberry, nano" in refused(capsys, "no_such_decoder")
    assert "choose 1 to 256" in refused(capsys, str(model), "--block", "257")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x00 this is no model")
    assert "broken.onnx" in refused(capsys, str(broken))


def test_an_old_report_that_is_none_is_refused_before_anything_is_measured(
    model: Path, tmp_path: Path, capsys
):
    (tmp_path / "old.json").write_text("{")
    words = [str(model), "--against", str(tmp_path / "old.json"), "-o", str(tmp_path / "out")]
    assert "is not a report of ours" in refused(capsys, *words)
    assert not (tmp_path / "out").exists()


def test_a_model_that_does_not_fit_is_refused_with_numbers(model: Path, tmp_path: Path, capsys) -> None:
    text = (BOARDS / "patch_sm.toml").read_text().replace('name = "patch_sm"', 'name = "small"', 1)
    # every memory but the one for code ends 64 bytes after what the port has reserved of it
    for before, after in ((131072, 53248), (524288, 147456), (294912, 53248), (67108864, 0)):
        assert f"\nbytes = {before}\n" in text
        text = text.replace(f"\nbytes = {before}\n", f"\nbytes = {after + 64}\n", 1)
    small = tmp_path / "small.toml"
    small.write_text(text)
    words = [str(model), "--board", str(small), "--quick", "-o", str(tmp_path / "out")]
    assert re.search(r"\d+ bytes", refused(capsys, *words).replace(",", ""))
    assert not (tmp_path / "out").exists()


def test_a_board_of_ones_own_has_its_page(model: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = (BOARDS / "patch_sm.toml").read_text().replace('name = "patch_sm"', 'name = "own"', 1)
    own.write_text(text.replace("line_fill_cycles = 24 ", "line_fill_cycles = 60 "))
    out = tmp_path / "out"
    assert vaectrol.main(["bench", str(model), "--board", str(own), "--quick", "-o", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["board"] == "own"
    assert report["line_fill_cycles"]["axi"] == 60
    page = (out / "report.html").read_text()
    check_page(page)
    assert "roofline" in page


def with_port(capsys, model: Path, out: Path, port: str) -> tuple[str, dict]:
    """Refusal of a run with a port, and the report that was written all the same."""
    said = refused(capsys, str(model), "--quick", "--port", port, "-o", str(out))
    assert said.endswith("What was found before is in the report.")
    report = json.loads((out / "report.json").read_text())
    assert report["models"]["model"]["predicted"]["cpu"]["mean"] > 0
    assert (out / "report.html").stat().st_size > 10_000
    return said, report["device"]


def test_a_port_that_is_not_there_costs_only_itself(model: Path, tmp_path: Path, capsys) -> None:
    said, found = with_port(capsys, model, tmp_path, "/dev/ttyNOWHERE")
    assert "/dev/ttyNOWHERE" in said
    assert set(found) == {"incomplete"}


def test_a_port_that_vanishes_half_way_keeps_what_was_measured(
    model: Path,
    tmp_path: Path,
    capsys,
    library,  # noqa: F811
    monkeypatch,
) -> None:
    answers = []
    with SimulatedBoard(load_board("patch_sm"), library, bench=True) as played:

        def pull_at_the_second(answer: dict, port: str) -> dict:
            answers.append(checked(answer, port))
            if len(answers) == 2:
                played.unplug()
            return answers[-1]

        checked = device._checked
        monkeypatch.setattr(device, "_checked", pull_at_the_second)
        port = played.device
        said, found = with_port(capsys, model, tmp_path, port)
    assert port in said
    assert found["answers"] == 2 < device.SAMPLES
    assert found["cpu"]["mean"] > 0
    assert found["incomplete"] in said
    page = (tmp_path / "report.html").read_text()
    check_page(page)
    assert "On the board" in page


@pytest.mark.parametrize(
    "garbage", [b"\xff\xfe\x00\x9c\n", b"[1, 2]\n{}\n", b'{"re": "hello", "id": 1, "ok": true}\n']
)
def test_a_device_that_answers_garbage_is_refused(
    model: Path, tmp_path: Path, capsys, garbage: bytes
) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)

    def babble() -> None:
        try:
            while os.read(ours, 256):
                os.write(ours, garbage)
        except OSError:
            return

    thread = threading.Thread(target=babble, daemon=True)
    thread.start()
    said, found = with_port(capsys, model, tmp_path, os.ttyname(theirs))
    assert os.ttyname(theirs) in said
    assert set(found) == {"incomplete"}
    os.close(theirs)
    os.close(ours)
