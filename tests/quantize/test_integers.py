"""The torch integers are the integers of the judge and of the compiled C, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.compiler.binding import load_host
from firmware.compiler.judge import arithmetic, tables
from firmware.compiler.judge.reference import run as judge
from firmware.compiler.pipeline import compile_onnx, optimise
from firmware.compiler.read.load import load
from quantize.data.examples import run, tensors
from quantize.data.feeds import FeedMaker
from quantize.data.quality import snr_db
from quantize.formats.qdq import read_qdq, to_qdq
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.runtime import run_onnx
from quantize.integers import arithmetic as integer
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.mixed import width_groups
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import make_plan
from tests.quantize.quantized_files import every_operator
from tests.quantize.random_graphs import Builder, random_feed, random_graph


def quantized(graph, feeds, bits=16):
    plan = make_plan(graph, bits)
    seen = observe(Network(graph), activation_tensors(plan), feeds)
    return QuantizedNetwork(plan, scales_from(plan, seen))


def whole(network, feed, name):
    """Integers of an output."""
    return network.integers(tensors(feed), [name])[name]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), factor=st.floats(1e-6, 30.0), bits=st.sampled_from([8, 16]))
def test_requantization_is_the_judges(seed, factor, bits):
    random = np.random.default_rng(seed)
    acc = random.integers(-(2**24), 2**24, (2, 3, 50))
    factors = factor * random.uniform(0.1, 1.0, 3)
    low, high = arithmetic.LIMITS[f"int{bits}"]
    m = arithmetic.requantize_multiplier(factors, 0)
    wanted = arithmetic.requantize(acc, m.multiplier, m.shift, low, high, axis=1)
    made = integer.requantize(lambda dtype: torch.from_numpy(acc).to(dtype), torch.from_numpy(factors), bits)
    np.testing.assert_array_equal(made.numpy(), wanted)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    factors=st.tuples(st.floats(1e-4, 8.0), st.floats(-8.0, 8.0)),
    bits=st.sampled_from([8, 16]),
    slope=st.floats(0.0, 1.0),
    reach=st.sampled_from([2.0, 6.0, 60.0]),
)
def test_sums_slopes_and_tables_are_the_judges(seed, factors, bits, slope, reach):
    random = np.random.default_rng(seed)
    low, high = arithmetic.LIMITS[f"int{bits}"]
    a, b = random.integers(low, high + 1, (2, 400))
    ta, tb = torch.from_numpy(a).double(), torch.from_numpy(b).double()
    params = arithmetic.blend_multipliers(factors, (-low, -low))
    made = integer.blend(
        (ta, tb), tuple(torch.tensor(f, dtype=torch.float64) for f in factors), bits, (bits, bits)
    )
    np.testing.assert_array_equal(made.numpy(), arithmetic.blend((a, b), params, low, high))
    leaky = arithmetic.leaky(a, arithmetic.leaky_multipliers(np.array([slope]), 1.0, -low), low, high)
    np.testing.assert_array_equal(integer.leaky(ta, slope, bits).numpy(), leaky)
    scale = reach / high
    s_x, s_y = (torch.tensor(s, dtype=torch.float64) for s in (scale, 1.0 / high))
    looked = integer.table(ta, (np.tanh, torch.tanh), (s_x, s_y), (bits, bits))
    scales = (scale, 1.0 / high)
    if bits == 16:
        wanted = tables.look_up(a, tables.function_table(np.tanh, scales, (low, high), (low, high)))
    else:
        wanted = tables.look_up_int8(a, tables.table_int8(np.tanh, scales, (low, high)))
    np.testing.assert_array_equal(looked.numpy(), wanted)
    reals = random.standard_normal(400).astype(np.float32) * np.float32(high * scale)
    entered = integer.quantize(torch.from_numpy(reals), torch.tensor(np.float64(np.float32(scale))), bits)
    np.testing.assert_array_equal(entered.numpy(), arithmetic.quantize(reals, np.float32(scale), low, high))


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("seed", range(8))
def test_a_random_graph_in_torch_is_the_judge(seed, bits):
    graph = random_graph(seed)
    network = quantized(graph, [random_feed(seed + k) for k in range(2)], bits)
    feed = random_feed(seed + 100)
    reference = judge(optimise(load(to_qdq(network.to_quantized()))), feed)["y"]
    wanted = np.rint(reference / network.scale("y").item()).astype(np.int64)
    np.testing.assert_array_equal(whole(network, feed, "y")[0], wanted)


@pytest.mark.parametrize(("seed", "bits"), [(1, 16), (2, 8), (5, 16)])
def test_a_random_graph_in_torch_is_the_compiled_c(seed, bits):
    graph = random_graph(seed)
    network = quantized(graph, [random_feed(seed)], bits)
    feed = random_feed(seed + 50, frames=64)
    model = load_host(compile_onnx(to_qdq(network.to_quantized()), "host"))
    model.reset()
    streamed = model.process({n: v[0] for n, v in feed.items()})["y"]
    ours = whole(network, feed, "y")[0]
    made = np.rint(np.asarray(streamed, np.float64) / network.scale("y").item()).astype(np.int64)
    latency = ours.shape[1] - made.shape[1]
    assert latency >= 0
    np.testing.assert_array_equal(made, ours[:, : made.shape[1]])


def clipped_graph(low, high):
    """A layer of the drive: convolution, gain, leaky ReLU, clip, residual sum."""
    b = Builder(3)
    x = b.conv("x", 3, 8)
    y = b.node("Mul", [b.conv(x, 8, 8), b.conv("c", 4, 8)])[0]
    y = b.node("LeakyRelu", [y], alpha=0.25)[0]
    bounds = ["" if v is None else b.constant(np.float32(v)) for v in (low, high)]
    y = b.node("Clip", [y, *bounds])[0]
    b.nodes[-1].name = "bounded"
    b.conv(b.node("Add", [x, y])[0], 8, 3)
    b.nodes[-1].output[0] = "y"
    return load_graph(b.model("clipped"))


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize(
    ("low", "high"), [(-0.3, 0.7), (-1.0, 1.0), (0.0, 6.0), (None, 0.5), (-0.25, None), (0.1, 0.4)]
)
def test_a_clip_stays_in_integers_everywhere(low, high, bits):
    graph = clipped_graph(low, high)
    network = quantized(graph, [random_feed(k) for k in range(2)], bits)
    assert len(network.plan.integer) == len(graph.nodes)  # no float island
    feed = random_feed(9, frames=64)
    feed["x"] *= 3.0  # far beyond what calibration saw: everything must saturate alike
    model = to_qdq(network.to_quantized())
    names = [n.outputs[0] for n in graph.nodes if n.op == "Clip"] + ["y"]
    made = network.integers(tensors(feed), names)
    clipped = made[names[0]] * network.scale(names[0]).item()
    step = network.scale(names[0]).item() / 2
    assert low is None or clipped.min() == pytest.approx(low, abs=step)
    assert high is None or clipped.max() <= high + step
    compiled = optimise(load(model))
    assert not any(t.quant is None for t in compiled.tensors.values() if t.channels == 8)
    reference = judge(compiled, feed)["y"]
    scale = network.scale("y").item()
    np.testing.assert_array_equal(made["y"][0], np.rint(reference / scale).astype(np.int64))
    program = load_host(compile_onnx(model, "host"))
    program.reset()
    streamed = program.process({n: v[0] for n, v in feed.items()})["y"]
    np.testing.assert_array_equal(
        np.rint(np.asarray(streamed, np.float64) / scale).astype(np.int64),
        made["y"][0][:, : streamed.shape[1]],
    )
    read = read_qdq(model)
    assert read.plan.integer == network.plan.integer


def test_integers_before_a_clip_reach_only_as_far_as_it_matters():
    graph = clipped_graph(-0.5, 0.25)
    feed = random_feed(1)
    feed["x"] *= 50.0
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [feed])
    network = QuantizedNetwork(plan, scales_from(plan, seen))
    bounded = next(n.outputs[0] for n in graph.nodes if n.op == "Clip")
    # -0.5 is reached at -2 before the slope of a quarter
    assert network.scale(bounded).item() * 32767 == pytest.approx(2.0, rel=1e-4)
    made = network(tensors(feed), keep=[bounded])[bounded].detach().numpy()
    wanted = Network(graph)(tensors(feed), keep=[bounded])[bounded].detach().numpy()
    assert snr_db(wanted, made) > 30.0


def test_a_clip_whose_bounds_are_computed_stays_float():
    model = clipped_graph(-0.5, 0.5).to_model()
    node = next(n for n in model.graph.node if n.op_type == "Clip")
    node.input[1] = "c"
    graph = load_graph(model)
    plan = make_plan(graph)
    assert graph.nodes.index(next(n for n in graph.nodes if n.op == "Clip")) not in plan.integer


def test_the_rhythm_decoder_in_torch_is_the_compiled_c(rhythm_file):
    graph = load_graph(rhythm_file)
    maker = FeedMaker(graph)
    network = quantized(graph, [maker.make(0, 8) for _ in range(3)])
    feed = maker.make(0, 1)
    model = load_host(compile_onnx(to_qdq(network.to_quantized()), "host"))
    made = model.evaluate({n: v[0] for n, v in feed.items()})["pattern"]
    scale = network.scale("pattern").item()
    np.testing.assert_array_equal(
        np.rint(np.asarray(made, np.float64) / scale).astype(np.int64), whole(network, feed, "pattern")[0]
    )


@pytest.mark.parametrize("bits", [16, 8])
def test_the_drum_decoders_integers_are_the_judges(stream_file, bits):
    graph = load_graph(stream_file)
    maker = FeedMaker(graph)
    network = quantized(graph, [maker.make(0.05, 2) for _ in range(2)], bits)
    feed = maker.make(0.1, 1)
    model = to_qdq(network.to_quantized())
    wanted = judge(optimise(load(model)), feed)["audio"]
    made = network(tensors(feed))["audio"].detach().numpy()[0]
    # the float island after the integers is the only difference: float32 here, double there
    np.testing.assert_allclose(made, wanted, atol=5e-6 * float(np.abs(wanted).max()))


@pytest.mark.parametrize("bits", [16, 8])
def test_the_drive_has_no_float_inside_and_its_torch_integers_are_the_compiled_c(drive_file, bits):
    graph = load_graph(drive_file)
    maker = FeedMaker(graph, [np.sin(np.arange(48_000) * 0.05).astype(np.float32)])
    network = quantized(graph, [maker.make(0.05, 2) for _ in range(2)], bits)
    assert len(network.plan.integer) == len(graph.nodes)
    feed = maker.make(0.05, 1)
    model = load_host(compile_onnx(to_qdq(network.to_quantized()), "host"))
    model.reset()
    made = model.process({n: v[0] for n, v in feed.items()})["wet"]
    wanted = whole(network, feed, "wet")[0]
    scale = network.scale("wet").item()
    latency = wanted.shape[1] - made.shape[1]
    np.testing.assert_array_equal(
        np.rint(np.asarray(made, np.float64) / scale).astype(np.int64),
        wanted[:, : wanted.shape[1] - latency],
    )


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("seed", range(4))
def test_onnxruntime_accepts_the_file_and_is_near(seed, bits):
    graph = random_graph(seed)
    network = quantized(graph, [random_feed(seed + k) for k in range(2)], bits)
    feed = random_feed(seed + 9)
    theirs = run_onnx(to_qdq(network.to_quantized()), feed)[0]
    scale = network.scale("y").item()
    steps = np.abs(np.rint(theirs / scale) - whole(network, feed, "y"))
    # float against integers: ties and interpolated tables differ by a step, and steps add up over the layers
    assert np.median(steps) <= (4 if bits == 16 else 1)
    assert np.quantile(steps, 0.99) <= (40 if bits == 16 else 4)


@pytest.mark.parametrize("seed", range(6))
def test_a_file_reads_back_as_what_was_written(seed):
    network = quantized(random_graph(seed), [random_feed(seed)])
    written = to_qdq(network.to_quantized())
    read = read_qdq(written)
    assert read.plan.integer == network.plan.integer
    assert set(read.plan.fused) == set(network.plan.fused)
    feed = random_feed(seed)
    np.testing.assert_array_equal(run_onnx(to_qdq(read), feed)[0], run_onnx(written, feed)[0])


def test_mixed_widths_change_only_at_linear_layers_and_still_equal_the_judge():
    graph = random_graph(6, blocks=5)
    feeds = [random_feed(k) for k in range(2)]
    plan = make_plan(graph)
    for index, group in enumerate(width_groups(plan)):
        for root in group:
            plan.bits[root] = 8 if index % 2 else 16
    assert len(set(plan.bits.values())) == 2
    seen = observe(Network(graph), activation_tensors(plan), feeds)
    network = QuantizedNetwork(plan, scales_from(plan, seen))
    feed = random_feed(77)
    reference = judge(optimise(load(to_qdq(network.to_quantized()))), feed)["y"]
    wanted = np.rint(reference / network.scale("y").item()).astype(np.int64)
    np.testing.assert_array_equal(whole(network, feed, "y")[0], wanted)


@pytest.mark.parametrize("in_tflite", [True, False])
def test_every_operator_with_an_integer_form_runs_in_integers(in_tflite):
    graph = every_operator(in_tflite)
    random = np.random.default_rng(0)
    feed = {n: random.standard_normal(graph.fixed_shape(n)).astype(np.float32) for n in ("x", "c")}
    network = quantized(graph, [feed])
    assert snr_db(run(Network(graph), feed)["y"], run(network, feed)["y"]) > 30.0
