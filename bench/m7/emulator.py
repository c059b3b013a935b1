"""An emulated Daisy: the board's memory, a Cortex-M7 in unicorn, the firmware's own object code.

    machine = Machine(read_elf(image), load_board("patch_sm"))
    out = machine.alloc(4 * 48)
    cycles = machine.call("render", out, 48).cycles
    samples = np.frombuffer(machine.read(out, 4 * 48), np.float32)

Functionally exact (a call without `traced` runs at unicorn's full speed); with ``traced=True`` every executed
instruction goes through the pipeline model of ``pipeline.py``. Cycles are *predicted*, never measured.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import unicorn
from unicorn import arm_const as arm
from unicorn import unicorn_const as uc

from bench.m7.elf import Elf
from bench.m7.pipeline import Pipeline
from common.refusal import DoesNotFit, Refusal
from hardware.board import Board

STACK_BYTES = 16384
"""What the board file reserves for the callback's stack at the top of DTCM."""
FLUSH_TO_ZERO = 1 << 24
"""FPSCR.FZ: denormals are flushed, as the firmware sets it."""
_RETURN = 0xE0000000
"""Where a call returns to: outside every region, so that unicorn stops there."""
MARK = re.compile(r"vaectrol_mark_(\d+)_\d+$")
"""Symbols without code that the compiler's VAECTROL_MARK leaves before each layer."""


class Fault(Refusal):
    """The emulated code did what the hardware would fault on."""


@dataclass(frozen=True)
class Traffic:
    """Bytes that the core asked a region for, and lines that the cache fetched from it, during one call."""

    read_bytes: int
    written_bytes: int
    line_fills: int
    write_backs: int
    instruction_fills: int


@dataclass(frozen=True)
class Call:
    """What one call returned and cost.

    Attributes
    ----------
    value : r0. value_float : s0.
    cycles : predicted core cycles; 0 when not traced.
    layers : layer → (cycles, instructions), where the code carries marks; 0 is also what comes before the
    first.
    stack_bytes : deepest stack address the call wrote to; 0 when not traced.
    """

    value: int
    value_float: float
    cycles: int = 0
    instructions: int = 0
    mispredicts: int = 0
    stack_bytes: int = 0
    layers: dict[int, tuple[int, int]] = field(default_factory=dict)
    traffic: dict[str, Traffic] = field(default_factory=dict)
    layer_fills: dict[int, dict[str, int]] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)


class Machine:
    """One emulated board with one image loaded.

    Raises
    ------
    Refusal
        A segment of the image that lies outside the board's memory.
    """

    def __init__(self, elf: Elf, board: Board) -> None:
        self.elf, self.board = elf, board
        self._engine = unicorn.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self._engine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
        self._mapped: list[tuple[int, int]] = []
        for region in board.memory:
            if region.kind == "flash" and not any(
                region.address <= a < region.address + region.bytes for a, _ in elf.segments
            ):
                continue
            begin = region.address & ~0xFFF
            size = -(-(region.address + region.bytes - begin) // 4096) * 4096
            self._engine.mem_map(begin, size)
            self._mapped.append((region.address, region.address + region.bytes))
        for address, data in elf.segments:
            if not any(low <= address and address + len(data) <= high for low, high in self._mapped):
                raise Refusal(
                    f"{elf.path.name}: {len(data)} bytes at {address:#x} lie outside {board.name}'s memory."
                )
            self._engine.mem_write(address, data)
        dtcm = board.region("dtcm")
        self.stack_top = dtcm.address + dtcm.bytes
        self._heap = {region.name: self._first_free(region.name) for region in board.memory}
        self._pipeline: Pipeline | None = None
        self._hooks: list[ctypes.c_size_t] = []
        self.fpscr = FLUSH_TO_ZERO
        """Floating-point control of whoever calls."""

    def _first_free(self, name: str) -> int:
        region = self.board.region(name)
        inside = [
            a + len(d) for a, d in self.elf.segments if region.address <= a < region.address + region.bytes
        ]
        return -(-max([region.address + (64 if region.address == 0 else 0), *inside]) // 32) * 32

    def alloc(self, count: int, region: str = "dtcm", align: int = 8) -> int:
        """Reserve `count` zeroed bytes behind what the image holds in `region`; returns the address."""
        where = self.board.region(region)
        address = -(-self._heap[region] // align) * align
        limit = where.address + where.bytes - (STACK_BYTES if region == "dtcm" else 0)
        if address + count > limit:
            raise DoesNotFit(f"{count} bytes do not fit in {region}: {max(0, limit - address)} are left.")
        self._heap[region] = address + count
        return address

    def place(self, data: bytes | np.ndarray, region: str = "dtcm", align: int = 8) -> int:
        """Copy `data` into `region`; returns its address."""
        raw = data.tobytes() if isinstance(data, np.ndarray) else bytes(data)
        address = self.alloc(len(raw), region, align)
        self._engine.mem_write(address, raw)
        return address

    def write(self, address: int, data: bytes | np.ndarray) -> None:
        """Copy `data` to `address`."""
        self._engine.mem_write(address, data.tobytes() if isinstance(data, np.ndarray) else bytes(data))

    def read(self, address: int, count: int) -> bytes:
        """Return `count` bytes from `address`."""
        return bytes(self._engine.mem_read(address, count))

    def read_array(self, address: int, dtype: np.typing.DTypeLike, count: int) -> np.ndarray:
        """Return `count` elements from `address`."""
        return np.frombuffer(self.read(address, count * np.dtype(dtype).itemsize), dtype).copy()

    def intercept(self, begin: int, end: int, answer: Callable[[int], None]) -> None:
        """Let `answer` see, before it is executed, every instruction in a range: with its address."""
        self._engine.hook_add(
            uc.UC_HOOK_CODE, lambda engine, address, size, data: answer(address), begin=begin, end=end - 1
        )

    def register(self, number: int) -> int:
        """Return a core register; 13 is the stack's."""
        at = arm.UC_ARM_REG_SP if number == 13 else arm.UC_ARM_REG_R0 + number
        return int(self._engine.reg_read(at))

    def set_register(self, number: int, value: int) -> None:
        """Write r0 to r12."""
        self._engine.reg_write(arm.UC_ARM_REG_R0 + number, value)

    @property
    def now(self) -> int:
        """Predicted cycles of all traced calls so far."""
        return 0 if self._pipeline is None else int(self._pipeline.totals.cycles)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline model of this image, made on first use."""
        if self._pipeline is None:
            marks = {
                s.address & ~1: int(found[1]) + 1
                for s in self.elf.symbols
                if (found := MARK.search(s.name)) is not None
            }
            self._pipeline = Pipeline(self.elf, self.board, marks)
        return self._pipeline

    def call(
        self, function: str | int, *args: int | float | np.floating, traced: bool = False, limit: int = 0
    ) -> Call:
        """Call a function by the hard-float AAPCS and run it to its return.

        Parameters
        ----------
        function : name, or address.
        args : int → r0–r3 then the stack; float → s0–s15.
        traced : put every executed instruction through the pipeline model.
        limit : stop after that many instructions (0: never) and raise.

        Raises
        ------
        Fault
            Access outside the board's memory, an undefined instruction, or the limit: with the function's
            name.
        """
        address = self.elf.symbol(function).address if isinstance(function, str) else function & ~1
        self._arguments(args)
        if traced:
            self.pipeline.clear()
            self._hook()
            self.pipeline.begin(self.stack_top - STACK_BYTES, self.stack_top)
        else:
            self._unhook()
        before = int(self.pipeline.totals.cycles) if traced else 0
        try:
            self._engine.emu_start(address | 1, _RETURN, count=limit)
        except unicorn.UcError as error:
            at = self._engine.reg_read(arm.UC_ARM_REG_PC)
            if at & ~1 != _RETURN:
                raise Fault(
                    f"The emulated {self.board.title} stopped in {self._where(at)}: {error}."
                ) from None
        finally:
            if traced:
                self.pipeline.end()
        if self._engine.reg_read(arm.UC_ARM_REG_PC) & ~1 != _RETURN:
            raise Fault(f"{function} did not return within {limit} instructions.")
        value = int(self._engine.reg_read(arm.UC_ARM_REG_R0))
        value_float = float(np.uint32(self._engine.reg_read(arm.UC_ARM_REG_S0) & 0xFFFFFFFF).view(np.float32))
        return self._counted(value, value_float, before) if traced else Call(value, value_float)

    def _arguments(self, args: Sequence[int | float | np.floating]) -> None:
        ints = [int(a) & 0xFFFFFFFF for a in args if not isinstance(a, (float, np.floating))]
        floats = [np.float32(a) for a in args if isinstance(a, (float, np.floating))]
        if len(floats) > 16:
            raise Refusal(f"{len(floats)} float arguments; the emulator passes 16 at most.")
        for k, number in enumerate(ints[:4]):
            self._engine.reg_write(arm.UC_ARM_REG_R0 + k, number)
        for k, single in enumerate(floats):
            self._engine.reg_write(arm.UC_ARM_REG_S0 + k, int(single.view(np.uint32)))
        spilled = b"".join(number.to_bytes(4, "little") for number in ints[4:])
        stack = self.stack_top - (-(-len(spilled) // 8) * 8)
        if spilled:
            self._engine.mem_write(stack, spilled)
        self._engine.reg_write(arm.UC_ARM_REG_SP, stack)
        self._engine.reg_write(arm.UC_ARM_REG_LR, _RETURN | 1)
        self._engine.reg_write(arm.UC_ARM_REG_FPSCR, self.fpscr)

    def _hook(self) -> None:
        """Let unicorn call the C engine directly; Python callbacks would cost a microsecond each."""
        if self._hooks:
            return
        from unicorn.unicorn_py3.unicorn import uclib

        code, memory = self.pipeline.callbacks()
        for kind, callback in ((uc.UC_HOOK_CODE, code), (uc.UC_HOOK_MEM_READ | uc.UC_HOOK_MEM_WRITE, memory)):
            handle = ctypes.c_size_t()
            status = uclib.uc_hook_add(
                self._engine._uch,
                ctypes.byref(handle),
                ctypes.c_int(kind),
                ctypes.c_void_p(callback),
                self.pipeline.handle,
                ctypes.c_uint64(1),
                ctypes.c_uint64(0),
            )
            if status != uc.UC_ERR_OK:
                raise unicorn.UcError(status)
            self._hooks.append(handle)
        # what ran before was translated without hooks
        self._engine.ctl_flush_tb()  # type: ignore[attr-defined]

    def _unhook(self) -> None:
        if not self._hooks:
            return
        from unicorn.unicorn_py3.unicorn import uclib

        for handle in self._hooks:
            uclib.uc_hook_del(self._engine._uch, handle)
        self._hooks.clear()
        self._engine.ctl_flush_tb()  # type: ignore[attr-defined]

    def _where(self, address: int) -> str:
        inside = [s for s in self.elf.functions if s.address <= address < s.address + max(s.size, 2)]
        return f"{inside[-1].name} at {address:#x}" if inside else f"nowhere ({address:#x})"

    def _counted(self, value: int, value_float: float, before: int) -> Call:
        from bench.m7.pipeline import LAYERS, REGIONS, Reason

        totals = self.pipeline.totals
        cycles = np.ctypeslib.as_array(totals.layer_cycles)
        counts = np.ctypeslib.as_array(totals.layer_instructions)
        read = np.ctypeslib.as_array(totals.read_bytes).reshape(LAYERS, REGIONS)
        written = np.ctypeslib.as_array(totals.written_bytes).reshape(LAYERS, REGIONS)
        fills = np.ctypeslib.as_array(totals.line_fills).reshape(LAYERS, REGIONS)
        names = [region.name for region in self.board.memory]
        used = [int(k) for k in np.flatnonzero(counts)]
        if totals.unknown_instructions:
            raise Fault(f"{totals.unknown_instructions} instructions ran where the image has no code symbol.")
        return Call(
            value,
            value_float,
            cycles=int(totals.cycles) - before,
            instructions=int(totals.instructions),
            mispredicts=int(totals.mispredicts),
            stack_bytes=max(0, self.stack_top - int(totals.lowest_stack))
            if totals.lowest_stack != 0xFFFFFFFF
            else 0,
            layers={k - 1: (int(cycles[k]), int(counts[k])) for k in used},
            traffic={
                name: Traffic(
                    int(read[:, k].sum()),
                    int(written[:, k].sum()),
                    int(fills[:, k].sum()),
                    int(totals.write_backs[k]),
                    int(totals.instruction_fills[k]),
                )
                for k, name in enumerate(names)
            },
            layer_fills={
                k - 1: {name: int(fills[k, r]) for r, name in enumerate(names) if fills[k, r]} for k in used
            },
            stalls={
                reason.name.lower(): int(totals.stalls[reason]) for reason in Reason if totals.stalls[reason]
            },
        )
