"""One file in, the same text out; options that make no sense are refused."""

from __future__ import annotations

import pytest

from common.refusal import Refusal
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.compiler_graphs import decoder


def test_the_same_model_compiles_to_the_same_text():
    first, second = (compile_onnx(decoder(), "m7", "patch_sm", as_if_quantized=True) for _ in range(2))
    assert (first.source, first.header) == (second.source, second.header)


def test_an_unknown_target_and_an_absurd_block_are_refused():
    with pytest.raises(Refusal, match="choose host"):
        compile_onnx(decoder(), "z80")
    with pytest.raises(Refusal, match="block"):
        compile_onnx(decoder(), block=1 << 20)
