"""What a compiled model takes on the Cortex-M7 beside its tables: bytes of code, and a bound of the stack.

The model's object and the engine are linked with only what the model's functions reach, as the firmware links
them. The linked code is disassembled: a function's frame is all it ever takes from the stack pointer, summed
without the returns, so assembly counts like C; the bound is the deepest chain of calls. A call through a
pointer is taken to reach every function whose address is kept in the image. Recursion, or a frame whose size
is not a constant, has no bound and is refused.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from common.refusal import Refusal
from firmware.compiler.report import FootprintReport

SCRIPT = """SECTIONS {
  /DISCARD/ : { *(.ARM.exidx*) *(.ARM.extab*) *(.ARM.attributes) *(.comment) *(.note*) *(.llvm_addrsig) }
  .text 0x10000 : { *(.text .text.*) }
  .tables 0x40000000 : { *(.rodata .rodata.* .data .data.* .bss .bss.* COMMON) PLACED }
}
"""

SHT_PROGBITS, SHT_REL, SHF_ALLOC = 1, 9, 2
KEEPS_ADDRESS = (2, 38)
"""R_ARM_ABS32 and R_ARM_TARGET1: the whole address of a symbol, in one word."""


@dataclass(frozen=True)
class Footprint:
    """Code and stack of a model on the M7.

    Attributes
    ----------
    text_bytes : int
        Code of the model's functions and of every kernel they use, constants between instructions included.
    stack_bytes : int
        Bound of what any of the model's functions takes from the stack.
    deepest : tuple of str
        The chain of calls that reaches it.
    """

    text_bytes: int
    stack_bytes: int
    deepest: tuple[str, ...]

    def describe(self) -> FootprintReport:
        """What ``report.json`` says of it."""
        return {
            "text_bytes": self.text_bytes,
            "stack_bytes": self.stack_bytes,
            "deepest": list(self.deepest),
        }


@dataclass
class _Function:
    frame: int
    calls: set[str]
    indirect: bool


def footprint(name: str, header: str, source: str, extra: Sequence[str] = ()) -> Footprint:
    """Build a program for the M7 and measure it.

    Parameters
    ----------
    name : str
        Prefix of the C names.
    header, source : str
        The C files, compiled for the target m7.
    extra : sequence of str
        More compiler flags.

    Raises
    ------
    Refusal
        The C compiler's complaint, or code whose stack has no bound.
    """
    from firmware import toolchain

    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        (folder / f"{name}.h").write_text(header)
        (folder / f"{name}.c").write_text(source)
        objects = toolchain.compile_object(
            [folder / f"{name}.c", *toolchain.kernel_sources("m7")],
            "m7",
            folder,
            extra=(f"-I{folder}", *extra),
        )
        placed = sorted(set(re.findall(r"VAECTROL_PLACE\((\w+), ", source)) - {"region"})
        script = SCRIPT.replace("PLACED", " ".join(f"*(.{region}.*)" for region in placed))
        (folder / "link.ld").write_text(script)
        roots = re.findall(rf"^(?:void|bool|size_t) ({re.escape(name)}_\w+)\(", header, re.MULTILINE)
        keep = [word for root in roots for word in ("--undefined", root)]
        image = folder / "image.elf"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ziglang", "ld.lld", "-T", str(folder / "link.ld"), "--gc-sections"),
                "--emit-relocs",
                *(*keep, "--entry", roots[0], *map(str, objects), "-o", str(image)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refusal(f"{name}: linking for the Cortex-M7 failed: {done.stderr.strip().splitlines()[0]}")
        return _read(image.read_bytes(), roots)


def _read(raw: bytes, roots: list[str]) -> Footprint:
    """Disassemble an image and follow its calls."""
    heads, names = _sections(raw)
    text = heads[names.index(".text")]
    functions, data_marks = _symbols(raw, heads, names.index(".text"))
    taken = _addresses_kept(raw, heads, set(functions))
    graph: dict[str, _Function] = {}
    starts = sorted(functions)
    for at, begin in enumerate(starts):
        end = starts[at + 1] if at + 1 < len(starts) else text[3] + text[5]
        code = raw[text[4] + begin - text[3] : text[4] + end - text[3]]
        graph[functions[begin]] = _function(functions[begin], begin, code, functions, data_marks)
    depth: dict[str, tuple[int, tuple[str, ...]]] = {}
    for root in roots:
        _depth(root, graph, {functions[a] for a in taken}, depth, ())
    worst = max((depth[root] for root in roots), key=lambda found: found[0])
    return Footprint(text[5], worst[0], worst[1])


def _sections(raw: bytes) -> tuple[list[tuple[int, ...]], list[str]]:
    """Section headers and names of a 32-bit ELF file."""
    offset = struct.unpack_from("<I", raw, 32)[0]
    size, count, strings = struct.unpack_from("<HHH", raw, 46)
    heads = [struct.unpack_from("<10I", raw, offset + k * size) for k in range(count)]
    return heads, [_text(raw, heads[strings][4] + head[0]) for head in heads]


def _text(raw: bytes, at: int) -> str:
    return raw[at : raw.index(b"\0", at)].decode()


def _symbols(raw: bytes, heads: list[tuple[int, ...]], section: int) -> tuple[dict[int, str], dict[int, str]]:
    """Functions by address, and where code ($t) and data ($d) begin within the text."""
    functions: dict[int, str] = {}
    marks: dict[int, str] = {}
    for head in heads:
        if head[1] != 2:
            continue
        for at in range(head[4], head[4] + head[5], 16):
            name_at, value, _, info, _, index = struct.unpack_from("<IIIBBH", raw, at)
            name = _text(raw, heads[head[6]][4] + name_at)
            if index != section:
                continue
            if name.startswith(("$t", "$d")):
                marks[value & ~1] = name[:2]
            elif info & 15 == 2:
                functions[value & ~1] = name
    return functions, marks


def _addresses_kept(raw: bytes, heads: list[tuple[int, ...]], starts: set[int]) -> set[int]:
    """Functions whose address is kept in the image: what a call through a pointer may reach.

    Only words that the linker filled in (relocations) are addresses; among the weights of a large model any
    number may stand that equals one.
    """
    found = set()
    for relocations in heads:
        if relocations[1] != SHT_REL:
            continue
        target = heads[relocations[7]]
        if not target[2] & SHF_ALLOC or target[1] != SHT_PROGBITS:
            continue
        for at in range(relocations[4], relocations[4] + relocations[5], 8):
            place, kind = struct.unpack_from("<II", raw, at)
            if kind & 0xFF in KEEPS_ADDRESS:
                (word,) = struct.unpack_from("<I", raw, target[4] + place - target[3])
                if word & 1 and word & ~1 in starts:
                    found.add(word & ~1)
    return found


def _function(
    name: str, begin: int, code: bytes, functions: dict[int, str], marks: dict[int, str]
) -> _Function:
    """Frame and calls of one function."""
    import capstone

    machine = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    )
    inner = sorted(a for a in marks if begin < a < begin + len(code))
    edges = [begin, *inner, begin + len(code)]
    kind = marks.get(begin, "$t")
    found = _Function(0, set(), False)
    pending: dict[str, int] = {}
    for first, last in pairwise(edges):
        kind = marks.get(first, kind)
        if kind == "$d":
            continue
        reached = first
        for word in machine.disasm(code[first - begin : last - begin], first):
            _account(word, found, functions, begin, pending, name)
            reached = word.address + word.size
        if any(code[reached - begin : last - begin]):
            raise Refusal(f"function {name} has an instruction at {reached:#x} that cannot be read.")
    return found


def _account(
    word: Any, found: _Function, functions: dict[int, str], begin: int, upper: dict[str, int], name: str
) -> None:
    """Add one instruction's use of the stack and its call."""
    operation, operands = word.mnemonic.split(".")[0], word.op_str
    if operation == "push":
        found.frame += 4 * _registers(operands)
    elif operation == "vpush":
        found.frame += (8 if "d" in operands.split(",")[0] else 4) * _registers(operands)
    elif operation in ("stmdb", "vstmdb") and operands.startswith("sp!"):
        found.frame += (8 if operation == "vstmdb" else 4) * _registers(operands)
    elif operation in ("sub", "subw") and operands.startswith("sp,"):
        size = re.search(r"#(0x[0-9a-f]+|\d+)$", operands)
        if size is None:
            raise Refusal(f"function {name} takes an amount of stack that is not a constant.")
        found.frame += int(size[1], 0)
    elif operation in ("str", "strd") and (size := re.search(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!", operands)):
        found.frame += int(size[1], 0)
    elif operation in ("bic", "bfc") and operands.startswith("sp"):
        found.frame += 32
    elif operation == "movw" and "#" in operands:
        register, value = operands.split(", #")
        upper[register] = int(value, 0)
    elif operation == "movt" and "#" in operands:
        register, value = operands.split(", #")
        target = (int(value, 0) << 16 | upper.get(register, 0)) & ~1
        if target in functions and target != begin:
            found.calls.add(functions[target])  # an address built in a register: called here or passed on
    elif operation in ("blx", "bx") and operands != "lr" and not operands.startswith("#"):
        found.indirect = True
    elif operation.startswith("b") and operands.startswith("#"):
        target = int(operands[1:], 0) & ~1
        if target in functions and target != begin:
            found.calls.add(functions[target])
        elif operation == "bl" and target == begin:
            raise Refusal(f"function {name} calls itself; its stack has no bound.")


def _registers(operands: str) -> int:
    """Count the registers of a list such as ``{r4, r5, lr}`` or ``{d8-d11}``."""
    inside = operands[operands.index("{") + 1 : operands.index("}")]
    count = 0
    for part in inside.split(","):
        ends = [int(n) for n in re.findall(r"[rsd](\d+)", part)]
        count += ends[1] - ends[0] + 1 if len(ends) == 2 else 1
    return count


def _depth(
    name: str,
    graph: dict[str, _Function],
    taken: set[str],
    known: dict[str, tuple[int, tuple[str, ...]]],
    above: tuple[str, ...],
) -> tuple[int, tuple[str, ...]]:
    """Most stack from a function down."""
    if name in known:
        return known[name]
    if name in above:
        raise Refusal(f"function {name} calls itself over {' → '.join(above)}; its stack has no bound.")
    function = graph[name]
    calls = function.calls | (taken if function.indirect else set())
    below: tuple[int, tuple[str, ...]] = (0, ())
    for callee in sorted(calls):
        below = max(below, _depth(callee, graph, taken, known, (*above, name)), key=lambda found: found[0])
    known[name] = (function.frame + below[0], (name, *below[1]))
    return known[name]
