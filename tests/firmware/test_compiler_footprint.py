"""Code and stack on the Cortex-M7: bounds read from the linked image."""

from __future__ import annotations

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.compiler.pipeline import compile_onnx
from hardware.board import load_board
from tests.firmware.compiler_graphs import decoder


@pytest.mark.parametrize("schedule", ["flat", "eager"])
def test_the_stack_bound_covers_what_the_emulated_m7_uses(schedule):
    """The bound holds over what a run touches, and is near enough to say something."""
    pytest.importorskip("unicorn", reason="needs the unicorn emulator")
    from bench.m7.model import MARK_DEFINITION, EmulatedModel
    from firmware.compiler.plan.footprint import footprint

    board = load_board("patch_sm")
    program = compile_onnx(decoder((4, 4), 8, 16), "m7", board, 48, schedule=schedule)
    # The emulated build marks its layers, which takes a register: the same flags for both.
    found = footprint(program.name, program.header, program.source, MARK_DEFINITION)
    model = EmulatedModel(program, board)
    used = 0
    for _ in range(12):
        due = model.frames_due(48)
        inputs = {p["label"]: np.zeros((p["channels"], due[p["label"]]), np.float32) for p in model.inputs}
        model.process(inputs, 48, traced=True)
        used = max(used, model.call.stack_bytes)
    assert 0 < used <= found.stack_bytes <= 3 * used
    assert 2_000 < found.text_bytes <= 24 * 1024
    assert found.deepest[0] == f"{program.name}_process"


def test_a_stack_without_bound_is_refused():
    from firmware.compiler.plan.footprint import footprint

    header = "int m_dig(int depth);\nvoid m_process(int *out);\n"
    source = (
        '#include "m.h"\nint m_dig(int depth) { volatile int kept[4] = {0}; '
        "return depth > 0 ? m_dig(depth - 1) + kept[depth & 3] : 0; }\n"
        "void m_process(int *out) { *out = m_dig(*out); }\n"
    )
    with pytest.raises(Refusal, match="calls itself"):
        footprint("m", header, source)


@pytest.mark.parametrize("kept", ["m_one", "m_process"])
def test_only_addresses_are_pointers_and_not_every_number_that_equals_one(kept):
    """A table holds every odd number of the range in which code lies; the pointer alone may be called."""
    from firmware.compiler.plan.footprint import footprint

    header = "void m_one(int *out);\nvoid m_process(int *out);\n"
    numbers = ", ".join(str(0x10001 + 2 * i) for i in range(1 << 14))
    source = (
        f'#include "m.h"\nstatic const unsigned table[] = {{{numbers}}};\n'
        f"static void (*volatile kept)(int *) = {kept};\n"
        "void m_one(int *out) { volatile int held[8] = {0}; *out += held[*out & 7]; }\n"
        "void m_process(int *out) { kept(out); *out += (int)table[*out & 16383]; }\n"
    )
    if kept == "m_process":
        with pytest.raises(Refusal, match="calls itself"):
            footprint("m", header, source)
        return
    assert footprint("m", header, source).deepest == ("m_process", "m_one")
