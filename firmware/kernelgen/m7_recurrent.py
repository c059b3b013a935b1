"""One frame of an LSTM or GRU on a Cortex-M7: straight lines of code for a unit, one function per shape.

A unit is a list of pairs of columns, each multiplied by its three or four sums, and then the gates: all of it
goes through the scheduler of ``m7_rows``, so that the loads of the functions' lines stand beside multiplies.
int16 weights need no unpacking. What limits is the loads, one more in every pair than there are multiplies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from firmware.compiler.judge.recurrent import SIGMOID_BITS, TANH_BITS
from firmware.kernelgen.assembly import Assembly
from firmware.kernelgen.m7_rows import Instruction, latency, scheduled

ARGUMENTS = ("stream", "values", "wide", "out", "units", "sigmoid", "tanh")
SUMS = "abcd"
SLOTS = {"stop": "[sp, #0]"} | {
    name: f"[sp, #{4 + Assembly.SAVED_BYTES + 4 * i}]" for i, name in enumerate(ARGUMENTS)
}
"""Where the arguments lie, the first four below the caller's others, and the end of the stream."""


@dataclass(frozen=True)
class Shape:
    """What a function is written for.

    Attributes
    ----------
    kind : str
        "lstm", "gru" or "gru_before".
    states, inputs : int
        Pairs of columns of either.
    shift : int
        Of the sums.
    """

    kind: str
    states: int
    inputs: int
    shift: int

    @property
    def name(self) -> str:
        """A C identifier."""
        return f"{self.kind}_{self.states}_{self.inputs}_shift{self.shift}"

    @property
    def pairs(self) -> int:
        """Pairs of columns."""
        return self.states + self.inputs

    @property
    def size(self) -> int:
        """Bytes of a unit in the stream: biases, then every pair's weights of four sums."""
        return 16 + 16 * self.pairs

    def sums_of(self, pair: int) -> tuple[int, ...]:
        """Sums that a pair of columns counts in: a GRU's n has two parts."""
        if self.kind == "lstm":
            return (0, 1, 2, 3)
        if self.kind == "gru_before":
            return (0, 3) if pair < self.states else (0, 2)
        return (0, 1, 3) if pair < self.states else (0, 1, 2)

    def vector_of(self, pair: int, sum_: int) -> int:
        """Which vector a sum reads a pair from: of states times their reset gates, it is the second."""
        return int(self.kind == "gru_before" and sum_ == 3)


def source(shapes: Iterable[Shape]) -> str:
    """Return an assembly file with a function per shape, for tests and cycle tables."""
    head = "    .syntax unified\n    .thumb\n"
    return head + "\n".join(function(shape.name, shape) for shape in shapes)


def function(name: str, shape: Shape) -> str:
    """Return the assembly of one shape under a name, without a header."""
    registers = {"vp": "r12", "wp": "lr"}
    a = Assembly(name, registers, ARGUMENTS)
    a.cycle("push {r0-r3}")
    a.cycle(f"push {a.SAVED}")
    a.cycle("sub sp, sp, #4")
    a.cycle(f"ldr r4, {SLOTS['units']}", f"movw r5, #{shape.size}")
    a.cycle("mla r4, r4, r5, r0")
    a.cycle("mov wp, r0", "mov vp, r1")
    a.cycle(f"str r4, {SLOTS['stop']}")
    if shape.kind == "gru_before":
        _all_kept(a, shape)
    a.label("unit", align=True)
    a.lines += [f"    {line}" for line in _unit(shape)]
    a.cycle(f"ldr r0, {SLOTS['stop']}", f"add wp, wp, #{shape.size}")
    a.cycle("cmp wp, r0")
    a.cycle("bne unit")
    a.cycle("add sp, sp, #4")
    a.cycle(f"pop {a.SAVED}")
    a.cycle("add sp, sp, #16")
    a.cycle("bx lr")
    return a.text()


def _all_kept(a: Assembly, shape: Shape) -> None:
    """States times their reset gates, for all units, behind the vector; the output's pointer waits."""
    a.cycle(f"add r4, r1, #{4 * shape.pairs}", f"str r3, {SLOTS['stream']}")
    a.cycle(f"str r4, {SLOTS['out']}")
    a.label("kept", align=True)
    a.lines += [f"    {line}" for line in _kept(shape)]
    a.cycle(f"ldr r0, {SLOTS['stop']}", f"add wp, wp, #{shape.size}")
    a.cycle("cmp wp, r0")
    a.cycle("bne kept")
    a.cycle(f"ldr r4, {SLOTS['units']}", f"movw r5, #{shape.size}")
    a.cycle(f"ldr r6, {SLOTS['wide']}")
    a.cycle("mls wp, r4, r5, r0")
    a.cycle("sub r6, r6, r4, lsl #2", f"ldr r7, {SLOTS['stream']}")
    a.cycle(f"str r6, {SLOTS['wide']}")
    a.cycle(f"str r7, {SLOTS['out']}")


@cache
def _kept(shape: Shape) -> list[str]:
    """A unit's reset gate, and its state as the gate keeps it."""
    lines = ["ldr {b}, [{wp}, #4]"]
    for pair in range(shape.pairs):
        lines += [f"ldr {{x{pair}}}, [{{vp}}, #{4 * pair}]", f"ldr {{w{pair}}}, [{{wp}}, #{20 + 16 * pair}]"]
        lines.append(f"smlad {{b}}, {{w{pair}}}, {{x{pair}}}, {{b}}")
    lines.append(f"ldr {{sigmoid}}, {SLOTS['sigmoid']}")
    lines += _line("b", "sigmoid", SIGMOID_BITS, shape.shift)
    lines += [f"ldr {{{name}}}, {SLOTS[name]}" for name in ("wide", "out")]
    lines += ["ldr {state}, [{wide}, #0]", "smmul {state}, {b}, {state}", "add {state}, {state}, #128"]
    lines += ["ssat {state}, #16, {state}, asr #8", "strh {state}, [{out}]"]
    return _scheduled([*lines, *_ON])


_ON = [
    *("add {wide}, {wide}, #4", "add {out}, {out}, #2"),
    *(f"str {{{name}}}, {SLOTS[name]}" for name in ("wide", "out")),
]
"""Pointers to the next unit."""


@cache
def _unit(shape: Shape) -> list[str]:
    """All of a unit, in the shortest schedule found."""
    used = [(i, s) for i, s in enumerate(SUMS) if shape.kind != "gru_before" or s != "b"]
    lines = [f"ldr {{{s}}}, [{{wp}}, #{4 * i}]" for i, s in used]
    for pair in range(shape.pairs):
        sums = [
            (SUMS[i], f"{{w{pair}{SUMS[i]}}}", 16 + 16 * pair + 4 * i, "xy"[shape.vector_of(pair, i)])
            for i in shape.sums_of(pair)
        ]
        for vector in dict.fromkeys(name for *_, name in sums):
            at = 4 * (pair + shape.pairs * (vector == "y"))
            lines.append(f"ldr {{{vector}{pair}}}, [{{vp}}, #{at}]")
        lines += [f"ldr {weight}, [{{wp}}, #{at}]" for _, weight, at, _ in sums]
        lines += [f"smlad {{{s}}}, {weight}, {{{v}{pair}}}, {{{s}}}" for s, weight, _, v in sums]
    lines += [f"ldr {{{name}}}, {SLOTS[name]}" for name in ("sigmoid", "tanh")]
    there = [f"ldr {{{name}}}, {SLOTS[name]}" for name in ("wide", "out")]
    ends = {"lstm": _lstm, "gru": _gru, "gru_before": _gru_before}
    return _scheduled([*lines, *ends[shape.kind](shape.shift, there), *_ON])


def _scheduled(lines: list[str]) -> list[str]:
    """The shortest schedule found."""
    fixed = {"wp": "lr", "vp": "r12"}
    free = [f"r{i}" for i in range(12)]
    found = [scheduled(_chained(lines), list(free), fixed, 0.0, spare) for spare in (2, 1)]
    return min((f for f in found if f), key=len)


def _line(value: str, table: str, bits: int, shift: int) -> list[str]:
    """A function of a sum, in its own name: clamp, cut into line and fraction, look up."""
    v, t, s = (f"{{{value}{more}}}" for more in ("", "t", "s"))
    behind = f", asr #{shift}" if shift else ""
    return [
        f"ssat {v}, #{bits + 10}, {v}{behind}",
        f"asr {t}, {v}, #{bits}",
        f"lsl {v}, {v}, #{31 - bits}",
        f"add {t}, {{{table}}}, {t}, lsl #3",
        f"ldr {s}, [{t}, #4]",
        f"ldr {t}, [{t}, #0]",
        f"smmla {v}, {s}, {v}, {t}",
    ]


def _lstm(shift: int, there: list[str]) -> list[str]:
    """Gates f, i, c; the cell; gate o; the state. ``there``: what loads the pointers."""
    return [
        *(line for s in "ca" for line in _line(s, "sigmoid", SIGMOID_BITS, shift)),
        *_line("d", "tanh", TANH_BITS, shift),
        *there,
        "ldr {cell}, [{wide}, #0]",
        "smmul {cell}, {c}, {cell}",
        "smmla {cell}, {a}, {d}, {cell}",
        "qadd {cell}, {cell}, {cell}",
        "str {cell}, [{wide}]",
        *_line("b", "sigmoid", SIGMOID_BITS, shift),
        *_line("cell", "tanh", TANH_BITS, 0),
        "smmul {cell}, {b}, {cell}",
        "add {cell}, {cell}, #128",
        "ssat {cell}, #16, {cell}, asr #8",
        "strh {cell}, [{out}]",
    ]


def _gru_before(shift: int, there: list[str]) -> list[str]:
    """Both parts of n, gate z, the state."""
    parts = [f"asr {{{s}}}, {{{s}}}, #{shift}" for s in "cd"] if shift else []
    return [*parts, "qadd {c}, {c}, {d}", *_gru_state(shift, there)]


def _gru(shift: int, there: list[str]) -> list[str]:
    """Gates z and r, both parts of n, the state."""
    return [
        *_line("b", "sigmoid", SIGMOID_BITS, shift),
        *([f"asr {{{s}}}, {{{s}}}, #{shift}" for s in "cd"] if shift else []),
        "smmul {d}, {b}, {d}",
        "qdadd {c}, {c}, {d}",
        *_gru_state(shift, there),
    ]


def _gru_state(shift: int, there: list[str]) -> list[str]:
    """Gate z, what n is of its sum, and the state between it and the old one."""
    return [
        *_line("a", "sigmoid", SIGMOID_BITS, shift),
        *_line("c", "tanh", TANH_BITS, 0),
        *there,
        "ldr {state}, [{wide}, #0]",
        "sub {state}, {state}, {c}",
        "smmul {state}, {a}, {state}",
        "add {state}, {c}, {state}, lsl #1",
        "str {state}, [{wide}]",
        "add {state}, {state}, #256",
        "ssat {state}, #16, {state}, asr #9",
        "strh {state}, [{out}]",
    ]


def _chained(lines: list[str]) -> list[Instruction]:
    """Instructions over named values, and who waits for whom; loads have their number for a word."""
    made: list[Instruction] = []
    last: dict[str, Instruction] = {}
    readers: dict[str, list[Instruction]] = {}
    for line in lines:
        names = re.findall(r"\{(\w+)\}", line)
        stores = line.startswith("str")
        word = sum(i.kind == "load" for i in made)
        result, operands = (None, names) if stores else (names[0], names[1:])
        now = Instruction(line, word, result, tuple(operands))
        if offset := re.search(r"\[(.*), #(\d+)\]", line):
            now.place = offset[1], int(offset[2])
        for operand in operands:
            if operand in last:
                now.waits_for.append((last[operand], latency(last[operand], now)))
                last[operand].needed_by.append(now)
            readers.setdefault(operand, []).append(now)
        if result:
            now.waits_for += [(r, 0) for r in readers.pop(result, []) if r is not now]
            last[result] = now
        made.append(now)
    for now in reversed(made):
        costs = [consumer.height + latency(now, consumer) for consumer in now.needed_by]
        now.height = max(costs, default=0) + 1
    return made
