"""Recurrent layers: every target gives the judge's integers; the judge is near the functions it rounds."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.compiler.judge import recurrent as judge
from firmware.kernelgen.m7_recurrent import Shape
from firmware.kernelgen.recurrent import pack_recurrent
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls
from tests.firmware.m7_runner import recurrent_code, recurrent_shapes

TARGETS = ["host", "host-asan", "m7", "aarch64", "aarch64-dotprod", "wasm"]
RUN = {"lstm": judge.lstm, "gru": judge.gru, "gru_before": judge.gru_before}


def layer_of(rng, kind, units, inputs, shift):
    """Random integers of which no sum passes 2^31; at a small shift gates and cells saturate."""
    largest = 65_000 // (units + inputs)
    weight, recurrent = (rng.integers(-largest, largest, (4 * units, n)) for n in (inputs, units))
    if kind != "lstm":  # n's two parts, of the inputs and of the states
        recurrent[2 * units : 3 * units], weight[3 * units :] = 0, 0
    bias = rng.integers(-(1 << 20), 1 << 20, 4 * units)
    bound = 32768 * (np.abs(weight).sum(1) + np.abs(recurrent).sum(1)) + np.abs(bias)
    assert bound.max() < 2**31
    return judge.RecurrentIntegers(weight, recurrent, bias, shift, bound)


def lines(values):
    return Array(values.astype(np.int32).reshape(-1), b"").at(judge.CELLS)


def case(rng, target, kind, units, inputs, frames, shift, plain=""):
    """A call that continues from no state, and the judge's answer."""
    layer = layer_of(rng, kind, units, inputs, shift)
    pitch, out_pitch = inputs + inputs % 2, units + units % 2
    x = rng.integers(-32768, 32768, (frames, pitch)).astype(np.int16)
    packed = pack_recurrent(layer.weight, layer.recurrent, layer.bias, layer.shift, pitch)
    if target == "m7":
        shape = Shape(kind, out_pitch // 2, pitch // 2, layer.shift)
        first = [("P", Array(packed.stream, b"")), ("I", recurrent_code(shape))]
    else:
        first = [("P", Array(packed.weights, b"")), ("P", Array(packed.bias, b""))]
    functions = [("P", lines(judge.sigmoid_lines())), ("P", lines(judge.tanh_lines()))]
    numbers = [packed.inputs, packed.units, packed.columns, packed.shift]
    struct = Struct([*first, *functions, *(("H", n) for n in numbers)])
    vectors = 2 if kind == "gru_before" else 1
    vector, wide = np.zeros(vectors * packed.columns, np.int16), np.zeros(units, np.int32)
    out = Array(np.full((frames, out_pitch), 77, np.int16), b"")
    arguments = [struct, Array(vector, b""), Array(wide, b""), Array(x), pitch, out, out_pitch, frames]
    wanted = RUN[kind](layer, x[:, :inputs, None].astype(np.int64))[:, :, 0]
    return Call(f"vk_{kind}_s16{plain}", arguments), wanted


def cases(target, plain=""):
    rng = np.random.default_rng(7)
    for shape in recurrent_shapes():
        for units in (2 * shape.states, 2 * shape.states - 1):
            for inputs in (2 * shape.inputs, 2 * shape.inputs - 1):
                for frames in (1, 7):
                    yield case(rng, target, shape.kind, units, inputs, frames, shape.shift, plain)


def check(target, made):
    for (call, wanted), found in zip(made, make_calls(target, [c for c, _ in made]), strict=True):
        shape = len(wanted), call.arguments[-2]
        after = [a for a in found if a.shape == shape][-1]  # the output comes last
        np.testing.assert_array_equal(after[:, : wanted.shape[1]], wanted, err_msg=call.name)


@pytest.mark.parametrize("target", TARGETS)
def test_recurrent_layers_equal_the_judge_over_all_remainders(target):
    check(target, list(cases(target)))


def test_the_plain_form_is_the_judges_too():
    check("host", list(cases("host", "_plain")))


@pytest.mark.parametrize(
    ("table", "look_up", "function", "one", "reach", "off"),
    [
        (judge.sigmoid_lines, judge.sigmoid, lambda x: 1 / (1 + np.exp(-x)), 2.0**31, 16, 6.2e-6),
        (judge.tanh_lines, judge.tanh, np.tanh, 2.0**24, 8, 1.2e-5),
    ],
    ids=["sigmoid", "tanh"],
)
def test_functions_are_a_part_of_a_step_off_and_settle(table, look_up, function, one, reach, off):
    x = np.concatenate([np.linspace(-1.2 * reach, 1.2 * reach, 300_001), [127.9, -127.9, 0.0]])
    whole = np.rint(x * 2.0**24).astype(np.int64)
    made, exact = look_up(whole), function(whole / 2.0**24)
    assert np.abs(made / one - exact).max() < off < 2 / 32768
    assert made.min() >= -(2.0**31) and made.max() < 2.0**31
    assert table().max() < 2**31


def test_weights_that_were_stored_are_read_as_the_same_integers():
    rng = np.random.default_rng(3)
    for _ in range(200):
        units, inputs = int(rng.integers(1, 9)), int(rng.integers(1, 4))
        size = 2.0 ** rng.uniform(-4, 4)
        shapes = ((4 * units, inputs), (4 * units, units), (4 * units,))
        real = [size * rng.normal(size=shape) for shape in shapes]
        scale = float(np.float32(2.0 ** rng.uniform(-20, -14)))
        found = judge.settled_integers(*real, scale, 1 << 15)
        if found is None:
            assert judge.recurrent_integers(*real, scale, 1 << 15) is None
            continue
        one = 2.0 ** (24 + found.shift)
        steps = (np.float32(1 / (one * scale)), np.float32(2.0**15 / one))
        stored = [np.float32(found.weight * steps[0]), np.float32(found.recurrent * steps[1])]
        again = judge.recurrent_integers(*(np.float64(v) for v in stored), real[2], scale, 1 << 15)
        for name in ("weight", "recurrent", "bias", "shift", "bound"):
            np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
        assert found.bound.max() < 2**31


def test_what_adds_up_to_more_than_128_has_no_integers():
    strong = np.full((4, 1), 70.0)
    assert judge.recurrent_integers(strong, strong, np.zeros(4), 2.0**-15, 1 << 15) is None
    assert judge.settled_integers(strong, strong, np.zeros(4), 2.0**-15, 1 << 15) is None
