"""The emulated Cortex-M7 computes what the instruction set says, and faults where the hardware would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.m7.emulator import Fault, Machine
from bench.m7.measure import Buffer, link_for, measure
from common.refusal import DoesNotFit, Refusal
from hardware.board import load_board

pytestmark = pytest.mark.fast

# DSP instructions that the kernels lean on: r0, r1, r2 (and r0:r1 as 64 bits) in, r0 (r0:r1) out
INSTRUCTIONS = {
    "smlad": "smlad r0, r0, r1, r2",
    "smladx": "smladx r0, r0, r1, r2",
    "smuad": "smuad r0, r0, r1",
    "smmulr": "smmulr r0, r0, r1",
    "smmlar": "smmlar r0, r0, r1, r2",
    "smull": "smull r0, r1, r0, r1",
    "smlald": "smlald r0, r1, r2, r3",
    "smlal": "smlal r0, r1, r2, r3",
    "sxtb16": "sxtb16 r0, r1",
    "sxtb16_ror8": "sxtb16 r0, r1, ror #8",
    "sxtab16": "sxtab16 r0, r1, r2",
    "pkhbt": "pkhbt r0, r1, r2, lsl #16",
    "pkhtb": "pkhtb r0, r1, r2, asr #16",
    "ssat16bits": "ssat r0, #16, r0",
    "ssat_asr": "ssat r0, #16, r0, asr #7",
    "usat": "usat r0, #15, r0",
    "ssat16": "ssat16 r0, #8, r0",
    "qadd": "qadd r0, r0, r1",
    "qadd16": "qadd16 r0, r0, r1",
    "smulbb": "smulbb r0, r0, r1",
    "smlabt": "smlabt r0, r0, r1, r2",
    "smulwb": "smulwb r0, r0, r1",
    "clz": "clz r0, r0",
}


def s32(x: int) -> int:
    return (x + 2**31) % 2**32 - 2**31


def s16(x: int) -> int:
    return (x + 2**15) % 2**16 - 2**15


def s8(x: int) -> int:
    return (x + 128) % 256 - 128


def lo(x: int) -> int:
    return s16(x)


def hi(x: int) -> int:
    return s16(x >> 16)


def pair(low: int, high: int) -> int:
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


def sat(x: int, bits: int) -> int:
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, x))


def extend(x: int) -> tuple[int, int]:
    """SXTB16: bytes 0 and 2, sign-extended."""
    return s8(x), s8(x >> 16)


def expected(name: str, a: int, b: int, c: int, d: int) -> int:
    """The Arm Architecture Reference Manual's pseudo-code in exact integers."""
    wide = s32(b) * 2**32 + (a % 2**32)
    return {
        "smlad": lambda: lo(a) * lo(b) + hi(a) * hi(b) + c,
        "smladx": lambda: lo(a) * hi(b) + hi(a) * lo(b) + c,
        "smuad": lambda: lo(a) * lo(b) + hi(a) * hi(b),
        "smmulr": lambda: (s32(a) * s32(b) + 2**31) >> 32,
        "smmlar": lambda: ((s32(c) << 32) + s32(a) * s32(b) + 2**31) >> 32,
        "smull": lambda: s32(a) * s32(b),
        "smlald": lambda: wide + lo(c) * lo(d) + hi(c) * hi(d),
        "smlal": lambda: wide + s32(c) * s32(d),
        "sxtb16": lambda: pair(*extend(b)),
        "sxtb16_ror8": lambda: pair(*extend((b % 2**32) >> 8 | (b << 24) % 2**32)),
        "sxtab16": lambda: pair(lo(b) + extend(c)[0], hi(b) + extend(c)[1]),
        "pkhbt": lambda: pair(b, c),
        "pkhtb": lambda: pair(c >> 16, b >> 16),
        "ssat16bits": lambda: sat(s32(a), 16),
        "ssat_asr": lambda: sat(s32(a) >> 7, 16),
        "usat": lambda: max(0, min(2**15 - 1, s32(a))),
        "ssat16": lambda: pair(sat(lo(a), 8), sat(hi(a), 8)),
        "qadd": lambda: sat(s32(a) + s32(b), 32),
        "qadd16": lambda: pair(sat(lo(a) + lo(b), 16), sat(hi(a) + hi(b), 16)),
        "smulbb": lambda: lo(a) * lo(b),
        "smlabt": lambda: lo(a) * hi(b) + c,
        "smulwb": lambda: (s32(a) * lo(b)) >> 16,
        "clz": lambda: 32 - (a % 2**32).bit_length(),
    }[name]()


def assembly() -> str:
    """One function per instruction: in [r0] = 4 words, out [r1] = 2 words."""
    lines = ["        .syntax unified", "        .thumb"]
    for name, text in INSTRUCTIONS.items():
        lines += [
            f'        .section .text.{name},"ax"',
            f"        .global {name}",
            f"        .type {name}, %function",
            f"{name}:",
            "        mov r12, r1",
            "        ldm r0, {r0, r1, r2, r3}",
            f"        {text}",
            "        stm r12, {r0, r1}",
            "        bx lr",
            f"        .size {name}, . - {name}",
        ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("dsp")
    (folder / "dsp.S").write_text(assembly())
    board = load_board("patch_sm")
    return Machine(link_for([folder / "dsp.S"], board, folder / "dsp.elf"), board)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_dsp_instructions_match_the_manual(machine: Machine, name: str) -> None:
    rng = np.random.default_rng(7)
    edges = [0, 1, -1, 2**31 - 1, -(2**31), 0x7FFF8000, 0x80007FFF - 2**32, 0x00FF80FF]
    words = rng.integers(-(2**31), 2**31, (300, 4))
    words[: 8 * 8] = [[x, y, y, x] for x in edges for y in edges]
    source, target = machine.alloc(16), machine.alloc(8)
    bits = 64 if name in ("smull", "smlald", "smlal") else 32
    for row in words:
        machine.write(source, row.astype(np.int32))
        machine.call(name, source, target)
        got = int.from_bytes(machine.read(target, bits // 8), "little")
        assert got == expected(name, *(int(x) for x in row)) % 2**bits, row


def test_a_traced_call_returns_the_same_result_and_counts_every_instruction(machine: Machine) -> None:
    source = machine.place(np.array([3, 5, 7, 0], np.int32))
    target = machine.alloc(8)
    plain = machine.call("smlad", source, target)
    traced = machine.call("smlad", source, target, traced=True)
    assert machine.read_array(target, np.int32, 1)[0] == 3 * 5 + 7
    assert (plain.value, traced.instructions) == (traced.value, 5)
    assert traced.cycles > 0
    assert plain.cycles == 0


def test_two_traces_of_one_call_are_identical(machine: Machine) -> None:
    source, target = machine.alloc(16), machine.alloc(8)
    runs = []
    for _ in range(2):
        machine.pipeline.cold()
        runs.append([machine.call("smlald", source, target, traced=True).cycles for _ in range(3)])
    assert runs[0] == runs[1]


C_SOURCE = """
#include <stdint.h>
#include <stddef.h>
float scale(float a, float b, int32_t c, int32_t d, int32_t e, int32_t f, int32_t g);
float scale(float a, float b, int32_t c, int32_t d, int32_t e, int32_t f, int32_t g) {
    return a * b + (float)(c + d + e + f + 10 * g);
}
int32_t total(const int8_t *w, size_t n);
int32_t total(const int8_t *w, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += w[i];
    return sum;
}
int32_t wild(const int32_t *p);
int32_t wild(const int32_t *p) { return *p; }
uint32_t deep(uint32_t n);
uint32_t deep(uint32_t n) {
    volatile uint32_t frame[64];
    frame[n & 63u] = n;
    return frame[n & 63u];
}
float denormal(float a);
float denormal(float a) { return a * 0.5f; }
"""


@pytest.fixture(scope="module")
def c_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / "calls.c"
    path.write_text(C_SOURCE)
    return path


@pytest.fixture(scope="module")
def c_machine(c_file: Path) -> Machine:
    board = load_board("patch_sm")
    return Machine(link_for([c_file], board, c_file.with_suffix(".elf")), board)


def test_arguments_follow_the_hard_float_calling_convention(c_machine: Machine) -> None:
    assert c_machine.call("scale", 1.5, 2.0, 1, 2, 3, 4, 5).value_float == 3.0 + 10 + 50


def test_denormals_are_flushed_as_in_the_firmware(c_machine: Machine) -> None:
    assert c_machine.call("denormal", np.float32(1.5e-38)).value_float == 0.0


def test_weights_in_axi_cost_line_fills_and_dtcm_does_not(c_file: Path) -> None:
    w = np.arange(-64, 64, dtype=np.int8)
    fast = measure([c_file], "total", Buffer(w, "dtcm"), 128)
    slow = measure([c_file], "total", Buffer(w, "axi", align=32), 128)
    assert np.uint32(fast.call.value).view(np.int32) == w.sum()
    assert fast.first.traffic["axi"].line_fills == 0
    assert slow.first.traffic["axi"].line_fills == 128 // 32
    assert slow.first.cycles >= fast.first.cycles + 4 * load_board("patch_sm").region("axi").line_fill_cycles
    assert slow.cycles == fast.cycles  # the second call finds its lines in the cache


PRELOADED = """
#include <stdint.h>
int32_t ahead(const int32_t *w, uint32_t lines);
int32_t ahead(const int32_t *w, uint32_t lines) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < lines; i++) {
        PRELOAD(w + 16);
        for (uint32_t k = 0; k < 8; k++) sum += w[k] * (int32_t)(i + k) + (w[k] >> 3) * (sum | 5);
        w += 8;
    }
    return sum;
}
"""


def test_preloading_hides_line_fills(tmp_path: Path) -> None:
    cycles = []
    for k, preload in enumerate(("__builtin_prefetch(p)", "(void)(p)")):
        path = tmp_path / f"ahead{k}.c"
        path.write_text(f"#define PRELOAD(p) {preload}\n" + PRELOADED)
        weights = Buffer(np.arange(20000, dtype=np.int32), "axi", align=32)
        found = measure([path], "ahead", weights, 2000)
        cycles.append(found.cycles)
    assert cycles[0] < 0.7 * cycles[1]


def test_stack_is_what_the_call_used(c_machine: Machine) -> None:
    assert 256 <= c_machine.call("deep", 0, traced=True).stack_bytes <= 288


def test_an_access_outside_the_board_names_the_function(c_machine: Machine) -> None:
    with pytest.raises(Fault, match="wild"):
        c_machine.call("wild", 0x50000000)


def test_a_missing_function_is_refused_with_what_there_is(c_machine: Machine) -> None:
    with pytest.raises(Refusal, match="no symbol 'nothing'"):
        c_machine.call("nothing")


def test_an_image_that_does_not_fit_is_refused_with_numbers(tmp_path: Path) -> None:
    path = tmp_path / "big.c"
    big = 'char big[200000] __attribute__((section(".dtcm.big")));'
    path.write_text(big + "\nint f(void);\nint f(void) { return big[3]; }\n")
    with pytest.raises(DoesNotFit, match="dtcm is 68928 bytes too small"):
        link_for([path], load_board("patch_sm"), tmp_path / "big.elf")


def test_blocks_add_up_to_the_whole(c_file: Path) -> None:
    found = measure([c_file], "total", Buffer(np.ones(64, np.int8)), 64)
    assert sum(b.cycles for b in found.blocks) == found.cycles
    assert sum(b.instructions * b.executions for b in found.blocks) == found.call.instructions
    assert "older" in found.listing()


def test_line_fills_are_charged_to_the_code_that_caused_them(c_file: Path) -> None:
    found = measure([c_file], "total", Buffer(np.ones(128, np.int8), "axi", align=32), 128)
    assert found.first.layer_fills == {-1: {"axi": 4}}


CONDITIONAL_LOAD = """
    .syntax unified
    .thumb
    .text
    .global conditional_load
    .type conditional_load, %function
    .thumb_func
conditional_load:
    cmp r1, r1
    it eq
    ldreq r2, [r0]
    cmp r1, #0
    b 1f
1:
    add r2, r2, #1
    mov r0, r2
    bx lr
    .size conditional_load, . - conditional_load
"""


def test_a_conditional_load_leaves_nothing_behind_when_traced(tmp_path: Path) -> None:
    # unicorn keeps the IT state that a memory hook saw; what followed the block was then skipped
    (tmp_path / "load.S").write_text(CONDITIONAL_LOAD)
    board = load_board("patch_sm")
    machine = Machine(link_for([tmp_path / "load.S"], board, tmp_path / "load.elf"), board)
    at = machine.place(np.array([41], np.uint32), "dtcm")
    for traced in (False, True):
        assert machine.call("conditional_load", at, 5, traced=traced).value == 42
