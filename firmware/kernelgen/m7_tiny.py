"""W8A16 convolutions of very few taps on a Cortex-M7: straight lines of code, one per shape, over all frames.

In a layer of two to four channels the loops of ``m7_conv`` cost more than what they multiply. Here the taps
of a shape (runs × steps of two taps) are unrolled for two output channels and two frames, scheduled by
``m7_rows``, and the loop runs over the frames.

``python -m firmware.kernelgen.m7_tiny`` writes ``engine/kernels/conv_tiny_m7.S`` again.
"""

from __future__ import annotations

from firmware.kernelgen.m7_rows import HEADER, scheduled, unrolled
from firmware.kernelgen.m7_rows import OUT as ROWS_OUT

OUT = ROWS_OUT.with_name("conv_tiny_m7.S")

# runs × steps: windows in one run of up to 12 taps, dilated ones of 2 and 3 taps over up to 4 channels
SHAPES = ((1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 1), (2, 2), (3, 1), (3, 2))

# Below the saved registers: bias, multiplier and shift of two channels, then the arguments in order.
SAVED_BYTES = 36
CONSTANTS = ("bias0", "m0", "shift0", "bias1", "m1", "shift1")
ARGUMENTS = ("weights", "requant", "window", "out", "turns", "run_bytes", "back", "frame_bytes", "out_bytes")
SLOTS = {
    **{name: 4 * i for i, name in enumerate(CONSTANTS)},
    **{name: 24 + SAVED_BYTES + 4 * i for i, name in enumerate(ARGUMENTS)},
}


def body(runs: int, steps: int) -> tuple[str, ...]:
    """One turn: two channels of two frames."""
    stored = -(-steps // 2) * 2  # a run's weights are padded to two steps
    lines = [f"ldr {{c{c}{f}}}, [sp, #{SLOTS[f'bias{c}']}]" for c in (0, 1) for f in "ab"]
    for run in range(runs):
        for step in range(steps):
            k = f"{run}{step}"
            lines += [
                f"ldr {{w{k}}}, [{{wp}}, #{8 * (run * stored + step)}]",
                f"ldr {{a{k}}}, [{{ap}}, #{4 * step}]",
                f"ldr {{b{k}}}, [{{bp}}, #{4 * step}]",
                f"sxtb16 {{t{k}}}, {{w{k}}}",
                f"smlad {{c0a}}, {{t{k}}}, {{a{k}}}, {{c0a}}",
                f"smlad {{c0b}}, {{t{k}}}, {{b{k}}}, {{c0b}}",
                f"sxtb16 {{w{k}}}, {{w{k}}}, ror #8",
                f"smlad {{c1a}}, {{w{k}}}, {{a{k}}}, {{c1a}}",
                f"smlad {{c1b}}, {{w{k}}}, {{b{k}}}, {{c1b}}",
            ]
        if run < runs - 1:
            lines += ["add {ap}, {ap}, {run}", "add {bp}, {bp}, {run}"]
    lines += [f"ldr {{back}}, [sp, #{SLOTS['back']}]", "add {ap}, {ap}, {back}", "add {bp}, {bp}, {back}"]
    for c in (0, 1):
        lines += [f"ldr {{shift{c}}}, [sp, #{SLOTS[f'shift{c}']}]", f"ldr {{m{c}}}, [sp, #{SLOTS[f'm{c}']}]"]
        for f in "ab":
            v = f"{{c{c}{f}}}"
            lines += [f"lsl {v}, {v}, {{shift{c}}}", f"smmulr {v}, {v}, {{m{c}}}", f"ssat {v}, #16, {v}"]
    lines += [
        f"ldr {{step}}, [sp, #{SLOTS['out_bytes']}]",
        "pkhbt {c0a}, {c0a}, {c1a}, lsl #16",
        "str {c0a}, [{out}, #0]",
        "pkhbt {c0b}, {c0b}, {c1b}, lsl #16",
        "add {out}, {out}, {step}",
        "str {c0b}, [{out}, #0]",
        "add {out}, {out}, {step}",
    ]
    return tuple(lines)


def one_schedule(
    runs: int, steps: int, free: list[str], fixed: dict[str, str], skew: int, spare: int
) -> list[str] | None:
    """Schedule a turn so that each step begins `skew` cycles behind the one before; None: no registers."""
    made = unrolled(body(runs, steps), 1, fixed)
    step = -1
    for instruction in made:
        if "[r4, " in instruction.text or "[{wp}" in instruction.text:
            step += 1
        instruction.word = max(step, 0)
        if instruction.name in ("lsl", "smmulr", "ssat", "pkhbt", "str") or "sp, " in instruction.text:
            instruction.word = 0 if "bias" in instruction.text else step + 1
    return scheduled(made, free, fixed, skew, spare)


def function(runs: int, steps: int) -> str:
    """Return ``vk_m7_conv_tiny_{runs}x{steps}``."""
    names = ["r4", "r5", "r6", "r7", "r0", "r1"]
    fixed = dict(zip(("wp", "ap", "bp", "out", "n", "run"), names, strict=True))
    free = ["r2", "r3", "r8", "r9", "r10", "r11", "r12", "lr"]
    if runs == 1:
        free.append(fixed.pop("run"))
    tries = (
        one_schedule(runs, steps, free, fixed, skew, spare) for skew in range(0, 5) for spare in range(4)
    )
    lines = min((found for found in tries if found), key=len)
    name = f"vk_m7_conv_tiny_{runs}x{steps}"
    into = {"wp": "weights", "ap": "window", "out": "out", "n": "turns", "run": "run_bytes"}
    loads = [f"    ldr {fixed[r]}, [sp, #{SLOTS[a]}]" for r, a in into.items() if r in fixed]
    return "\n".join(
        [
            f'    .section .text.{name}, "ax", %progbits',
            "    .balign 8",
            f"    .global {name}",
            f"    .type {name}, %function",
            "    .thumb_func",
            f"/* {', '.join(f'{k} {v}' for k, v in fixed.items())} */",
            f"{name}:",
            "    push {r0-r3}",
            "    push {r4-r11, lr}",
            "    ldm r1, {r4-r9}",
            "    push {r4-r9}",
            *loads,
            f"    ldr r8, [sp, #{SLOTS['frame_bytes']}]",
            "    add r6, r5, r8",
            "    .balign 8",
            "1:",
            *(f"    {line}" for line in lines),
            "    subs r0, r0, #1",
            "    bne 1b",
            "    add sp, sp, #24",
            "    pop {r4-r11, lr}",
            "    add sp, sp, #16",
            "    bx lr",
            f"    .size {name}, . - {name}",
            "",
        ]
    )


def source() -> str:
    """Return the text of ``engine/kernels/conv_tiny_m7.S``."""
    return HEADER.replace("m7_rows", "m7_tiny") + "\n".join(function(*shape) for shape in SHAPES)


if __name__ == "__main__":
    OUT.write_text(source())
