"""Link M7 objects so that everything lies where it lies on the board.

A section whose name begins with a region's name (``.axi.weights``) goes to that region; the rest goes where
`Placement` says. Gaps and sizes are the linker's; a region that overflows is refused with its numbers.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.refusal import DoesNotFit, Refusal
from hardware.board import Board

# Where the stack of the audio callback ends (it grows down from the top of DTCM).
STACK_REGION = "dtcm"


@dataclass(frozen=True)
class Placement:
    """Regions of the sections that name none."""

    text: str = "itcm"
    rodata: str = "axi"
    data: str = "dtcm"


def linker_script(board: Board, placement: Placement) -> str:
    """GNU ld script with one output section per region of `board`."""
    known = {region.name for region in board.memory}
    for role, name in vars(placement).items():
        if name not in known:
            raise Refusal(
                f"{board.name} has no region {name!r} for {role}; choose {', '.join(sorted(known))}."
            )
    memory = "\n".join(
        f"  {r.name} (rwx) : ORIGIN = {_origin(r.address):#x}, "
        f"LENGTH = {r.bytes - _origin(r.address) + r.address:#x}"
        for r in board.memory
    )
    sections = []
    for region in board.memory:
        wanted = [f".{region.name} .{region.name}.* .{region.name}_bss.*"]
        if placement.text == region.name:
            wanted.append(".text .text.*")
        if placement.rodata == region.name:
            wanted.append(".rodata .rodata.*")
        if placement.data == region.name:
            wanted.append(".data .data.* .bss .bss.* COMMON")
        inputs = " ".join(f"*({pattern})" for pattern in wanted)
        sections.append(f"  .{region.name} : {{ . = ALIGN(8); {inputs} }} > {region.name}")
    return (
        f"MEMORY {{\n{memory}\n}}\nSECTIONS {{\n" + "\n".join(sections) + "\n  /DISCARD/ : { *(.ARM.exidx*) "
        "*(.ARM.extab*) *(.ARM.attributes) *(.comment) *(.note*) *(.llvm_addrsig) }\n}\n"
    )


def _origin(address: int) -> int:
    """Address 0 stays unused, so that a null pointer is never a function."""
    return address or 0x40


def link(
    objects: Sequence[Path],
    board: Board,
    out: Path,
    *,
    placement: Placement | None = None,
    entry: str | None = None,
    keep: Sequence[str] = (),
) -> Path:
    """Link `objects` into `out`; only what `entry` and `keep` reach is kept when they are given.

    Raises
    ------
    DoesNotFit
        A region overflows.
    Refusal
        A symbol that nobody defines.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    script = out.with_suffix(".ld")
    script.write_text(linker_script(board, placement or Placement()), encoding="utf-8")
    roots = [entry, *keep] if entry else [*keep]
    wanted = ["--no-gc-sections", "--entry", "0"]
    if roots:
        wanted = ["--gc-sections", "--entry", roots[0], *(f"--undefined={name}" for name in roots[1:])]
    command = [sys.executable, "-m", "ziglang", "ld.lld", "-T", str(script), *wanted]
    done = subprocess.run(
        [*command, *map(str, objects), "-o", str(out)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        undefined = sorted(set(re.findall(r"undefined symbol: (\S+)", done.stderr)))
        if undefined:
            raise Refusal(f"Linking for {board.name}: nobody defines {', '.join(undefined)}.")
        overflow = re.search(
            r"section '\.(\w+)' will not fit in region '(\w+)': overflowed by (\d+)", done.stderr
        )
        if overflow:
            raise DoesNotFit(
                f"Linking for {board.name}: {overflow[2]} is {overflow[3]} bytes too small "
                "for what is placed there."
            )
        raise Refusal(f"Linking for {board.name} failed: {done.stderr.strip().splitlines()[0]}")
    return out
