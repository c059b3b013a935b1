"""A gain of a slower clock is read where it lies: no copy for every tick, and not one number differs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.ops.elementwise import PointwiseAttributes
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.compiler_graphs import session
from tests.firmware.compiler_targets import run_on

CHANNELS, HOP, FRAMES = 8, 12, 11


class Film:
    """audio → × gain → + offset → audio · …; gain and offset come from z, HOP times slower, held."""

    def __init__(self, quantized: bool, first: int = CHANNELS, order: str = "audio first"):
        self.quantized = quantized
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        rng = np.random.default_rng(3)
        audio, z = self.pair("audio", 1.0), self.pair("z", 2.0)
        weight = rng.normal(size=(first + CHANNELS, 3, 1)).astype(np.float32)
        rows = self.pair(self.node("Conv", [z, self.weight("w", weight)], "rows"), 6.0)
        scales = self.const("scales", np.array([1, 1, HOP], np.float32))
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        held = self.node("Resize", [rows, "", scales], "held", **how)
        sizes = self.const("sizes", np.array([first, CHANNELS], np.int64))
        self.nodes.append(
            helper.make_node("Split", [held, sizes], ["lower", "upper"], axis=1, name="n_split")
        )
        gain = "lower" if first == CHANNELS else "upper"
        pairs = [audio, gain] if order == "audio first" else [gain, audio]
        y = self.pair(self.node("Mul", pairs, "product"), 4.0)
        y = self.pair(self.node("Add", [y, "upper"], "sum"), 8.0)
        shape = [1, CHANNELS, "samples"]
        self.proto = helper.make_model(
            helper.make_graph(
                self.nodes,
                "film",
                [
                    helper.make_tensor_value_info("audio", TensorProto.FLOAT, shape),
                    helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, "frames"]),
                ],
                [helper.make_tensor_value_info(y, TensorProto.FLOAT, shape)],
                self.constants,
            ),
            opset_imports=[helper.make_opsetid("", 21)],
            ir_version=10,
        )
        self.output = y

    def const(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"n_{output}", **attrs))
        return output

    def weight(self, name: str, values: np.ndarray) -> str:
        if not self.quantized:
            return self.const(name, values)
        scale = np.float32(np.abs(values).max() / 127)
        whole = self.const(f"{name}_q", np.rint(values / scale).astype(np.int8))
        zero = self.const(f"{name}_z", np.zeros((), np.int8))
        return self.node("DequantizeLinear", [whole, self.const(f"{name}_s", scale), zero], name)

    def pair(self, name: str, full: float) -> str:
        if not self.quantized:
            return name
        scale = self.const(f"{name}_s", np.float32(full / 32767))
        zero = self.const(f"{name}_z", np.zeros((), np.int16))
        self.node("QuantizeLinear", [name, scale, zero], f"{name}_q")
        return self.node("DequantizeLinear", [f"{name}_q", scale, zero], f"{name}_dq")


def feeds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "audio": rng.uniform(-1, 1, (1, CHANNELS, FRAMES * HOP)).astype(np.float32),
        "z": rng.uniform(-2, 2, (1, 3, FRAMES)).astype(np.float32),
    }


@pytest.mark.parametrize("order", ["audio first", "gain first"])
@pytest.mark.parametrize("quantized", [False, True])
def test_a_held_gain_gives_the_offline_result_in_any_blocks(quantized, order):
    model = Film(quantized, order=order)
    program = compile_onnx(model.proto, block=16)
    assert not any(n.op == "Shuffle" for n in program.graph.nodes)
    sums = [n.attrs for n in program.graph.nodes if isinstance(n.attrs, PointwiseAttributes)]
    assert sum(attrs.held is not None for attrs in sums) == 2
    judged = run(program.graph, feeds())[model.output]
    truth = session(model.proto).run(None, feeds())[0][0]
    assert np.abs(judged - truth).max() < (1e-3 if quantized else 1e-5)
    stream = load_host(program)
    late = int(program.report["latency_samples"])  # the gain's layers are spread over its period
    assert late == HOP
    for block in (1, 5, 11, 12, 13, 16, 40, FRAMES * HOP):
        stream.reset()
        heard, used = [], {"audio": 0, "z": 0}
        for begin in range(0, FRAMES * HOP, block):
            step = min(block, FRAMES * HOP - begin)
            due = stream.frames_due(step)
            fed = {n: f[0, :, used[n] : used[n] + due[n]] for n, f in feeds().items()}
            heard.append(stream.process(fed, step)[model.output])
            used = {n: used[n] + due[n] for n in used}
        whole = np.concatenate(heard, axis=1)
        limit = 0.0 if quantized else 1e-5
        assert np.all(whole[:, :late] == 0)
        assert np.abs(whole[:, late:] - judged[:, :-late]).max() <= limit


def test_the_emulated_m7_holds_alike():
    model = Film(True)
    judged = run(compile_onnx(model.proto, "m7").graph, feeds())[model.output]
    heard = run_on("m7", model.proto, feeds(), [48, 7, 1, 5, 48, 12, 11])[model.output]
    assert heard.shape[1] == FRAMES * HOP
    np.testing.assert_array_equal(heard, judged)


def test_a_gain_that_begins_within_a_word_is_still_copied():
    """Integers are read by words of two: an odd first channel needs its own place."""
    model = Film(True, first=3)
    program = compile_onnx(model.proto)
    assert any(n.op == "Shuffle" for n in program.graph.nodes)
    judged = run(program.graph, feeds())[model.output]
    np.testing.assert_array_equal(load_host(program).process(feeds(), FRAMES * HOP)[model.output], judged)
