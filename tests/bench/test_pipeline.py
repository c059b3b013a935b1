"""The pipeline model reproduces every published micro-case, and the caches are the M7's."""

from __future__ import annotations

import pytest

from bench.m7.cache import CacheShape, bus_cycles
from bench.m7.decode import Flag, Producer, Role, decode, disassembler
from bench.m7.microcases import CASES, TOLERANCE, Outcome, run_all, table
from bench.m7.pipeline import distances
from hardware.board import load_board

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run_all(mca=False)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case.name for case in CASES])
def test_published_micro_case_is_within_five_percent(outcomes: list[Outcome], index: int) -> None:
    assert abs(outcomes[index].deviation) <= TOLERANCE, table([outcomes[index]])


def test_every_case_names_its_source() -> None:
    assert {case.source for case in CASES} == {"jnk0le", "quinapalus", "arm9930", "cortex-m 430"}
    assert len({case.name for case in CASES}) == len(CASES)


def test_results_are_never_ready_for_the_early_stage_before_the_late_one() -> None:
    table_ = distances()
    for producer in Producer:
        assert table_[producer, Role.EARLY] >= table_[producer, Role.LATE]
        assert table_[producer, Role.LATE] >= table_[producer, Role.STORE]


# halfwords as the assembler writes them, what the pipeline must make of them
DECODED = {
    "20fb0120": (
        Flag.MUL,
        {(0, Role.FACTOR), (1, Role.FACTOR), (2, Role.ACCUMULATOR)},
    ),  # smlad r0, r0, r1, r2
    "50f8041b": (Flag.LOAD, {(0, Role.AGU)}),  # ldr r1, [r0], #4
    "41f80230": (Flag.STORE, {(1, Role.AGU), (2, Role.AGU), (3, Role.STORE)}),  # str.w r3, [r1, r2]
    "00eb8100": (Flag.SHIFT, {(0, Role.LATE_OF_SHIFTED), (1, Role.EARLY)}),  # add.w r0, r0, r1, lsl #2
}


@pytest.mark.parametrize("code", DECODED)
def test_operands_are_needed_in_the_stage_the_sources_say(code: str) -> None:
    flag, reads = DECODED[code]
    found = decode(next(disassembler().disasm(bytes.fromhex(code), 0)))
    assert found.flags & flag
    assert set(found.reads) == reads


def test_plain_adc_does_not_set_flags() -> None:
    found = decode(next(disassembler().disasm(bytes.fromhex("41eb0200"), 0)))  # adc.w r0, r1, r2
    assert not found.flags & Flag.SETS_FLAGS


def test_caches_are_those_of_the_board() -> None:
    board = load_board("patch_sm")
    assert CacheShape.of(board) == CacheShape(16384, 16384)
    assert bus_cycles(board.region("axi")) == 8  # 4 beats of 8 bytes at half the core clock
    assert bus_cycles(board.region("qspi")) == board.region("qspi").line_fill_cycles
