"""Micro-cases with published cycle counts, run through the emulator and the pipeline model.

Each case is a few instructions; functions with many copies of them are assembled with the firmware's own
toolchain and executed, and the difference between two numbers of copies is divided, as quinapalus does.

    python -m bench.m7.microcases            # the table; exit status 1 when a case is off by more than 5 %

Sources: *jnk0le* github.com/jnk0le/random ``pipeline cycle test/doc/cortex_m7.md`` (measured, STM32H743
rev Y); *quinapalus* quinapalus.com/cm7cycles.html (measured, STM32H730); *cortex-m 430*
github.com/rust-embedded/cortex-m issue 430 (``asm::delay`` timed on STM32H7); *arm9930* community.arm.com
forum thread 9930 "cortex-m7-vfma-usage" (measured loops). Where a source states a rule instead of a count,
the count is what the rule says of these lines. The model is built from the same publications, so the table
shows that it *reproduces* them; the check against whole programs that it was not built from is in
``bench/README.md``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.m7.emulator import Machine
from bench.m7.measure import link_for
from hardware.board import load_board

TOLERANCE = 0.05
COPIES = (8, 24)


@dataclass(frozen=True)
class Case:
    """One micro-case.

    Attributes
    ----------
    lines : instructions of one copy; in a copy, r8 and r9 point into DTCM (r9 = r8 + 256), s0–s15 hold 1.0.
    cycles : published cycles of one copy.
    loop : the copy is a loop body that runs many times, instead of being repeated in line.
    setup : instructions before the first copy; of a loop, between an aligned address and its entry.
    """

    name: str
    lines: tuple[str, ...]
    cycles: float
    source: str
    loop: bool = False
    setup: tuple[str, ...] = ()

    @property
    def branch(self) -> str:
        """The loop's own branch, narrow where its body is."""
        return "bne.n" if all(".n" in line for line in self.lines) else "bne.w"


@dataclass(frozen=True)
class Outcome:
    """Predicted cycles of one copy, and llvm-mca's where it is installed."""

    case: Case
    predicted: float
    mca: float | None

    @property
    def deviation(self) -> float:
        """Relative deviation from the published count."""
        return self.predicted / self.case.cycles - 1.0


def _case(name: str, text: str, cycles: float, source: str, *, loop: bool = False, setup: str = "") -> Case:
    split = [tuple(line.strip() for line in part.split(";") if line.strip()) for part in (text, setup)]
    return Case(name, split[0], cycles, source, loop, split[1])


def _repeat(line: str, values: Iterable[int]) -> str:
    return "; ".join(line.replace("N", str(v)).replace("M", str(4 * v)) for v in values)


CASES: tuple[Case, ...] = (
    # the two ALUs
    _case("8 independent ADD", _repeat("add rN, rN, #1", range(8)), 4, "jnk0le"),
    _case("8 dependent ADD", _repeat("add r0, r0, #1", range(8)), 8, "quinapalus"),
    _case("EOR + EOR", "eor r0, r1, r2; eor r3, r4, r5", 1, "quinapalus"),
    _case("ADC + ADC", "adc r0, r1, r2; adc r3, r4, r5", 1, "quinapalus"),
    _case("ADCS + ADCS, carry between them", "adcs r0, r1, r2; adcs r3, r4, r5", 2, "quinapalus"),
    _case("MOVW + MOVT of one register", "movw r0, #1; movt r0, #2", 1, "jnk0le"),
    _case("shift + shift", "lsr.w r0, r1, #3; lsl.w r2, r3, #4", 1, "jnk0le"),
    _case("inline shift + inline shift", "add r0, r1, r2, lsl #3; eor r3, r4, r5, ror #7", 2, "jnk0le"),
    _case("inline shift + simple constant", "add r0, r1, r2, lsl #3; add r3, r4, #1", 1, "jnk0le"),
    _case("shifted constant, twice", "eor r0, r1, #0x1fc0; eor r2, r3, #0x1fc0", 2, "jnk0le"),
    _case("constant pattern, twice", "eor r0, r1, #0x1b1b1b1b; eor r2, r3, #0x1b1b1b1b", 1, "jnk0le"),
    _case("chain through an inline shift", "add r0, r1, r0, lsl #1", 2, "jnk0le"),
    _case(
        "early ADD feeds EOR and an address",
        "add.w r0, r0, r2; eor.w r6, r0, r6, ror #22; ldr.w r4, [r8, r0]; ldr.w r5, [r8, r1]",
        2,
        "jnk0le",
        setup="mov r0, #0; mov r2, #0; mov r1, #4",
    ),
    # bit-field and DSP
    _case("UXTB + UXTB", "uxtb.w r0, r1; uxtb.w r2, r3", 2, "jnk0le"),
    _case("UBFX older, ADD younger", "ubfx r0, r1, #2, #5; add r2, r3, #1", 1, "jnk0le"),
    _case("SXTB16 older, SMLAD younger", "sxtb16 r0, r1; smlad r2, r3, r4, r2", 1, "jnk0le"),
    _case("REV chain", "rev.w r0, r0", 2, "jnk0le"),
    _case("QADD + QADD", "qadd r0, r1, r2; qadd r3, r4, r5", 2, "jnk0le"),
    # multiplies
    _case("4 independent SMULL", _repeat("smull rN, r8, r6, r7", range(4)), 4, "quinapalus"),
    _case("4 SMLAL, one accumulator", _repeat("smlal r0, r1, r6, r7", range(4)), 4, "quinapalus"),
    _case("4 SMLALD, one accumulator", _repeat("smlald r0, r1, r6, r7", range(4)), 4, "jnk0le"),
    _case("4 SMLAD, one accumulator", _repeat("smlad r0, r6, r7, r0", range(4)), 4, "jnk0le"),
    _case("MUL chain through a factor", "mul r0, r0, r1", 2, "quinapalus"),
    _case("UMULL + EOR", "umull r0, r1, r2, r3; eor r4, r5, r6", 1, "quinapalus"),
    _case("UMLAL + ADC", "umlal r0, r1, r2, r3; adc r4, r5, r6", 1, "quinapalus"),
    _case("MUL + MUL", "mul r0, r2, r3; mul r1, r4, r5", 2, "quinapalus"),
    _case("MUL, STR", "mul r0, r2, r3; str.w r4, [r8]", 2, "jnk0le"),
    _case("SMLAD + inline shift", "smlad r0, r6, r7, r0; add r1, r2, r3, lsl #2", 1, "jnk0le"),
    _case("LDR, MUL of the loaded word", "ldr.w r0, [r8]; mul r1, r0, r2", 2, "jnk0le"),
    _case("LDRB, MLA into the loaded byte", "ldrb.w r0, [r8]; mla r1, r2, r3, r0", 1, "jnk0le"),
    # loads
    _case("8 LDR, consecutive words", _repeat("ldr.w rN, [r8, #M]", range(8)), 4, "jnk0le"),
    _case("LDR + LDR, one bank", "ldr.w r0, [r8]; ldr.w r1, [r9]", 2, "quinapalus"),
    _case("LDR + ADC", "ldr.w r0, [r8]; adc r1, r2, r3", 1, "quinapalus"),
    _case("LDR + MUL", "ldr.w r0, [r8]; mul r1, r2, r3", 1, "quinapalus"),
    _case("LDR + MLA", "ldr.w r0, [r8]; mla r1, r2, r3, r1", 1, "quinapalus"),
    _case(
        "4 × (LDR, dependent ADD)",
        "; ".join(f"ldr.w r0, [r8, #{8 * k}]; add r1, r0, #1" for k in range(4)),
        4,
        "jnk0le",
    ),
    _case("LDR chain through the address", "ldr.w r8, [r8]", 3, "quinapalus", setup="str.w r8, [r8]"),
    _case("LDRB, dependent ADD", "ldrb.w r0, [r8]; add r1, r0, #1", 2, "jnk0le"),
    _case("post-indexed LDR, two bases", "ldr.w r0, [r8], #0; ldr.w r1, [r9, #4]", 1, "jnk0le"),
    _case("unaligned LDR + EOR", "ldr.w r0, [r8, #1]; eor r1, r2, r3", 4, "jnk0le"),
    _case("LDM of 4", "nop.n; nop.n; ldm.w r8, {r0, r1, r2, r3}", 3, "jnk0le"),
    _case("LDM of 7", "nop.n; nop.n; ldm.w r8, {r0, r1, r2, r3, r4, r5, r6}", 5, "jnk0le"),
    _case("LDRD between wide opcodes", "nop.w; nop.w; ldrd r0, r1, [r8]", 3, "jnk0le"),
    _case("LDRD after narrow opcodes", "nop.n; nop.n; ldrd r0, r1, [r8]", 2, "jnk0le"),
    # stores
    _case("4 STR", _repeat("str.w r0, [r8, #M]", range(4)), 4, "jnk0le"),
    _case(
        "2 × (LDR, STR)",
        "ldr.w r0, [r8]; str.w r1, [r9]; ldr.w r2, [r8, #8]; str.w r3, [r9, #8]",
        2,
        "jnk0le",
    ),
    _case("ADD, STR of the sum", "add r0, r1, r2; str.w r0, [r8]", 1, "jnk0le"),
    _case("LDR, STR of the word", "ldr.w r0, [r8]; str.w r0, [r9, #4]", 1, "jnk0le"),
    _case("STRB, one bank", "strb.w r0, [r8]", 4, "jnk0le"),
    _case("2 STRB, both banks", "strb.w r0, [r8]; strb.w r0, [r8, #4]", 4, "jnk0le"),
    _case("8 STRB, consecutive", _repeat("strb.w r0, [r8, #N]", range(8)), 19.2, "jnk0le"),
    _case("STRH, consecutive", _repeat("strh.w r0, [r8, #N]", range(0, 8, 2)), 8, "jnk0le"),
    _case("unaligned STR", "str.w r0, [r8, #1]", 4, "jnk0le"),
    # branches
    _case(
        "loop of 20, one a branch",
        "; ".join(["nop.w"] * 18 + ["subs.w r11, r11, #1"]),
        10,
        "jnk0le",
        loop=True,
    ),
    _case("SUBS + BNE loop, entry at 0 mod 8", "subs.n r7, r7, #1", 1, "cortex-m 430", loop=True),
    _case(
        "SUBS + BNE loop, entry at 6 mod 8",
        "subs.n r7, r7, #1",
        2,
        "cortex-m 430",
        loop=True,
        setup="nop.n; nop.n; nop.n",
    ),
    # float
    _case("4 independent VADD", _repeat("vadd.f32 sN, s8, s9", range(4)), 4, "quinapalus"),
    _case("VADD chain", "vadd.f32 s0, s0, s1", 3, "jnk0le"),
    _case("VMUL chain", "vmul.f32 s0, s0, s1", 3, "jnk0le"),
    _case("VMUL, VADD alternating", "vmul.f32 s0, s8, s9; vadd.f32 s1, s8, s9", 2, "arm9930"),
    _case("VFMA, VADD alternating", "vfma.f32 s0, s8, s9; vadd.f32 s1, s8, s9", 5, "arm9930"),
    _case("VFMA, one accumulator", "vfma.f32 s0, s8, s9", 3, "quinapalus"),
    _case("VMLA, one accumulator", "vmla.f32 s0, s8, s9", 3, "quinapalus"),
    _case("3 VFMA, three accumulators", _repeat("vfma.f32 sN, s8, s9", range(3)), 3, "jnk0le"),
    _case("VFMA chain through a factor", "vfma.f32 s0, s0, s1", 5, "quinapalus"),
    _case("VMLA chain through a factor", "vmla.f32 s0, s0, s1", 6, "quinapalus"),
    _case("VLDR + VLDR, two banks", "vldr s0, [r8]; vldr s1, [r8, #4]", 1, "jnk0le"),
    _case("VLDR, dependent VADD", "vldr s0, [r8]; vadd.f32 s1, s0, s2", 1, "jnk0le"),
    _case(
        "VLDR, VFMA",
        "vldr s0, [r8]; vfma.f32 s1, s8, s9; vldr s2, [r8, #4]; vfma.f32 s3, s8, s9",
        4,
        "jnk0le",
    ),
    _case("VADD, VSTR of the sum", "vadd.f32 s0, s8, s9; vstr s0, [r8]", 1, "jnk0le"),
    _case("VADD + integer ADD", "vadd.f32 s0, s8, s9; add r0, r1, #1", 1, "jnk0le"),
    _case("VDIV", "vdiv.f32 s0, s8, s9", 16, "jnk0le"),
    _case("VSQRT", "vsqrt.f32 s0, s8", 14, "jnk0le"),
    _case("VLDM of 8", "nop.n; nop.n; vldm r8, {s0-s7}", 5, "jnk0le"),
)


def source_of(name: str, case: Case, copies: int) -> str:
    """Assembly of a function `name` with that many copies (or loop turns) of the case."""
    setup = [f"        {line}" for line in case.setup]
    body = [f"        {line}" for line in case.lines]
    turns: list[str] = []
    if case.loop:
        turns = [f"        mov r11, #{copies}", f"        mov r7, #{copies}"]
        setup, body = [], [*setup, "1:", *body, f"        {case.branch} 1b"]
    else:
        body = body * copies
    return "\n".join(
        [
            f'        .section .text.{name},"ax"',
            "        .balign 32",
            f"        .global {name}",
            f"        .type {name}, %function",
            f"{name}:",
            "        push {r4-r11, lr}",
            "        mov r8, r0",
            "        add r9, r0, #256",
            *(f"        vmov.f32 s{k}, #1.0" for k in range(16)),
            *(f"        mov.w r{k}, #1" for k in range(8)),
            *turns,
            *setup,
            "        isb",
            "        .balignw 32, 0xbf00",
            *body,
            "        pop {r4-r11, pc}",
            f"        .size {name}, . - {name}",
            "",
        ]
    )


def predict(cases: Sequence[Case]) -> list[float]:
    """Predicted cycles of one copy of each case: the difference of two numbers of copies, divided."""
    board = load_board("patch_sm")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "micro.S"
        functions = [source_of(f"case{k}_{n}", case, n) for k, case in enumerate(cases) for n in COPIES]
        path.write_text("        .syntax unified\n        .thumb\n" + "\n".join(functions), encoding="utf-8")
        machine = Machine(link_for([path], board, path.with_suffix(".elf")), board)
    data = machine.alloc(1024, align=32)
    found = []
    for k in range(len(cases)):
        cycles = []
        for copies in COPIES:
            machine.call(f"case{k}_{copies}", data, traced=True)
            cycles.append(machine.call(f"case{k}_{copies}", data, traced=True).cycles)
        found.append((cycles[1] - cycles[0]) / (COPIES[1] - COPIES[0]))
    return found


def mca_cycles(case: Case) -> float | None:
    """llvm-mca's cycles per copy for the same lines, None where it is not installed or refuses."""
    if shutil.which("llvm-mca") is None or case.loop:
        return None
    text = "\n".join(re.sub(r"nop\.[nw]", "nop", line) for line in case.lines) + "\n"
    command = ["llvm-mca", "-mtriple=thumbv7em-none-eabihf", "-mcpu=cortex-m7", "-iterations=200"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    return int(found[1]) / 200 if found and done.returncode == 0 else None


def run_all(cases: Sequence[Case] = CASES, *, mca: bool = True) -> list[Outcome]:
    """Run the whole table; `mca` asks llvm-mca too, a process per case."""
    return [
        Outcome(case, cycles, mca_cycles(case) if mca else None)
        for case, cycles in zip(cases, predict(cases), strict=True)
    ]


def table(outcomes: Iterable[Outcome]) -> str:
    """Print-ready table with the deviation of each case."""
    lines = [f"{'case':<38} {'published':>9} {'predicted':>9} {'off':>7} {'llvm-mca':>9}  source"]
    for o in outcomes:
        mca = "-" if o.mca is None else f"{o.mca:.2f}"
        flag = "  <-- off" if abs(o.deviation) > TOLERANCE else ""
        lines.append(
            f"{o.case.name:<38} {o.case.cycles:9.2f} {o.predicted:9.2f} {o.deviation:+7.1%} {mca:>9}  "
            f"{o.case.source}{flag}"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 when a case is out of tolerance."""
    outcomes = run_all()
    print(table(outcomes))
    return 1 if any(abs(o.deviation) > TOLERANCE for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
