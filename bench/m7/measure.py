"""Predicted cycles of one M7 function: from Python, or from the command line with an annotated listing.

    from bench.m7.measure import Buffer, measure
    y = Buffer(np.zeros(64, np.int16))
    m = measure(objects, "vk_add_s16", y, Buffer(a), Buffer(b), 64, ma, mb, q)
    m.cycles, m.blocks, y.array            # y.array holds what the function wrote
    print(m.listing())                     # every block that costs, one steady pass through each

    python -m bench.m7.measure kernel.S other.c --call vk_add_s16 'out=s16[64]' 's16[64]' 's16[64]@axi' 64
    3 4 5

`objects` are ``.o`` files; ``.c`` and ``.S`` are compiled with the firmware's flags. Everything is
*predicted*.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.m7.decode import Flag
from bench.m7.elf import Elf, read_elf
from bench.m7.emulator import Call, Machine
from bench.m7.link import Placement, link
from bench.m7.pipeline import Listed, annotate
from common.refusal import Refusal
from hardware.board import Board, load_board


@dataclass
class Buffer:
    """A pointer argument: `array` is copied to `region` before the call and read back after it."""

    array: np.ndarray
    region: str = "dtcm"
    align: int = 8
    address: int = 0


@dataclass(frozen=True)
class Block:
    """A run of instructions that always execute together.

    Attributes
    ----------
    cycles : predicted, over all `executions`.
    """

    function: str
    address: int
    instructions: int
    executions: int
    cycles: int


@dataclass(frozen=True)
class Measurement:
    """One traced call; `first` is the same call with cold caches and an untrained branch predictor."""

    call: Call
    first: Call
    blocks: tuple[Block, ...]
    recorded: tuple[Listed, ...] = field(repr=False, default=())
    labels: tuple[tuple[int, str], ...] = field(repr=False, default=())

    @property
    def cycles(self) -> int:
        """Predicted core cycles of the warm call."""
        return self.call.cycles

    @property
    def cycles_by_block(self) -> dict[str, int]:
        """``function+offset`` → predicted cycles."""
        return {f"{b.function}@{b.address:#x}": b.cycles for b in self.blocks}

    def listing(self, passes: int = 2) -> str:
        """Annotated issue listing: the last `passes` passes through each block, most expensive first."""
        parts = []
        for block in sorted(self.blocks, key=lambda b: -b.cycles):
            starts = [k for k, item in enumerate(self.recorded) if item.address == block.address]
            if not starts:
                continue
            # the last pass of a loop leaves it; the ones before are the steady state
            first = starts[max(0, len(starts) - 1 - passes)]
            chosen = self.recorded[first : first + min(passes, block.executions) * block.instructions]
            parts.append(
                f"-- {block.function}@{block.address:#x}: {block.executions} × {block.instructions} "
                f"instructions, {block.cycles} cycles, {block.cycles / block.executions:.2f} a pass\n"
                + annotate(chosen, self.labels)
            )
        return "\n\n".join(parts)

    def whole(self) -> str:
        """Annotated listing of everything recorded, in order of execution."""
        return annotate(self.recorded, self.labels)


def measure(
    objects: Sequence[Path | str],
    function: str,
    *args: int | float | np.ndarray | Buffer,
    board: str | Board = "patch_sm",
    placement: Placement | None = None,
    record: int = 20000,
    limit: int = 50_000_000,
) -> Measurement:
    """Run `function` twice in the emulated board, cold then warm, and predict its cycles.

    Parameters
    ----------
    objects : ``.o``, ``.c`` or ``.S`` files.
    args : int, float, or an array (a `Buffer` in DTCM is made of it).
    record : keep that many executed instructions for the listing.

    Returns
    -------
    Measurement
        Buffers hold what the warm call wrote; each call starts from the buffers' contents as given.
    """
    chosen = load_board(board) if isinstance(board, str) else board
    with tempfile.TemporaryDirectory() as folder:
        elf = link_for(objects, chosen, Path(folder) / "image.elf", placement, entry=function)
    machine = Machine(elf, chosen)
    buffers = [Buffer(a) if isinstance(a, np.ndarray) else a for a in args]
    for b in buffers:
        if isinstance(b, Buffer):
            b.address = machine.place(np.ascontiguousarray(b.array), b.region, b.align)
    values = [b.address if isinstance(b, Buffer) else b for b in buffers]
    first = machine.call(function, *values, traced=True, limit=limit)
    for b in buffers:
        if isinstance(b, Buffer):
            machine.write(b.address, np.ascontiguousarray(b.array))
    machine.pipeline.record(record)
    call = machine.call(function, *values, traced=True, limit=limit)
    for b in buffers:
        if isinstance(b, Buffer):
            b.array = machine.read_array(b.address, b.array.dtype, b.array.size).reshape(b.array.shape)
    labels = tuple((s.address, s.name) for s in elf.symbols if s.is_function)
    return Measurement(call, first, blocks_of(machine), tuple(machine.pipeline.recorded()), labels)


def link_for(
    objects: Sequence[Path | str],
    board: Board,
    out: Path,
    placement: Placement | None = None,
    entry: str | None = None,
) -> Elf:
    """Compile what is not yet compiled, link and read the image."""
    from firmware.toolchain import compile_source

    built = [Path(o) if Path(o).suffix == ".o" else compile_source(Path(o), "m7") for o in objects]
    return read_elf(link(built, board, out, placement=placement, entry=entry))


def blocks_of(machine: Machine) -> tuple[Block, ...]:
    """Return the blocks executed since the last call began, in the order of their addresses."""
    pipeline = machine.pipeline
    cycles, counts = pipeline.cycles_at(), pipeline.count_at()
    functions = machine.elf.functions
    blocks: list[Block] = []
    targets = _targets(pipeline.decoded)
    start: int | None = None

    def close(end: int) -> None:
        nonlocal start
        if start is None:
            return
        address = pipeline.addresses[start]
        inside = [s.name for s in functions if s.address <= address]
        blocks.append(
            Block(
                inside[-1] if inside else "?",
                address,
                end - start,
                int(counts[start]),
                int(cycles[start:end].sum()),
            )
        )
        start = None

    begins = {s.address for s in functions}
    for k, found in enumerate(pipeline.decoded):
        address = pipeline.addresses[k]
        if start is not None and (counts[k] != counts[start] or address in targets or address in begins):
            close(k)
        if counts[k] and start is None:
            start = k
        if found.flags & Flag.BRANCH:
            close(k + 1)
    close(len(pipeline.decoded))
    return tuple(blocks)


def _targets(decoded: Sequence) -> set[int]:
    """Addresses that direct branches name."""
    found = (re.search(r"#(0x[0-9a-f]+)$", d.text) for d in decoded if d.flags & Flag.BRANCH)
    return {int(match[1], 16) for match in found if match}


_TYPES = {
    "s8": np.int8,
    "u8": np.uint8,
    "s16": np.int16,
    "u16": np.uint16,
    "s32": np.int32,
    "u32": np.uint32,
    "f32": np.float32,
}


def parse_argument(text: str, seed: int) -> int | float | Buffer:
    """Read one argument: ``48``, ``0.5``, ``s16[256]@axi`` (random data), ``out=f32[48]`` (zeros)."""
    match = re.fullmatch(r"(out=)?([a-z]+\d+)\[(\d+)\](?:@(\w+))?", text)
    if match and match[2] in _TYPES:
        dtype, count = np.dtype(_TYPES[match[2]]), int(match[3])
        if match[1]:
            array = np.zeros(count, dtype)
        elif dtype == np.float32:
            array = np.random.default_rng(seed).uniform(-1, 1, count).astype(dtype)
        else:
            raw = np.random.default_rng(seed).integers(0, 256, count * dtype.itemsize, np.uint8)
            array = raw.view(dtype)
        return Buffer(array, match[4] or "dtcm")
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise Refusal(
            f"cannot read the argument {text!r}; write a number, s16[256]@axi (random data), or out=f32[48]."
        ) from None


def main(words: list[str]) -> int:
    """Command line; see the module's first lines."""
    if "--call" not in words or words.index("--call") + 1 >= len(words):
        raise Refusal("say which function: python -m bench.m7.measure FILES --call FUNCTION [ARGUMENTS].")
    at = words.index("--call")
    arguments = [parse_argument(text, k) for k, text in enumerate(words[at + 2 :])]
    found = measure(words[:at], words[at + 1], *arguments)
    print(found.listing())
    print(
        f"\npredicted: {found.cycles} cycles warm ({found.first.cycles} cold), "
        f"{found.call.instructions} instructions, "
        f"{found.call.mispredicts} mispredicted branches, stack {found.call.stack_bytes} bytes"
    )
    print(
        "cycles lost to:",
        ", ".join(f"{k} {v}" for k, v in sorted(found.call.stalls.items(), key=lambda i: -i[1])),
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refusal as refusal:
        print(f"measure: {refusal}", file=sys.stderr)
        sys.exit(refusal.exit_status)
