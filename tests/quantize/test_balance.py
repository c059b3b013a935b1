"""Inputs of unequal weight: the same function, and less noise from the same eight bits."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run as judge
from firmware.compiler.pipeline import compile_onnx, optimise
from firmware.compiler.read.load import load
from quantize.data.examples import run, tensors
from quantize.data.quality import snr_db
from quantize.formats.qdq import to_qdq
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.runtime import run_onnx
from quantize.integers.balance import balance_entries
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import make_plan


def unequal(seed: int, spread: float):
    """Two inputs, one of them large with small weights, joined in front of a convolution."""
    random = np.random.default_rng(seed)
    weight = random.standard_normal((8, 6, 1)).astype(np.float32)
    weight[:, :3] /= np.float32(spread)
    constants = {"w": weight, "b": random.standard_normal(8).astype(np.float32)}
    nodes = [
        helper.make_node("Concat", ["z", "time"], ["joined"], axis=1),
        helper.make_node("Conv", ["joined", "w", "b"], ["hidden"]),
        helper.make_node("LeakyRelu", ["hidden"], ["y"], alpha=0.25),
    ]
    graph = helper.make_graph(
        nodes,
        "unequal",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, "T"]) for n in ("z", "time")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, "T"])],
        [onnx.numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    feed = {
        "z": (spread * random.standard_normal((1, 3, 400))).astype(np.float32),
        "time": random.standard_normal((1, 3, 400)).astype(np.float32),
    }
    return load_graph(model), feed


def integers(graph, feed):
    """The rounded network of a graph, nothing refined."""
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [feed])
    return QuantizedNetwork(plan, scales_from(plan, seen))


def balanced(graph, feed):
    return balance_entries(graph, observe(Network(graph), activation_tensors(make_plan(graph)), [feed]))


@given(st.integers(0, 1000), st.floats(4.0, 60.0))
def test_balanced_inputs_give_the_same_function_and_less_noise(seed, spread):
    graph, feed = unequal(seed, spread)
    eased = balanced(graph, feed)
    assert [n.op for n in eased.nodes] == ["Concat", "Mul", "Conv", "LeakyRelu"]
    wanted = run(Network(graph), feed)["y"]
    np.testing.assert_allclose(run(Network(eased), feed)["y"], wanted, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(run_onnx(eased.to_model(), feed)[0], wanted, atol=1e-4 * np.abs(wanted).max())
    before, after = (snr_db(wanted, run(integers(g, feed), feed)["y"]) for g in (graph, eased))
    assert after > before + 1.0


def test_equal_inputs_are_left_alone():
    graph, feed = unequal(3, 1.0)
    assert balanced(graph, feed) is graph


@pytest.mark.parametrize("which", ["stream_file", "rhythm_file", "drive_file"])
def test_only_layers_that_read_inputs_are_balanced(which, request):
    from quantize.data.feeds import FeedMaker

    graph = load_graph(request.getfixturevalue(which))
    noise = 0.1 * np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    feed = FeedMaker(graph, [noise]).make(0.1, 2)
    for node in graph.nodes:  # as after a training that liked the first input best
        if node.op == "Conv" and graph.constants[node.inputs[1]].shape[1] > 1:
            weight = graph.constants[node.inputs[1]].copy()
            weight[:, 0] *= 30.0
            graph.constants[node.inputs[1]] = weight
    eased = balanced(graph, feed)
    assert len(eased.nodes) == len(graph.nodes) + 1
    wanted = run(Network(graph), feed)
    for name, value in run(Network(eased), feed).items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-4 * np.abs(wanted[name]).max())


@given(st.integers(0, 1000))
@settings(max_examples=8)
def test_balanced_integers_are_those_of_the_judge_and_of_the_compiled_c(seed):
    graph, feed = unequal(seed, 10.0)
    network = integers(balanced(graph, feed), feed)
    wanted = network.integers(tensors(feed), ["y"])["y"][0]
    model, scale = to_qdq(network.to_quantized()), network.scale("y").item()
    assert any(n.op_type == "Mul" for n in model.graph.node)
    judged = judge(optimise(load(model)), feed)["y"]
    np.testing.assert_array_equal(np.rint(judged / scale).astype(np.int64), wanted)
    program = load_host(compile_onnx(model, "host"))
    program.reset()
    streamed = program.process({n: v[0] for n, v in feed.items()})["y"]
    whole = np.rint(np.asarray(streamed, np.float64) / scale).astype(np.int64)
    np.testing.assert_array_equal(whole, wanted[:, : whole.shape[1]])
