"""W8A16 convolutions on a Cortex-M7 over three frames at once, whose windows are woven into one stream.

Two output channels of three frames need six SMLAD, two SXTB16 and four loads a step of two taps: twelve
instructions, which fill both pipes of six cycles. That takes all fourteen registers but leaves none for a
second pointer, hence the weaving: the three windows lie word beside word, whatever their distance and their
runs were, and one pointer with constant offsets reads them. Nor is there one for a counter: the pointer is
compared with the stream's end, in the cycles where ``T`` holds nothing.
"""

from __future__ import annotations

from firmware.kernelgen.assembly import (
    AHEAD,
    UNITS,
    Assembly,
    begin,
    enter,
    enter_loop,
    entries,
    find_entry,
    leave,
    next_lines,
)

FRAMES = 3
WORD = 4


def join() -> str:
    """Words of one window, runs without gaps: five cycles for four."""
    values = [f"x{i}" for i in range(4)]
    a = Assembly(
        "vk_m7_join",
        {
            **{"from": "r0", "to": "r1", "runs": "r2", "units": "r3"},
            **{value: f"r{4 + i}" for i, value in enumerate(values)},
            **{"gap": "r12", "n": "lr"},
        },
        (),
    )
    a.cycle("push {r4-r7, lr}")
    a.cycle("ldr gap, [sp, #20]")
    a.label("run")
    a.cycle("lsrs n, units, #1", "bcc whole")
    a.note("an odd unit of two words")
    a.cycle("ldr x0, [from], #4")
    a.cycle("ldr x1, [from], #4")
    a.cycle("str x0, [to], #4")
    a.cycle("str x1, [to], #4")
    a.label("whole")
    a.cycle("beq next")
    a.cycle("ldr x0, [from]", "ldr x1, [from, #4]")
    a.cycle("ldr x2, [from, #8]", "ldr x3, [from, #12]")
    a.label("loop", align=True)
    a.cycle("str x0, [to], #16", "ldr x0, [from, #16]!")
    a.cycle("str x1, [to, #-12]", "ldr x1, [from, #4]")
    a.cycle("subs n, n, #1")
    a.cycle("str x2, [to, #-8]", "ldr x2, [from, #8]")
    a.cycle("str x3, [to, #-4]", "ldr x3, [from, #12]")
    a.cycle("bne loop")
    a.label("next")
    a.cycle("subs runs, runs, #1", "add from, from, gap")
    a.cycle("bne run")
    a.cycle("pop {r4-r7, pc}")
    return a.text()


def join_three() -> str:
    """Three runs of one window, without gaps: seven cycles for two words of each, and one loop for all."""
    values = [f"{run}{word}" for word in (0, 1) for run in "xyz"]
    a = Assembly(
        "vk_m7_join_three",
        {
            **{"a": "r0", "to": "r1", "n": "r2", "step": "r3"},
            **{value: f"r{4 + i}" for i, value in enumerate(values)},
            **{"b": "r10", "c": "r11", "far": "r12"},
        },
        (),
    )
    a.cycle("push {r4-r11, lr}")
    a.cycle("add b, a, step", "lsl far, n, #3")
    a.cycle("add c, b, step")
    a.cycle("ldr x0, [a]", "ldr x1, [a, #4]")
    a.cycle("ldr y0, [b]", "ldr y1, [b, #4]")
    a.cycle("ldr z0, [c]", "ldr z1, [c, #4]")
    a.label("loop", align=True)
    a.cycle("str y0, [to, far]", "ldr y0, [b, #8]!")
    a.cycle("str z0, [to, far, lsl #1]", "ldr z0, [c, #8]!")
    a.cycle("str x0, [to], #4", "ldr x0, [a, #8]!")
    a.cycle("str y1, [to, far]", "ldr y1, [b, #4]")
    a.cycle("str z1, [to, far, lsl #1]", "ldr z1, [c, #4]")
    a.cycle("subs n, n, #1")
    a.cycle("str x1, [to], #4", "ldr x1, [a, #4]")
    a.cycle("bne loop")
    a.cycle("pop {r4-r11, pc}")
    return a.text()


def weave() -> str:
    """Words of three windows side by side: seven cycles for two words of each.

    Runs follow one another without gaps. Two words behind every run are read, and not used.
    """
    values = [f"{frame}{word}" for word in (0, 1) for frame in "xyz"]
    a = Assembly(
        "vk_m7_weave",
        {
            "runs": "r0",
            "units": "r1",
            "gap": "r2",
            **{value: f"r{3 + i}" for i, value in enumerate(values)},
            "a": "r9",
            "b": "r10",
            "c": "r11",
            "to": "r12",
            "n": "lr",
        },
        ("window", "woven", "runs", "units", "gap", "frame_bytes"),
    )
    enter(a)
    a.cycle("mov a, r0", "mov to, r1")
    a.cycle(f"ldr n, {a.slot('frame_bytes')}")
    a.cycle("mov r0, r2", "mov r1, r3")
    a.cycle(f"ldr gap, {a.slot('gap')}")
    a.cycle("add b, a, n", "sub to, to, #24")
    a.cycle("add c, b, n")
    a.label("run")
    a.cycle("ldr x0, [a]", "ldr x1, [a, #4]")
    a.cycle("ldr y0, [b]", "ldr y1, [b, #4]")
    a.cycle("ldr z0, [c]", "ldr z1, [c, #4]")
    a.cycle("mov n, units")
    a.label("loop", align=True)
    a.cycle("str x0, [to, #24]!", "ldr x0, [a, #8]!")
    a.cycle("str y0, [to, #4]", "ldr y0, [b, #8]!")
    a.cycle("str z0, [to, #8]", "ldr z0, [c, #8]!")
    a.cycle("str x1, [to, #12]", "ldr x1, [a, #4]")
    a.cycle("str y1, [to, #16]", "ldr y1, [b, #4]")
    a.cycle("subs n, n, #1")
    a.cycle("str z1, [to, #20]", "ldr z1, [c, #4]")
    a.cycle("bne loop")
    a.cycle("add a, a, gap", "add b, b, gap")
    a.cycle("subs runs, runs, #1", "add c, c, gap")
    a.cycle("bne run")
    leave(a)
    return a.text()


def conv_2x3(*, far: bool) -> str:
    """Two output channels of three frames: 146 cycles for 24 steps of 2 × 3 × 2 taps, 0.51 a MAC.

    `far`: for weights behind the cache; every fourth unit, as two lines of 32 bytes are eaten, asks for two
    later ones.
    """
    sums = [f"c{channel}{frame}" for channel in (0, 1) for frame in "abc"]
    a = Assembly(
        "vk_m7_conv_2x3" + "_far" * far,
        {
            **{name: f"r{i}" for i, name in enumerate(sums)},
            **{name: f"r{6 + i}" for i, name in enumerate(("T", "W", "N", "A", "B", "C"))},
            "wp": "r12",
            "ap": "lr",
        },
        (
            *("weights", "requant", "woven", "out"),
            *("over", "end", "out_bytes", "out_last", "quad_bytes"),
        ),
    )

    def step(*, last: bool) -> None:
        """Two taps. On entry T and N are of this step's weights, A and C of its activations."""
        a.cycle("smlad c0a, T, A, c0a", "ldr B, [ap, #4]")
        a.cycle("sxtb16 W, N, ror #8", "smlad c0c, T, C, c0c")
        if not last:
            a.cycle("smlad c0b, T, B, c0b", "ldr N, [wp], #8")
            a.cycle("smlad c1c, W, C, c1c", "ldr C, [ap, #20]")
            a.cycle("smlad c1a, W, A, c1a", "ldr A, [ap, #12]!")
            a.cycle("sxtb16 T, N", "smlad c1b, W, B, c1b")
            return
        a.cycle("smlad c0b, T, B, c0b", f"ldr T, {a.slot('end')}")
        a.cycle("smlad c1c, W, C, c1c", "ldr N, [wp], #8")
        a.cycle("cmp ap, T", "ldr C, [ap, #20]")
        a.cycle("smlad c1a, W, A, c1a", "ldr A, [ap, #12]!")
        a.cycle("sxtb16 T, N", "smlad c1b, W, B, c1b")
        a.cycle("bne loop")

    begin(a, far=far)
    a.cycle("mov N, r1", "mov wp, r0")
    find_entry(a, "A", "B")
    a.cycle("ldr c0a, [N]", "ldr c1a, [N, #12]")
    a.cycle(f"ldr ap, {a.slot('woven')}", "ldr N, [wp], #8")
    a.label("pair")
    a.cycle("ldr A, [ap]", "mov c0b, c0a")
    a.cycle("ldr C, [ap, #8]", "mov c1b, c1a")
    a.cycle("mov c0c, c0a", "mov c1c, c1a")
    a.cycle("sxtb16 T, N")
    enter_loop(a)
    a.label("loop", align=True)
    for number in range(UNITS):
        a.label(f"unit{number}")
        step(last=False)
        if far and number % 4 == 1:
            a.cycle(*next_lines("wp"))
        step(last=number + 1 == UNITS)
    a.note("y = sat((acc << shift) * multiplier, rounded, >> 32); the record is {bias, multiplier, shift}")
    a.cycle(f"ldr A, {a.slot('requant')}", f"ldr B, {a.slot('out_bytes')}")
    a.cycle(f"ldr C, {a.slot('out')}", f"ldr ap, {a.slot('quad_bytes')}")
    a.note("the odd pair of a quad lies 4 bytes behind the even one, the next quad at its end")
    a.cycle("tst wp, #4", "sub wp, wp, #12")
    a.cycle("ldr T, [A, #8]", "ldr W, [A, #4]")
    a.cycle("it eq")
    a.cycle("subeq wp, wp, ap", "lsl c0a, c0a, T")
    a.cycle("ldr N, [A, #20]", "ldr ap, [A, #16]")
    a.cycle("lsl c0b, c0b, T", "smmulr c0a, c0a, W")
    a.cycle("lsl c0c, c0c, T", "smmulr c0b, c0b, W")
    a.cycle("lsl c1a, c1a, N", "smmulr c0c, c0c, W")
    a.cycle("lsl c1b, c1b, N", "smmulr c1a, c1a, ap")
    a.cycle("lsl c1c, c1c, N", "smmulr c1b, c1b, ap")
    a.cycle("ssat c0a, #16, c0a", "smmulr c1c, c1c, ap")
    a.cycle("ssat c1a, #16, c1a", f"ldr T, {a.slot('out_last')}")
    a.cycle("ssat c0b, #16, c0b", "add A, A, #24")
    a.cycle("pkhbt c0a, c0a, c1a, lsl #16", f"str A, {a.slot('requant')}")
    a.cycle("ssat c1b, #16, c1b", "str c0a, [C]")
    a.cycle("ssat c0c, #16, c0c", "ldr c1a, [A, #12]")
    if far:
        a.cycle(f"pld [A, #{AHEAD}]")
    a.cycle("pkhbt c0b, c0b, c1b, lsl #16", "cmp C, T")
    a.cycle("ssat c1c, #16, c1c", "str c0b, [C, B]")
    a.cycle("add T, C, #4", f"ldr ap, {a.slot('woven')}")
    a.cycle("pkhbt c0c, c0c, c1c, lsl #16", "ldr c0a, [A]")
    a.cycle("str c0c, [C, B, lsl #1]", "ldr N, [wp], #8")
    a.cycle(f"str T, {a.slot('out')}", "bne pair")
    leave(a)
    entries(a)
    return a.text()
