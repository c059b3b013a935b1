"""What each Thumb-2 instruction is to the pipeline: units, operands with the stage that needs them, results.

Capstone says which registers are read and written; this file says *when*, by the tables of

- jnk0le: github.com/jnk0le/random, ``pipeline cycle test/doc/cortex_m7.md`` (measured, STM32H743 rev Y)
- quinapalus: quinapalus.com/cm7cycles.html (measured, STM32H730 at 480 MHz)
- TRM: Arm Cortex-M7 Technical Reference Manual, DDI 0489

A rule without a measurement behind it says *assumed*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any

import capstone
from capstone import arm as arm_const

FLAGS = 48
"""Register number of APSR; 0–15 are R0–PC, 16–47 S0–S31, 49 is FPSCR's flags, 50 the GE bits."""
FPSCR = 49
GE = 50


class Role(IntEnum):
    """The stage in which an operand is needed."""

    AGU = 0
    EARLY = 1
    LATE = 2
    LATE_OF_SHIFTED = 3
    FACTOR = 4
    ACCUMULATOR = 5
    STORE = 6
    CONDITION = 7
    FLOAT_ADD = 8
    FLOAT_MULTIPLY = 9
    FMA_ACCUMULATOR = 10
    MLA_ACCUMULATOR = 11
    FMA_FACTOR = 12
    FLOAT_STORE = 13
    FLOAT_MOVE = 14
    FLOAT_TO_CORE = 15
    CORE_TO_FLOAT = 16


class Producer(IntEnum):
    """The unit, hence the stage, that a result comes from."""

    NONE = 0
    EARLY_ALU = 1
    REVERSE = 2
    LATE_ALU = 3
    MULTIPLY = 4
    LOAD_WORD = 5
    LOAD_NARROW = 6
    AGU = 7
    FLAGS = 8
    FLOAT_ADD = 9
    FMA = 10
    MLA = 11
    FLOAT_LOAD = 12
    FLOAT_LOAD_MULTIPLE = 13
    FLOAT_MOVE = 14
    FLOAT_TO_CORE = 15
    FLOAT_DIVIDE = 16
    BITFIELD = 17


class Flag(IntFlag):
    """What an instruction does to its neighbours; the bits are those of ``pipeline.h``."""

    DSP = 1 << 0
    MUL = 1 << 1
    LOAD = 1 << 2
    STORE = 1 << 3
    SHIFT = 1 << 4
    EXTRACT = 1 << 5
    EARLY_OLDER = 1 << 6
    EARLY_ANY = 1 << 7
    SIMPLE_SHIFT = 1 << 8
    FP = 1 << 9
    FMAC = 1 << 10
    VMLA = 1 << 11
    AFTER_MAC = 1 << 12
    FMOVE = 1 << 13
    SINGLE = 1 << 14
    BRANCH = 1 << 15
    CONDITIONAL = 1 << 16
    INDIRECT = 1 << 17
    NARROW_ACCESS = 1 << 18
    LOCKS = 1 << 19
    REV = 1 << 20
    PRELOAD = 1 << 21
    MULTIPLE = 1 << 22
    SETS_FLAGS = 1 << 23
    WIDE_MOVE = 1 << 24


@dataclass(frozen=True)
class Decoded:
    """One instruction as the pipeline sees it.

    Attributes
    ----------
    reads : (register, Role) pairs.
    writes : (register, Producer) pairs.
    cycles : issue cycles.
    access_bytes : bytes of one memory access, 0 without one.
    preload : base register and offset of a PLD, whose access the emulator does not show.
    """

    text: str
    bytes: int
    flags: Flag
    reads: tuple[tuple[int, Role], ...]
    writes: tuple[tuple[int, Producer], ...]
    cycles: int = 1
    access_bytes: int = 0
    preload: tuple[int, int] | None = None


@cache
def _registers() -> dict[int, tuple[int, ...]]:
    """Capstone's register numbers to ours; a D register is two S registers."""
    table: dict[int, tuple[int, ...]] = {getattr(arm_const, f"ARM_REG_R{n}"): (n,) for n in range(13)}
    table |= {arm_const.ARM_REG_SP: (13,), arm_const.ARM_REG_LR: (14,), arm_const.ARM_REG_PC: (15,)}
    table |= {getattr(arm_const, f"ARM_REG_S{n}"): (16 + n,) for n in range(32)}
    table |= {getattr(arm_const, f"ARM_REG_D{n}"): (16 + 2 * n, 17 + 2 * n) for n in range(16)}
    table |= {arm_const.ARM_REG_CPSR: (FLAGS,), arm_const.ARM_REG_APSR: (FLAGS,)}
    table |= {arm_const.ARM_REG_APSR_NZCV: (FLAGS,), arm_const.ARM_REG_FPSCR_NZCV: (FPSCR,)}
    table |= {arm_const.ARM_REG_FPSCR: (FPSCR,)}
    return table


def disassembler() -> capstone.Cs:
    """Return a capstone for the Cortex-M7, with operand details."""
    engine = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    )
    engine.detail = True
    engine.syntax = capstone.CS_OPT_SYNTAX_NOREGNAME
    return engine


_MULTIPLIES = re.compile(r"^(mul|mla|mls|smul|smla|smls|smmul|smmla|smmls|smuad|smusd|umull|umlal|umaal)")
_LONG_ACCUMULATE = re.compile(r"^(smlal|smlsl|umlal|umaal)")
_ACCUMULATE = re.compile(r"^(mla|mls|smla|smls|smmla|smmls)")
_REVERSES = ("rev", "rev16", "revsh", "rbit")
_DSP = re.compile(
    r"^(rev|rbit|clz|ubfx|sbfx|bfi|bfc|pkh|[us]xt|q(add|sub|dadd|dsub|asx|sax)|uq|uh(add|sub|asx|sax)|"
    r"sh(add|sub|asx|sax)|[us](add|sub)(8|16)|[us](asx|sax)|[us]sat|usad|sel$)"
)
_SETS_GE = re.compile(r"^[us](add|sub)(8|16)$|^[us](asx|sax)$")
_EARLY_ALU = (
    "add",
    "adds",
    "addw",
    "sub",
    "subs",
    "subw",
    "mov",
    "movs",
    "movw",
    "movt",
    "mvn",
    "rsb",
    "adr",
)
# by mnemonic: capstone 5 says of a plain ADC that it sets the flags
_SETS_FLAGS = {
    *("cmp", "cmn", "tst", "teq"),
    *("adds", "subs", "adcs", "sbcs", "rsbs", "ands", "orrs", "eors", "bics", "orns", "movs", "mvns"),
    *("lsls", "lsrs", "asrs", "rors", "rrxs", "muls"),
}
_SHIFTS = ("lsl", "lsls", "lsr", "lsrs", "asr", "asrs", "ror", "rors")
_BRANCHES = ("b", "bl", "bx", "blx", "cbz", "cbnz", "tbb", "tbh")
# jnk0le, fpu: VDIV 16 and VSQRT 14 cycles in single precision, VDIV 30 in double
_FLOAT_DIVIDE_CYCLES = {("vdiv", 4): 16, ("vsqrt", 4): 14, ("vdiv", 8): 30, ("vsqrt", 8): 28}
# assumed: the data-dependent 32-bit divide, its worst case for 32-bit operands
_INTEGER_DIVIDE_CYCLES = 12
# jnk0le, fpu (double precision): VADD 2, VMUL 5, VFMA 8, VMLA 9 for operands of different exponent
_DOUBLE_CYCLES = {"vadd": 2, "vsub": 2, "vmul": 5, "vnmul": 5, "vfma": 8, "vfms": 8, "vmla": 9, "vmls": 9}


def decode(insn: capstone.CsInsn) -> Decoded:
    """Classify one instruction that capstone decoded with details."""
    dotted = insn.mnemonic.lower().split(".")
    name = dotted[0]
    conditional = insn.cc not in (arm_const.ARM_CC_AL, arm_const.ARM_CC_INVALID)
    if conditional and not name.startswith("it") and len(name) > 2:
        suffix = insn.reg_name and _condition_name(insn.cc)
        if suffix and name.endswith(suffix) and name not in ("teq", "bics", "movs", "lsls", "adcs", "muls"):
            name = name[: -len(suffix)]
    if name == "" or re.match(r"^it[te]{0,3}$", name):
        return Decoded(_text(insn), insn.size, Flag(0), ((FLAGS, Role.CONDITION),), ())
    if name.startswith("v"):
        found = _float(insn, name, dotted)
    elif name in _BRANCHES or _changes_pc(insn):
        found = _branch(insn, name, conditional)
    elif name.startswith(("ldm", "stm", "push", "pop", "ldrd", "strd")):
        found = _multiple(insn, name)
    elif name.startswith(("ldr", "str", "pld")):
        found = _memory(insn, name)
    else:
        found = _arithmetic(insn, name)
    flags, reads, writes, cycles, access = found
    if conditional and not flags & Flag.BRANCH:
        reads = [*reads, (FLAGS, Role.CONDITION)]
    return Decoded(
        _text(insn),
        insn.size,
        flags,
        tuple(dict.fromkeys(reads)),
        tuple(dict(writes).items()),
        cycles,
        access,
        _preload(insn) if flags & Flag.PRELOAD else None,
    )


def _preload(insn: capstone.CsInsn) -> tuple[int, int] | None:
    """Return base register and offset of a PLD with an immediate."""
    memory = insn.operands[0].mem
    base = _ours(memory.base)
    return (base[0], int(memory.disp)) if base and base[0] < 15 and not memory.index else None


_Parts = tuple[Flag, list[tuple[int, Role]], list[tuple[int, Producer]], int, int]


def _text(insn: capstone.CsInsn) -> str:
    return f"{insn.mnemonic} {insn.op_str}".strip()


def _condition_name(condition: int) -> str:
    names = ("", "eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al")
    return names[condition] if condition < len(names) else ""


def _ours(reg: int) -> tuple[int, ...]:
    return _registers().get(reg, ())


def _touched(insn: capstone.CsInsn) -> tuple[set[int], set[int]]:
    reads, writes = insn.regs_access()
    return {r for reg in reads for r in _ours(reg)}, {r for reg in writes for r in _ours(reg)}


def _changes_pc(insn: capstone.CsInsn) -> bool:
    _, writes = _touched(insn)
    return 15 in writes


def _branch(insn: capstone.CsInsn, name: str, conditional: bool) -> _Parts:
    """Branches: predicted, so they wait for no operand.

    jnk0le, branching: a not-taken branch pairs with what follows; a predicted taken one costs about 0 to 1
    cycle; 8 when mispredicted, 6 when the flags are three cycles old. A POP or LDM that loads PC also
    moves its registers.
    """
    flags = Flag.BRANCH
    if conditional or name in ("cbz", "cbnz"):
        flags |= Flag.CONDITIONAL
    reads: list[tuple[int, Role]] = []
    writes: list[tuple[int, Producer]] = []
    cycles, access = 1, 0
    if name.startswith(("pop", "ldm", "ldr")):
        more = _multiple(insn, name) if not name.startswith("ldr") else _memory(insn, name)
        flags |= more[0] | Flag.INDIRECT
        reads, writes, cycles, access = more[1], [w for w in more[2] if w[0] != 15], more[3], more[4]
    elif (
        name in ("bx", "tbb", "tbh")
        or (name == "blx" and insn.operands[0].type == arm_const.ARM_OP_REG)
        or (name not in _BRANCHES)
    ):
        flags |= Flag.INDIRECT
    if name in ("bl", "blx"):
        writes.append((14, Producer.EARLY_ALU))
    return flags, reads, writes, cycles, access


def _address(insn: capstone.CsInsn) -> tuple[list[tuple[int, Role]], list[tuple[int, Producer]]]:
    """Address operands: base and index are needed by the AGU, a written-back base leaves it early."""
    reads: list[tuple[int, Role]] = []
    writes: list[tuple[int, Producer]] = []
    for op in insn.operands:
        if op.type == arm_const.ARM_OP_MEM:
            reads += [(r, Role.AGU) for r in (*_ours(op.mem.base), *_ours(op.mem.index))]
            if insn.writeback or getattr(insn, "post_index", False):
                writes += [(r, Producer.AGU) for r in _ours(op.mem.base)]
    reads = [(r, role) for r, role in reads if r != 15]
    return reads, writes


def _memory(insn: capstone.CsInsn, name: str) -> _Parts:
    """Single loads and stores.

    jnk0le, loads: a word is there for the late ALU of the next cycle, a byte or half one later, a multiply
    one later. Stores take any result of the same cycle. quinapalus: load to address of the next load, 3.
    """
    reads, writes = _address(insn)
    narrow = name[3:4] in ("b", "h") or name[3:5] in ("sb", "sh")
    access = 4 if not narrow else 1 if "b" in name[3:5] else 2
    if name.startswith("pld"):
        return Flag.LOAD | Flag.PRELOAD, reads, [], 1, 1
    target = insn.operands[0].reg
    if name.startswith("ldr"):
        producer = Producer.LOAD_NARROW if narrow else Producer.LOAD_WORD
        writes = [*writes, *((r, producer) for r in _ours(target))]
        return Flag.LOAD | (Flag.NARROW_ACCESS if narrow else Flag(0)), reads, writes, 1, access
    reads = [*reads, *((r, Role.STORE) for r in _ours(target))]
    return Flag.STORE | (Flag.NARROW_ACCESS if narrow else Flag(0)), reads, writes, 1, access


def _multiple(insn: capstone.CsInsn, name: str) -> _Parts:
    """LDM, STM, PUSH, POP, LDRD, STRD: never pair; n registers take ceil(n/2) cycles (jnk0le)."""
    loads = name.startswith(("ldm", "pop", "ldrd"))
    if name.startswith(("ldrd", "strd")):
        reads, writes = _address(insn)
        listed = [r for op in insn.operands[:2] for r in _ours(op.reg)]
    elif name.startswith(("push", "pop")):
        reads, writes = [(13, Role.AGU)], [(13, Producer.AGU)]
        listed = [r for op in insn.operands for r in _ours(op.reg)]
    else:
        base = _ours(insn.operands[0].reg)
        reads = [(r, Role.AGU) for r in base]
        writes = [(r, Producer.AGU) for r in base] if insn.writeback else []
        listed = [r for op in insn.operands[1:] for r in _ours(op.reg)]
    flags = Flag.SINGLE | Flag.MULTIPLE | (Flag.LOAD if loads else Flag.STORE)
    if loads:
        writes = [*writes, *((r, Producer.LOAD_WORD) for r in listed)]
    else:
        reads = [*reads, *((r, Role.STORE) for r in listed)]
    return flags, reads, writes, max(1, (len(listed) + 1) // 2), 4


def _shifted(op: Any) -> bool:
    return op.shift.type != arm_const.ARM_SFT_INVALID and (op.shift.value != 0 or op.shift.type > 5)


def _is_shifted_constant(insn: capstone.CsInsn, name: str) -> bool:
    """Whether a constant is 8 bits rotated in the word, not 12 bits or a repeated pattern (jnk0le)."""
    if insn.size == 2 or name in ("movw", "movt", "addw", "subw", *_SHIFTS):
        return False
    value = next((op.imm & 0xFFFFFFFF for op in insn.operands if op.type == arm_const.ARM_OP_IMM), None)
    if value is None or value < 256:
        return False
    low, high = value & 0xFF, (value >> 8) & 0xFF
    pattern = value in (low | low << 16, high << 8 | high << 24, low * 0x01010101)
    return not pattern and not (name in ("add", "sub") and value < 4096)


def _arithmetic(insn: capstone.CsInsn, name: str) -> _Parts:
    """Integer work that touches no memory: multiplies, DSP and bit-field instructions, the two ALUs."""
    reads_set, writes_set = _touched(insn)
    ops = insn.operands
    sets_flags = name in _SETS_FLAGS
    regs = [tuple(_ours(op.reg)) if op.type == arm_const.ARM_OP_REG else () for op in ops]
    flag_write = [(FLAGS, Producer.FLAGS)] if sets_flags else []
    flags = Flag.SETS_FLAGS if sets_flags else Flag(0)
    reads: list[tuple[int, Role]] = []
    if FLAGS in reads_set:
        reads.append((FLAGS, Role.CONDITION))
    if _MULTIPLIES.match(name):
        return _multiply(name, regs, reads, flag_write, flags | Flag.MUL)
    if name in ("sdiv", "udiv"):
        reads += [(r, Role.LATE) for group in regs[-2:] for r in group]
        return flags | Flag.LOCKS, reads, [(r, Producer.LATE_ALU) for r in regs[0]], _INTEGER_DIVIDE_CYCLES, 0
    destination = [] if name in ("cmp", "cmn", "tst", "teq") else [r for r in writes_set if r < 16]
    if _DSP.match(name):
        return _bitfield(insn, name, regs, reads, destination, flag_write, flags)
    inline = any(op.type == arm_const.ARM_OP_REG and _shifted(op) for op in ops) and name not in _SHIFTS
    if name in ("mov", "movs") and any(op.type == arm_const.ARM_OP_REG and _shifted(op) for op in ops):
        inline, name = False, "lsl"
    if inline:
        # jnk0le, operand2: the shifted register is consumed in the early ALU
        flags |= Flag.SHIFT
        for k, op in enumerate(ops):
            if op.type != arm_const.ARM_OP_REG or (
                k == 0 and regs[k] and regs[k][0] in destination and len(ops) > 2
            ):
                continue
            if k == 0 and name in ("mvn", "mvns"):
                continue
            reads += [(r, Role.EARLY if _shifted(op) else Role.LATE_OF_SHIFTED) for r in regs[k]]
        return flags, reads, [*((r, Producer.LATE_ALU) for r in destination), *flag_write], 1, 0
    if name in _SHIFTS:
        flags |= Flag.EARLY_ANY | Flag.SIMPLE_SHIFT
    elif name in _EARLY_ALU:
        flags |= Flag.EARLY_OLDER
    if _is_shifted_constant(insn, name):
        flags = (flags | Flag.SHIFT) & ~Flag.EARLY_OLDER
    reads += [(r, Role.LATE) for r in reads_set if r < 15]
    return flags, reads, [*((r, Producer.LATE_ALU) for r in destination), *flag_write], 1, 0


def _multiply(
    name: str,
    regs: list[tuple[int, ...]],
    reads: list[tuple[int, Role]],
    flag_write: list[tuple[int, Producer]],
    flags: Flag,
) -> _Parts:
    """One multiply a cycle, in either slot; never beside a store or another multiply.

    jnk0le, multiplication: accumulators chain every cycle and are needed one stage after the late ALU; other
    consumers see the result one cycle later; a factor cannot come from a load of the cycle before.
    """
    if name.endswith("s") and len(regs) == 2:
        regs = [regs[0], regs[0], regs[1]]
    if _LONG_ACCUMULATE.match(name) or name.startswith(("smull", "umull")):
        results, factors = regs[:2], regs[2:]
        if _LONG_ACCUMULATE.match(name):
            reads += [(r, Role.ACCUMULATOR) for group in results for r in group]
    elif _ACCUMULATE.match(name):
        results, factors = regs[:1], regs[1:3]
        reads += [(r, Role.ACCUMULATOR) for r in regs[3]]
    else:
        results, factors = regs[:1], regs[1:] if len(regs) > 2 else [regs[0], regs[-1]]
    reads += [(r, Role.FACTOR) for group in factors for r in group]
    return flags, reads, [*((r, Producer.MULTIPLY) for group in results for r in group), *flag_write], 1, 0


def _bitfield(
    insn: capstone.CsInsn,
    name: str,
    regs: list[tuple[int, ...]],
    reads: list[tuple[int, Role]],
    destination: list[int],
    flag_write: list[tuple[int, Producer]],
    flags: Flag,
) -> _Parts:
    """Bit-field and DSP instructions: one a cycle and only as the older of a pair.

    jnk0le, bitfield: SBFX, UBFX, RBIT and REV work early; BFI, PKHxx and xXTAx take the extracted or shifted
    operand early; those cannot pair with an inline shift. UXTB and the like without accumulation take theirs
    late even when rotated: 27 cycles a round of ``CM7_1T_AES_encrypt`` (github.com/jnk0le/cortexm-AES,
    measured on an STM32H7) come out only so. SSAT and USAT with a shift take it early: *assumed*.
    """
    flags |= Flag.DSP
    ops = insn.operands
    rotated = [op.type == arm_const.ARM_OP_REG and _shifted(op) for op in ops]
    extracts = name.startswith(("bfi", "bfc", "sbfx", "ubfx", "rbit", "rev", "pkh")) or bool(
        re.match(r"^[us]xta", name)
    )
    if extracts:
        flags |= Flag.EXTRACT
    sources = range(1, len(ops)) if not name.startswith("bf") else range(len(ops))
    for k in sources:
        takes_early = name.startswith(("sbfx", "ubfx", "rbit", "rev", "pkhtb")) or (
            (name.startswith("bfi") and k == 1) or (re.match(r"^([us]xta|pkhbt)", name) and k == 2)
        )
        if takes_early:
            role = Role.EARLY
        elif extracts:
            role = Role.LATE_OF_SHIFTED
        elif name.endswith("sat") and any(rotated):
            role = Role.EARLY
        else:
            role = Role.LATE
        reads += [(r, role) for r in regs[k]]
    if len(ops) == 2 and len(regs[1]) == 0:
        reads += [(r, Role.LATE) for r in regs[0]]
    if name == "sel":
        reads.append((GE, Role.CONDITION))
    producer = Producer.REVERSE if name in _REVERSES else Producer.BITFIELD
    ge = [(GE, Producer.FLAGS)] if _SETS_GE.match(name) else []
    return flags, reads, [*((r, producer) for r in destination), *flag_write, *ge], 1, 0


def _float(insn: capstone.CsInsn, name: str, dotted: list[str]) -> _Parts:
    """Decode for the FPU (jnk0le, fpu): one arithmetic a cycle, and float MACs cast a shadow of three."""
    ops = insn.operands
    regs = [_ours(op.reg) if op.type == arm_const.ARM_OP_REG else () for op in ops]
    double = "f64" in dotted or any(len(group) == 2 for group in regs)
    if name.startswith(("vldr", "vstr", "vldm", "vstm", "vpush", "vpop")):
        return _float_memory(insn, name, regs)
    if name in ("vmrs", "vmsr"):
        # assumed: VMRS waits for the compare, like a move to the core
        if name == "vmrs":
            general = [r for r in regs[0] if r < 16]
            writes = [(r, Producer.FLOAT_TO_CORE) for r in general] or [(FLAGS, Producer.FLAGS)]
            return Flag.FMOVE, [(FPSCR, Role.FLOAT_TO_CORE)], writes, 1, 0
        return Flag.SINGLE, [(r, Role.CORE_TO_FLOAT) for r in regs[-1]], [(FPSCR, Producer.FLOAT_MOVE)], 1, 0
    if name == "vmov":
        return _float_move(ops, regs)
    if name in ("vdiv", "vsqrt"):
        reads = [(r, Role.FLOAT_MULTIPLY) for group in regs[1:] for r in group]
        cycles = _FLOAT_DIVIDE_CYCLES[(name, 8 if double else 4)]
        return Flag.FP | Flag.LOCKS, reads, [(r, Producer.FLOAT_DIVIDE) for r in regs[0]], cycles, 0
    cycles = _DOUBLE_CYCLES.get(name.removeprefix("vn") and name, 1) if double else 1
    if name.startswith(("vfma", "vfms", "vfnma", "vfnms", "vmla", "vmls", "vnmla", "vnmls")):
        fused = name.startswith("vf")
        flags = Flag.FP | Flag.FMAC | (Flag(0) if fused else Flag.VMLA)
        accumulator = Role.FMA_ACCUMULATOR if fused else Role.MLA_ACCUMULATOR
        reads = [(r, accumulator) for r in regs[0]]
        reads += [(r, Role.FMA_FACTOR) for group in regs[1:] for r in group]
        return flags, reads, [(r, Producer.FMA if fused else Producer.MLA) for r in regs[0]], cycles, 0
    multiplies = name in ("vmul", "vnmul")
    role = Role.FLOAT_MULTIPLY if multiplies else Role.FLOAT_ADD
    # assumed: conversions, compares, absolute value, minimum and selection behave like VADD
    flags = Flag.FP if multiplies else Flag.FP | Flag.AFTER_MAC
    if name.startswith("vcmp"):
        reads = [(r, role) for group in regs for r in group]
        return flags, reads, [(FPSCR, Producer.FLOAT_ADD)], cycles, 0
    sources = regs[1:] if len(regs) > 1 else regs
    reads = [(r, role) for group in sources for r in group]
    if name.startswith("vsel"):
        reads.append((FLAGS, Role.CONDITION))
    return flags, reads, [(r, Producer.FLOAT_ADD) for r in regs[0]], cycles, 0


def _float_move(ops: Any, regs: list[tuple[int, ...]]) -> _Parts:
    """VMOV in its forms; two registers at once never pair (jnk0le, fpu)."""
    groups = [group for group in regs if group]
    if len(ops) == 2 and len(groups) == 1:  # VMOV Sd, #imm: not in the shadow of a float MAC
        flags = Flag.AFTER_MAC | Flag.FMOVE | Flag.FP
        return flags, [], [(r, Producer.FLOAT_MOVE) for r in groups[0]], 1, 0
    wide = Flag.WIDE_MOVE if len(ops) > 2 else Flag(0)
    # one register; a double from two (or the reverse); two from two
    split = 1 if len(groups) == 2 or len(groups[0]) == 2 else 2
    target = [r for group in groups[:split] for r in group]
    source = [r for group in groups[split:] for r in group]
    if target[0] < 16:
        reads = [(r, Role.FLOAT_TO_CORE) for r in source]
        return Flag.FMOVE | wide, reads, [(r, Producer.FLOAT_TO_CORE) for r in target], 1, 0
    if source[0] < 16:
        reads = [(r, Role.CORE_TO_FLOAT) for r in source]
        return Flag.FMOVE | wide, reads, [(r, Producer.FLOAT_MOVE) for r in target], 1, 0
    return (
        Flag.FMOVE,
        [(r, Role.FLOAT_MOVE) for r in source],
        [(r, Producer.FLOAT_MOVE) for r in target],
        1,
        0,
    )


def _float_memory(insn: capstone.CsInsn, name: str, regs: list[tuple[int, ...]]) -> _Parts:
    """VLDR and VSTR pair like word accesses; their double and multiple forms never pair (jnk0le, fpu)."""
    loads = name.startswith(("vldr", "vldm", "vpop"))
    if name.startswith(("vldr", "vstr")):
        reads, writes = _address(insn)
        listed = list(regs[0])
        double = len(listed) == 2
        flags = Flag.SINGLE | Flag.AFTER_MAC if double else Flag.FMOVE
        producer, cycles = Producer.FLOAT_LOAD, 1
    else:
        implied = name.startswith(("vpush", "vpop"))
        base: tuple[int, ...] = (13,) if implied else regs[0]
        tail, written_back = (regs, True) if implied else (regs[1:], insn.writeback)
        reads = [(r, Role.AGU) for r in base]
        writes = [(r, Producer.AGU) for r in base] if written_back else []
        listed = [r for group in tail for r in group]
        flags = Flag.SINGLE | Flag.AFTER_MAC | Flag.MULTIPLE
        producer, cycles = Producer.FLOAT_LOAD_MULTIPLE, max(1, (len(listed) + 1) // 2)
    if loads:
        return flags | Flag.LOAD, reads, [*writes, *((r, producer) for r in listed)], cycles, 4
    return flags | Flag.STORE, [*reads, *((r, Role.FLOAT_STORE) for r in listed)], writes, cycles, 4
