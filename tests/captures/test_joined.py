"""A capture in integers: quantizer, judge, C and module agree to the bit, however blocks are cut."""

from functools import cache

import numpy as np
import onnx
import pytest

from captures.read import model_of, read_capture
from firmware.compiler.binding import load_host
from firmware.compiler.judge import reference
from firmware.compiler.pipeline import compile_onnx
from quantize.formats.qdq import to_qdq
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import make_plan
from tests.captures import made, nam_reference
from tests.captures.test_import import CLOSE, far, noise, played, written

LONG = made.wavenet(
    made.array(1, 8, 3, [1, 60, 2]), made.array(8, 3, 1, [100, 1, 33], head_bias=True), seed=4
)
WIDE = made.wavenet(made.array(1, 12, 8, [1, 40, 2, 1, 5, 3, 2]), made.array(12, 8, 1, [3, 1]), seed=6)
FAR = made.wavenet(made.array(1, 16, 1, [1, 1500, 2]), seed=7)  # more history than fast memory holds
SHAPES = {"long dilations": LONG, "wide head": WIDE, "A1": made.NAM["A1"], "A2": made.NAM["A2"]}
BLOCK = 16


@cache
def quantized(name, folder):
    """The float file, the quantized network and its file."""
    path = written(folder, FAR if name == "far" else SHAPES[name], f"{name.replace(' ', '_')}.nam")
    model = model_of(read_capture(path), "capture")
    float_file = path.with_suffix(".onnx")
    onnx.save(model, str(float_file))
    graph = load_graph(float_file)
    plan = make_plan(graph)
    feeds = [{"audio_in": np.float32(noise(1500, seed))[None]} for seed in (1, 2)]
    network = QuantizedNetwork(
        plan, scales_from(plan, observe(Network(graph), activation_tensors(plan), feeds))
    )
    out = path.with_suffix(".int8.onnx")
    onnx.save(to_qdq(network.to_quantized()), str(out))
    return path, network, out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("captures")


@pytest.mark.parametrize("name", SHAPES)
def test_layer_and_mix_and_residual_are_one_sum_each(name, folder):
    program = compile_onnx(quantized(name, folder)[2], block=BLOCK)
    ops = [node.op for node in program.graph.nodes]
    layers = sum(len(array["dilations"]) for array in SHAPES[name]["config"]["layers"])
    assert ops.count("Joined") >= 2 * layers - 1
    assert "Tanh" not in ops  # it is looked up in the store


def test_a_wide_head_reads_means_of_what_layers_give_it(folder):
    """Of seven signals one of four, one of two and the last; the sums are those of the format."""
    path, _, file = quantized("wide head", folder)

    def means(model):
        layers = compile_onnx(model, "m7", "patch_sm", block=BLOCK).report["layers"]
        return [layer["kernel"] for layer in layers].count("mean_s16")

    assert means(file) == 4
    assert means(quantized("A1", folder)[2]) == 0
    x = noise(600, seed=8)
    assert far(played(path, x), nam_reference.answer(WIDE, x)) < CLOSE


@pytest.mark.parametrize("name", SHAPES)
def test_quantizer_judge_and_c_agree_to_the_bit_for_any_blocks(name, folder):
    _, network, file = quantized(name, folder)
    program = compile_onnx(file, block=BLOCK)
    x = np.float32(noise(900, seed=9))
    wanted = reference.run(program.graph, {"audio_in": x})["audio"]
    import torch

    with torch.no_grad():
        tuned = network({"audio_in": torch.from_numpy(x[None])})["audio"][0].numpy()
    np.testing.assert_array_equal(np.float32(tuned), np.float32(wanted))
    host, at, parts = load_host(program), 0, []
    random = np.random.default_rng(5)
    while at < x.shape[1]:
        count = min(int(random.integers(1, 3 * BLOCK)), x.shape[1] - at)
        parts.append(host.process({"audio_in": x[:, at : at + count]}, count)["audio"])
        at += count
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), np.float32(wanted))


def test_long_histories_go_round_and_short_ones_slide(folder):
    program = compile_onnx(quantized("long dilations", folder)[2], block=BLOCK)
    rings = program.plan.rings.values()
    assert any(ring.mirrored == BLOCK and ring.keep > BLOCK for ring in rings)
    assert all(ring.mirrored or ring.keep <= BLOCK for ring in rings)


@pytest.mark.parametrize("name", ["long dilations", "wide head", "A2"])
def test_the_emulated_module_plays_the_same_and_no_callback_is_late(name, folder):
    from bench.predict import predict_model
    from hardware.board import load_board

    found = predict_model(quantized(name, folder)[2], load_board("patch_sm"), callbacks=24)
    assert found["bit_exact"]["compared"] > 0 and found["bit_exact"]["differing"] == 0
    assert found["cpu"]["worst_over_mean"] < 1.1


def test_what_passes_within_a_chunk_lies_on_the_stack_where_the_state_waits_for_a_cache(folder):
    from bench.predict import predict_model
    from firmware.compiler.plan.footprint import footprint
    from hardware.board import load_board

    program = compile_onnx(quantized("far", folder)[2], "m7", "patch_sm")
    placed = {t["name"]: t for t in program.report["tensors"]}
    assert placed["state"]["region"] == "axi" and placed["stack"]["region"] == "dtcm"
    taken = footprint(program.name, program.header, program.source).stack_bytes
    assert placed["stack"]["bytes"] < taken < placed["stack"]["bytes"] + 1024
    near = compile_onnx(quantized("A1", folder)[2], "m7", "patch_sm").report["tensors"]
    assert "stack" not in {tensor["name"] for tensor in near}
    found = predict_model(quantized("far", folder)[2], load_board("patch_sm"), callbacks=4)
    assert found["bit_exact"]["compared"] > 0 and found["bit_exact"]["differing"] == 0


def test_eight_bits_are_near_the_capture(folder):
    path, _, file = quantized("A1", folder)
    x = noise(2000, seed=11)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    got, wanted = session.run(None, {"audio_in": np.float32(x)[None]})[0][0], played(path, x)
    assert np.sum((got - wanted) ** 2) / np.sum(wanted**2) < 1e-3


def test_of_other_kinds_nothing_is_joined(folder):
    graph = load_graph(quantized("A1", folder)[0].with_suffix(".onnx"))
    assert make_plan(graph).joins
    assert not make_plan(graph, 8).joins
    for entry in graph.source.metadata_props:
        if entry.key == "vaectrol.kind":
            entry.value = '"drive"'
    other = load_graph_of(graph.source, folder)
    assert not make_plan(other).joins


def load_graph_of(model, folder):
    onnx.save(model, str(folder / "other.onnx"))
    return load_graph(folder / "other.onnx")
