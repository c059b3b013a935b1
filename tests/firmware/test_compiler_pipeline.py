"""One file in, the same text out; options that make no sense are refused."""

from __future__ import annotations

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.compiler_graphs import decoder
from tests.firmware.onnx_cases import Case, node, weights


def test_the_same_model_compiles_to_the_same_text():
    first, second = (compile_onnx(decoder(), "m7", "patch_sm", as_if_quantized=True) for _ in range(2))
    assert (first.source, first.header) == (second.source, second.header)


def test_an_unknown_target_and_an_absurd_block_are_refused():
    with pytest.raises(Refusal, match="choose host"):
        compile_onnx(decoder(), "z80")
    with pytest.raises(Refusal, match="block"):
        compile_onnx(decoder(), block=1 << 20)


def test_weights_that_several_layers_share_count_once():
    """A flow of three steps whose layers read one weight and one bias; a second bias of zeros is another."""
    steps = [
        node("Conv", before, "w", bias, outputs=(after,))
        for before, bias, after in (("x", "b", "one"), ("one", "b", "two"), ("two", "c", "y"))
    ]
    zeros = np.zeros(4, np.float32)
    case = Case(17, tuple(steps), (("w", weights(4, 4, 1)), ("b", zeros), ("c", zeros.copy())))
    assert compile_onnx(case.model(streaming=True)).report["parameters"] == 16 + 4 + 4
