"""The examples run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.prose import ROOT

LINES = 20


@pytest.mark.slow  # a minute; every one of its five calls has tests of its own
def test_the_toy_drum_is_trained_exported_and_heard(tmp_path: Path) -> None:
    example = ROOT / "examples" / "toy_drum.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(example), str(tmp_path), "2"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    audio, rate_hz = soundfile.read(tmp_path / "drum.wav")
    assert rate_hz == 48_000 and abs(audio).max() > 0


def test_the_example_is_short() -> None:
    text = (ROOT / "examples" / "toy_drum.py").read_text(encoding="utf-8")
    code = [line for line in text.split('"""')[2].splitlines() if line.strip()]
    assert len(code) <= LINES


def test_an_arpeggio_plays_a_choir_without_clipping(tmp_path: Path) -> None:
    example, out = ROOT / "examples" / "arpeggio_choir.py", tmp_path / "both.wav"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(example), str(out), "1.5"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    audio, rate_hz = soundfile.read(out)
    assert rate_hz == 48_000 and len(audio) == 72_000
    assert 0.05 < abs(audio).max() < 0.9
