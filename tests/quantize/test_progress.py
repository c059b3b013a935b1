"""What long work says of its time."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from quantize.data.calibration_set import from_metadata
from quantize.data.tune import Effort
from quantize.graph.load import load_graph
from quantize.procedure import TUNING_FLOAT, TUNING_INTEGERS, Settings, Stage, budgets, line_of, run_procedure
from quantize.progress import ConsoleProgress, Part, Progress, clock


class Diary(Progress):
    """Keeps what it hears."""

    def __init__(self):
        self.stages, self.lines, self.budgets = [], [], {}

    def plan(self, budgets):
        self.budgets = dict(budgets)

    def at(self, stage, share=None):
        self.stages.append((stage, share))

    def ended(self, line):
        self.lines.append(line)


def test_a_line_is_said_for_each_stage_and_shares_only_grow(rhythm_file):
    diary, settings = Diary(), Settings(keep=0.6, effort=Effort(steps=6))
    outcome = run_procedure(from_metadata(load_graph(rhythm_file), count=4), settings, diary)
    assert [line.split(":")[0] for line in diary.lines] == [stage.name for stage in outcome.stages]
    assert "of the multiply-accumulates" in diary.lines[1]
    for name in (TUNING_FLOAT, TUNING_INTEGERS):
        shares = [share for stage, share in diary.stages if stage == name]
        assert shares == sorted(shares) and shares[-1] == 1.0


def test_a_stage_is_compared_with_the_float_model_in_the_measure_that_counts():
    first, last = (
        Stage(n, 10, 1.0, {"truth/mr_stft": v}, 0.0, 0.0) for n, v in (("float", 2.0), ("int8", 2.1))
    )
    assert (
        line_of(first, first) == "float: 10 parameters, multi-resolution STFT distance, against the data 2.00"
    )
    assert (
        line_of(last, first)
        == "int8: multi-resolution STFT distance, against the data 2.10, 5.0 % worse than float"
    )


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_all_of_the_time_budget_is_announced(keep):
    found = budgets(Settings(keep=keep, effort=Effort(seconds=100.0)))
    assert sum(found.values()) == pytest.approx(100.0)
    assert budgets(Settings(keep=keep, effort=Effort(steps=100))) == {}


def test_what_is_left_is_that_of_the_stage_and_the_budgets_behind_it(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    text = io.StringIO()
    with ConsoleProgress(Console(file=text)) as progress:
        progress.plan({"one": 20.0, "two": 90.0})
        progress.at("one", 0.0)
        now = 5.0
        assert progress.left(0.25) == "15 s left, then 1 min 30 s of two, then measuring and the report"
        progress.ended("one: done")
        progress.at("two")
        assert progress.left(0.5) == "45 s left, then measuring and the report"
        now = 12.0
        Part(progress, "again").at("two", 0.5)
        assert progress.left(None) == ""
        now = 15.0
        assert progress.left(0.25) == "9 s left"  # without a budget, by what was done in 3 s
        progress.ended("two: done")
    assert "one: done · 5 s" in text.getvalue()
    assert "two: done · 10 s" in text.getvalue()


@pytest.mark.parametrize(("seconds", "told"), [(3.4, "3 s"), (91, "1 min 31 s"), (3600, "60 min")])
def test_times_are_said_as_one_would(seconds, told):
    assert clock(seconds) == told
