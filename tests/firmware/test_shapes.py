"""Numbers made from shapes keep their type and rank, in a stream and in an event graph, as in onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from common.refusal import Refusal
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.read.load import load
from firmware.compiler.read.values import Frames, ShapeValue, exact
from tests.firmware.compiler_graphs import session
from tests.firmware.onnx_cases import Case, ints, node, weights

FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64
SHAPE = node("Shape", "x", outputs=("shape",))
CHANNELS = (
    SHAPE,
    node("Gather", "shape", "one", outputs=("c",)),
    node("Cast", "c", outputs=("f",), to=FLOAT),
)
LONGER = (
    node("Cast", "shape", outputs=("f",), to=FLOAT),
    node("Mul", "f", "factors", outputs=("g",)),
    node("Floor", "g", outputs=("h",)),
    node("Cast", "h", outputs=("sizes",), to=WHOLE),
    node("Resize", "x", "", "", "sizes", mode="nearest", nearest_mode="floor",
         coordinate_transformation_mode="asymmetric"),
)  # fmt: skip
ONE = ("one", np.int64(1))

CASES: dict[str, Case] = {
    "over_the_root_of_channels": Case(
        17, (*CHANNELS, node("Sqrt", "f", outputs=("r",)), node("Div", "x", "r")), (ONE,)
    ),
    "a_quarter_of_channels": Case(
        17,
        (*CHANNELS, node("Mul", "f", "k", outputs=("g",)), node("Mul", "x", "g")),
        (ONE, ("k", np.float32(0.3))),
    ),
    "one_over_channels": Case(
        17,
        (*CHANNELS, node("Div", "k", "f", outputs=("g",)), node("Mul", "x", "g")),
        (ONE, ("k", np.float32(1))),
    ),
    "to_a_power": Case(
        17,
        (*CHANNELS, node("Pow", "f", "k", outputs=("g",)), node("Mul", "x", "g")),
        (ONE, ("k", np.float32(-0.5))),
    ),
    "whole_numbers_toward_zero": Case(
        17,
        (
            SHAPE,
            node("Gather", "shape", "one", outputs=("c",)),
            node("Neg", "c", outputs=("m",)),
            node("Div", "m", "three", outputs=("q",)),
            node("Cast", "q", outputs=("f",), to=FLOAT),
            node("Mul", "x", "f"),
        ),
        (ONE, ("three", np.int64(3))),
    ),
    "a_float_factor_of_two": Case(17, (SHAPE, *LONGER), (("factors", np.array([1, 1, 2], np.float32)),)),
    "the_last_channels": Case(
        17,
        (
            SHAPE,
            node("Gather", "shape", "one", outputs=("c",)),
            node("Div", "c", "two", outputs=("half",)),
            node("Unsqueeze", "half", "zero", outputs=("start",)),
            node("Unsqueeze", "c", "zero", outputs=("end",)),
            node("Slice", "x", "start", "end", "axis"),
        ),
        (ONE, ("two", np.int64(2)), ("zero", ints(0)), ("axis", ints(1))),
    ),
    "an_expand_as_torch_writes_it": Case(
        17,
        (
            SHAPE,
            node("ReduceSum", "k", "axis", outputs=("single",), keepdims=1),
            node("Equal", "wanted", "none", outputs=("kept",)),
            node("Where", "kept", "ones", "wanted", outputs=("dims",)),
            node("Expand", "single", "dims", outputs=("wide",)),
            node("Mul", "x", "wide"),
        ),
        (
            ("k", weights(1, 4, 3)),
            ("axis", ints(2)),
            ("wanted", ints(-1, 4, -1)),
            ("none", ints(-1, -1, -1)),
            ("ones", ints(1, 1, 1)),
        ),
    ),
}


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_numbers_from_shapes_are_those_of_onnxruntime(name, streaming):
    heard = compile_onnx(CASES[name].model(streaming)).report["witness"]
    assert heard["by"].startswith("onnxruntime")
    assert heard["largest_difference"] < 1e-5


@pytest.mark.parametrize("streaming", [True, False])
def test_a_factor_of_one_and_a_half_is_refused_as_what_it_is(streaming):
    case = Case(17, (SHAPE, *LONGER), (("factors", np.array([1, 1, 1.5], np.float32)),))
    with pytest.raises(Refusal, match="it resamples by 3/2"):
        load(case.model(streaming))


def test_the_root_of_a_signals_length_is_refused():
    nodes = (
        SHAPE,
        node("Gather", "shape", "two", outputs=("c",)),
        node("Cast", "c", outputs=("f",), to=FLOAT),
        node("Sqrt", "f", outputs=("r",)),
        node("Div", "x", "r"),
    )
    case = Case(17, nodes, (("two", np.int64(2)),))
    with pytest.raises(Refusal, match="Sqrt of a length along time"):
        load(case.model(streaming=True))
    model, feed = case.model(), case.feed()
    assert compile_onnx(model).report["witness"]["by"]
    np.testing.assert_allclose(session(model).run(None, feed)[0], feed["x"] / np.sqrt(12), rtol=1e-6)


def test_a_shape_knows_its_type_and_rank():
    assert ShapeValue((4,), scalar=True).known().shape == ()
    assert ShapeValue((exact(0.5),), dtype=np.dtype(np.float32)).known().dtype == np.float32
    assert ShapeValue((1, Frames("n", exact(2.0)))).known() is None
    assert exact(float(np.float32(1 / 3))) * 3 == 1
    assert float(exact(float(np.float32(0.1234567)))) == float(np.float32(0.1234567))
