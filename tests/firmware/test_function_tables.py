"""Functions that integers look up: within two steps of the function over all inputs, or refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.refusal import Refusal
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.judge.tables import MOST_KNOTS, MOST_OFF, function_table, look_up
from firmware.compiler.ops.activation import FUNCTIONS
from firmware.compiler.pipeline import compile_onnx, optimise
from firmware.compiler.read.load import load
from tests.firmware.compiler_graphs import session

INT16 = (-32768, 32767)
EVERY = np.arange(INT16[0], INT16[1] + 1)


def outputs_of(name: str, reach: float) -> float:
    """Largest magnitude of a function over inputs up to ``reach``."""
    with np.errstate(over="ignore"):
        return float(min(np.abs(FUNCTIONS[name](np.array([-reach, reach, 1.57]))).max(), 1e4))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("reach", [0.01, 1.0, 6.0, 12.0, 50.0, 100.0, 1000.0, 30000.0])
def test_a_table_is_within_two_steps_or_refused_with_its_error(name, reach):
    scales = (reach / 32767, outputs_of(name, reach) / 32767)
    try:
        table = function_table(FUNCTIONS[name], scales, INT16, INT16, "node 'f' (F)")
    except Refusal as refusal:
        assert name == "Sin" and reach > 100, refusal
        assert "node 'f' (F): over inputs of -" in str(refusal) and "steps of the output off" in str(refusal)
        return
    with np.errstate(over="ignore"):
        wanted = np.clip(FUNCTIONS[name](EVERY * scales[0]) / scales[1], *INT16)
    off = float(np.abs(look_up(EVERY, table) - wanted).max())
    assert off == table.off <= MOST_OFF
    assert table.knots.size <= MOST_KNOTS


@pytest.mark.parametrize("reach", [0.5, 2.0, 4.0])
def test_where_the_plain_table_is_near_enough_it_is_taken(reach):
    """513 knots, the contract of docs/design.md#arithmetic, written out once more."""
    scale = reach / 32767
    table = function_table(np.tanh, (scale, 1 / 32767), INT16, INT16)
    assert table.is_plain
    knots = np.floor(np.tanh((np.arange(513) * 128 - 32768) * scale) * 32767 + 0.5)
    np.testing.assert_array_equal(table.knots, knots)
    u = EVERY + 32768
    i, f = u >> 7, u & 127
    wanted = (knots[i] * (128 - f) + knots[i + 1] * f + 64) // 128
    np.testing.assert_array_equal(look_up(EVERY, table), wanted)


def test_eight_bits_and_a_zero_point_have_a_knot_each():
    table = function_table(np.tanh, (0.05, 1 / 100), (-3, 252), (-100, 155))
    assert table.off <= 0.5
    assert (table.first, table.shift, table.knots.size) == (-3, 0, 256)


def between(op: str, scales: tuple[float, float], streaming: bool, **attributes) -> onnx.ModelProto:
    """Quantize, dequantize, one operator, quantize, dequantize; int16."""
    constants = {"z": np.int16(0), "sx": np.float32(scales[0]), "sy": np.float32(scales[1])}
    inputs = ["xd"]
    for key in ("low", "high"):
        if key in attributes:
            constants[key] = np.float32(attributes.pop(key))
            inputs.append(key)
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "sx", "z"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "sx", "z"], ["xd"]),
            helper.make_node(op, inputs, ["f"], name="f", **attributes),
            helper.make_node("QuantizeLinear", ["f", "sy", "z"], ["yq"]),
            helper.make_node("DequantizeLinear", ["yq", "sy", "z"], ["y"]),
        ],
        "between",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, "t" if streaming else 512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


BETWEEN = {
    "tanh_wide": ("Tanh", 100.0, 1.0, {}),
    "sigmoid_wide": ("Sigmoid", 1000.0, 1.0, {}),
    "sine": ("Sin", 50.0, 1.0, {}),
    "softplus": ("Softplus", 300.0, 300.0, {}),
    "exp": ("Exp", 30.0, 8.0, {}),
    "relu": ("Relu", 4.0, 1.0, {}),
    "clip": ("Clip", 4.0, 1.3, {"low": -0.7, "high": 0.9}),
    "leaky": ("LeakyRelu", 4.0, 0.9, {"alpha": 0.1}),
    "leaky_same": ("LeakyRelu", 1.0, 1.0, {"alpha": 0.1}),
    "leaky_upward": ("LeakyRelu", 2.0, 0.7, {"alpha": -0.3}),
}


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.parametrize("streaming", [True, False])
def test_a_function_between_integers_is_onnxruntimes_within_two_steps(name, streaming):
    op, reach, out, attributes = BETWEEN[name]
    model = between(op, (reach / 32767, out / 32767), streaming, **attributes)
    x = np.random.default_rng(4).uniform(-1.2 * reach, 1.2 * reach, (1, 2, 512)).astype(np.float32)
    x[0, 0, ::3] /= np.float32(reach)
    wanted = session(model).run(None, {"x": x})[0][0]
    graph = optimise(load(model))
    assert not any(n.op == "Dequantize" and n.outputs[0] not in graph.outputs for n in graph.nodes)
    judged = run(graph, {"x": x})["y"]
    assert np.abs(judged - wanted).max() <= 2.01 * out / 32767
    library = load_host(compile_onnx(model))
    made = library.process({"x": x[0]}, 512)["y"] if streaming else library.evaluate({"x": x[0]})["y"]
    np.testing.assert_array_equal(np.asarray(made, np.float32), judged.astype(np.float32))


def test_a_sine_over_too_many_turns_is_refused_with_its_error():
    with pytest.raises(
        Refusal, match=r"node 'f' \(Sin\): over inputs of -2e\+03 to 2e\+03 its table is .* off"
    ):
        optimise(load(between("Sin", (2000 / 32767, 1 / 32767), True)))
