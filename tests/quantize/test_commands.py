"""The two commands: what they write, and the one sentence they answer bad input with."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import pytest
import soundfile

import vaectrol
from common import model_metadata
from common.refusal import Refusal
from quantize.budget import Limits, choose, parse_bytes, parse_share
from quantize.cost import predict
from quantize.data.calibration_set import from_metadata
from quantize.graph.load import load_graph
from quantize.graph.runtime import session
from quantize.procedure import Settings
from quantize.progress import Progress
from tests.pages import check_page
from tests.quantize.random_graphs import random_feed, random_model


@pytest.fixture
def foreign(tmp_path):
    """A model from elsewhere with examples of its inputs."""
    onnx.save(random_model(3), str(tmp_path / "foreign.onnx"))
    (tmp_path / "examples").mkdir()
    for k in range(4):
        np.savez(tmp_path / "examples" / f"{k}.npz", **random_feed(k))
    return tmp_path


def refused(capsys, *arguments: str) -> str:
    """Run a command that must be refused, and return its one sentence."""
    assert vaectrol.main(list(arguments)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    return lines[0]


def test_a_described_model_is_pruned_quantized_and_reported(rhythm_file, tmp_path, capsys):
    out = tmp_path / "small.int8.onnx"
    assert (
        vaectrol.main(
            ["quantize", str(rhythm_file), "-o", str(out), "--prune", "0.4", "--time", "0.02", "--json"]
        )
        == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed["stages"][0]["name"] == "float"
    assert printed["stages"][-1]["macs_per_tick"] <= 0.6 * printed["stages"][0]["macs_per_tick"]
    model = onnx.load(str(out))
    session(model)
    about = model_metadata.read(model)
    assert about.kind == "rhythm" and about.quantization
    report = tmp_path / "small.int8.onnx.report"
    assert {p.name for p in report.iterdir()} >= {
        "report.html",
        "report.json",
        "layers.png",
        "histograms.png",
    }
    assert len(json.loads((report / "report.json").read_text())["layers"]) > 5
    check_page((report / "report.html").read_text(), report)


def test_a_board_budget_is_met(rhythm_file, tmp_path, capsys):
    from firmware.compiler import budget

    whole = budget(str(rhythm_file))
    out = tmp_path / "b.int8.onnx"
    limit = int(0.6 * whole.weight_bytes)
    arguments = [
        "quantize",
        str(rhythm_file),
        "-o",
        str(out),
        "--board",
        "patch_sm",
        "--flash",
        str(limit),
        "--time",
        "0",
    ]
    assert vaectrol.main(arguments) == 0
    assert "weight bytes" in capsys.readouterr().out
    assert budget(str(out)).weight_bytes <= limit


def test_a_model_that_fits_is_not_pruned_however_quick(rhythm_file, tmp_path, capsys):
    out = tmp_path / "q.int8.onnx"
    arguments = ["quantize", str(rhythm_file), "-o", str(out), "--quick", "--steps", "2"]
    assert vaectrol.main([*arguments, "--board", "patch_sm", "--cpu", "45%"]) == 0
    printed = capsys.readouterr().out
    assert "patch_sm: fits as it is, nothing is pruned; worst callback" in printed
    stages = json.loads((tmp_path / "q.int8.onnx.report" / "report.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["float", "int8, W8A16", "int8, W8A16, tuned"]


def test_an_unknown_board_is_refused_before_anything_is_read(rhythm_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("quantize.commands._calibration_set", lambda *given: pytest.fail("it was read"))
    out = tmp_path / "x.onnx"
    told = refused(capsys, "quantize", str(rhythm_file), "-o", str(out), "--board", "nonesuch")
    assert "nonesuch" in told
    assert not out.exists()


def test_a_budget_below_the_floor_is_refused_with_numbers(rhythm_file, tmp_path, capsys):
    out = tmp_path / "x.onnx"
    told = refused(
        capsys,
        "quantize",
        str(rhythm_file),
        "-o",
        str(out),
        "--board",
        "patch_sm",
        "--flash",
        "100",
        "--time",
        "0",
    )
    assert "bytes of weights where 100 are allowed" in told
    assert not out.exists()


def widest_activation(model: onnx.ModelProto) -> int:
    """Bits of the widest tensor that a QuantizeLinear makes, by its zero point."""
    zeros = {
        t.name: 8 * onnx.helper.tensor_dtype_to_np_dtype(t.data_type).itemsize
        for t in model.graph.initializer
    }
    return max(zeros[n.input[2]] for n in model.graph.node if n.op_type == "QuantizeLinear")


def test_a_budget_takes_8_bits_only_where_16_fit_at_no_pruning(rhythm_file, monkeypatch):
    calibration_set = from_metadata(load_graph(rhythm_file), count=4)
    settings, limits = Settings(per_cycle=False), Limits("patch_sm", 1.0, None)

    def small_memory(model, board):  # a board whose memory holds 8-bit activations only
        return dataclasses.replace(predict(model, board), fits=widest_activation(model) == 8)

    monkeypatch.setattr("quantize.budget.predict", small_memory)
    way, rows = choose(calibration_set, settings, limits, Progress())
    assert (way.keep, way.activations) == (1.0, "8")
    assert [r.activations for r in rows] == ["16"] * (len(rows) - 1) + ["8"]
    assert rows[-2].keep < 0.5
    assert [r.fits for r in rows] == [False] * (len(rows) - 1) + [True]
    with pytest.raises(Refusal, match="more memory"):
        choose(calibration_set, settings, limits, Progress(), ["16"])


@pytest.mark.parametrize("bits", ["16", "8"])
def test_a_model_from_elsewhere_is_quantized_by_onnxruntime(foreign, capsys, bits):
    out = foreign / "out.int8.onnx"
    examples = str(foreign / "examples")
    arguments = [
        "quantize",
        "--ptq",
        str(foreign / "foreign.onnx"),
        "--calibration",
        examples,
        "-o",
        str(out),
    ]
    assert vaectrol.main([*arguments, "--activations", bits, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["snr_db"] > (25 if bits == "16" else 10)
    assert any(n.op_type == "QuantizeLinear" for n in onnx.load(str(out)).graph.node)
    check_page((foreign / "out.int8.onnx.report" / "report.html").read_text())


def test_weights_that_lie_beside_the_file_are_counted(foreign, tmp_path, capsys):
    model = onnx.load(str(foreign / "foreign.onnx"))
    path = tmp_path / "apart.onnx"
    onnx.save(model, str(path), save_as_external_data=True, size_threshold=0, location="apart.data")
    arguments = [
        "--ptq",
        str(path),
        "--calibration",
        str(foreign / "examples"),
        "-o",
        str(tmp_path / "o.onnx"),
    ]
    assert vaectrol.main(["quantize", *arguments, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["float_bytes"] >= 4 * figures["parameters"]


def test_bad_input_is_one_sentence(foreign, rhythm_file, tmp_path, capsys):
    model, out = str(foreign / "foreign.onnx"), str(tmp_path / "o.onnx")
    assert "give a run folder" in refused(capsys, "quantize", "-o", out)
    assert "needs --calibration" in refused(capsys, "quantize", "--ptq", model, "-o", out)
    assert "no model file" in refused(capsys, "quantize", str(tmp_path / "none.onnx"), "-o", out)
    assert "is not a run" in refused(capsys, "quantize", str(tmp_path), "-o", out)
    assert "--calibration" in refused(capsys, "quantize", model, "-o", out)
    assert "none of" in refused(capsys, "quantize", str(rhythm_file), "--ranges", "guess", "-o", out)
    told = refused(capsys, "quantize", str(rhythm_file), "--board", "patch_sm", "--cpu", "400%", "-o", out)
    assert "no share" in told
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "o.onnx")
    told = refused(
        capsys, "quantize", "--ptq", model, "--calibration", str(foreign / "examples"), "-o", nowhere
    )
    assert "is a file, so there can be no" in told
    assert "no model file" in refused(capsys, "export", str(tmp_path / "none.onnx"))


def test_recordings_of_another_rate_are_refused(tmp_path, capsys):
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info
    weight = numpy_helper.from_array(np.ones((4, 1, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[2, 0])],
        "g",
        [value("x", TensorProto.FLOAT, [1, 1, "t"])],
        [value("y", TensorProto.FLOAT, [1, 4, "t"])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.save(model, str(tmp_path / "m.onnx"))
    (tmp_path / "wav").mkdir()
    soundfile.write(str(tmp_path / "wav" / "a.wav"), np.zeros(4096), 44_100)
    told = refused(
        capsys,
        "quantize",
        "--ptq",
        str(tmp_path / "m.onnx"),
        "--calibration",
        str(tmp_path / "wav"),
        "-o",
        str(tmp_path / "o.onnx"),
    )
    assert "44100 Hz" in told
    assert "48000 Hz" in told


@pytest.mark.parametrize(("text", "value"), [("40%", 0.4), ("0.4", 0.4), (" 100% ", 1.0)])
def test_shares_are_read(text, value):
    assert parse_share(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"), [("400K", 409_600), ("2M", 2_097_152), ("512", 512), ("1.5kB", 1536)]
)
def test_sizes_are_read(text, value):
    assert parse_bytes(text) == value
