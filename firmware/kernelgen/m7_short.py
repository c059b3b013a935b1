"""W8A16 convolutions of few taps on a Cortex-M7: straight lines of code, one function per shape.

In layers of 2 to 16 channels the loops of ``m7_conv`` cost more than what they multiply. Here all taps of a
shape (taps × channels of the input, in one frame of memory) are unrolled for two output channels and four
frames, whose eight sums stay in registers: a step of two taps is eight SMLAD, with its six loads in their
shadow, so a multiply issues in every cycle. Weights are int16, which spares unpacking them, and carry the
shift of the requantization; bias and multipliers lie in the same stream (``packing.pack_short``). Frames
beyond a multiple of four are done one by one. A model brings the functions of its own shapes.
"""

from __future__ import annotations

from collections.abc import Iterable

from firmware.kernelgen.assembly import Assembly
from firmware.kernelgen.packing import short_bytes

HEADER = "    .syntax unified\n    .thumb\n"

ARGUMENTS = ("stream", "window", "out", "fours", "ones", "pairs", "run_bytes", "out_bytes")


class Short(Assembly):
    """One function with its own memory on the stack below what is saved."""

    def __init__(self, name: str, taps: int, pitch: int):
        names = ("c0a", "c0b", "c0c", "c0d", "c1a", "c1b", "c1c", "c1d", "P", "Q", "W0", "W1", "ap")
        super().__init__(
            name,
            {**{name: f"r{i}" for i, name in enumerate(names)}, "wp": "lr"},
            ARGUMENTS,
        )
        self.taps, self.pitch = taps, pitch
        self.own = [*(f"tap{i}" for i in range(taps)), "cursor", "stop", "back"]

    def slot(self, name: str) -> str:
        """Where an argument, or a number of our own, lies."""
        if name in self.own:
            return f"[sp, #{4 * self.own.index(name)}]"
        return f"[sp, #{4 * len(self.own) + self.SAVED_BYTES + 4 * self.arguments.index(name)}]"


def prologue(a: Short) -> None:
    """Save, and find the end of the stream."""
    a.cycle("push {r0-r3}")
    a.cycle(f"push {a.SAVED}")
    a.cycle(f"sub sp, sp, #{4 * len(a.own)}")
    a.cycle(f"ldr r4, {a.slot('pairs')}")
    a.cycle(f"ldr r6, {a.slot('out_bytes')}", f"movw r5, #{short_bytes(a.taps, a.pitch)}")
    a.cycle("mla r4, r4, r5, r0")
    a.cycle("cmp r3, #0", "rsb r6, r6, #0")
    a.cycle(f"str r6, {a.slot('back')}")
    a.cycle(f"str r4, {a.slot('stop')}", "beq ones")


def four_frames(a: Short) -> None:
    """All channels of four frames, then the next four.

    Frame 'a' is the oldest; results are stored backwards from frame 'd', `back` bytes apart.
    """
    steps, size = a.pitch // 2, short_bytes(a.taps, a.pitch)
    total = a.taps * steps

    def weight(step: int, channel: int) -> str:
        return f"[wp, #{8 + 8 * step + 4 * channel}]"

    def frame(number: int, step: int) -> str:
        return f"[ap, #{number * 2 * a.pitch + 4 * (step % steps)}]"

    a.label("fours")
    a.cycle(f"ldr c0a, {a.slot('window')}", f"ldr c0b, {a.slot('out')}")
    a.cycle(f"ldr c0c, {a.slot('back')}")
    a.cycle(f"ldr wp, {a.slot('stream')}", *([f"ldr P, {a.slot('run_bytes')}"] if a.taps > 1 else []))
    a.cycle("mov ap, c0a", f"add c0d, c0a, #{8 * a.pitch}")
    a.cycle("sub c1a, c0b, c0c, lsl #1", f"str c0d, {a.slot('window')}")
    a.cycle("sub c0b, c0b, c0c, lsl #2")
    a.cycle("sub c1a, c1a, c0c", f"str c0b, {a.slot('out')}")
    a.cycle("ldr c0d, [wp]", f"str c1a, {a.slot('cursor')}")
    a.cycle("ldr c1d, [wp, #4]", f"str c0a, {a.slot('tap0')}")
    for tap in range(1, a.taps):
        a.cycle("add c0a, c0a, P")
        a.cycle(f"str c0a, {a.slot(f'tap{tap}')}")
    a.cycle(f"ldr W0, {weight(0, 0)}", f"ldr W1, {weight(0, 1)}")
    a.cycle("ldr c1b, [ap]")
    a.label("unit", align=True)
    for k in range(total):
        first, last = k == 0, k == total - 1
        change = not last and (k + 1) % steps == 0
        xa = "c1b" if first else "P"

        def add(channel: int, letter: str, weights: str, value: str, first: bool = first) -> str:
            """Multiply and accumulate; the first step takes up the bias."""
            old = f"c{channel}d" if first else f"c{channel}{letter}"
            return f"smlad c{channel}{letter}, {weights}, {value}, {old}"

        a.cycle(add(0, "a", "W0", xa), f"ldr Q, {frame(1, k)}")
        a.cycle(add(1, "a", "W1", xa), f"ldr P, {frame(2, k)}")
        a.cycle(add(0, "b", "W0", "Q"))
        a.cycle(add(1, "b", "W1", "Q"), f"ldr Q, {frame(3, k)}")
        moved = f"tap{0 if last else k // steps + 1}"
        a.cycle(add(0, "c", "W0", "P"), *([f"ldr ap, {a.slot(moved)}"] if last or change else []))
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
    a.note("y = sat((acc * multiplier, rounded, >> 32)); W0 and W1 are the multipliers, P and Q the output")
    a.cycle("smmulr c0d, c0d, W0", f"ldr Q, {a.slot('back')}")
    a.cycle("smmulr c1d, c1d, W1")
    a.cycle("ssat c0d, #16, c0d", "smmulr c0a, c0a, W0")
    a.cycle("ssat c1d, #16, c1d", "smmulr c1a, c1a, W1")
    a.cycle("pkhbt c0d, c0d, c1d, lsl #16", "smmulr c0b, c0b, W0")
    a.cycle("ssat c0a, #16, c0a", "smmulr c1b, c1b, W1")
    a.cycle("ssat c1a, #16, c1a", "smmulr c0c, c0c, W0")
    a.cycle("pkhbt c0a, c0a, c1a, lsl #16", "smmulr c1c, c1c, W1")
    a.cycle("ssat c0b, #16, c0b", "str c0d, [P]")
    a.cycle("ssat c1b, #16, c1b", f"ldr W0, [wp, #{size + 8}]")
    a.cycle("pkhbt c0b, c0b, c1b, lsl #16", f"ldr c0d, [wp, #{size}]")
    a.cycle("ssat c0c, #16, c0c", f"ldr W1, [wp, #{size + 12}]")
    a.cycle("ssat c1c, #16, c1c", "str c0b, [P, Q, lsl #1]")
    a.cycle("pkhbt c0c, c0c, c1c, lsl #16", f"ldr c1d, [wp, #{size + 4}]")
    a.cycle(f"ldr c1a, {a.slot('stop')}", f"add wp, wp, #{size}")
    a.cycle("str c0c, [P, Q]", "add c1c, P, #4")
    a.cycle("ldr c1b, [ap]", "add P, P, Q")
    a.cycle("cmp wp, c1a", f"str c1c, {a.slot('cursor')}")
    a.cycle("str c0a, [P, Q, lsl #1]", "bne unit")
    a.note("the next four frames")
    a.cycle(f"ldr c0a, {a.slot('fours')}")
    a.cycle("subs c0a, c0a, #1")
    a.cycle(f"str c0a, {a.slot('fours')}", "bne fours")


def one_frame(a: Short) -> None:
    """All channels of one frame, then the next one."""
    steps, size = a.pitch // 2, short_bytes(a.taps, a.pitch)
    total = a.taps * steps
    window, out, run, stop, at = "c1a", "c1b", "c1c", "c1d", "W1"
    c = ("c0a", "c0b")
    w = (("c0c", "c0d"), ("P", "Q"))  # of even and of odd steps
    x = ("W0", "ap")
    a.label("ones")
    a.cycle(f"ldr {c[0]}, {a.slot('ones')}")
    a.cycle(f"cmp {c[0]}, #0", f"ldr {window}, {a.slot('window')}")
    a.cycle(f"ldr {run}, {a.slot('run_bytes')}", "beq done")
    a.cycle(f"ldr {stop}, {a.slot('stop')}")
    a.label("frame")
    a.cycle(f"ldr {out}, {a.slot('out')}", f"ldr wp, {a.slot('stream')}")
    a.label("pair")

    def load(step: int) -> None:
        """Ask for what a step multiplies."""
        if step < total:
            if step and step % steps == 0:
                a.cycle(f"add {at}, {at}, {run}")
            w0, w1 = w[step % 2]
            a.cycle(f"ldr {w0}, [wp, #{8 + 8 * step}]", f"ldr {w1}, [wp, #{12 + 8 * step}]")
            a.cycle(f"ldr {x[step % 2]}, [{at}, #{4 * (step % steps)}]")

    a.cycle(f"ldr {c[0]}, [wp]", f"ldr {c[1]}, [wp, #4]")
    a.cycle(f"mov {at}, {window}")
    load(0)
    for k in range(total):
        load(k + 1)
        for channel in (0, 1):
            a.cycle(f"smlad {c[channel]}, {w[k % 2][channel]}, {x[k % 2]}, {c[channel]}")
    w0, w1 = w[0]
    a.cycle(f"ldr {w0}, [wp, #{8 + 8 * total}]", f"ldr {w1}, [wp, #{12 + 8 * total}]")
    a.cycle(f"add wp, wp, #{size}")
    a.cycle(f"smmulr {c[0]}, {c[0]}, {w0}", f"cmp wp, {stop}")
    a.cycle(f"smmulr {c[1]}, {c[1]}, {w1}")
    a.cycle(f"ssat {c[0]}, #16, {c[0]}")
    a.cycle(f"ssat {c[1]}, #16, {c[1]}")
    a.cycle(f"pkhbt {c[0]}, {c[0]}, {c[1]}, lsl #16")
    a.cycle(f"str {c[0]}, [{out}], #4")
    a.cycle("bne pair")
    a.note("the next frame")
    a.cycle(f"ldr {c[0]}, {a.slot('ones')}", f"ldr {c[1]}, {a.slot('out')}")
    a.cycle(f"ldr {w0}, {a.slot('out_bytes')}", f"add {window}, {window}, #{2 * a.pitch}")
    a.cycle(f"subs {c[0]}, {c[0]}, #1", f"add {c[1]}, {c[1]}, {w0}")
    a.cycle(f"str {c[1]}, {a.slot('out')}")
    a.cycle(f"str {c[0]}, {a.slot('ones')}", "bne frame")
    a.label("done")
    a.cycle(f"add sp, sp, #{4 * len(a.own)}")
    a.cycle(f"pop {a.SAVED}")
    a.cycle("add sp, sp, #16")
    a.cycle("bx lr")


def source(shapes: Iterable[tuple[int, int]]) -> str:
    """Return an assembly file with ``short_{taps}x{pitch}`` for every shape, for tests and cycle tables."""
    return HEADER + "\n".join(function("short_{}x{}".format(*shape), *shape) for shape in shapes)


def function(name: str, taps: int, pitch: int) -> str:
    """Return the assembly of one shape under a name, without `HEADER`."""
    a = Short(name, taps, pitch)
    prologue(a)
    four_frames(a)
    one_frame(a)
    return a.text()
