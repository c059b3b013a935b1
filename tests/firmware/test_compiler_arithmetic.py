"""Integers never overflow and are rounded once: the proofs, and the arithmetic they are about."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from firmware.compiler.binding import load_host
from firmware.compiler.graph import Quant
from firmware.compiler.judge import arithmetic
from firmware.compiler.judge.reference import run
from firmware.compiler.ops import FAMILIES
from firmware.compiler.pipeline import compile_onnx


def test_the_overflow_proof_holds_at_the_extremes_and_splits_where_it_fails():
    """Weights of one sign against extreme inputs reach the bound; past 2^31 the sum gets 64 bits."""
    family = FAMILIES["Conv"]
    for taps, wide in ((16, False), (600, True)):
        from firmware.compiler.graph import Constant, Node
        from firmware.compiler.ops.conv import ConvAttributes

        weight = Constant(np.full((1, 1, taps), 127, np.int64), np.array([0.01]), 0)
        attrs = ConvAttributes(before=taps - 1, padded=taps - 1)
        node = Node("c", "Conv", ("x",), ("y",), attrs, {"weight": weight})
        x, y = Quant(1e-4, "int16", -32768, 32767), Quant(1.0, "int16", -32768, 32767)
        made = family.integer(node, [x], y, [1])
        assert made is not None
        assert made.attrs.sums.wide is wide
        assert int(made.attrs.sums.bound[0]) == 127 * taps * 32768


def test_a_wide_accumulator_gives_the_judges_integers_in_c():

    rng = np.random.default_rng(0)
    weight = np.full((2, 3, 300), 127, np.int8)
    weight[1] = rng.integers(-127, 128, (3, 300))
    parts = {
        "sx": np.float32(1 / 32767),
        "zx": np.int16(0),
        "w": weight,
        "sw": np.full(2, 0.001, np.float32),
        "zw": np.zeros(2, np.int8),
        "sy": np.float32(0.004),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"], pads=[299, 0]),
        helper.make_node("QuantizeLinear", ["c", "sy", "zx"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zx"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, "frames"])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in parts.items()],
    )
    program = compile_onnx(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    )
    assert program.report["overflow_proofs"][0]["accumulator_bits"] == 64
    x = np.sign(rng.normal(size=(3, 700))).astype(np.float32)
    x[:, 300:] = 1.0
    np.testing.assert_array_equal(
        load_host(program).process({"x": x})["y"], run(program.graph, {"x": x})["y"]
    )


def test_a_transposed_convolution_is_bounded_phase_by_phase():
    """256 inputs, 8 taps of 127 pass 2^31, but with stride 4 only two taps ever meet: 32 bits hold."""

    weight = np.full((256, 2, 8), 127, np.int8)
    weight[:, 1] = np.random.default_rng(3).integers(-127, 128, (256, 8))
    parts = {
        "sx": np.float32(1 / 32767),
        "zx": np.int16(0),
        "w": weight,
        "sw": np.full(2, 0.001, np.float32),
        "zw": np.zeros(2, np.int8),
        "sy": np.float32(0.004),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=1),
        helper.make_node("ConvTranspose", ["xd", "wd"], ["c"], strides=[4], pads=[0, 4]),
        helper.make_node("QuantizeLinear", ["c", "sy", "zx"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zx"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "phases",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 256, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, "longer"])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in parts.items()],
    )
    program = compile_onnx(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    )
    (proof,) = program.report["overflow_proofs"]
    assert proof["accumulator_bits"] == 32
    assert len(proof["per_channel"]) == 8
    assert proof["largest_sum"] == 256 * 2 * 127 * 32768
    assert "conv_w8a16_wide" not in program.source
    x = np.where(np.random.default_rng(4).random((256, 40)) < 0.5, -1.1, 1.1).astype(np.float32)
    x[:, 20:25] = -1.1
    judged = run(program.graph, {"x": x})["y"]
    np.testing.assert_array_equal(load_host(program).process({"x": x})["y"], judged)
    assert judged[0].min() < -65.0  # two taps of all inputs at full scale: the bound is met


@settings(max_examples=200)
@given(
    acc=st.integers(-(2**31) + 1, 2**31 - 1),
    factor=st.floats(1e-9, 0.49),
)
def test_requantization_is_a_single_rounding(acc, factor):
    chosen = arithmetic.requantize_multiplier(np.array([factor]), 2**31 - 1)
    y = int(arithmetic.requantize(np.array([acc]), chosen.multiplier, chosen.shift, -(2**40), 2**40)[0])
    exact = acc * int(chosen.multiplier[0])
    assert y == (exact + 2**31) >> 32
    assert abs(y - acc * factor) <= 0.5 + abs(acc) * 2.0**-33 + 1e-6


@settings(max_examples=200)
@given(
    st.floats(1e-4, 100.0), st.floats(-100.0, 100.0), st.integers(-32768, 32767), st.integers(-32768, 32767)
)
def test_a_residual_add_never_overflows_and_rounds_once(fa, fb, a, b):
    chosen = arithmetic.blend_multipliers((fa, fb), (32768, 32768))
    total = a * chosen.multipliers[0] + b * chosen.multipliers[1] + (1 << chosen.shift >> 1)
    assert -(2**31) <= total < 2**31
    y = int(arithmetic.blend((np.array(a), np.array(b)), chosen, -(2**40), 2**40))
    error = abs(y - (a * fa + b * fb))
    assert error <= 0.5 + 2.0 ** (-chosen.shift - 1) * (abs(a) + abs(b)) + 1e-6


def test_a_clamp_behind_a_convolution_that_is_cut_by_frames_holds_every_frame():
    """An event: 20 filters of one tap over 80 frames, cut in portions, then a Relu."""
    channels, frames = 20, 80
    weights = [
        ("s", np.array(2.0**-10, np.float32)),
        ("z", np.array(0, np.int16)),
        ("w", np.full((channels, 1, 1), -64, np.int8)),
        ("ws", np.array(2.0**-6, np.float32)),
        ("wz", np.array(0, np.int8)),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xi"]),
        helper.make_node("DequantizeLinear", ["xi", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"], group=channels, kernel_shape=[1]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["ci"]),
        helper.make_node("DequantizeLinear", ["ci", "s", "z"], ["cd"]),
        helper.make_node("Relu", ["cd"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["ri"]),
        helper.make_node("DequantizeLinear", ["ri", "s", "z"], ["y"]),
    ]
    shape = [1, channels, frames]
    graph = helper.make_graph(
        nodes,
        "clamped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    program = compile_onnx(model, name="clamped")
    x = np.random.default_rng(5).uniform(-4, 4, (channels, frames)).astype(np.float32)
    heard = load_host(program).evaluate({"x": x})["y"]
    assert program.source.count("vk_depthwise_w8a16(") > 1  # it is cut
    assert (heard == np.maximum(-np.rint(x * 1024) / 1024, 0)).all()
