"""Sums of several signals in one accumulator on a Cortex-M7: straight lines of code, one function per shape.

The same steps as ``m7_short``: two output channels and four frames at a time, a multiply in every cycle. But
each tap has a pointer of its own and the pitch of its own signal, so that a convolution, the mix of another
signal and a residual are one sum with one requantization, and the taps of a long dilation may lie anywhere.
A function behind it (tanh) is looked up before the result is stored.

What is looked up goes without saturation to 16 bits: ``SMMLAR`` requantizes and subtracts the first knot's
input at once, ``USAT`` finds the line, of which there is a power of two, and each line is a·u + b over all
inputs u, so that no fraction is cut out and none need be clamped: the first and the last are flat
(``packing.joined_curve``). Slope and offset lie in neighbouring words, which load in one cycle.

While it multiplies, every step leaves a slot free: there it asks for the lines of the next four frames (PLD),
as histories may lie behind the cache.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from firmware.kernelgen.assembly import Assembly
from firmware.kernelgen.m7_rows import Instruction, latency, scheduled
from firmware.kernelgen.packing import joined_bytes

ARGUMENTS = ("stream", "taps", "out", "fours", "ones", "pairs", "curve", "first")
FRAMES = "abcd"
LINE = 32
"""Bytes of a cache line."""
ADDRESS_CYCLES = 3
"""From a load to the use of what it loads as an address."""
ORDERS, SKEWS = ("abcd", "bdca"), (0, 1, 2, 3, 4, 6, 8)
"""Orders of the frames, and cycles that each is behind another: what the schedules are chosen from."""
STEP_BYTES, SETTLING_BYTES, MOST_BYTES = 56, 260, 8192
"""Code of a step and of what follows all steps, and the most that is written out without a loop."""
MOST_AGAIN = 96
"""Elements of a frame of all taps, where they are read again for other pairs: 48 frames stay in the cache."""


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
        Of the table behind it: 2^bits lines, knots 2^shift apart; bits 0: none.
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
    def written_out(self) -> int:
        """Pairs that are written out one after the other; if not all, they are a turn of a loop."""
        code = STEP_BYTES * len(self.steps) + SETTLING_BYTES
        able = (n for n in range(self.pairs, 1, -1) if n * code <= MOST_BYTES and n * self.size < 4000)
        return next((n for n in able if self.pairs % n == 0), 1)

    @property
    def groups(self) -> int:
        """Times that all frames are gone through, each for the pairs that are written out.

        So no pair waits for a mispredicted branch. What is read so often must stay in the cache meanwhile.
        """
        return self.pairs // self.written_out if sum(self.pitches) <= MOST_AGAIN else 1

    @property
    def has_loop(self) -> bool:
        """Whether pairs are the turns of a loop within four frames."""
        return self.written_out * self.groups < self.pairs

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
        self.own = [*(f"tap{i}" for i in range(len(shape.pitches))), "cursor", "stop", "weights", "again"]

    def weight(self, step: int, channel: int, pair: int = 0) -> str:
        """Two weights of a channel; behind the last step its multiplier."""
        return f"[wp, #{pair * self.shape.size + 8 + 8 * step + 4 * channel}]"

    def frame(self, number: int, step: int, pair: int = 0, moved: int = 0) -> str:
        """Two elements of one of the four frames; the pointer is so many bytes further already."""
        tap, word = self.shape.steps[step]
        along = 4 * pair if tap in self.shape.along else 0
        return f"[ap, #{number * 2 * self.shape.pitches[tap] + 4 * word + along - moved}]"

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
    a.cycle("cmp r3, #0", f"str r3, {a.slot('again')}")
    a.cycle(f"str r4, {a.slot('stop')}", "beq ones")


def _four_frames(a: Joined) -> None:
    """All channels of four frames, then the next four; pairs that are not written out in a loop or later."""
    shape = a.shape
    a.label("fours")
    a.cycle(f"ldr wp, {a.slot('stream')}", f"ldr ap, {a.slot('tap0')}")
    if shape.has_loop:
        a.cycle(f"ldr P, {a.slot('out')}")
        a.cycle(f"str wp, {a.slot('weights')}")
        a.cycle(f"str P, {a.slot('cursor')}")
    a.lines += [f"    {line}" for line in _slipped([], [a._named(load) for load in _begin(a, 0)])]
    if shape.has_loop:
        a.label("unit", align=True)
    for pair in range(shape.written_out):
        _steps(a, pair)
    if shape.has_loop:
        _next_pairs(a)
        a.note("the next four frames")
        along = 2 * shape.out_pitch
        _advance(a, {t: 8 * p - (along if t in shape.along else 0) for t, p in enumerate(shape.pitches)})
    a.cycle(f"ldr c0a, {a.slot('out')}", f"ldr c0b, {a.slot('fours')}")
    a.cycle(f"add c0a, c0a, #{8 * shape.out_pitch}", "subs c0b, c0b, #1")
    a.cycle(f"str c0a, {a.slot('out')}")
    a.cycle(f"str c0b, {a.slot('fours')}", "bne fours")
    if shape.groups > 1:
        _next_group(a)


def _next_group(a: Joined) -> None:
    """All frames again for the next pairs; behind the last ones all is as if they had been one."""
    shape, by = a.shape, 4 * a.shape.written_out
    a.note("the next pairs of channels")
    a.cycle(f"ldr c0a, {a.slot('stream')}", f"ldr c0b, {a.slot('stop')}")
    a.cycle(f"ldr c0c, {a.slot('again')}", f"add c0a, c0a, #{shape.written_out * shape.size}")
    a.cycle("cmp c0a, c0b")
    a.cycle("beq whole")
    a.cycle(f"str c0a, {a.slot('stream')}")
    a.cycle(f"str c0c, {a.slot('fours')}")
    pitches = [(f"tap{t}", pitch, by if t in shape.along else 0) for t, pitch in enumerate(shape.pitches)]
    for name, pitch, on in (*pitches, ("out", shape.out_pitch, by)):
        a.cycle(f"mov W0, #{8 * pitch}", f"ldr c0d, {a.slot(name)}")
        a.cycle("mls c0d, W0, c0c, c0d")
        if on:
            a.cycle(f"add c0d, c0d, #{on}")
        a.cycle(f"str c0d, {a.slot(name)}")
    a.cycle("b fours")
    a.label("whole")
    back = by * (shape.groups - 1)
    a.cycle(f"sub c0a, c0a, #{shape.groups * shape.written_out * shape.size}", f"ldr c0b, {a.slot('out')}")
    a.cycle(f"str c0a, {a.slot('stream')}", f"sub c0b, c0b, #{back}")
    a.cycle(f"str c0b, {a.slot('out')}")
    _advance(a, dict.fromkeys(shape.along, -back))


def _next_pairs(a: Joined) -> None:
    """Go on to the pairs of the loop's next turn."""
    shape, count = a.shape, a.shape.written_out
    _advance(a, dict.fromkeys(shape.along, 4 * count))
    a.cycle(f"ldr ap, {a.slot('tap0')}", f"ldr Q, {a.slot('cursor')}")
    a.cycle(f"ldr wp, {a.slot('weights')}", f"ldr c1a, {a.slot('stop')}")
    a.cycle(f"add Q, Q, #{4 * count}", f"add wp, wp, #{count * shape.size}")
    a.cycle(f"str Q, {a.slot('cursor')}")
    a.cycle("ldr c0d, [wp]", "ldr c1d, [wp, #4]")
    a.cycle("cmp wp, c1a", f"str wp, {a.slot('weights')}")
    a.cycle(f"ldr W0, {a.weight(0, 0)}", f"ldr W1, {a.weight(0, 1)}")
    a.cycle("ldr c1b, [ap]", "bne unit")


def _advance(a: Joined, taps: dict[int, int]) -> None:
    """Move pointers of taps on by so many bytes."""
    names = [f"c{channel}{letter}" for channel in (0, 1) for letter in FRAMES]
    moves = list(taps.items())
    while moves:
        now, moves = list(zip(names, moves, strict=False)), moves[len(names) :]
        loads = [f"ldr {name}, {a.slot(f'tap{tap}')}" for name, (tap, _) in now]
        for lines in (loads, [_moved(name, by) for name, (_, by) in now]):
            for at in range(0, len(lines), 2):
                a.cycle(*lines[at : at + 2])
        for name, (tap, _) in now:
            a.cycle(f"str {name}, {a.slot(f'tap{tap}')}")


def _begin(a: Joined, pair: int) -> list[str]:
    """What the first step of a pair needs."""
    at = pair * a.shape.size
    weights = [f"ldr W{channel}, {a.weight(0, channel, pair)}" for channel in (0, 1)]
    biases = [f"ldr c0d, [wp, #{at}]", f"ldr c1d, [wp, #{at + 4}]"]
    return [weights[0], f"ldr c1b, {a.frame(0, 0, pair)}", weights[1], *biases]


def _asked(a: Joined, pair: int) -> dict[int, str]:
    """Cache lines of the next four frames that a pair's steps ask for; in a loop every turn asks for all."""
    shape, found = a.shape, dict[int, str]()
    for tap, pitch in enumerate(shape.pitches):
        own = [k for k, (t, _) in enumerate(shape.steps) if t == tap]
        lines = list(range(0, 8 * pitch, LINE))[pair * len(own) :]
        if tap in shape.along and shape.has_loop:
            continue
        found |= {k: f"pld [ap, #{8 * pitch + line}]" for k, line in zip(own, lines, strict=False)}
    return found


def _steps(a: Joined, pair: int) -> None:
    """Sum, requantize and store two channels of four frames, and load for the next pair.

    Where all pairs are written out the last one moves each tap's pointer on to the next four frames.
    """
    shape = a.shape
    is_end = pair + 1 == shape.written_out
    is_last = is_end and not shape.has_loop
    back = [] if is_end else _begin(a, pair + 1)
    if shape.bits and not is_end:
        back = [f"ldr wp, {a.slot('weights' if shape.has_loop else 'stream')}", *back]
        back.insert(1, f"ldr ap, {a.slot('tap0')}")
    steps, last_step, asked = shape.steps, len(shape.steps) - 1, _asked(a, pair)
    for k, (tap, _) in enumerate(steps):
        first, last = k == 0, k == last_step
        change = not last and steps[k + 1][0] != tap
        moves = is_last and (change or last)
        xa = "c1b" if first else "P"
        on = 8 * shape.pitches[tap]

        def add(channel: int, letter: str, weights: str, value: str, first: bool = first) -> str:
            """Multiply and accumulate; the first step takes up the bias."""
            old = f"c{channel}d" if first else f"c{channel}{letter}"
            return f"smlad c{channel}{letter}, {weights}, {value}, {old}"

        a.cycle(add(0, "a", "W0", xa), f"ldr Q, {a.frame(1, k, pair)}")
        a.cycle(add(1, "a", "W1", xa), f"ldr P, {a.frame(2, k, pair)}")
        beside = [f"add ap, ap, #{on}"] if moves else [asked[k]] if k in asked else []
        a.cycle(add(0, "b", "W0", "Q"), *beside)
        a.cycle(add(1, "b", "W1", "Q"), f"ldr Q, {a.frame(3, k, pair, on if moves else 0)}")
        moved = f"ldr ap, {a.slot(f'tap{steps[k + 1][0]}')}" if change else ""
        if last and (shape.bits or not is_end):
            moved = f"ldr ap, {a.slot('curve' if shape.bits else 'tap0')}"
        if moves:
            a.cycle(f"str ap, {a.slot(f'tap{tap}')}", *([moved] if moved else []))
            moved = ""
        a.cycle(add(0, "c", "W0", "P"), *([moved] if moved else []))
        following = [] if change or last else [f"ldr P, {a.frame(0, k + 1, pair)}"]
        if last and shape.bits:
            following = [f"ldr P, {a.slot('first')}"]
        a.cycle(add(1, "c", "W1", "P"), *following)
        a.cycle(add(0, "d", "W0", "Q"), f"ldr W0, {a.weight(k + 1, 0, pair)}")
        if change:
            a.cycle(add(1, "d", "W1", "Q"), f"ldr P, {a.frame(0, k + 1, pair)}")
            a.cycle(f"ldr W1, {a.weight(k + 1, 1, pair)}")
        else:
            a.cycle(add(1, "d", "W1", "Q"), f"ldr W1, {a.weight(k + 1, 1, pair)}")
    a.note("W0 and W1 are the multipliers")
    lines = list(_epilogue(shape.bits, shape.shift))
    places = {f"<{f}>": str(4 * pair + i * 2 * shape.out_pitch) for i, f in enumerate(FRAMES)}
    places["<out>"] = a.slot("cursor" if shape.has_loop else "out")
    out = next(one.split()[1] for line in lines for one in line.split("; ") if "<out>" in one).rstrip(",")
    for name, place in places.items():
        lines = [line.replace(name, place) for line in lines]
    if not shape.has_loop and LINE * pair < 8 * shape.out_pitch:
        back = [f"pld [{out}, #{8 * shape.out_pitch + LINE * pair}]", *back]
    a.lines += [f"    {line}" for line in _slipped(lines, [a._named(line) for line in back])]


@cache
def _epilogue(bits: int, shift: int) -> tuple[str, ...]:
    """Requantize, look up and store eight sums: the shortest schedule that the registers allow.

    ``<out>`` stands for where the output's pointer lies, ``<a>`` to ``<d>`` for offsets of the frames.
    """
    shape = Shape((2,), 2, bits, shift)
    named = Joined("", shape).registers
    begun = {f"c{c}{f}": named[f"c{c}{f}"] for c in (0, 1) for f in FRAMES}
    begun |= {"m0": named["W0"], "m1": named["W1"]}
    fixed, free = {}, [named["P"], named["Q"]]
    if bits:
        fixed = {"table": named["ap"], "next": named["wp"]}
        begun["first"], free = named["P"], [named["Q"]]
    best: list[str] | None = None
    for order, skew, late in itertools.product(ORDERS, SKEWS, range(4)):
        body = _chained(_settling(order, shape), order, skew)
        pointer = next(one for one in body if one.result == "out")
        pointer.waits_for += [
            (one, 0) for one in [i for i in body if i.name in ("mla", "ssat")][late - 1 : late]
        ]
        lines = scheduled(body, list(free), fixed, 1.0, begun=begun)
        if lines and (best is None or len(lines) < len(best)):
            best = lines
    assert best is not None
    return tuple(best)


def _settling(order: str, shape: Shape) -> list[str]:
    """Instructions for eight sums, over named values."""
    lines = ["add {next}, {table}, #4"] if shape.bits else []
    for letter in order:
        low, high = f"c0{letter}", f"c1{letter}"
        lines += [*_settled(low, "m0", shape), *_settled(high, "m1", shape), *_packed(low, high, shape)]
    return [*lines, "ldr {out}, <out>", *(f"str {{c0{f}}}, [{{out}}, #<{f}>]" for f in FRAMES)]


def _slipped(lines: list[str], loads: list[str]) -> list[str]:
    """Put loads beside instructions that stand alone, once their registers are done with, or at the end.

    An address that is loaded itself must have been there for `ADDRESS_CYCLES`.
    """
    lines = list(lines)
    ready: dict[str, int] = {}
    for at, line in enumerate(lines):
        ready |= {one.result: at + ADDRESS_CYCLES for one in map(_Load.of, line.split("; ")) if one}
    for load in loads:
        now = _Load.of(load)
        assert now is not None
        used = (at for at, line in enumerate(lines) if re.search(rf"\b{now.result or now.base}\b", line))
        last = max(used, default=-1)
        first = max(last + 1 if now.result else 0, ready.get(now.base, 0))
        beyond = len(lines) if now.result else last + 1
        alone = (at for at in range(first, beyond) if ";" not in lines[at] and not _Load.of(lines[at]))
        place = next(alone, None)
        if place is not None:
            lines[place] += f"; {load}"
        elif now.result and lines and (before := _Load.of(lines[-1])) and before.is_beside(now):
            place = len(lines) - 1
            lines[place] += f"; {load}"
        elif now.result:
            place = len(lines)
            lines.append(load)
        if place is not None:
            ready[now.result] = place + ADDRESS_CYCLES
    return lines


@dataclass(frozen=True)
class _Load:
    """A load of a word, or with no result a line that is asked for."""

    result: str
    base: str
    offset: int

    @staticmethod
    def of(line: str) -> _Load | None:
        """Read an instruction; None: no load, or more than one instruction."""
        found = re.fullmatch(r"(?:ldr (\w+), |pld )\[(\w+)(?:, (?:#(-?\d+)|.*))?\]", line.strip())
        return _Load(found[1] or "", found[2], int(found[3] or 0)) if found else None

    def is_beside(self, other: _Load) -> bool:
        """Whether the two load from different banks: all that they read by lies on 8 bytes, as a rule."""
        return (self.offset - other.offset) % 8 == 4 and other.base != self.result != other.result


def _settled(sum_: str, multiplier: str, shape: Shape) -> list[str]:
    """One sum to one output, or with a table to 2^16 times as much, in the sum's own name."""
    s, t, n, w = (f"{{{sum_}{end}}}" for end in ("", "t", "n", "w"))
    if not shape.bits:
        return [f"smmulr {s}, {s}, {{{multiplier}}}", f"ssat {s}, #16, {s}"]
    return [
        f"smmlar {s}, {s}, {{{multiplier}}}, {{first}}",
        f"usat {t}, #{shape.bits}, {s}, asr #{shape.shift}",
        f"ldr {n}, [{{next}}, {t}, lsl #3]",
        f"ldr {w}, [{{table}}, {t}, lsl #3]",
        f"mla {s}, {s}, {w}, {n}",
    ]


def _packed(low: str, high: str, shape: Shape) -> list[str]:
    """Two outputs to one word, in the name of the first."""
    if not shape.bits:
        return [f"pkhbt {{{low}}}, {{{low}}}, {{{high}}}, lsl #16"]
    return [f"pkhtb {{{low}}}, {{{high}}}, {{{low}}}, asr #16"]


def _chained(lines: list[str], order: str, skew: int) -> list[Instruction]:
    """Instructions over named values, and who waits for whom; in order, each frame `skew` cycles behind."""
    made: list[Instruction] = []
    last: dict[str, Instruction] = {}
    readers: dict[str, list[Instruction]] = {}
    for line in lines:
        names = re.findall(r"\{(\w+)\}", line)
        stores = line.startswith("str")
        frame = next((order.index(n[2]) for n in names if re.match(r"c[01][a-d]", n)), 0)
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
        if "[{next}" in line or "[{table}" in line:  # neighbours lie on different banks
            now.place = names[-1], 4 * ("[{next}" in line)
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
    named |= {f"{name}{end}": a.registers[r] for name in c for end, r in (("t", x), ("w", x), ("n", more))}
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
