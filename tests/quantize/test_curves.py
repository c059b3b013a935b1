"""Curves of quality against cost: what they try, what they write, and that steps repeat."""

from __future__ import annotations

import json

import pytest

from quantize.data.calibration_set import from_metadata
from quantize.data.tune import Effort
from quantize.graph.load import load_graph
from quantize.integers.network import QuantizedNetwork
from quantize.procedure import Settings, run_procedure
from quantize.progress import Progress
from quantize.report.curves import markdown, row_of, rows_so_far, trace, write_curve


@pytest.fixture(scope="module")
def rows(rhythm_file):
    calibration_set = from_metadata(load_graph(rhythm_file), count=4)
    settings = Settings(effort=Effort(steps=6), per_cycle=False)
    return [row_of(p) for p in trace(calibration_set, settings, Progress(), (1.0, 0.5))]


def test_a_curve_tries_eight_bits_and_every_share(rows):
    assert [(r["keep"], r["activations"]) for r in rows] == [(1.0, "8"), (1.0, "16"), (0.5, "16")]
    assert rows[2]["macs"] <= 0.5 < rows[1]["macs"] == 1.0
    assert rows[2]["weight_bytes"] < rows[1]["weight_bytes"]
    assert rows[2]["cycles"] < rows[1]["cycles"]
    assert rows[1]["int8_snr_db"] > rows[0]["int8_snr_db"]
    assert rows[1]["onset_agreement"] > 0.9
    assert [s["name"] for s in rows[2]["stages"]] == [
        "float", "pruned", "pruned, tuned", "int8, W8A16", "int8, W8A16, tuned",
    ]  # fmt: skip
    assert rows[2]["stages"][1]["measures"] != rows[2]["stages"][2]["measures"]


def test_steps_give_the_same_figures_again(rhythm_file, rows):
    calibration_set = from_metadata(load_graph(rhythm_file), count=4)
    settings = Settings(effort=Effort(steps=6), per_cycle=False)
    *_, again = trace(calibration_set, settings, Progress(), (1.0, 0.5))
    assert [s.measures for s in again.stages] == [s["measures"] for s in rows[2]["stages"]]


def test_a_curve_is_written_as_figures_picture_and_table(rows, tmp_path):
    out = tmp_path / "c.json"
    write_curve(rows, out, "small", "vaectrol quantize small --curve c.json")
    written = json.loads(out.read_text())
    assert written["rows"] == json.loads(json.dumps(rows))
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    table = markdown(written)
    assert "`vaectrol quantize small --curve c.json`" in table
    assert f"| {rows[2]['macs']:.0%} | 16 bit | {rows[2]['weight_bytes']:,} |" in table


def test_a_curve_goes_on_where_it_stopped_but_only_its_own(rows, tmp_path, rhythm_file):
    out = tmp_path / "c.json"
    write_curve(rows[:2], out, "small", "the command", "the model")
    assert rows_so_far(out, "the command", "another model") == []
    assert rows_so_far(out, "another command", "the model") == []
    assert rows_so_far(tmp_path / "none.json", "", "") == []
    known = rows_so_far(out, "the command", "the model")
    calibration_set = from_metadata(load_graph(rhythm_file), count=4)
    settings = Settings(effort=Effort(steps=6), per_cycle=False)
    more = list(trace(calibration_set, settings, Progress(), (1.0, 0.5, 0.499), known))
    assert [p.keep for p in more] == [0.5]  # 0.499 gives the same network
    assert [s.measures for s in more[0].stages] == [s["measures"] for s in rows[2]["stages"]]


def test_an_effort_divides():
    assert Effort(steps=10).part(0.7) == Effort(steps=7)
    assert Effort(seconds=10.0).part(0.3) == Effort(seconds=3.0)
    assert not Effort(steps=0).part(0.7)
    assert not Effort(seconds=0.0)
    assert not Effort()
    assert Effort(steps=1).part(0.1).steps == 1


def test_without_pruning_all_effort_is_the_integers():
    settings = Settings(effort=Effort(steps=100))
    assert settings.integer_effort == Effort(steps=100)
    pruned = Settings(effort=Effort(steps=100), keep=0.5)
    assert pruned.float_effort.steps + pruned.integer_effort.steps == 100
    assert pruned.float_effort.steps == 70


def test_mixed_widths_are_chosen_and_told(rhythm_file):
    calibration_set = from_metadata(load_graph(rhythm_file), count=6)
    notes, bits = {}, {}
    for least in (20.0, 200.0):
        outcome = run_procedure(
            calibration_set, Settings(activations="mixed", least_snr_db=least, effort=Effort(steps=0))
        )
        assert [s.name for s in outcome.stages] == ["float", "int8, mixed"]
        notes[least] = outcome.notes[-1]
        bits[least] = set(outcome.quantized.plan.bits.values())
    assert bits[200.0] == {16}
    assert notes[200.0].startswith("0 of ")
    assert "200.0 dB of SNR allowed" in notes[200.0]
    assert 8 in bits[20.0]
    assert outcome.stages[-1].measures["snr_db"] > 30


def test_the_integers_of_every_row_are_tuned_alike(rhythm_file, monkeypatch):
    calibration_set = from_metadata(load_graph(rhythm_file), count=4)
    tuned = []
    monkeypatch.setattr(
        "quantize.procedure.fine_tune",
        lambda network, *args, **kw: tuned.append((isinstance(network, QuantizedNetwork), args[2].steps)),
    )
    settings = Settings(effort=Effort(steps=10), per_cycle=False)
    list(trace(calibration_set, settings, Progress(), (1.0, 0.5)))
    assert tuned == [(True, 3), (True, 3), (False, 7), (True, 3)]
