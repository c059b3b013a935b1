"""What a model costs on a board, asked before it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.refusal import DoesNotFit
from firmware.compiler import budget
from firmware.compiler.ops.hit import EVALUATION_TICKS, RESTING_TICKS
from firmware.compiler.pipeline import compile_onnx
from hardware.board import load_board
from tests.firmware.compiler_graphs import decoder, quantized, random_graph

FACTORY_DRUM = Path(__file__).parents[2] / "firmware" / "models" / "drum.int8.onnx"


def test_a_float_model_is_budgeted_as_if_quantized_and_nearly_like_its_int8_file():
    _, builder = random_graph(4, batch_norm=False)
    as_float, as_int = budget(builder.model()), budget(quantized(builder, "int16"))
    assert as_float.fits
    assert as_float.parameters == as_int.parameters
    assert as_float.macs_per_sample == pytest.approx(as_int.macs_per_sample)
    assert as_float.cycles_per_second == pytest.approx(as_int.cycles_per_second, rel=0.25)


def test_a_model_too_large_for_a_board_is_told_apart_and_still_budgeted():
    board = load_board("patch_sm")
    memory = tuple(region.model_copy(update={"reserved_bytes": region.bytes}) for region in board.memory)
    full = board.model_copy(update={"memory": memory})
    with pytest.raises(DoesNotFit, match=f"the model does not fit {board.title}: .* too many"):
        compile_onnx(decoder(), "m7", full, as_if_quantized=True)
    found = budget(decoder(), full)
    assert not found.fits and "does not fit" in found.reasons[0]
    assert found.cpu_worst > 0


def test_a_drum_s_network_costs_what_its_evaluation_costs():
    """It is asked anew as soon as it has answered: a callback holds its part of the whole, not one step."""
    found = budget(FACTORY_DRUM, "patch_sm", 48)
    report = compile_onnx(FACTORY_DRUM, "m7", load_board("patch_sm"), 48).report
    whole = report["cycles_per_event"] + report["sound"]["cycles_per_evaluation"]
    available = load_board("patch_sm").cycles_per_frame * 48
    assert found.cpu_worst * available * EVALUATION_TICKS / 48 >= whole > 0
    assert found.cpu_mean * available * RESTING_TICKS / 48 == pytest.approx(whole, rel=1e-6)
    assert 1.0 < found.cpu_worst / found.cpu_mean < 2.0
    assert found.cpu_worst > 2 * report["cycles_per_step"]["worst"] / available
