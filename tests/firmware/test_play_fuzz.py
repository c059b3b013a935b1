"""Hours of rubbish in pieces: each with its own seed, what is done is kept, and a fault stops it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from firmware.play import fuzz


@pytest.fixture
def program(monkeypatch):
    """Stand-ins for the build and for its program; the pieces that were played."""
    played: list[tuple[float, int]] = []
    state = {"digest": "one", "status": 0}

    def play(path: Path, seconds: float, seed: int) -> tuple[int, str]:
        played.append((seconds, seed))
        text = f"Latent: 1000 blocks, {seconds} s of sound, 10 blocks with sound, all bounded\n"
        return (state["status"], "CV is infinite\n" if state["status"] else text)

    monkeypatch.setattr(fuzz, "built", lambda *_: (Path("none"), state["digest"]))
    monkeypatch.setattr(fuzz, "play", play)
    return played, state


def run(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fuzz", *words])
    return fuzz.main()


def test_an_hour_goes_on_where_it_stopped_and_begins_anew_with_other_c(
    tmp_path, monkeypatch, program, capsys
):
    played, state = program
    out = str(tmp_path / "hours.json")
    assert run(monkeypatch, "rhythm", "drive", "--seconds", "300", "-o", out) == 0
    assert played == [(120.0, 1), (120.0, 121), (60.0, 241)] * 2
    assert run(monkeypatch, "rhythm", "--seconds", "420", "-o", out) == 0
    assert played[6:] == [(120.0, 301)]
    kept = json.loads(Path(out).read_text())
    assert kept["rhythm"] == {"digest": "one", "seconds": 420.0, "blocks": 4000}
    assert kept["drive"]["seconds"] == 300.0
    state["digest"] = "two"
    assert run(monkeypatch, "rhythm", "--seconds", "120", "-o", out) == 0
    assert json.loads(Path(out).read_text())["rhythm"] == {"digest": "two", "seconds": 120.0, "blocks": 1000}


def test_a_broken_promise_is_told_and_not_counted(tmp_path, monkeypatch, program, capsys):
    played, state = program
    state["status"] = 1
    out = tmp_path / "hours.json"
    assert run(monkeypatch, "--seconds", "300", "-o", str(out)) == 1
    assert len(played) == 1
    assert "CV is infinite" in capsys.readouterr().out
    assert [entry["seconds"] for entry in json.loads(out.read_text()).values()] == [0.0]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc builds with the sanitizers")
@pytest.mark.parametrize("instrument", ["drive", "rhythm"])
def test_a_minute_of_rubbish_stays_bounded(instrument):
    status, text = fuzz.fuzz(instrument, 60.0, 5)
    assert status == 0, text
    assert "all bounded" in text
