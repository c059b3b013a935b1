"""Element-by-element kernels of a Cortex-M7: int16 lanes in pairs, scheduled by a small list scheduler.

Each kernel is written once, for one word, over named values. The scheduler interleaves several words, keeps
the M7's rules (sources in ``bench/m7/pipeline.py``) and hands out registers; clang keeps the order of the
source and waits for every result.

``python -m firmware.kernelgen.m7_rows`` writes ``engine/kernels/rows_m7.S`` again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from firmware.kernelgen.assembly import Assembly

OUT = Path(__file__).resolve().parents[1] / "engine" / "kernels" / "rows_m7.S"

# What an instruction is to the pipeline; anything else is a plain ALU operation.
LOADS = ("ldr", "ldrsh")
MULTIPLIES = (
    *("smlad", "smulbb", "smultt", "smmulr", "smmlar", "smlabb", "smlatb", "smlabt", "smlatt", "mla"),
    *("smmul", "smmla"),
)
OLDER_ONLY = (
    *(
        "pkhbt",
        "pkhtb",
        "ssat",
        "usat",
        "ubfx",
        "sxth",
        "sxtah",
        "sxtb16",
        "ssub16",
        "sel",
        "shadd16",
        "qadd16",
        "qsub16",
        "qadd",
        "qdadd",
    ),
)
# Cycles until another instruction may use the result; one more where it is shifted or extracted.
LATENCY = {"load": 2, "multiply": 2, "older": 1, "alu": 1}


@dataclass
class Instruction:
    """One instruction over values: `text` names them in braces, the result first where there is one."""

    text: str
    word: int
    result: str | None = None
    operands: tuple[str, ...] = ()
    waits_for: list[tuple[Instruction, int]] = field(default_factory=list)
    needed_by: list[Instruction] = field(default_factory=list)
    height: int = 0
    cycle: int | None = None
    place: tuple[str, int] | None = None
    """Of a load: base and offset in bytes, where neighbours are told by these and not by `word`."""

    @property
    def name(self) -> str:
        """The mnemonic."""
        return self.text.split()[0]

    @property
    def kind(self) -> str:
        """Its class: load, store, multiply, older or alu."""
        for kind, names in (("load", LOADS), ("multiply", MULTIPLIES), ("older", OLDER_ONLY)):
            if self.name in names:
                return kind
        return "store" if self.name in ("str", "strh") else "alu"

    @property
    def shifts(self) -> bool:
        """Whether it wants its operands early: inline shifts, extractions, saturation."""
        return bool(re.search(r"(lsl|asr) #", self.text)) or self.name in (
            "ubfx",
            "ssat",
            "usat",
            "sxth",
            "sxtah",
            "lsl",
            "asr",
        )


def latency(producer: Instruction, consumer: Instruction) -> int:
    """Cycles between the issue of one and that of the other."""
    if consumer.kind == "store":
        return LATENCY[producer.kind]
    return LATENCY[producer.kind] + (consumer.shifts and producer.kind != "alu")


def unrolled(lines: tuple[str, ...], words: int, fixed: dict[str, str]) -> list[Instruction]:
    """Repeat the lines for `words` words and note who waits for whom."""
    made: list[Instruction] = []
    for word in range(words):
        last: dict[str, Instruction] = {}
        readers: dict[str, list[Instruction]] = {}
        for line in lines:
            names = re.findall(r"\{(\w+)\}", line)
            stores = line.startswith("str")
            text = line.replace("@", str(4 * word))
            own = [n if n in fixed else f"{n}.{word}" for n in names]
            for n, mine in zip(names, own, strict=True):
                text = text.replace("{" + n + "}", "{" + mine + "}")
            now = Instruction(text, word, None if stores else own[0], tuple(own if stores else own[1:]))
            for operand in now.operands:
                if operand in last:
                    now.waits_for.append((last[operand], latency(last[operand], now)))
                    last[operand].needed_by.append(now)
                readers.setdefault(operand, []).append(now)
            if now.result:  # who reads the old value goes first
                now.waits_for += [(r, 0) for r in readers.pop(now.result, []) if r is not now]
            if now.name == "sel":
                flags = last["flags"]
                now.waits_for.append((flags, 1))
                flags.needed_by.append(now)
            if now.result:
                last[now.result] = now
            if now.name == "ssub16":
                last["flags"] = now
            made.append(now)
    for now in reversed(made):
        costs = [consumer.height + latency(now, consumer) for consumer in now.needed_by]
        now.height = max(costs, default=0) + 1
    return made


def pairs(older: Instruction, younger: Instruction) -> bool:
    """Whether two instructions issue in one cycle."""
    a, b = older.kind, younger.kind
    if b == "older" or (a == b and a in ("multiply", "store")) or {a, b} == {"multiply", "store"}:
        return False
    if a == b == "load" and older.place is not None and younger.place is not None:
        (first, one), (second, other) = older.place, younger.place
        return first == second and abs(one - other) == 4 and older.result not in younger.operands
    if a == b == "load":  # neighbours of one operand lie on different banks
        base = [re.search(r"\[(.*?),", i.text) for i in (older, younger)]
        same = base[0] is not None and base[1] is not None and base[0][1] == base[1][1]
        return older.name == younger.name == "ldr" and same and abs(older.word - younger.word) == 1
    if older.shifts and "asr #" in younger.text:  # one inline shifter
        return False
    return older.result not in younger.operands and older.result != younger.result


def scheduled(
    body: list[Instruction],
    free: list[str],
    fixed: dict[str, str],
    skew: float,
    spare: int = 0,
    begun: Mapping[str, str] = MappingProxyType({}),
) -> list[str] | None:
    """Issue the body greedily by height, a word `skew` cycles behind the one before; None: no registers.

    With `spare`, loads come in the order of their words and leave that many registers to other work.
    `begun` are values that are there already; their registers are free once they were read for the last time.
    """
    registers = dict(fixed) | dict(begun)
    uses: dict[str, int] = {}
    for instruction in body:
        for operand in instruction.operands:
            uses[operand] = uses.get(operand, 0) + 1
    pool, waiting, lines, cycle = list(free), list(body), [], 0
    flags_of: int | None = None
    while waiting:
        issued: list[Instruction] = []
        ready = [
            i for i in waiting if all(p.cycle is not None and p.cycle + d <= cycle for p, d in i.waits_for)
        ]
        for now in sorted(ready, key=lambda i: (-i.height + skew * i.word, i.word)):
            if len(issued) == 2 or (issued and not pairs(issued[0], now)):
                continue
            if now.name == "ssub16" and flags_of is not None:
                continue
            dying = [
                o for o in dict.fromkeys(now.operands) if o not in fixed and uses[o] == now.operands.count(o)
            ]
            fresh = now.result is not None and now.result not in registers
            if fresh and not dying and len(pool) <= (spare if now.kind == "load" else 0):
                continue
            if spare and now.kind == "load" and any(i.kind == "load" and i.word < now.word for i in waiting):
                continue
            operands = {o: registers[o] for o in now.operands}
            for operand in now.operands:
                uses[operand] -= 1
            for operand in dying:
                if operand != now.result:
                    pool.insert(0, registers.pop(operand))
            if fresh and now.result is not None:
                registers[now.result] = pool.pop(0)
            result = {now.result: registers[now.result]} if now.result else {}
            if now.name == "ssub16":
                flags_of = now.word
                if now.result not in uses:  # only its flags are wanted
                    pool.append(registers.pop(str(now.result)))
            if now.name == "sel":
                flags_of = None
            # the first name in the text is the result, the rest are operands
            text, first = now.text, True
            for name in re.findall(r"\{([\w.]+)\}", now.text):
                chosen = result.get(name, operands.get(name, "?")) if first and result else operands[name]
                text = text.replace("{" + name + "}", chosen, 1)
                first = False
            now.cycle = cycle
            issued.append(now)
            now.text = text
            waiting.remove(now)
        if issued:
            lines.append("; ".join(i.text for i in issued))
        elif cycle > 10 * len(body):
            return None
        cycle += 1
    return lines


@dataclass(frozen=True)
class Kernel:
    """A loop over words.

    Attributes
    ----------
    pointers : operands that advance, the output last.
    constants : what else it is called with.
    word : its instructions for one word; ``@`` is the word's offset.
    step : the constant by which the pointers advance, in bytes; by what a turn reads where there is none.
    """

    name: str
    pointers: tuple[str, ...]
    constants: tuple[str, ...]
    word: tuple[str, ...]
    step: str = ""

    WORDS = 4

    def body(self, fixed: dict[str, str], free: list[str]) -> list[str]:
        """Return the shortest schedule over all skews."""
        found = (
            scheduled(unrolled(self.word, self.WORDS, fixed), free, fixed, skew, spare)
            for spare in (0, 2)
            for skew in range(0, 20, 1 + spare)
        )
        return min((lines for lines in found if lines), key=len)

    def text(self) -> str:
        """Return the function: (pointers…, turns, constants…)."""
        arguments = [*self.pointers, "n", *self.constants]
        names = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr"]
        fixed = dict(zip(arguments, names, strict=False))
        free = names[len(arguments) :]
        lines = self.body(fixed, free)
        # a last load or store carries each pointer on
        by = fixed[self.step] if self.step else f"#{4 * self.WORDS}"
        lines.append("; ".join(f"add {fixed[p]}, {fixed[p]}, {by}" for p in self.pointers[:-1]))
        out = fixed[self.pointers[-1]]
        lines.append(f"subs {fixed['n']}, {fixed['n']}, #1; add {out}, {out}, {by}")
        stacked = [f"    ldr {fixed[a]}, [sp, #{36 + 4 * i}]" for i, a in enumerate(arguments[4:])]
        return "\n".join(
            [
                f'    .section .text.{self.name}, "ax", %progbits',
                "    .balign 8",
                f"    .global {self.name}",
                f"    .type {self.name}, %function",
                "    .thumb_func",
                f"/* {', '.join(f'{k} {v}' for k, v in fixed.items())} */",
                f"{self.name}:",
                "    push {r4-r11, lr}",
                *stacked,
                "    .balign 8",
                "1:",
                *(f"    {line}" for line in lines),
                "    bne 1b",
                "    pop {r4-r11, pc}",
                f"    .size {self.name}, . - {self.name}",
                "",
            ]
        )


SATURATED = (
    "ssat {l}, #16, {l}",
    "ssat {h}, #16, {h}",
    "pkhbt {l}, {l}, {h}, lsl #16",
    "str {l}, [{out}, #@]",
)
LEAKED = (  # for a slope below 1 the leaking branch is the larger one exactly where x is negative
    "ldr {x}, [{a}, #@]",
    "smlabb {l}, {x}, {slope}, {rounding}",
    "smlatb {h}, {x}, {slope}, {rounding}",
    "lsl {h}, {h}, #1",
    "pkhtb {p}, {h}, {l}, asr #15",
    "ssub16 {ge}, {x}, {p}",
    "sel {p}, {x}, {p}",
)
SCALED = ("lsl {l}, {l}, {shift}", "lsl {h}, {h}, {shift}", "smmulr {l}, {l}, {m}", "smmulr {h}, {h}, {m}")


def looked_up(value: str, index: str, fraction: str) -> tuple[str, ...]:
    """Interpolate between two entries of the table."""
    return (
        index,
        fraction,
        f"ldrsh {{{value}0}}, [{{table}}, {{{value}i}}, lsl #1]",
        f"ldrsh {{{value}1}}, [{{next}}, {{{value}i}}, lsl #1]",
        f"sub {{{value}1}}, {{{value}1}}, {{{value}0}}",
        f"mla {{{value}1}}, {{{value}1}}, {{{value}f}}, {{half}}",
        f"add {{{value}}}, {{{value}0}}, {{{value}1}}, asr #7",
    )


ADD_SHIFTS = (14, 15)
"""Shifts of sums that have code of their own: a shift known beforehand goes into the saturation."""


def summed(shift: int) -> Kernel:
    """Add with one shift."""
    return Kernel(
        f"vk_m7_add_{shift}",
        ("a", "b", "out"),
        ("multipliers", "rounding"),
        (
            "ldr {x}, [{a}, #@]",
            "ldr {y}, [{b}, #@]",
            "smlabb {l}, {x}, {multipliers}, {rounding}",
            "smlatb {h}, {x}, {multipliers}, {rounding}",
            "smlabt {l}, {y}, {multipliers}, {l}",
            "smlatt {h}, {y}, {multipliers}, {h}",
            f"ssat {{l}}, #16, {{l}}, asr #{shift}",
            f"ssat {{h}}, #16, {{h}}, asr #{shift}",
            *SATURATED[2:],
        ),
    )


KERNELS = (
    *(summed(shift) for shift in ADD_SHIFTS),
    Kernel(
        "vk_m7_mul_held",
        ("a", "out"),
        ("row", "step", "m"),
        (
            "ldr {x}, [{a}, #@]",
            "ldr {y}, [{row}, #@]",
            "smulbb {l}, {x}, {y}",
            "smultt {h}, {x}, {y}",
            *SCALED[2:],
            *SATURATED,
        ),
        step="step",
    ),
    Kernel(
        "vk_m7_bend",
        ("a", "out"),
        ("slope", "rounding", "floor", "room"),
        (
            *LEAKED,
            "qsub16 {p}, {p}, {floor}",
            "qadd16 {p}, {p}, {floor}",
            "qadd16 {p}, {p}, {room}",
            "qsub16 {p}, {p}, {room}",
            "str {p}, [{out}, #@]",
        ),
    ),
    Kernel(
        "vk_m7_bend_quarter",
        ("a", "out"),
        ("zero", "one", "room"),
        (
            "ldr {x}, [{a}, #@]",
            "shadd16 {p}, {x}, {zero}",
            "shadd16 {p}, {p}, {one}",
            "ssub16 {ge}, {x}, {p}",
            "sel {p}, {x}, {p}",
            "qadd16 {p}, {p}, {room}",
            "qsub16 {p}, {p}, {room}",
            "str {p}, [{out}, #@]",
        ),
    ),
    Kernel(
        "vk_m7_add",
        ("a", "b", "out"),
        ("multipliers", "rounding", "shift"),
        (
            "ldr {x}, [{a}, #@]",
            "ldr {y}, [{b}, #@]",
            "smlabb {l}, {x}, {multipliers}, {rounding}",
            "smlatb {h}, {x}, {multipliers}, {rounding}",
            "smlabt {l}, {y}, {multipliers}, {l}",
            "smlatt {h}, {y}, {multipliers}, {h}",
            "asr {l}, {l}, {shift}",
            "asr {h}, {h}, {shift}",
            *SATURATED,
        ),
    ),
    Kernel(
        "vk_m7_mul",
        ("a", "b", "out"),
        ("m", "shift"),
        (
            "ldr {x}, [{a}, #@]",
            "ldr {y}, [{b}, #@]",
            "smulbb {l}, {x}, {y}",
            "smultt {h}, {x}, {y}",
            *SCALED,
            *SATURATED,
        ),
    ),
    Kernel(
        "vk_m7_rescale",
        ("a", "out"),
        ("m", "shift"),
        ("ldr {x}, [{a}, #@]", "sxth {l}, {x}", "asr {h}, {x}, #16", *SCALED, *SATURATED),
    ),
    Kernel(
        "vk_m7_leaky",
        ("a", "out"),
        ("slope", "rounding"),
        (
            *LEAKED,
            "str {p}, [{out}, #@]",
        ),
    ),
    Kernel(
        "vk_m7_clip",
        ("a", "out"),
        ("low", "high"),
        (
            "ldr {x}, [{a}, #@]",
            "ssub16 {ge}, {x}, {low}",
            "sel {x}, {x}, {low}",
            "ssub16 {ge}, {x}, {high}",
            "sel {x}, {high}, {x}",
            "str {x}, [{out}, #@]",
        ),
    ),
    Kernel(
        "vk_m7_table",
        ("a", "out"),
        ("table", "next", "half"),
        (
            "ldr {x}, [{a}, #@]",
            "eor {x}, {x}, #0x80008000",
            *looked_up("l", "ubfx {li}, {x}, #7, #9", "and {lf}, {x}, #127"),
            *looked_up("h", "lsr {hi}, {x}, #23", "ubfx {hf}, {x}, #16, #7"),
            "pkhbt {l}, {l}, {h}, lsl #16",
            "str {l}, [{out}, #@]",
        ),
    ),
)


def mean() -> str:
    """Half of the sum of two rows: 11 cycles for eight lanes, whose successors are loaded meanwhile.

    a − ⌊(a − b) / 2⌋ is their mean, rounded up, and never beyond them: nothing saturates. Reads as far behind
    the last lanes as every buffer may be read.
    """
    names = ("a", "b", "out", "n", *(f"{side}{word}" for side in "xy" for word in range(4)))
    a = Assembly("vk_m7_mean", {name: f"r{i}" for i, name in enumerate(names)}, ())
    a.cycle("push {r4-r11, lr}")
    for side, base in (("x", "a"), ("y", "b")):
        for word in (0, 2):
            a.cycle(*(f"ldr {side}{w}, [{base}, #{4 * w}]" for w in (word, word + 1)))
    a.label("loop", align=True)
    for word, beside in enumerate(("subs n, n, #1", "str x0, [out], #16", "str x1, [out, #-12]")):
        a.cycle(f"shsub16 y{word}, x{word}, y{word}", beside)
        a.cycle(
            f"qsub16 x{word}, x{word}, y{word}", f"ldr y{word}, [b, #{4 * word or '16'}]" + "!" * (not word)
        )
    a.cycle("shsub16 y3, x3, y3", "str x2, [out, #-8]")
    a.cycle("qsub16 x3, x3, y3", "ldr y3, [b, #12]")
    a.cycle("str x3, [out, #-4]", "ldr x0, [a, #16]!")
    a.cycle("ldr x1, [a, #4]", "ldr x2, [a, #8]")
    a.cycle("ldr x3, [a, #12]", "bne loop")
    a.cycle("pop {r4-r11, pc}")
    return a.text()


HEADER = """\
/* Generated by firmware/kernelgen/m7_rows.py: edit that. One line is meant to be one cycle. */
    .syntax unified
    .thumb
"""


def source() -> str:
    """Return the text of ``engine/kernels/rows_m7.S``."""
    return HEADER + "\n".join([*(kernel.text() for kernel in KERNELS), mean()])


if __name__ == "__main__":
    OUT.write_text(source())
