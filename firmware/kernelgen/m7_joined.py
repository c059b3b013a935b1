"""Sums of several signals in one accumulator on a Cortex-M7: straight lines of code, one function per shape.

The same steps as ``m7_short``: two output channels and four frames at a time, a multiply in every cycle. But
each tap has a pointer of its own and the pitch of its own signal, so that a convolution, the mix of another
signal and a residual are one sum with one requantization, and the taps of a long dilation may lie anywhere.
A function behind it (tanh) is looked up before the result is stored.

What is looked up goes without saturation to 16 bits: ``SMMLAR`` requantizes and subtracts the first knot's
input at once, ``USAT`` clamps to the table, whose length is a power of two (``packing.joined_curve``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from firmware.kernelgen.m7_conv import Assembly
from firmware.kernelgen.m7_rows import Instruction, latency, scheduled
from firmware.kernelgen.packing import joined_bytes

ARGUMENTS = ("stream", "taps", "out", "fours", "ones", "pairs", "curve", "first")
FRAMES = "abcd"


@dataclass(frozen=True)
class Shape:
    """What a function is written for.

    Attributes
    ----------
    pitches : tuple of int
        Elements of a frame of each tap's signal; even.
    out_pitch : int
        Elements of a frame of the output.
    bits, shift : int
        Of the table behind it: inputs are clamped to so many bits, knots are 2^shift apart; bits 0: none.
    """

    pitches: tuple[int, ...]
    out_pitch: int
    bits: int = 0
    shift: int = 0

    @property
    def name(self) -> str:
        """A C identifier."""
        taps = "_".join(f"{p}x{n}" for p, n in _counted(self.pitches))
        return f"joined_{taps}_to_{self.out_pitch}" + (f"_table{self.bits}_{self.shift}" if self.bits else "")

    @property
    def steps(self) -> list[tuple[int, int]]:
        """(tap, word of its frame) of every two elements, in order."""
        return [(t, w) for t, pitch in enumerate(self.pitches) for w in range(pitch // 2)]


def _counted(pitches: tuple[int, ...]) -> list[tuple[int, int]]:
    """Neighbouring equal pitches, and how many."""
    runs: list[tuple[int, int]] = []
    for pitch in pitches:
        if runs and runs[-1][0] == pitch:
            runs[-1] = (pitch, runs[-1][1] + 1)
        else:
            runs.append((pitch, 1))
    return runs


class Joined(Assembly):
    """One function with its own memory on the stack below what is saved."""

    def __init__(self, name: str, shape: Shape):
        names = ("c0a", "c0b", "c0c", "c0d", "c1a", "c1b", "c1c", "c1d", "P", "Q", "W0", "W1", "ap")
        registers = {**{n: f"r{i}" for i, n in enumerate(names)}, "wp": "lr"}
        super().__init__(name, registers, ARGUMENTS)
        self.shape = shape
        self.own = [*(f"tap{i}" for i in range(len(shape.pitches))), "cursor", "stop", "weights"]

    def slot(self, name: str) -> str:
        """Where an argument, or a number of our own, lies."""
        if name in self.own:
            return f"[sp, #{4 * self.own.index(name)}]"
        return f"[sp, #{4 * len(self.own) + self.SAVED_BYTES + 4 * self.arguments.index(name)}]"


def _prologue(a: Joined) -> None:
    """Save, copy the taps' pointers, and find the end of the stream."""
    size = joined_bytes(a.shape.pitches)
    a.cycle("push {r0-r3}")
    a.cycle(f"push {a.SAVED}")
    a.cycle(f"sub sp, sp, #{4 * len(a.own)}")
    for tap in range(len(a.shape.pitches)):
        a.cycle(f"ldr r4, [r1, #{4 * tap}]")
        a.cycle(f"str r4, {a.slot(f'tap{tap}')}")
    a.cycle(f"ldr r4, {a.slot('pairs')}", f"movw r5, #{size}")
    a.cycle("mla r4, r4, r5, r0")
    a.cycle("cmp r3, #0")
    a.cycle(f"str r4, {a.slot('stop')}", "beq ones")


def _four_frames(a: Joined) -> None:
    """All channels of four frames, then the next four."""
    shape = a.shape
    steps, size, last_step = shape.steps, joined_bytes(shape.pitches), len(shape.steps) - 1

    def weight(step: int, channel: int) -> str:
        return f"[wp, #{8 + 8 * step + 4 * channel}]"

    def frame(number: int, step: int) -> str:
        tap, word = steps[step]
        return f"[ap, #{number * 2 * shape.pitches[tap] + 4 * word}]"

    a.label("fours")
    a.cycle(f"ldr wp, {a.slot('stream')}", f"ldr P, {a.slot('out')}")
    a.cycle(f"ldr ap, {a.slot('tap0')}")
    a.cycle(f"str wp, {a.slot('weights')}")
    a.cycle(f"str P, {a.slot('cursor')}")
    a.cycle("ldr c0d, [wp]", "ldr c1d, [wp, #4]")
    a.cycle(f"ldr W0, {weight(0, 0)}", f"ldr W1, {weight(0, 1)}")
    a.cycle("ldr c1b, [ap]")
    a.label("unit", align=True)
    for k, (tap, _) in enumerate(steps):
        first, last = k == 0, k == last_step
        change = not last and steps[k + 1][0] != tap
        xa = "c1b" if first else "P"

        def add(channel: int, letter: str, weights: str, value: str, first: bool = first) -> str:
            """Multiply and accumulate; the first step takes up the bias."""
            old = f"c{channel}d" if first else f"c{channel}{letter}"
            return f"smlad c{channel}{letter}, {weights}, {value}, {old}"

        a.cycle(add(0, "a", "W0", xa), f"ldr Q, {frame(1, k)}")
        a.cycle(add(1, "a", "W1", xa), f"ldr P, {frame(2, k)}")
        a.cycle(add(0, "b", "W0", "Q"))
        a.cycle(add(1, "b", "W1", "Q"), f"ldr Q, {frame(3, k)}")
        moved = f"ldr ap, {a.slot(f'tap{steps[k + 1][0]}')}" if change else ""
        if last and shape.bits:
            moved = f"ldr ap, {a.slot('curve')}"
        a.cycle(add(0, "c", "W0", "P"), *([moved] if moved else []))
        if last:
            a.cycle(add(1, "c", "W1", "P"), f"ldr P, {a.slot('cursor')}")
        else:
            a.cycle(add(1, "c", "W1", "P"), *([] if change else [f"ldr P, {frame(0, k + 1)}"]))
        a.cycle(add(0, "d", "W0", "Q"), f"ldr W0, {weight(k + 1, 0)}")
        if change:
            a.cycle(add(1, "d", "W1", "Q"), f"ldr P, {frame(0, k + 1)}")
            a.cycle(f"ldr W1, {weight(k + 1, 1)}")
        else:
            a.cycle(add(1, "d", "W1", "Q"), f"ldr W1, {weight(k + 1, 1)}")
    a.note("W0 and W1 are the multipliers, P the output")
    if shape.bits:
        a.cycle(f"ldr Q, {a.slot('first')}", f"movs wp, #{1 << shape.shift >> 1}")
    a.lines += [f"    {line}" for line in _epilogue(a)]
    a.cycle(f"ldr wp, {a.slot('weights')}", "add P, P, #4")
    a.cycle(f"ldr ap, {a.slot('tap0')}", f"str P, {a.slot('cursor')}")
    a.cycle(f"ldr c1a, {a.slot('stop')}", f"add wp, wp, #{size}")
    a.cycle("ldr c0d, [wp]", f"str wp, {a.slot('weights')}")
    a.cycle("cmp wp, c1a", "ldr c1d, [wp, #4]")
    a.cycle(f"ldr W0, {weight(0, 0)}", f"ldr W1, {weight(0, 1)}")
    a.cycle("ldr c1b, [ap]", "bne unit")
    a.note("the next four frames")
    for tap, pitch in enumerate(shape.pitches):
        a.cycle(f"ldr c0a, {a.slot(f'tap{tap}')}")
        a.cycle(f"add c0a, c0a, #{8 * pitch}")
        a.cycle(f"str c0a, {a.slot(f'tap{tap}')}")
    a.cycle(f"ldr c0a, {a.slot('out')}", f"ldr c0b, {a.slot('fours')}")
    a.cycle(f"add c0a, c0a, #{8 * shape.out_pitch}", "subs c0b, c0b, #1")
    a.cycle(f"str c0a, {a.slot('out')}")
    a.cycle(f"str c0b, {a.slot('fours')}", "bne fours")


def _epilogue(a: Joined) -> list[str]:
    """Requantize, look up and store eight sums: the shortest schedule that the registers allow."""
    shape, named = a.shape, a.registers
    lines: list[str] = []
    for number, letter in enumerate(FRAMES):
        results = []
        for channel in (0, 1):
            lines += _settled(f"c{channel}{letter}", f"m{channel}", shape)
            results.append(f"c{channel}{letter}")
        low, high = results
        lines.append(f"pkhbt {{{low}}}, {{{low}}}, {{{high}}}, lsl #16")
        lines.append(f"str {{{low}}}, [{{P}}, #{number * 2 * shape.out_pitch}]")
    fixed = {"P": named["P"]}
    begun = {f"c{c}{f}": named[f"c{c}{f}"] for c in (0, 1) for f in FRAMES}
    begun |= {"m0": named["W0"], "m1": named["W1"]}
    free = [named["Q"], named["ap"], named["wp"]]
    if shape.bits:
        fixed |= {"table": named["ap"], "half": named["wp"]}
        begun["first"] = named["Q"]
        free = []
    made = scheduled(_chained(lines, fixed), free, fixed, 0.0, begun=begun)
    assert made is not None
    return made


def _settled(sum_: str, multiplier: str, shape: Shape) -> list[str]:
    """One sum to one output, in the sum's own name."""
    s, t = "{" + sum_ + "}", "{" + sum_ + "t}"
    if not shape.bits:
        return [f"smmulr {s}, {s}, {{{multiplier}}}", f"ssat {s}, #16, {s}"]
    return [
        f"smmlar {s}, {s}, {{{multiplier}}}, {{first}}",
        f"usat {s}, #{shape.bits}, {s}",
        f"lsr {t}, {s}, #{shape.shift}",
        f"and {s}, {s}, #{(1 << shape.shift) - 1}",
        f"ldr {t}, [{{table}}, {t}, lsl #2]",
        f"smlatb {s}, {t}, {s}, {{half}}",
        f"asr {s}, {s}, #{shape.shift}",
        f"sxtah {s}, {s}, {t}",
    ]


def _chained(lines: list[str], fixed: dict[str, str]) -> list[Instruction]:
    """Instructions over named values, and who waits for whom."""
    made: list[Instruction] = []
    last: dict[str, Instruction] = {}
    readers: dict[str, list[Instruction]] = {}
    for line in lines:
        names = re.findall(r"\{(\w+)\}", line)
        stores = line.startswith("str")
        now = Instruction(line, 0, None if stores else names[0], tuple(names if stores else names[1:]))
        for operand in now.operands:
            if operand in last:
                now.waits_for.append((last[operand], latency(last[operand], now)))
                last[operand].needed_by.append(now)
            readers.setdefault(operand, []).append(now)
        if now.result:
            now.waits_for += [(r, 0) for r in readers.pop(now.result, []) if r is not now]
            last[now.result] = now
        made.append(now)
    for now in reversed(made):
        costs = [consumer.height + latency(now, consumer) for consumer in now.needed_by]
        now.height = max(costs, default=0) + 1
    return made


def _one_frame(a: Joined) -> None:
    """All channels of one frame, then the next one."""
    shape = a.shape
    size, steps = joined_bytes(shape.pitches), shape.steps
    out, stop, at, table, half, first = "c1b", "c1d", "W1", "c1a", "c1c", "c0d"
    c, w, x = ("c0a", "c0b"), ("P", "Q"), "W0"
    a.label("ones")
    a.cycle(f"ldr {c[0]}, {a.slot('ones')}")
    a.cycle(f"cmp {c[0]}, #0", f"ldr {stop}, {a.slot('stop')}")
    a.cycle("beq done")
    if shape.bits:
        a.cycle(f"ldr {table}, {a.slot('curve')}", f"movs {half}, #{1 << shape.shift >> 1}")
        a.cycle(f"ldr {first}, {a.slot('first')}")
    a.label("frame")
    a.cycle(f"ldr {out}, {a.slot('out')}", f"ldr wp, {a.slot('stream')}")
    a.label("pair")
    a.cycle(f"ldr {c[0]}, [wp]", f"ldr {c[1]}, [wp, #4]")
    for k, (tap, word) in enumerate(steps):
        if word == 0:
            a.cycle(f"ldr {at}, {a.slot(f'tap{tap}')}")
        a.cycle(f"ldr {w[0]}, [wp, #{8 + 8 * k}]", f"ldr {w[1]}, [wp, #{12 + 8 * k}]")
        a.cycle(f"ldr {x}, [{at}, #{4 * word}]")
        for channel in (0, 1):
            a.cycle(f"smlad {c[channel]}, {w[channel]}, {x}, {c[channel]}")
    a.cycle(f"ldr {w[0]}, [wp, #{8 + 8 * len(steps)}]", f"ldr {w[1]}, [wp, #{12 + 8 * len(steps)}]")
    a.cycle(f"add wp, wp, #{size}")
    for channel in (0, 1):
        named = {c[channel]: a.registers[c[channel]], f"{c[channel]}t": a.registers[x]}
        named |= {"m": a.registers[w[channel]], "first": a.registers[first]}
        named |= {"table": a.registers[table], "half": a.registers[half]}
        a.lines += [f"    {line.format(**named)}" for line in _settled(c[channel], "m", shape)]
    a.cycle(f"pkhbt {c[0]}, {c[0]}, {c[1]}, lsl #16")
    a.cycle(f"cmp wp, {stop}", f"str {c[0]}, [{out}], #4")
    a.cycle("bne pair")
    a.note("the next frame")
    for tap, pitch in enumerate(shape.pitches):
        a.cycle(f"ldr {c[0]}, {a.slot(f'tap{tap}')}")
        a.cycle(f"add {c[0]}, {c[0]}, #{2 * pitch}")
        a.cycle(f"str {c[0]}, {a.slot(f'tap{tap}')}")
    a.cycle(f"ldr {c[0]}, {a.slot('ones')}", f"ldr {c[1]}, {a.slot('out')}")
    a.cycle(f"subs {c[0]}, {c[0]}, #1", f"add {c[1]}, {c[1]}, #{2 * shape.out_pitch}")
    a.cycle(f"str {c[1]}, {a.slot('out')}")
    a.cycle(f"str {c[0]}, {a.slot('ones')}", "bne frame")
    a.label("done")
    a.cycle(f"add sp, sp, #{4 * len(a.own)}")
    a.cycle(f"pop {a.SAVED}")
    a.cycle("add sp, sp, #16")
    a.cycle("bx lr")


def source(shapes: Iterable[Shape]) -> str:
    """Return an assembly file with a function per shape, for tests and cycle tables."""
    head = "    .syntax unified\n    .thumb\n"
    return head + "\n".join(function(shape.name, shape) for shape in shapes)


def function(name: str, shape: Shape) -> str:
    """Return the assembly of one shape under a name, without a header."""
    a = Joined(name, shape)
    _prologue(a)
    _four_frames(a)
    _one_frame(a)
    return a.text()
