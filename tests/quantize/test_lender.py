"""A second model takes the first one's scales: number by number they mean the same, and can be blended."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import vaectrol
from common.refusal import Refusal
from firmware.build import generate
from firmware.instruments.spec import INSTRUMENTS_DIR
from firmware.ports.simulated.link import link
from firmware.slots import module
from firmware.slots.make import make_slot_file
from quantize.data.calibration_set import CalibrationSet, from_metadata, from_pool
from quantize.data.lender import check_shape, read_lender
from quantize.data.quality import snr_db
from quantize.data.tune import Effort
from quantize.formats.qdq import read_qdq
from quantize.graph.graph import Graph
from quantize.graph.layers import layers
from quantize.graph.load import load_graph
from quantize.graph.runtime import run_onnx
from quantize.procedure import Settings, run_procedure
from tests.firmware.test_slots import Module, blank
from tests.quantize.random_graphs import random_feed, random_graph, random_model

VOICE = Path(__file__).resolve().parents[2] / "firmware" / "models" / "voice.int8.onnx"


def trained_on(graph: Graph, by: float = 0.08) -> Graph:
    """Return a float model whose weights went on a little from those of another."""
    rng = np.random.default_rng(4)
    child = graph.copy()
    for _, node, _ in layers(child):
        if node.inputs[1] in child.constants:
            weight = child.constants[node.inputs[1]]
            moved = weight * (1.0 + by * rng.standard_normal(weight.shape))
            child.constants[node.inputs[1]] = moved.astype(np.float32)
    return child


def data_of(graph: Graph) -> CalibrationSet:
    """Return examples of what a model reads: few, so that a test is short."""
    if graph.about.inputs:
        return from_metadata(graph, 0, count=3, batch=1)
    return from_pool(graph, [random_feed(k) for k in range(4)], "random feeds")


def quantized(
    graph: Graph,
    out: Path,
    lender: Path | None = None,
    steps: int = 0,
    prune: float = 0.0,
    refines: bool = True,
) -> list[str]:
    """Quantize into a file, and return the report's notes."""
    settings = Settings(keep=1.0 - prune, adapt=refines, correct=refines, effort=Effort(steps=steps))
    lent = None if lender is None else read_lender(lender)
    made = run_procedure(data_of(graph), settings, lender=lent)
    out.write_bytes(made.model.SerializeToString())
    return made.notes


def scales(path: Path) -> dict[str, bytes]:
    tensors = onnx.load(str(path)).graph.initializer
    return {t.name: numpy_helper.to_array(t).tobytes() for t in tensors if t.name.endswith("scale")}


@pytest.mark.parametrize("seed", [1, 3, 6])
def test_a_second_model_has_the_scales_of_the_first_and_the_report_says_the_price(seed, tmp_path):
    """Every scale to the bit, also after tuning; the noise is what onnxruntime makes of the file."""
    first = random_graph(seed)
    second = trained_on(first)
    lender, own, out, tuned = (tmp_path / f"{name}.int8.onnx" for name in ("first", "own", "second", "tuned"))
    quantized(first, lender)
    quantized(second, own)
    (note,) = [one for one in quantized(second, out, lender) if "first.int8.onnx" in one]
    assert scales(out) == scales(lender) != scales(own)
    found = re.search(r"([\d.]+) dB of signal to noise, with its own ([\d.]+) dB.* cost (-?[\d.]+) dB", note)
    assert found is not None
    tests = data_of(second).test

    def by_onnxruntime(path: Path) -> float:
        names = [value.name for value in onnx.load(str(path)).graph.output]
        made = [dict(zip(names, run_onnx(path, one.feed), strict=True)) for one in tests]
        pairs = zip(tests, made, strict=True)
        return float(np.mean([snr_db(w, m[n]) for one, m in pairs for n, w in one.taught.items()]))

    said = [float(group) for group in found.groups()]
    assert said[0] == pytest.approx(by_onnxruntime(out), abs=0.3)
    assert said[1] == pytest.approx(by_onnxruntime(own), abs=0.3)
    assert said[2] == pytest.approx(said[1] - said[0], abs=0.11)
    quantized(second, tuned, lender, steps=20)
    assert scales(tuned) == scales(lender)
    assert tuned.read_bytes() != out.read_bytes()


def test_another_shape_is_refused_with_the_numbers(tmp_path, capsys):
    source, strange = tmp_path / "float.onnx", tmp_path / "strange.onnx"
    onnx.save(random_model(3), str(source))
    onnx.save(random_model(1), str(strange))
    (tmp_path / "examples").mkdir()
    for k in range(4):
        np.savez(tmp_path / "examples" / f"{k}.npz", **random_feed(k))
    lender, pruned = tmp_path / "a.int8.onnx", tmp_path / "pruned.int8.onnx"
    quantized(load_graph(source), lender)
    quantized(load_graph(source), pruned, prune=0.3)
    out = tmp_path / "b.int8.onnx"

    def why(model: Path, *words: object) -> str:
        given = ["quantize", model, "-o", out, "--calibration", tmp_path / "examples", "--json"]
        assert vaectrol.main([*map(str, [*given, "--steps", 0, "--scales-of", *words])]) == 2
        assert not out.exists() and not out.with_name("b.int8.onnx.report").exists()
        return capsys.readouterr().err.strip().splitlines()[-1]

    said = why(strange, lender)
    assert re.search(
        r"a.int8.onnx has another shape: (\d+ operators, and this model has|its operator) \d+", said
    )
    said = why(source, pruned)
    assert re.search(r"d.int8.onnx has another shape: \w+ \S+ has weights of [\d×]+ there and [\d×]+ h", said)
    assert "not quantized" in why(source, source)
    assert "cannot read" in why(source, Path(__file__))
    for option in (("--prune", 0.3), ("--board", "patch_sm"), ("--activations", "8"), ("--equalise",)):
        assert f"leave out {option[0]}." in why(source, lender, *option)
    graph = load_graph(source)
    graph.nodes[-1].op = "Tanh"
    with pytest.raises(Refusal, match=r"its operator \d+ is \w+, this model's is Tanh"):
        check_shape(graph, read_lender(lender))


def test_two_models_blend_on_a_module_when_one_borrowed_the_scales(tmp_path):
    """The voice goes on learning: with scales of its own no blend is safe; with the borrowed ones it is.

    The factory voice has products at an entry, which are borrowed too.
    """
    parent = read_qdq(onnx.load(str(VOICE))).plan.graph
    assert any(name.endswith("_balance/dequantized") for name in parent.constants)
    for node in parent.nodes:  # tensors are called as in the file that it was quantized from
        node.inputs = [name.removesuffix("/float") for name in node.inputs]
        node.outputs = [name.removesuffix("/float") for name in node.outputs]
    child = trained_on(load_graph(parent.to_model()), 0.05)
    own, lent = tmp_path / "own.int8.onnx", tmp_path / "lent.int8.onnx"
    quantized(child, own, refines=False)
    quantized(child, lent, VOICE, refines=False)
    file = tmp_path / "voice.toml"
    text = (INSTRUMENTS_DIR / "voice.toml").read_text()
    file.write_text("morph = true\n" + text[: text.index("[demo]")] + text[text.index("[models]") :])
    made = generate(file, "patch_sm", tmp_path / "melts", models={"voice": VOICE}, target="host")
    played = Module(link(made, tmp_path / "melts"), blank())
    hello, slots = played.hello(), module.slots_of(played)

    def blend(slot: int, model: Path) -> None:
        module.send(played, slot, make_slot_file({"voice": model}, file, hello, slots))
        module.morph(played, slot)

    with pytest.raises(Refusal, match=r"another shape|scales differ"):
        blend(1, own)
    blend(2, lent)
    assert module.slots_of(played).pair == 2
