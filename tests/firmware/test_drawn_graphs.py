"""A small slice of the graphs that are drawn from the operator schemas; the command draws any number."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx

from tests.firmware.compare_drawn import distance
from tests.firmware.drawn_graphs import draw_attempt, operators, run_model

ROOT = Path(__file__).resolve().parents[2]


def compared(out: Path, count: int) -> subprocess.CompletedProcess[str]:
    """Run the command; onnxruntime may abort the process that draws, so it is one of its own."""
    words = ["--seed", "3", "--count", str(count), "--host-every", "12", "-o", str(out)]
    return subprocess.run(
        [sys.executable, "-m", "tests.firmware.compare_drawn", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_graphs_drawn_from_the_schemas_agree_or_are_refused_and_the_command_goes_on(tmp_path):
    out = tmp_path / "counts.json"
    done = compared(out, 10)
    assert done.returncode == 0, done.stdout
    done = compared(out, 30)
    kept = json.loads(out.read_text())
    assert done.returncode == 0, done.stdout
    assert kept["graphs"] == 30 and not kept["faults"]
    assert kept["counts"]["agreed"] >= 6 and kept["counts"]["refused"] >= 6


def test_a_graph_is_the_same_each_time_and_valid():
    for number in range(3):
        attempt = 0
        while (drawn := draw_attempt(11, number, attempt)) is None:
            attempt += 1
        again = draw_attempt(11, number, attempt)
        assert again is not None
        assert again.model.SerializeToString() == drawn.model.SerializeToString()
        onnx.checker.check_model(drawn.model)
        assert run_model(drawn.model, drawn.feeds) is not None


def test_all_operators_of_a_schema_can_be_drawn():
    assert len(operators(21)) > 150


def test_another_size_and_another_number_are_told_apart():
    rows = np.arange(6.0).reshape(1, 2, 3)
    assert distance(rows, np.concatenate([np.zeros((2, 4)), rows[0], np.zeros((2, 4))], axis=1)) == 0
    assert distance(rows, np.zeros((2, 2))) is None
    assert distance(rows, np.full((2, 3), 7.0)) == 7
