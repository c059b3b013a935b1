"""Sums of several signals in one accumulator on a Cortex-M7: straight lines of code, one function per shape.

The same steps as ``m7_short``: two output channels and four frames at a time, a multiply in every cycle. But
each tap has a pointer of its own and the pitch of its own signal, so that a convolution, the mix of another
signal and a residual are one sum with one requantization, and the taps of a long dilation may lie anywhere.
A function behind it (tanh) is looked up before the result is stored.

What is looked up goes without saturation to 16 bits: ``SMMLAR`` requantizes and subtracts the first knot's
input at once, ``USAT`` clamps to the table, whose length is a power of two, and each of its entries is a line
a·u + b over all inputs u, so that no fraction is cut out (``packing.joined_curve``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from firmware.kernelgen.assembly import Assembly
from firmware.kernelgen.m7_rows import Instruction, latency, scheduled
from firmware.kernelgen.packing import joined_bytes

ARGUMENTS = ("stream", "taps", "out", "fours", "ones", "pairs", "curve", "first")
FRAMES = "abcd"
LINE, FAR_PITCH = 32, 16
"""Bytes of a cache line; histories of signals so wide may lie behind the cache: the lines of the four frames
after the next are asked for."""
STEP_BYTES, SETTLING_BYTES, MOST_BYTES = 56, 260, 8192
"""Code of a step and of what follows all steps, and the most that is written out without a loop."""


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
    along : tuple of int
        Taps of which an output reads its own channel alone: one step instead of a frame, which moves along
        with the outputs.
    """

    pitches: tuple[int, ...]
    out_pitch: int
    bits: int = 0
    shift: int = 0
    along: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """A C identifier."""
        taps = "_".join(f"{p}x{n}" for p, n in _counted(self.pitches))
        along = "".join(f"_along{t}" for t in self.along)
        table = f"_table{self.bits}_{self.shift}" if self.bits else ""
        return f"joined_{taps}_to_{self.out_pitch}{along}{table}"

    @property
    def steps(self) -> list[tuple[int, int]]:
        """(tap, word of its frame) of every two elements, in order."""
        words = [1 if t in self.along else pitch // 2 for t, pitch in enumerate(self.pitches)]
        return [(t, w) for t, count in enumerate(words) for w in range(count)]

    @property
    def pairs(self) -> int:
        """Pairs of output channels."""
        return self.out_pitch // 2

    @property
    def is_unrolled(self) -> bool:
        """Whether all pairs are written out one after the other: a loop costs a mispredicted branch."""
        code = self.pairs * (STEP_BYTES * len(self.steps) + SETTLING_BYTES)
        return code <= MOST_BYTES and self.pairs * self.size < 4000

    @property
    def size(self) -> int:
        """Bytes of a pair of channels in the stream."""
        return joined_bytes(len(self.steps))


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

    def weight(self, step: int, channel: int, pair: int = 0) -> str:
        """Two weights of a channel; behind the last step its multiplier."""
        return f"[wp, #{pair * self.shape.size + 8 + 8 * step + 4 * channel}]"

    def frame(self, number: int, step: int, pair: int = 0) -> str:
        """Two elements of one of the four frames."""
        tap, word = self.shape.steps[step]
        along = 4 * pair if tap in self.shape.along else 0
        return f"[ap, #{number * 2 * self.shape.pitches[tap] + 4 * word + along}]"

    def slot(self, name: str) -> str:
        """Where an argument, or a number of our own, lies."""
        if name in self.own:
            return f"[sp, #{4 * self.own.index(name)}]"
        return f"[sp, #{4 * len(self.own) + self.SAVED_BYTES + 4 * self.arguments.index(name)}]"


def _prologue(a: Joined) -> None:
    """Save, copy the taps' pointers, and find the end of the stream."""
    size = a.shape.size
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
    """All channels of four frames, then the next four: pair after pair in one line, or in a loop if long."""
    shape = a.shape
    a.label("fours")
    a.cycle(f"ldr wp, {a.slot('stream')}", f"ldr ap, {a.slot('tap0')}")
    if shape.is_unrolled:
        for pair in range(shape.pairs):
            _begin(a, pair)
            last = pair + 1 == shape.pairs
            back = [] if last else [f"ldr ap, {a.slot('tap0')}"]
            if shape.bits and not last:
                back.insert(0, f"ldr wp, {a.slot('stream')}")
            _steps(a, pair, back)
    else:
        a.cycle(f"ldr P, {a.slot('out')}")
        a.cycle(f"str wp, {a.slot('weights')}")
        a.cycle(f"str P, {a.slot('cursor')}")
        _begin(a, 0)
        a.label("unit", align=True)
        _steps(a, 0, [f"ldr wp, {a.slot('weights')}", f"ldr ap, {a.slot('tap0')}"])
        for tap in shape.along:
            a.cycle(f"ldr c0a, {a.slot(f'tap{tap}')}")
            a.cycle("add c0a, c0a, #4")
            a.cycle(f"str c0a, {a.slot(f'tap{tap}')}")
        a.cycle(f"ldr Q, {a.slot('cursor')}", f"add wp, wp, #{shape.size}")
        a.cycle(f"ldr c1a, {a.slot('stop')}")
        a.cycle("ldr c0d, [wp]", "ldr c1d, [wp, #4]")
        a.cycle("add Q, Q, #4", f"str wp, {a.slot('weights')}")
        a.cycle("cmp wp, c1a", f"str Q, {a.slot('cursor')}")
        a.cycle(f"ldr W0, {a.weight(0, 0)}", f"ldr W1, {a.weight(0, 1)}")
        a.cycle("ldr c1b, [ap]", "bne unit")
    a.note("the next four frames")
    for tap, pitch in enumerate(shape.pitches):
        returns = 0 if shape.is_unrolled or tap not in shape.along else 2 * shape.out_pitch
        a.cycle(f"ldr c0a, {a.slot(f'tap{tap}')}")
        a.cycle(_moved("c0a", 8 * pitch - returns))
        a.cycle(f"str c0a, {a.slot(f'tap{tap}')}")
        for line in range(0, 8 * pitch, LINE) if pitch >= FAR_PITCH else ():
            a.cycle(f"pld [c0a, #{8 * pitch + line}]")
    a.cycle(f"ldr c0a, {a.slot('out')}", f"ldr c0b, {a.slot('fours')}")
    a.cycle(f"add c0a, c0a, #{8 * shape.out_pitch}", "subs c0b, c0b, #1")
    a.cycle(f"str c0a, {a.slot('out')}")
    for line in range(0, 8 * shape.out_pitch, LINE) if shape.out_pitch >= FAR_PITCH else ():
        a.cycle(f"pld [c0a, #{8 * shape.out_pitch + line}]")
    a.cycle(f"str c0b, {a.slot('fours')}", "bne fours")


def _begin(a: Joined, pair: int) -> None:
    """Load what the first step of a pair needs."""
    at = pair * a.shape.size
    a.cycle(f"ldr c0d, [wp, #{at}]", f"ldr c1d, [wp, #{at + 4}]")
    a.cycle(f"ldr W0, {a.weight(0, 0, pair)}", f"ldr W1, {a.weight(0, 1, pair)}")
    a.cycle(f"ldr c1b, {a.frame(0, 0, pair)}")


def _steps(a: Joined, pair: int, back: list[str]) -> None:
    """Sum, requantize and store two channels of four frames; ``back``: loads for the next pair."""
    shape = a.shape
    steps, last_step = shape.steps, len(shape.steps) - 1
    for k, (tap, _) in enumerate(steps):
        first, last = k == 0, k == last_step
        change = not last and steps[k + 1][0] != tap
        xa = "c1b" if first else "P"

        def add(channel: int, letter: str, weights: str, value: str, first: bool = first) -> str:
            """Multiply and accumulate; the first step takes up the bias."""
            old = f"c{channel}d" if first else f"c{channel}{letter}"
            return f"smlad c{channel}{letter}, {weights}, {value}, {old}"

        a.cycle(add(0, "a", "W0", xa), f"ldr Q, {a.frame(1, k, pair)}")
        a.cycle(add(1, "a", "W1", xa), f"ldr P, {a.frame(2, k, pair)}")
        a.cycle(add(0, "b", "W0", "Q"))
        a.cycle(add(1, "b", "W1", "Q"), f"ldr Q, {a.frame(3, k, pair)}")
        moved = f"ldr ap, {a.slot(f'tap{steps[k + 1][0]}')}" if change else ""
        if last and shape.bits:
            moved = f"ldr ap, {a.slot('curve')}"
        a.cycle(add(0, "c", "W0", "P"), *([moved] if moved else []))
        following = [] if change or last else [f"ldr P, {a.frame(0, k + 1, pair)}"]
        a.cycle(add(1, "c", "W1", "P"), *following)
        a.cycle(add(0, "d", "W0", "Q"), f"ldr W0, {a.weight(k + 1, 0, pair)}")
        if change:
            a.cycle(add(1, "d", "W1", "Q"), f"ldr P, {a.frame(0, k + 1, pair)}")
            a.cycle(f"ldr W1, {a.weight(k + 1, 1, pair)}")
        else:
            a.cycle(add(1, "d", "W1", "Q"), f"ldr W1, {a.weight(k + 1, 1, pair)}")
    a.note("W0 and W1 are the multipliers")
    if shape.bits:
        a.cycle(f"ldr Q, {a.slot('first')}", "add wp, ap, #4")
    a.lines += [f"    {line}" for line in _slipped(_epilogue(a, pair), [a._named(line) for line in back])]


def _epilogue(a: Joined, pair: int) -> list[str]:
    """Requantize, look up and store eight sums: the shortest schedule that the registers allow."""
    shape, named = a.shape, a.registers
    lines: list[str] = []
    for letter in FRAMES:
        low, high = f"c0{letter}", f"c1{letter}"
        lines += [*_settled(low, "m0", shape), *_settled(high, "m1", shape), *_packed(low, high, shape)]
    lines.append(f"ldr {{P}}, {a.slot('out' if shape.is_unrolled else 'cursor')}")
    at = 4 * pair
    lines += [f"str {{c0{f}}}, [{{P}}, #{at + i * 2 * shape.out_pitch}]" for i, f in enumerate(FRAMES)]
    begun = {f"c{c}{f}": named[f"c{c}{f}"] for c in (0, 1) for f in FRAMES}
    begun |= {"m0": named["W0"], "m1": named["W1"]}
    fixed, free = {"P": named["P"]}, [named["Q"], named["ap"]]
    if shape.bits:
        fixed = {"table": named["ap"], "next": named["wp"]}
        begun["first"], free = named["Q"], [named["P"]]
    made = [_chained(lines, fixed, skew) for skew in (0, 1, 2, 3, 4, 6, 8)]
    found = [scheduled(body, list(free), fixed, 1.0, begun=begun) for body in made]
    return min((f for f in found if f), key=len)


def _slipped(lines: list[str], loads: list[str]) -> list[str]:
    """Put loads of registers that are done with where an instruction stands alone, or at the end."""
    lines = list(lines)
    for load in loads:
        register = load.split()[1].rstrip(",")
        used = max((i for i, line in enumerate(lines) if re.search(rf"\b{register}\b", line)), default=-1)
        alone = (
            i
            for i in range(used + 1, len(lines))
            if ";" not in lines[i] and not lines[i].startswith(("str", "ldr"))
        )
        place = next(alone, None)
        if place is None:
            lines.append(load)
        else:
            lines[place] += f"; {load}"
    return lines


def _settled(sum_: str, multiplier: str, shape: Shape) -> list[str]:
    """One sum to one output, or with a table to 2^shift times as much, in the sum's own name."""
    s, t, n = "{" + sum_ + "}", "{" + sum_ + "t}", "{" + sum_ + "n}"
    if not shape.bits:
        return [f"smmulr {s}, {s}, {{{multiplier}}}", f"ssat {s}, #16, {s}"]
    return [
        f"smmlar {s}, {s}, {{{multiplier}}}, {{first}}",
        f"usat {s}, #{shape.bits}, {s}",
        f"lsr {t}, {s}, #{shape.shift}",
        f"ldr {n}, [{{next}}, {t}, lsl #3]",
        f"ldr {t}, [{{table}}, {t}, lsl #3]",
        f"mla {s}, {s}, {t}, {n}",
    ]


def _packed(low: str, high: str, shape: Shape) -> list[str]:
    """Two outputs to one word, in the name of the first."""
    if not shape.bits:
        return [f"pkhbt {{{low}}}, {{{low}}}, {{{high}}}, lsl #16"]
    return [
        f"lsl {{{high}}}, {{{high}}}, #{16 - shape.shift}",
        f"pkhtb {{{low}}}, {{{high}}}, {{{low}}}, asr #{shape.shift}",
    ]


def _chained(lines: list[str], fixed: dict[str, str], skew: int) -> list[Instruction]:
    """Instructions over named values, and who waits for whom; each frame `skew` cycles behind another."""
    made: list[Instruction] = []
    last: dict[str, Instruction] = {}
    readers: dict[str, list[Instruction]] = {}
    for line in lines:
        names = re.findall(r"\{(\w+)\}", line)
        stores = line.startswith("str")
        frame = next((FRAMES.index(n[2]) for n in names if re.match(r"c[01][a-d]", n)), 0)
        now = Instruction(
            line, frame * skew, None if stores else names[0], tuple(names if stores else names[1:])
        )
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
    size, steps = shape.size, shape.steps
    out, stop, at, table, following, first, more = "c1b", "c1d", "W1", "c1a", "c1c", "c0d", "c0c"
    c, w, x = ("c0a", "c0b"), ("P", "Q"), "W0"
    a.label("ones")
    a.cycle(f"ldr {c[0]}, {a.slot('ones')}")
    a.cycle(f"cmp {c[0]}, #0", f"ldr {stop}, {a.slot('stop')}")
    a.cycle("beq done")
    if shape.bits:
        a.cycle(f"ldr {table}, {a.slot('curve')}", f"ldr {first}, {a.slot('first')}")
        a.cycle(f"add {following}, {table}, #4")
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
    named = {name: a.registers[name] for name in c}
    named |= {f"{name}{end}": a.registers[r] for name in c for end, r in (("t", x), ("n", more))}
    others = {"m0": w[0], "m1": w[1], "first": first, "table": table, "next": following}
    named |= {name: a.registers[register] for name, register in others.items()}
    lines = [*_settled(c[0], "m0", shape), *_settled(c[1], "m1", shape), *_packed(*c, shape)]
    a.lines += [f"    {line.format(**named)}" for line in lines]
    a.cycle(f"cmp wp, {stop}", f"str {c[0]}, [{out}], #4")
    if not shape.along:
        a.cycle("bne pair")
    for tap in shape.along:
        a.cycle(f"ldr {c[0]}, {a.slot(f'tap{tap}')}")
        a.cycle(f"add {c[0]}, {c[0]}, #4")
        a.cycle(f"str {c[0]}, {a.slot(f'tap{tap}')}", *(["bne pair"] if tap == shape.along[-1] else []))
    a.note("the next frame")
    for tap, pitch in enumerate(shape.pitches):
        a.cycle(f"ldr {c[0]}, {a.slot(f'tap{tap}')}")
        a.cycle(_moved(c[0], 2 * pitch - (2 * shape.out_pitch if tap in shape.along else 0)))
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


def _moved(register: str, by: int) -> str:
    """Add a constant of either sign."""
    return f"{'add' if by >= 0 else 'sub'} {register}, {register}, #{abs(by)}"


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
