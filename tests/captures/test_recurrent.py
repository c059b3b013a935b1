"""Recurrent captures in integers: the whole way from a file, equal to the bit, near the float capture."""

from functools import cache

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from captures.instrument import instrument_text
from captures.read import model_of, read_capture
from firmware.compiler.binding import load_host
from firmware.compiler.judge import reference
from firmware.compiler.pipeline import compile_onnx
from firmware.play.render import play
from quantize.formats.qdq import read_qdq, to_qdq
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import make_plan
from tests.captures import made
from tests.captures.test_import import noise, written
from tests.firmware.test_port_web import Case, check_in_node, needs_node

FILES = {
    "two LSTMs": (made.NAM["LSTM"], "a.nam"),
    "LSTM": (made.PROTEUS["LSTM"], "b.json"),
    "GRU": (made.RTNEURAL["GRU"], "c.json"),
    "LSTM behind gains": (made.RTNEURAL["LSTM"], "d.json"),
    "GRU that resets before": (made.RTNEURAL["GRU"], "e.json"),
}
BEFORE = "GRU that resets before"
"""ONNX's linear_before_reset = 0, which no capture format has: the GRU's weights read so."""
EXACT = ("two LSTMs", "LSTM", "GRU", BEFORE)
"""Without arithmetic in float, of which the judge's is wider than the targets'."""
BLOCK = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recurrent")


@cache
def quantized(name, folder):
    """The float file, the quantized network and its file."""
    document, file = FILES[name]
    path = written(folder, document, file)
    float_file = path.with_suffix(".onnx")
    model = model_of(read_capture(path), "capture")
    for node in model.graph.node if name == BEFORE else ():
        for attribute in node.attribute:
            if attribute.name == "linear_before_reset":
                attribute.i = 0
    onnx.save(model, str(float_file))
    graph = load_graph(float_file)
    plan = make_plan(graph)
    feeds = [{"audio_in": np.float32(noise(1500, seed))[None]} for seed in (1, 2)]
    network = QuantizedNetwork(
        plan, scales_from(plan, observe(Network(graph), activation_tensors(plan), feeds))
    )
    out = path.with_suffix(".int8.onnx")
    onnx.save(to_qdq(network.to_quantized()), str(out))
    return float_file, network, out


def answer(file, x):
    """What onnxruntime says."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, {"audio_in": np.float32(x)[None]})[0][0]


def esr(got, wanted):
    return np.sum((got - wanted) ** 2) / np.sum(wanted**2)


@pytest.mark.parametrize("name", FILES)
def test_nothing_but_the_edges_is_left_in_float(name, folder):
    program = compile_onnx(quantized(name, folder)[2], block=BLOCK)
    floats = [n.op for n in program.graph.nodes if any(not program.graph.tensors[o].quant for o in n.outputs)]
    assert set(floats) <= {"Input", "Output", "Dequantize", "Affine", "Add"}
    layers = [n for n in program.graph.nodes if n.op in ("LSTM", "GRU")]
    assert len(layers) == (2 if name == "two LSTMs" else 1)
    assert all(n.attrs.integers is not None for n in layers)


@pytest.mark.parametrize("name", EXACT)
def test_quantizer_judge_and_c_agree_to_the_bit_for_any_blocks(name, folder):
    import torch

    _, network, file = quantized(name, folder)
    program = compile_onnx(file, block=BLOCK)
    x = np.float32(noise(900, seed=9))
    wanted = np.float32(reference.run(program.graph, {"audio_in": x})["audio"])
    again = read_qdq(onnx.load(str(file)))
    for found in (network, QuantizedNetwork(again.plan, again.scales)):
        names = [t for t in found.plan.scale_class if t not in found.graph.constants]
        values = found.integers({"audio_in": torch.from_numpy(x[None])}, names[:1])
        assert values[names[0]].any()
        with torch.no_grad():
            tuned = found({"audio_in": torch.from_numpy(x[None])})["audio"][0].numpy()
        np.testing.assert_array_equal(np.float32(tuned), wanted)
    host, at, parts = load_host(program), 0, []
    random = np.random.default_rng(5)
    while at < x.shape[1]:
        count = min(int(random.integers(1, 3 * BLOCK)), x.shape[1] - at)
        parts.append(host.process({"audio_in": x[:, at : at + count]}, count)["audio"])
        at += count
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), wanted)


@pytest.mark.parametrize("name", FILES)
def test_integers_are_near_the_capture_and_near_onnxruntime_on_the_file(name, folder):
    float_file, _, file = quantized(name, folder)
    x = noise(1500, seed=11)
    program = compile_onnx(file, block=BLOCK)
    got = reference.run(program.graph, {"audio_in": np.float32(x)})["audio"]
    assert esr(got, answer(float_file, x)) < 1e-4
    # the file's own weights in float: what is left are roundings of states and functions
    assert esr(got, answer(file, x)) < 1e-6


@pytest.mark.parametrize("name", ["two LSTMs", "GRU", BEFORE])
def test_the_emulated_module_plays_the_same(name, folder):
    from bench.predict import predict_model
    from hardware.board import load_board

    found = predict_model(quantized(name, folder)[2], load_board("patch_sm"), callbacks=12)
    assert found["bit_exact"]["compared"] > 0 and found["bit_exact"]["differing"] == 0


@needs_node
def test_a_page_plays_a_recurrent_capture_as_the_host_does(folder, tmp_path):
    document, file = FILES["two LSTMs"]
    model = quantized("two LSTMs", folder)[2]
    (folder / "page.toml").write_text(
        instrument_text(read_capture(written(folder, document, file)), model.name.removesuffix(".int8.onnx"))
    )
    (folder / "still.csv").write_text("time,knob_1\n0,0.7\n")
    sounds, seconds = {"audio_in_1": np.float32(noise(4800, seed=4))[0]}, 0.1
    script = folder / "still.csv"
    played = play(
        folder / "page.toml", board="patch_sm", script=script, sounds=sounds, seconds=seconds, block=48
    )
    assert np.ptp(played.rendered.audio) > 0
    check_in_node(folder / "page.toml", Case("page", 48, sounds, script, played.rendered), tmp_path)


def lstm_by_hand(weights, x_integers):
    """An LSTM in Python's own integers, from the definition; tables by the definition too."""
    w, r, b, fraction = weights

    def on_line(p, function, bits, one):
        p = max(-(512 << bits), min((512 << bits) - 1, p))
        cell, width = p >> bits, 2.0 ** (bits - 24)
        points = [function((cell + k / 64) * width) for k in range(65)]
        rise = points[-1] - points[0]
        off = [y - points[0] - rise * k / 64 for k, y in enumerate(points)]
        value = points[0] + (max(off) + min(off)) / 2 + (rise if cell % 2 else 0.0)
        knot = (cell + cell % 2) << bits
        slope = round(2 * rise * one)
        return round(value * one) + (slope * ((p - knot) << (31 - bits)) >> 32)

    def sigmoid(p):
        return on_line(p, lambda v: 1 / (1 + np.exp(-v)), 19, 2.0**31)

    def tanh(p):
        return on_line(p, np.tanh, 18, 2.0**24)

    hidden = len(r[0])
    h, c, made_ = [0] * hidden, [0] * hidden, []
    for sample in x_integers:
        p = [
            (b[k] + sum(a * v for a, v in zip(w[k] + r[k], sample + h, strict=True))) >> (fraction - 24)
            for k in range(4 * hidden)
        ]
        i, o, f, g = (p[k * hidden : (k + 1) * hidden] for k in range(4))
        for u in range(hidden):
            c[u] = 2 * ((sigmoid(f[u]) * c[u] >> 32) + (sigmoid(i[u]) * tanh(g[u]) >> 32))
        h = [max(-32768, min(32767, ((sigmoid(o[u]) * tanh(c[u]) >> 32) + 128) >> 8)) for u in range(hidden)]
        made_.append(h)
    return np.array(made_)


def test_an_lstm_written_anew_from_the_file_gives_the_same_integers(folder):
    import torch

    _, network, file = quantized("LSTM", folder)
    model = onnx.load(str(file))
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    (node,) = [n for n in model.graph.node if n.op_type == "LSTM"]
    made_by = {n.output[0]: n for n in model.graph.node}
    scales, integers = [], []
    for name in node.input[1:3]:
        whole, scale, zero = (values[n] for n in made_by[name].input)
        assert whole.dtype == np.int16 and not zero.any()
        integers.append([[int(v) for v in row] for row in whole[0]])
        scales.append(float(scale[0]))
    x_scale = float(values[made_by[node.input[0]].input[1]])
    fraction = int(15 - np.log2(scales[1]))
    assert scales[1] == 2.0 ** (15 - fraction) and np.isclose(scales[0] * x_scale, 2.0**-fraction, rtol=1e-6)
    both = np.float64(values[node.input[3]][0])
    bias = [int(np.floor(v * 2.0**fraction + 0.5)) for v in both[: len(both) // 2] + both[len(both) // 2 :]]
    x = np.float32(noise(200, seed=12))
    source = made_by[made_by[node.input[0]].input[0]].input[0].removesuffix("/float")
    feed = {"audio_in": torch.from_numpy(x[None])}
    entering = network.integers(feed, [source])[source][:, 0].tolist()
    found = network.integers(feed, [node.output[0].removesuffix("/float")])
    wanted = lstm_by_hand((*integers, bias, fraction), entering)
    np.testing.assert_array_equal(next(iter(found.values()))[:, 0, 0], wanted)


def test_what_has_no_integers_says_why(folder):
    graph = load_graph(quantized("GRU", folder)[0])
    (node,) = [n for n in graph.nodes if n.op == "GRU"]
    place = graph.nodes.index(node)
    assert "16 bits" in make_plan(graph, 8).left[place]
    graph.constants[node.inputs[2]] = 500 * graph.constants[node.inputs[2]]
    assert "128" in make_plan(graph).left[place]
