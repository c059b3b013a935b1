"""The torch network computes what onnxruntime computes, and folding changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.refusal import Refusal
from quantize.data.examples import run
from quantize.data.feeds import FeedMaker
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.runtime import run_onnx
from tests.quantize.random_graphs import random_feed, random_graph, random_model

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("seed", range(16))
def test_a_random_graph_gives_what_onnxruntime_gives(seed):
    feed = random_feed(seed)
    wanted = run_onnx(random_model(seed), feed)[0]
    made = run(Network(random_graph(seed)), feed)["y"]
    np.testing.assert_allclose(made, wanted, atol=2e-5 * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("which", ["stream_file", "rhythm_file"])
def test_domain_operators_give_what_their_bodies_give(which, request):
    path = request.getfixturevalue(which)
    graph = load_graph(path)
    feed = FeedMaker(graph).make(0.05, 1)
    wanted = run_onnx(path, feed)[0]
    made = next(iter(run(Network(graph), feed).values()))
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_a_batch_is_its_examples(stream_file):
    graph = load_graph(stream_file)
    feed = FeedMaker(graph).make(0.03, 3)
    together = run(Network(graph), feed)["audio"]
    for row in range(3):
        alone = run(Network(graph), {n: v[row : row + 1] for n, v in feed.items()})["audio"]
        np.testing.assert_allclose(together[row : row + 1], alone, atol=1e-6)


def _with_batchnorm(crop: bool) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(random.standard_normal(s).astype(np.float32), n)
        for n, s in (("w", (3, 6, 4)), ("b", (6,)), ("g", (6,)), ("be", (6,)), ("m", (6,)))
    ]
    constants.append(numpy_helper.from_array(random.uniform(0.5, 2, 6).astype(np.float32), "v"))
    constants += [
        numpy_helper.from_array(np.array([k], np.int64), n) for n, k in (("s", 0), ("e", -2), ("a", 2))
    ]
    nodes = [helper.make_node("ConvTranspose", ["x", "w", "b"], ["t"], strides=[2])]
    if crop:
        nodes.append(helper.make_node("Slice", ["t", "s", "e", "a"], ["u"]))
    nodes.append(helper.make_node("BatchNormalization", ["u" if crop else "t", "g", "be", "m", "v"], ["y"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "bn",
        [value("x", TensorProto.FLOAT, [1, 3, "t"])],
        [value("y", TensorProto.FLOAT, [1, 6, None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return model


@pytest.mark.parametrize("crop", [False, True])
def test_batchnorm_folds_into_the_layer_before_it(crop):
    model = _with_batchnorm(crop)
    graph = load_graph(model)
    assert "BatchNormalization" not in {n.op for n in graph.nodes}
    assert "Mul" not in {n.op for n in graph.nodes}
    feed = {"x": np.random.default_rng(1).standard_normal((1, 3, 9)).astype(np.float32)}
    np.testing.assert_allclose(run(Network(graph), feed)["y"], run_onnx(model, feed)[0], atol=1e-5)


def test_an_unknown_operator_is_named():
    nodes = [helper.make_node("Hardmax", ["x"], ["y"], name="odd")]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [1, 2, 3])], [value("y", TensorProto.FLOAT, [1, 2, 3])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    with pytest.raises(Refusal, match=r"odd.*Hardmax"):
        load_graph(model)


def test_a_damaged_file_is_one_sentence(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x09not a model")
    with pytest.raises(Refusal, match="not a valid ONNX model"):
        load_graph(path)


def test_the_factor_of_a_resize_and_the_bounds_of_a_clip_are_not_trained(drive_file):
    network = Network(load_graph(drive_file))
    fixed = {n for node in network.graph.nodes if node.op in ("Resize", "Clip") for n in node.inputs[1:] if n}
    assert fixed
    assert not fixed & set(network.index)
    assert any(name.endswith("weight") for name in network.index)
