"""An integer operator is one file in the compiler and one record here: the templates add one."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from common.refusal import Refusal
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run as judge
from firmware.compiler.ops.activation import FUNCTIONS
from firmware.compiler.ops.base import FAMILIES, READERS
from firmware.compiler.pipeline import compile_onnx, optimise
from firmware.compiler.read.load import load
from firmware.compiler.read.onnx_operators import OPERATORS
from quantize.cost import layer_cycles
from quantize.data.examples import tensors
from quantize.data.quality import snr_db
from quantize.formats.qdq import to_qdq
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.runtime import run_onnx
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import make_plan
from quantize.operators.record import RECORDS
from tests.prose import ROOT

LEAST_SNR_DB = {16: 60.0, 8: 25.0}  # of the integers against onnxruntime on the same QDQ file


def two_layers():
    """A convolution, a Softsign, a convolution."""
    random = np.random.default_rng(4)
    weights = [
        numpy_helper.from_array((0.5 * random.standard_normal(shape)).astype(np.float32), name)
        for name, shape in (("w1", (8, 2, 3)), ("b1", (8,)), ("w2", (3, 8, 1)), ("b2", (3,)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["first"], name="conv_1", pads=[2, 0], kernel_shape=[3]),
        helper.make_node("Softsign", ["first"], ["bent"], name="bend"),
        helper.make_node("Conv", ["bent", "w2", "b2"], ["y"], name="conv_2", kernel_shape=[1]),
    ]
    value = helper.make_tensor_value_info
    x, y = (value(n, TensorProto.FLOAT, [1, c, "frames"]) for n, c in (("x", 2), ("y", 3)))
    graph = helper.make_graph(nodes, "two_layers", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return model


@pytest.fixture
def templates():
    """Both templates as if their copies were in place; the registers are as before afterwards."""
    registers = (FAMILIES, READERS, FUNCTIONS, OPERATORS, RECORDS)
    before = [dict(register) for register in registers]
    for name in ("operator_compiler", "operator_quantize"):
        path = ROOT / "docs" / "templates" / f"{name}.py"
        found = importlib.util.spec_from_file_location(f"template_{name}", path)
        found.loader.exec_module(importlib.util.module_from_spec(found))
    yield
    for register, kept in zip(registers, before, strict=True):
        register.clear()
        register.update(kept)


def feed(seed, frames=64):
    random = np.random.default_rng(seed)
    return {"x": random.standard_normal((1, 2, frames)).astype(np.float32)}


@pytest.mark.parametrize("bits", [16, 8])
def test_an_operator_of_the_templates_is_the_same_in_torch_judge_and_c(templates, bits):
    graph = load_graph(two_layers())
    plan = make_plan(graph, bits)
    assert sorted(plan.integer) == [0, 1, 2]
    seen = observe(Network(graph), activation_tensors(plan), [feed(k) for k in range(3)])
    network = QuantizedNetwork(plan, scales_from(plan, seen))
    model, given = to_qdq(network.to_quantized()), feed(9)
    scale = network.scale("y").item()
    ours = network.integers(tensors(given), ["y"])["y"][0]
    judged = judge(optimise(load(model)), given)["y"]
    np.testing.assert_array_equal(np.rint(judged / scale).astype(np.int64), ours)
    compiled = load_host(compile_onnx(model, "host"))
    compiled.reset()
    streamed = np.asarray(compiled.process({"x": given["x"][0]})["y"], np.float64)
    np.testing.assert_array_equal(np.rint(streamed / scale).astype(np.int64), ours[:, : streamed.shape[1]])
    assert snr_db(run_onnx(model, given)[0][0], ours * scale) > LEAST_SNR_DB[bits]


def test_it_trains_and_it_is_priced(templates):
    graph = load_graph(two_layers())
    assert set(layer_cycles(graph, "patch_sm")) == {0, 2}
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [feed(0)])
    network = QuantizedNetwork(plan, scales_from(plan, seen))
    network(tensors(feed(1)))["y"].square().sum().backward()
    gradient = network.weights[network.index["w1"]].grad
    assert bool(torch.isfinite(gradient).all()) and bool((gradient != 0).any())


def test_without_a_float_kernel_float_is_refused_by_name(templates):
    with pytest.raises(Refusal, match=r"Softsign.*quantize the model first"):
        compile_onnx(two_layers(), "host")


def test_without_the_templates_it_is_refused():
    with pytest.raises(Refusal, match="Softsign"):
        load(two_layers())
    with pytest.raises(Refusal, match="Softsign"):
        Network(load_graph(two_layers()))(tensors(feed(0)))
