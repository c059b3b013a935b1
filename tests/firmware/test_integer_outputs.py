"""Outputs of integers: the file's own numbers, zero point and all, in the judge and in C."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from common.refusal import Refusal
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.read.load import load
from tests.firmware.compiler_graphs import session
from tests.firmware.onnx_cases import Case, node, weights

KINDS = [("int8", 0), ("int8", -7), ("uint8", 131), ("int16", 0)]


def integers(kind: str, zero: int, streaming: bool, both: bool = False) -> tuple[Case, onnx.ModelProto]:
    """A convolution whose result leaves in integers, and in floats beside them where ``both``."""
    dequantized = (node("DequantizeLinear", "y", "s", "z", outputs=("f",)),) if both else ()
    case = Case(
        21,
        (node("Conv", "x", "w", outputs=("c",)), node("QuantizeLinear", "c", "s", "z"), *dequantized),
        (
            ("w", weights(3, 4, 1)),
            ("s", np.float32(0.0003 if kind == "int16" else 0.05)),
            ("z", np.array(zero, kind)),
        ),
        outputs=("y", "f") if both else ("y",),
    )
    model = case.model(streaming)
    model.graph.output[0].type.tensor_type.elem_type = getattr(TensorProto, kind.upper())
    return case, model


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("kind", "zero"), KINDS)
def test_integers_leave_as_the_file_has_them(kind, zero, streaming, both):
    case, model = integers(kind, zero, streaming, both)
    feed = case.feed()
    truth = dict(zip(case.outputs, session(model).run(None, feed), strict=True))
    program = compile_onnx(model, schedule="eager")
    assert program.report["witness"]["by"].startswith("onnxruntime")
    judged = run(load(model), feed)
    library = load_host(program)
    heard = library.process(feed, 12) if streaming else library.evaluate(feed)
    for name, wanted in truth.items():
        step = 1 if name == "y" else 0.0003 if kind == "int16" else 0.05
        for got in (judged[name], heard[name]):
            np.testing.assert_array_less(np.abs(got - wanted[0].astype(np.float64)), 1.001 * step)
            assert np.mean(np.abs(got - wanted[0]) > 0.001 * step) < 0.02  # float sums round both ways
    assert np.array_equal(heard["y"], np.rint(heard["y"]))


def test_a_zero_point_that_stretches_the_integers_is_refused():
    _, model = integers("int16", 900, streaming=True)
    with pytest.raises(Refusal, match=r"output 'y': its integers have a zero point"):
        load(model)
