"""The Cortex-M7's pipeline as a table of distances, and the engine that applies it to executed instructions.

The M7 issues two instructions a cycle in order ("older" first) and has an early and a late ALU one cycle
apart. Everything that depends on operands is one table: `DISTANCE`, the least number of cycles between the
issue of the producer and the issue of the consumer, by the unit that makes the result and the stage that
needs it. What may share a cycle is `pairs` in ``pipeline.c``; which instruction belongs where is
``decode.py``.

Rules besides the table, each with its source (jnk0le: github.com/jnk0le/random ``cortex_m7.md``, measured
on an STM32H743; quinapalus: quinapalus.com/cm7cycles.html, measured on an STM32H730; TRM: Arm DDI 0489):

- one multiply, one float arithmetic, one store, one bit-field or DSP instruction a cycle; a multiply never
  beside a store; bit-field and DSP work only as the older (jnk0le);
- ADD, SUB, MOV as the older run in the early ALU when their operands are there, simple shifts in either slot;
  an early result is there for the late ALU of the same cycle (jnk0le);
- an inline shift or shifted constant does not pair with another, nor with bit-field work (jnk0le, operand2
  matrix);
- two loads pair on different banks only, bank = address bit 2, DTCM and D-cache alike; unaligned +3 as
  older, +4 as younger (jnk0le);
- LDM, STM, LDRD, STRD never pair, ceil(n/2) cycles, one more without two narrow opcodes before them (jnk0le);
- byte, half and unaligned stores drain in 4 cycles a bank (jnk0le); with two stores waiting behind the two
  that drain, the four published throughputs come out (bursts of five without a stall do not: pessimistic);
- fetch brings 8 aligned bytes a cycle into a queue of four (TRM 1.2); a predicted taken branch ends its
  cycle; mispredicted 8 cycles, 6 when the flags are 3 cycles old (jnk0le). 64 branch targets with two-bit
  counters, 3 cycles for a direct branch not among them: *assumed*;
- after a float MAC no VADD, VLDM, VMOV #imm for 3 cycles, and no VLDR, VSTR, VMOV as the younger (jnk0le);
  no VFMA in the cycle after a VMLA; VDIV 16 and VSQRT 14 cycles hold the pipeline (jnk0le);
- a D-cache miss stalls the pipeline until its line arrives; PLD does not: *assumed*, and pessimistic.

What comes out is **predicted**, never measured.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

import numpy as np
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import uclib

from bench.m7.cache import CacheShape, bus_cycles
from bench.m7.decode import Decoded, Producer, Role, decode, disassembler
from bench.m7.elf import Elf
from hardware.board import Board

ROLES, PRODUCERS, REGIONS, LAYERS = 20, 20, 12, 512  # as in pipeline.h


class Reason(IntEnum):
    """Why an instruction issued no earlier; the numbers are those of ``pipeline.h``."""

    NONE = 0
    OPERAND = 1
    PAIR = 2
    BANK = 3
    FETCH = 4
    MISPREDICT = 5
    DCACHE = 6
    STORE_BUFFER = 7
    FLOAT = 8
    UNALIGNED = 9
    LONG = 10


# Columns: AGU, EARLY, LATE, LATE_OF_SHIFTED, FACTOR, ACCUMULATOR, STORE
_CORE: dict[Producer, tuple[int, ...]] = {
    # early result: late ALU of the same cycle, early ALU and address of the next (jnk0le, overall)
    Producer.EARLY_ALU: (1, 1, 0, 0, 0, 0, 0),
    # REV and RBIT: not for an address, a shift or another REV in the next cycle (jnk0le, overall)
    Producer.REVERSE: (2, 2, 0, 0, 0, 0, 0),
    # late result: next cycle; early consumers one later; accumulators and stores in the same cycle (jnk0le)
    Producer.LATE_ALU: (2, 2, 1, 1, 1, 0, 0),
    # the same, and one extra cycle to an address (jnk0le, bitfield)
    Producer.BITFIELD: (2, 2, 1, 1, 1, 0, 0),
    # one more cycle of latency; accumulators chain every cycle (jnk0le, multiplication; quinapalus: 2, and
    # 1 from the addend)
    Producer.MULTIPLY: (3, 3, 2, 2, 2, 1, 1),
    # next cycle in the late ALU, unless the consumer also shifts; not a factor of the next cycle (jnk0le,
    # loads); the address of the next load: 3 (quinapalus)
    Producer.LOAD_WORD: (3, 2, 1, 2, 2, 1, 0),
    # second cycle in the late ALU, third in the early one; accumulator in the next (jnk0le, loads, MAC)
    Producer.LOAD_NARROW: (3, 3, 2, 2, 2, 1, 0),
    # a written-back base is early, but not for an early ADD of the next cycle (jnk0le, overall)
    Producer.AGU: (1, 2, 0, 0, 0, 0, 0),
    Producer.FLAGS: (1, 1, 1, 1, 1, 1, 1),
    # VMOV to a core register: 1 cycle into the late ALU, 0 into an accumulator (jnk0le, fpu)
    Producer.FLOAT_TO_CORE: (3, 2, 1, 1, 1, 0, 0),
}
# Columns: FLOAT_ADD, FLOAT_MULTIPLY, FMA_ACCUMULATOR, MLA_ACCUMULATOR, FMA_FACTOR, FLOAT_STORE, FLOAT_MOVE,
# FLOAT_TO_CORE
# (jnk0le, fpu (single precision), the table and the sentences under it; VFMA into VADD is latency 5 by
# quinapalus)
_FLOAT: dict[Producer, tuple[int, ...]] = {
    Producer.FLOAT_ADD: (3, 3, 3, 2, 3, 1, 3, 3),
    Producer.FMA: (5, 5, 3, 2, 5, 3, 5, 5),
    Producer.MLA: (6, 6, 3, 3, 6, 4, 6, 6),
    Producer.FLOAT_LOAD: (1, 1, 3, 2, 1, 1, 1, 2),
    Producer.FLOAT_LOAD_MULTIPLE: (1, 1, 3, 3, 1, 1, 1, 2),
    Producer.FLOAT_MOVE: (3, 3, 3, 3, 3, 3, 3, 3),
    Producer.FLOAT_DIVIDE: (16, 16, 16, 16, 16, 14, 16, 16),
}


def distances() -> np.ndarray:
    """uint8 [PRODUCERS, ROLES]: least cycles from producer's issue to consumer's issue."""
    table = np.zeros((PRODUCERS, ROLES), np.uint8)
    for producer, row in _CORE.items():
        table[producer, Role.AGU : Role.STORE + 1] = row
        table[producer, Role.CORE_TO_FLOAT] = 2 if producer == Producer.MULTIPLY else 1
        table[producer, Role.CONDITION] = 1
    for producer, row in _FLOAT.items():
        table[producer, Role.FLOAT_ADD : Role.FLOAT_TO_CORE + 1] = row
        table[producer, Role.CONDITION] = 1
    table[Producer.NONE] = 0
    return table


_UNICORN_REGISTERS = {
    **{k: getattr(arm_const, f"UC_ARM_REG_R{k}") for k in range(13)},
    13: arm_const.UC_ARM_REG_SP,
    14: arm_const.UC_ARM_REG_LR,
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("flags", "first_operand", "address")),
        *((name, ctypes.c_uint8) for name in ("bytes", "reads", "writes", "cycles", "access_bytes")),
        ("pad", ctypes.c_uint8),
        ("preload_register", ctypes.c_uint16),
        ("preload_offset", ctypes.c_int32),
    )


class _Operand(ctypes.Structure):
    _fields_ = (("reg", ctypes.c_uint8), ("role", ctypes.c_uint8))


class _Region(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("begin", "end", "fill_cycles", "bus_cycles"))


class _Event(ctypes.Structure):
    _fields_ = (
        ("cycle", ctypes.c_uint64),
        ("index", ctypes.c_uint32),
        *((name, ctypes.c_uint8) for name in ("slot", "why", "detail", "charged")),
        ("memory", ctypes.c_uint32),
    )


class _Totals(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("cycles", "instructions", "taken_branches", "mispredicts")),
        ("stalls", ctypes.c_uint64 * 16),
        ("layer_cycles", ctypes.c_uint64 * LAYERS),
        ("layer_instructions", ctypes.c_uint64 * LAYERS),
        ("read_bytes", ctypes.c_uint64 * REGIONS * LAYERS),
        ("written_bytes", ctypes.c_uint64 * REGIONS * LAYERS),
        ("line_fills", ctypes.c_uint64 * REGIONS * LAYERS),
        ("instruction_fills", ctypes.c_uint64 * REGIONS),
        ("write_backs", ctypes.c_uint64 * REGIONS),
        ("unknown_instructions", ctypes.c_uint64),
        ("lowest_stack", ctypes.c_uint32),
        ("layer", ctypes.c_int32),
    )


@cache
def library() -> ctypes.CDLL:
    """Return the engine, built for this machine on first use and kept in the toolchain's cache."""
    from firmware.toolchain import cache_dir, link_shared

    here = Path(__file__).parent
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        built = link_shared([here / "pipeline.c", here / "cache.c"], "host", Path(folder) / "pipeline.so")
        loaded = ctypes.CDLL(str(built))
    loaded.trace_new.restype = ctypes.c_void_p
    loaded.trace_totals.restype = ctypes.POINTER(_Totals)
    for name in ("trace_cycles_at", "trace_count_at"):
        getattr(loaded, name).restype = ctypes.POINTER(ctypes.c_uint64)
    loaded.trace_recorded.restype = ctypes.c_uint64
    return loaded


@dataclass(frozen=True)
class Listed:
    """One executed instruction of a recording."""

    cycle: int
    slot: int
    address: int
    text: str
    reason: Reason
    waited_for: int
    charged: int
    memory: int


class Pipeline:
    """The issue model over one linked image; time, caches and predictors go on from call to call.

    Parameters
    ----------
    elf : the image; all its Thumb code is decoded.
    board : regions with their fill costs, sizes of the caches.
    marks : address of an instruction → layer it begins.
    """

    def __init__(self, elf: Elf, board: Board, marks: dict[int, int] | None = None) -> None:
        self.board = board
        self.decoded: list[Decoded] = []
        self.addresses: list[int] = []
        operands: list[tuple[int, int]] = []
        rows = []
        engine = disassembler()
        for begin, end in elf.code_ranges():
            for insn in engine.disasm(_bytes_at(elf, begin, end), begin):
                found = decode(insn)
                rows.append((int(found.flags), len(operands), insn.address, found))
                operands += [*found.reads, *found.writes]
                self.decoded.append(found)
                self.addresses.append(insn.address)
        base = min(self.addresses, default=0)
        halfwords = (max(self.addresses, default=0) - base) // 2 + 4
        # one image may have code in ITCM and in AXI: the map would be huge, so it is folded per range
        self._index = np.full(halfwords, -1, np.int32)
        self._marks = np.full(halfwords, -1, np.int16)
        for k, address in enumerate(self.addresses):
            self._index[(address - base) // 2] = k
        for address, layer in (marks or {}).items():
            self._marks[(address - base) // 2] = layer
        self._instructions = (_Instruction * max(1, len(rows)))()
        for slot, (flags, first, address, found) in zip(self._instructions, rows, strict=False):
            slot.flags, slot.first_operand, slot.address = flags, first, address
            slot.bytes, slot.reads, slot.writes = found.bytes, len(found.reads), len(found.writes)
            slot.cycles, slot.access_bytes = found.cycles, found.access_bytes
            if found.preload is not None:
                slot.preload_register, slot.preload_offset = (
                    _UNICORN_REGISTERS[found.preload[0]],
                    found.preload[1],
                )
        self._operands = (_Operand * max(1, len(operands)))(
            *(_Operand(reg, int(role)) for reg, role in operands)
        )
        shape = CacheShape.of(board)
        regions = (_Region * len(board.memory))(
            *(
                _Region(
                    r.address,
                    r.address + r.bytes,
                    0 if r.kind == "tcm" else r.line_fill_cycles,
                    bus_cycles(r),
                )
                for r in board.memory
            )
        )
        table = np.ascontiguousarray(distances())
        self._lib = library()
        self.handle = ctypes.c_void_p(
            self._lib.trace_new(
                self._instructions,
                ctypes.c_uint32(len(rows)),
                self._operands,
                ctypes.c_uint32(base),
                ctypes.c_uint32(halfwords),
                self._index.ctypes.data_as(ctypes.c_void_p),
                self._marks.ctypes.data_as(ctypes.c_void_p),
                regions,
                ctypes.c_uint32(len(board.memory)),
                table.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_uint32(shape.instruction_bytes),
                ctypes.c_uint32(shape.data_bytes),
                ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p),
                ctypes.cast(uclib.uc_reg_write, ctypes.c_void_p),
            )
        )
        self._events: ctypes.Array | None = None

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self._lib.trace_free(self.handle)

    def callbacks(self) -> tuple[int, int]:
        """Addresses of the two C functions unicorn calls: per instruction, per memory access."""
        return (
            ctypes.cast(self._lib.trace_on_code, ctypes.c_void_p).value or 0,
            ctypes.cast(self._lib.trace_on_memory, ctypes.c_void_p).value or 0,
        )

    def begin(self, stack_low: int, stack_high: int) -> None:
        """Start a call with an empty pipeline."""
        self._lib.trace_begin(self.handle, ctypes.c_uint32(stack_low), ctypes.c_uint32(stack_high))

    def end(self) -> None:
        """Issue the last instruction."""
        self._lib.trace_end(self.handle)

    def clear(self) -> None:
        """Set the counters to zero; caches stay as they are."""
        self._lib.trace_clear(self.handle)

    def cold(self) -> None:
        """Empty the caches and the branch predictor."""
        self._lib.trace_cold(self.handle)

    @property
    def totals(self) -> _Totals:
        """Counters since the last `clear` (``cycles`` runs on)."""
        return self._lib.trace_totals(self.handle).contents

    def cycles_at(self) -> np.ndarray:
        """uint64 [instructions]: cycles charged to each instruction."""
        return np.ctypeslib.as_array(
            self._lib.trace_cycles_at(self.handle), (max(1, len(self.decoded)),)
        ).copy()

    def count_at(self) -> np.ndarray:
        """uint64 [instructions]: how often each was executed."""
        return np.ctypeslib.as_array(
            self._lib.trace_count_at(self.handle), (max(1, len(self.decoded)),)
        ).copy()

    def record(self, capacity: int) -> None:
        """Keep the next `capacity` executed instructions for `recorded`."""
        self._events = (_Event * max(1, capacity))()
        self._lib.trace_record(self.handle, self._events, ctypes.c_uint64(capacity))

    def recorded(self) -> list[Listed]:
        """Return the instructions kept since `record`, in order of execution."""
        if self._events is None:
            return []
        count = int(self._lib.trace_recorded(self.handle))
        return [
            Listed(
                e.cycle,
                e.slot,
                self.addresses[e.index],
                self.decoded[e.index].text,
                Reason(e.why),
                e.detail,
                e.charged,
                e.memory,
            )
            for e in self._events[:count]
        ]


def _bytes_at(elf: Elf, begin: int, end: int) -> bytes:
    for address, data in elf.segments:
        if address <= begin and end <= address + len(data):
            return data[begin - address : end - address]
    return b""


def register_name(number: int) -> str:
    """Name of a register by our numbers."""
    if number < 13:
        return f"r{number}"
    if number < 16:
        return ("sp", "lr", "pc")[number - 13]
    return f"s{number - 16}" if number < 48 else ("flags", "fpscr", "ge")[number - 48]


def annotate(listed: Iterable[Listed], names: Sequence[tuple[int, str]] = ()) -> str:
    """Return a readable listing: cycle, slot, instruction, why it waited.

    `names` are (address, label) pairs printed before the instruction at that address.
    """
    labels = dict(names)
    lines = []
    start = None
    for item in listed:
        start = item.cycle if start is None else start
        if item.address in labels:
            lines.append(f"{labels[item.address]}:")
        why = "" if item.reason == Reason.NONE else item.reason.name.lower().replace("_", " ")
        if item.reason == Reason.OPERAND:
            why = f"waits for {register_name(item.waited_for)}"
        slot = "younger" if item.slot else "older  "
        where = f"[{item.memory:#010x}]" if item.memory else ""
        cost = f"+{item.charged}" if item.charged else "  "
        lines.append(
            f"{item.cycle - start:7d} {slot} {cost:>4}  {item.address:#010x}  "
            f"{item.text:<38} {where:<13} {why}".rstrip()
        )
    return "\n".join(lines)
