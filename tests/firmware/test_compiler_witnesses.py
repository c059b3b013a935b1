"""Outside witnesses: onnxruntime, ONNX's own node tests, torch's two exporters."""

from __future__ import annotations

import functools
import importlib
import logging
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.refusal import Refusal
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.ops import FAMILIES
from firmware.compiler.ops.conv import ConvAttributes
from firmware.compiler.passes.integerize import integerize
from firmware.compiler.passes.sink_dequantize import sink_dequantize
from firmware.compiler.pipeline import compile_onnx, optimise
from firmware.compiler.read.load import load, read
from firmware.compiler.read.values import ActValue, Frames, concrete, moved
from tests.firmware.compiler_graphs import quantized, random_graph, session

COMPUTING = (
    "Conv",
    "ConvTranspose",
    "Add",
    "Sub",
    "Mul",
    "Affine",
    "Leaky",
    "Clip",
    "Tanh",
    "Sigmoid",
    "Lerp",
)
MOVING = ("Shuffle", "Delay", "Concat")
# Modules of onnx.backend.test.case.node whose operators this compiler reads.
NODE_TEST_MODULES = (
    "conv",
    "convtranspose",
    "gemm",
    "matmul",
    "relu",
    "leakyrelu",
    "tanh",
    "sigmoid",
    "softplus",
    "exp",
    "clip",
    "concat",
    "gru",
    "add",
    "sub",
    "mul",
    "batch_normalization",
    "causal_conv_with_state",
    "prelu",
    "sin",
    "hardsigmoid",
    "identity",
    "neg",
)
PER_ITEM = (
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Relu",
    "LeakyRelu",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Exp",
    "Clip",
    "Add",
    "Sub",
    "Mul",
    "BatchNormalization",
    "PRelu",
    "Sin",
    "HardSigmoid",
    "Identity",
    "Neg",
    "CausalConvWithState",
)
"""Operators that treat the items of a batch alike, so that a batch can be fed item by item."""


def on_base(act: ActValue, array: np.ndarray) -> np.ndarray | None:
    """Numbers of a name of the file as the graph's tensor has them; None where its moves leave some out."""
    channels, time = act.base_shape[1:]
    assert isinstance(channels, int) and isinstance(time, Frames)
    if array.size % channels:
        return None
    unknown = Fraction(array.size // channels) / time.ratio
    index = np.arange(array.size).reshape(1, channels, -1)
    index = moved(index, act.chain, functools.partial(concrete, unknown=unknown))
    if index.size != array.size:
        return None
    base = np.empty(array.size, np.int64)
    base[index.reshape(-1)] = array.reshape(-1)
    return base.reshape(channels, -1)


def layers_beyond_one_lsb(seed: int, kind: str) -> tuple[int, int]:
    """Integer layers of a random QDQ graph against onnxruntime, each fed with onnxruntime's own inputs.

    What the graph merely moves is moved here too, so that the layers behind are compared as well.
    """
    _, builder = random_graph(seed, batch_norm=False)
    model = quantized(builder, kind)
    feeds = builder.feeds(5 * builder.unit)
    held = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    marks = {n.output[0]: (n.input[1], n.input[2]) for n in model.graph.node if n.op_type == "QuantizeLinear"}
    found = session(model, *marks).run(list(marks), feeds)
    reading = read(model)
    graph = reading.graph
    for rewrite in (sink_dequantize, integerize):
        graph = rewrite(graph)
    theirs: dict[str, np.ndarray] = {}
    for (name, (scale, zero)), value in zip(marks.items(), found, strict=True):
        act = reading.values[name]
        assert isinstance(act, ActValue)
        tensor = graph.tensors.get(act.base)
        if tensor is None or tensor.quant is None or tensor.quant.scale != float(held[scale]):
            continue
        integers = on_base(act, value.astype(np.int64) - int(held[zero]))
        if integers is not None:
            theirs[act.base] = integers
    beyond = count = 0
    for node in graph.nodes:
        (name,) = node.outputs
        if not theirs.keys() >= set(node.inputs) or node.op not in (*COMPUTING, *MOVING):
            continue
        result = FAMILIES[node.op].reference(node, graph, [theirs[n] for n in node.inputs])
        if node.op in MOVING:
            theirs.setdefault(name, result)
        elif name in theirs:
            truth = theirs[name]
            frames = min(result.shape[1], truth.shape[1])
            difference = np.abs(result[:, :frames] - truth[:, :frames])
            beyond += int(np.count_nonzero(difference > 1))
            count += difference.size
    return beyond, count


@pytest.mark.parametrize("kind", ["int16", "int8", "uint8"])
def test_integer_layers_agree_with_onnxruntime_within_one_lsb(kind):
    total = 0
    for seed in range(12):
        beyond, count = layers_beyond_one_lsb(seed, kind)
        assert beyond == 0, seed
        total += count
    assert total > 20_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int16", "int8", "uint8"])
def test_many_integer_layers_agree_with_onnxruntime(kind):
    results = [layers_beyond_one_lsb(seed, kind) for seed in range(2000, 2400)]
    assert sum(c for _, c in results) > 500_000
    assert sum(b for b, _ in results) == 0


# ---- ONNX's node tests


@functools.cache
def node_cases() -> dict[str, tuple]:
    """Node tests: name → (model, inputs, outputs)."""
    from onnx.backend.test.case import node

    for module in NODE_TEST_MODULES:
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    return {case.name: (case.model, *case.data_sets[0]) for case in node._NodeTestCases if case.data_sets}


def _is_network_input(name: str, index: int, op: str) -> bool:
    """Weights come as inputs in these tests; in a network they are constants."""
    return index == 0 or op in ("Add", "Sub", "Mul", "Concat")


def run_node_case(name: str) -> str:
    """Run one node test through the C code, item by item of its batch: "passed", or why it is outside."""
    model, inputs, outputs = node_cases()[name]
    model = onnx.ModelProto.FromString(model.SerializeToString())
    op = model.graph.node[0].op_type
    values = dict(zip([i.name for i in model.graph.input], (np.asarray(v) for v in inputs), strict=True))
    fed = {n: v for i, (n, v) in enumerate(values.items()) if _is_network_input(n, i, op)}
    del model.graph.output[1:]  # the present_state of a causal convolution is the stream's own affair
    if len(model.graph.node) > 1 or any(v.dtype != np.float32 for v in fed.values()):
        return "more than one float operator"
    if any(v.ndim not in (2, 3) for v in fed.values()) or len({v.shape for v in fed.values()}) != 1:
        return "not one-dimensional"
    batch = next(iter(fed.values())).shape[0]
    if batch > 1 and op not in PER_ITEM:
        return "a batch"
    keep = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, *v.shape[1:]]) for n, v in fed.items()]
    del model.graph.input[:]
    model.graph.input.extend(keep)
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in values.items() if n not in fed)
    try:
        program = compile_onnx(model, streaming=False)
    except Refusal as refusal:
        return str(refusal)
    compiled = load_host(program)
    output = model.graph.output[0].name
    for item in range(batch):
        got = compiled.evaluate({n: _channels_first(v[item]) for n, v in fed.items()})[output]
        expected = np.asarray(outputs[0])[item]
        np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5, err_msg=name)
    return "passed"


def _channels_first(item: np.ndarray) -> np.ndarray:
    """[features] or [channels, frames] as the binding takes it."""
    return item[:, None] if item.ndim == 1 else item


def test_onnx_node_tests_of_the_one_dimensional_subset_pass():
    outcomes = {name: run_node_case(name) for name in node_cases() if "gru" not in name}
    passed = [n for n, o in outcomes.items() if o == "passed"]
    assert len(passed) >= 30, {n: o for n, o in outcomes.items() if o != "passed"}
    assert "test_convtranspose_1d" in passed


def test_gru_node_tests_pass_item_by_item():
    """X is [frames, batch, inputs]; each item of the batch is a stream of its own, its last state is Y_h."""
    names = [n for n in node_cases() if n.startswith("test_gru")]
    assert len(names) >= 4
    for name in names:
        model, inputs, outputs = node_cases()[name]
        model = onnx.ModelProto.FromString(model.SerializeToString())
        if any(a.name == "direction" and a.s != b"forward" for a in model.graph.node[0].attribute):
            continue  # a stream does not run backward; test_compiler_refusals.py
        batch_first = any(a.name == "layout" and a.i == 1 for a in model.graph.node[0].attribute)
        x = np.asarray(inputs[0]) if batch_first else np.asarray(inputs[0]).transpose(1, 0, 2)
        frames, features = x.shape[1:]
        constants = [
            numpy_helper.from_array(np.asarray(v), i.name)
            for i, v in zip(model.graph.input, inputs, strict=True)
        ][1:]
        last = model.graph.output[-1].name  # Y_h
        node = model.graph.node[0]
        turned = node.input[0]
        node.input[0] = f"{turned}_turned"
        perm = (0, 2, 1) if batch_first else (2, 0, 1)
        front = helper.make_node("Transpose", [turned], [node.input[0]], perm=perm)
        graph = helper.make_graph(
            [front, node],
            "gru",
            [helper.make_tensor_value_info(turned, TensorProto.FLOAT, [1, features, frames])],
            [helper.make_empty_tensor_value_info(last)],
            constants,
        )
        compiled = load_host(compile_onnx(helper.make_model(graph, opset_imports=model.opset_import)))
        expected = np.asarray(outputs[-1])
        expected = expected.transpose(1, 0, 2) if batch_first else expected
        for item in range(x.shape[0]):
            got = compiled.evaluate({turned: x[item].T})[last]
            np.testing.assert_allclose(got.reshape(-1), expected[0, item], rtol=1e-4, atol=1e-5, err_msg=name)


# ---- models of others


def torch_net():
    """A small causal network as somebody else might write it: a chomped TCN block, upsampling, gates."""
    torch = pytest.importorskip("torch")
    from torch import nn
    from torch.nn import functional

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(3, 8, 3, dilation=2, padding=4)
            self.up = nn.ConvTranspose1d(8, 6, 8, stride=4, padding=2)
            self.norm = nn.BatchNorm1d(6)
            self.mix = nn.Conv1d(6, 12, 3)
            self.dense = nn.Linear(6, 6)
            self.last = nn.Conv1d(6, 4, 1)

        def forward(self, x):
            h = functional.leaky_relu(self.first(x)[..., :-4], 0.2)
            h = self.norm(self.up(h))
            gate, value = self.mix(functional.pad(h, (2, 0))).chunk(2, dim=1)
            h = h + torch.sigmoid(gate) * torch.tanh(value)
            h = self.dense(h.transpose(1, 2)).transpose(1, 2)
            h = functional.interpolate(h, scale_factor=2, mode="nearest")
            y = self.last(h)
            b, _, t = y.shape
            return y.reshape(b, 2, 2, t).permute(0, 1, 3, 2).reshape(b, 2, t * 2)

    torch.manual_seed(0)
    net = Net().eval()
    with torch.no_grad():
        net.norm.running_var.uniform_(0.5, 2.0)
        net.norm.running_mean.normal_()
    return torch, net


def export(torch, net, path: Path, dynamo: bool, external: bool) -> None:
    x = torch.randn(1, 3, 24)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            frames = torch.export.Dim("frames", min=2)
            torch.onnx.export(
                net,
                (x,),
                str(path),
                dynamo=True,
                dynamic_shapes=({2: frames},),
                input_names=["x"],
                output_names=["y"],
                external_data=external,
                verbose=False,
            )
        else:
            torch.onnx.export(
                net,
                (x,),
                str(path),
                dynamo=False,
                dynamic_axes={"x": {2: "frames"}},
                input_names=["x"],
                output_names=["y"],
                opset_version=17,
            )


@pytest.mark.parametrize(("dynamo", "external"), [(True, False), (True, True), (False, False)])
def test_models_from_both_of_torchs_exporters_load_unchanged(tmp_path, dynamo, external, capsys):
    torch, net = torch_net()
    path = tmp_path / "net.onnx"
    export(torch, net, path, dynamo, external)
    program = compile_onnx(path)
    x = torch.randn(1, 3, 50)
    with torch.no_grad():
        truth = net(x).numpy()[0]
    offline = run(program.graph, {"x": x.numpy()})["y"]
    frames = min(offline.shape[1], truth.shape[1])
    assert np.abs(offline[:, :frames] - truth[:, :frames]).max() < 1e-5
    port = next(p for p in program.report["ports"] if p["label"] == "y")
    late = port["latency_ticks"] // port["period_ticks"]
    heard = load_host(program).process({"x": x.numpy()})["y"]
    assert np.abs(heard[:, late:] - truth[:, : heard.shape[1] - late]).max() < 1e-5


@pytest.mark.parametrize(
    ("activations", "weights"), [("QInt8", "QInt8"), ("QUInt8", "QInt8"), ("QInt16", "QInt8")]
)
def test_models_quantized_by_onnxruntime_load_unchanged(tmp_path, activations, weights):
    """Per channel, zero points that are not 0; whole-network agreement to a few steps of the output."""
    from onnxruntime import quantization as oq
    from onnxruntime.quantization.shape_inference import quant_pre_process

    torch, net = torch_net()
    path, ready, out = tmp_path / "net.onnx", tmp_path / "ready.onnx", tmp_path / "net.q.onnx"
    export(torch, net, path, True, False)
    quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)

    class Reader(oq.CalibrationDataReader):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.feeds = iter([{"x": rng.uniform(-1, 1, (1, 3, 64)).astype(np.float32)} for _ in range(8)])

        def get_next(self):
            return next(self.feeds, None)

    options = {"UseQDQContribOps": True} if activations == "QInt16" else {}
    oq.quantize_static(
        str(ready),
        str(out),
        Reader(),
        quant_format=oq.QuantFormat.QDQ,
        per_channel=True,
        activation_type=getattr(oq.QuantType, activations),
        weight_type=getattr(oq.QuantType, weights),
        extra_options=options,
    )
    graph = optimise(load(out))
    integers = [n for n in graph.nodes if n.op == "Conv" and n.attributes_as(ConvAttributes).sums is not None]
    assert len(integers) >= 4, [n.name for n in graph.nodes]
    x = np.random.default_rng(1).uniform(-1, 1, (1, 3, 64)).astype(np.float32)
    truth = session(onnx.load(str(out))).run(None, {"x": x})[0][0]
    ours = run(graph, {"x": x})["y"]
    frames = min(ours.shape[1], truth.shape[1])
    step = np.abs(truth).max() / (32767 if activations == "QInt16" else 127)
    assert np.abs(ours[:, :frames] - truth[:, :frames]).max() <= 6 * step
    program = compile_onnx(out)
    port = next(p for p in program.report["ports"] if p["label"] == "y")
    late = port["latency_ticks"] // port["period_ticks"]
    heard = load_host(program).process({"x": x})["y"]
    np.testing.assert_array_equal(heard[:, late:], ours[:, : heard.shape[1] - late])
