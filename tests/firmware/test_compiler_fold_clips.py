"""A clamp between integers stays an integer, and becomes the bounds of the operator before where it can."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from firmware.compiler.binding import load_host
from firmware.compiler.judge import arithmetic
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.compiler_graphs import session
from tests.firmware.compiler_targets import run_on

pytestmark = pytest.mark.fast

FRAMES = 200
CHANNELS = 6
TOP = {"int16": 32767, "int8": 127}


class Model:
    """x → before → [leaky] → Clip → + x; one scale around the functions, as quantize/ writes it."""

    def __init__(self, before: str, limits: tuple[float, float], kind: str, paired: bool, leaky: bool):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.kind = kind
        rng = np.random.default_rng(5)
        x = self.pair("x", 4.0)
        if before == "Conv":
            weight = self.const("w", rng.integers(-127, 128, (CHANNELS, CHANNELS, 3)).astype(np.int8))
            scale = self.const("ws", rng.uniform(0.002, 0.004, CHANNELS).astype(np.float32))
            zero = self.const("wz", np.zeros(CHANNELS, np.int8))
            self.node("DequantizeLinear", [weight, scale, zero], "w_real", axis=0)
            self.node("Conv", [x, "w_real"], "h", pads=[2, 0])
        else:
            self.node(before, [x, x], "h")
        h, self.scale = "h", np.float32(6.0 / TOP[kind])
        if paired or leaky:
            h = self.pair("h", 6.0)
        if leaky:
            self.node("LeakyRelu", [h], "l", alpha=0.25)
            h = self.pair("l", 6.0) if paired else "l"
        low, high = (self.const(f"limit_{v}", np.float32(v)) for v in limits)
        self.node("Clip", [h, low, high], "k")
        self.node("Add", [x, self.pair("k", 6.0)], "s")
        y = self.pair("s", 8.0)
        shape = [1, CHANNELS, "frames"]
        graph = helper.make_graph(
            self.nodes,
            "clipped",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in (y, "k_dq")],
            self.constants,
        )
        self.proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    def const(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attrs: object) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"n_{output}", **attrs))

    def pair(self, name: str, full: float) -> str:
        scale = self.const(f"{name}_s", np.float32(full / TOP[self.kind]))
        zero = self.const(f"{name}_z", np.zeros((), self.kind))
        self.node("QuantizeLinear", [name, scale, zero], f"{name}_q")
        self.node("DequantizeLinear", [f"{name}_q", scale, zero], f"{name}_dq")
        return f"{name}_dq"


def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).uniform(-3, 3, (1, CHANNELS, FRAMES)).astype(np.float32)}


CASES = [
    ("Conv", (-1.0, 1.0), "int16", True, True),  # the drive model's chain
    ("Conv", (-1.0, 1.0), "int8", True, True),
    ("Mul", (-1.0, 0.5), "int16", True, True),
    ("Mul", (-0.7, 0.9), "int16", True, False),
    ("Conv", (0.0, 2.0), "int16", False, False),
    ("Conv", (0.3, 0.9), "int16", False, False),  # without 0: the operator can't keep such bounds
    ("Add", (-2.0, -0.5), "int8", False, False),
    ("Add", (0.3, 0.9), "int16", True, True),
    ("Add", (-100.0, -50.0), "int16", True, False),  # beyond the type
    ("Mul", (-1.0, 1.0), "int16", False, True),  # nothing between leaky and clip
]


@pytest.mark.parametrize(("before", "limits", "kind", "paired", "leaky"), CASES)
def test_a_clip_runs_in_integers_and_is_exact(before, limits, kind, paired, leaky):
    model = Model(before, limits, kind, paired, leaky)
    program = compile_onnx(model.proto)
    inner = [n for n in program.graph.nodes if n.op not in ("Input", "Output", "Quantize", "Dequantize")]
    assert all(program.graph.tensors[name].quant for node in inner for name in node.outputs)
    assert sum(n.op == "Quantize" for n in program.graph.nodes) == 1  # the input's
    judged = run(program.graph, feeds())
    low, high = (
        float(arithmetic.quantize(np.array([v]), float(model.scale), -TOP[kind] - 1, TOP[kind])[0])
        for v in limits
    )
    inside = judged["k_dq"] / model.scale
    assert low - 1e-2 < inside.min() <= inside.max() < high + 1e-2
    assert np.any(np.abs(inside - high) < 1e-2) or np.any(np.abs(inside - low) < 1e-2)
    names = [o.name for o in model.proto.graph.output]
    truth = dict(zip(names, session(model.proto).run(None, feeds()), strict=True))
    for name, step in (("k_dq", model.scale), ("s_dq", 8.0 / TOP[kind])):
        off = np.abs(judged[name] - truth[name][0]) / step
        assert off.max() <= (1.01 if name == "k_dq" else 2.01), name  # roundings differ, the clamp does not
    heard = load_host(program).process(feeds(), FRAMES)
    for name in names:
        np.testing.assert_array_equal(heard[name], judged[name])


@pytest.mark.parametrize(("before", "limits", "kind", "paired", "leaky"), CASES[:4])
def test_the_emulated_m7_clips_alike(before, limits, kind, paired, leaky):
    model = Model(before, limits, kind, paired, leaky)
    judged = run(compile_onnx(model.proto, "m7").graph, feeds())
    blocks = [48, 7, 1, 48, 48, 48]
    for name, values in run_on("m7", model.proto, feeds(), blocks).items():
        np.testing.assert_array_equal(values[:, :FRAMES], judged[name][:, : values.shape[1]])


@pytest.mark.parametrize("paired", [True, False])
def test_a_clip_around_zero_becomes_the_bounds_of_the_operator_before(paired):
    program = compile_onnx(Model("Conv", (-1.0, 1.0), "int16", paired, paired).proto)
    assert not any(n.op == "Clip" for n in program.graph.nodes)
    assert any(
        n.op == "Clip" for n in compile_onnx(Model("Add", (0.3, 0.9), "int16", True, False).proto).graph.nodes
    )
