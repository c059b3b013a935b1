"""Read what the emulator needs from an ELF file: segments, sections, symbols and where code lies."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from common.refusal import Refusal

# ELF for the ARM architecture, 4.5.5: mapping symbols say where Thumb code ($t) and data ($d) begin.
CODE_MARK, DATA_MARK = "$t", "$d"


@dataclass(frozen=True)
class Symbol:
    """One symbol; `address` has the Thumb bit cleared."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class Section:
    """One section that occupies memory."""

    name: str
    address: int
    size: int
    has_bytes: bool


@dataclass
class Elf:
    """A linked 32-bit little-endian ARM image.

    Attributes
    ----------
    segments : list of (address, bytes), zero-filled to their size in memory.
    """

    path: Path
    segments: list[tuple[int, bytes]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)
    mapping: list[tuple[int, str]] = field(default_factory=list)

    @cached_property
    def by_name(self) -> dict[str, Symbol]:
        """Symbols by name."""
        return {symbol.name: symbol for symbol in self.symbols}

    @cached_property
    def functions(self) -> list[Symbol]:
        """Functions in the order of their addresses."""
        return sorted((s for s in self.symbols if s.is_function), key=lambda s: s.address)

    def symbol(self, name: str) -> Symbol:
        """Return the symbol called `name`; refuse when the image has none."""
        if name not in self.by_name:
            near = ", ".join(s.name for s in self.functions[:12]) or "no function at all"
            raise Refusal(f"{self.path.name} has no symbol {name!r}; it has {near}.")
        return self.by_name[name]

    def code_ranges(self) -> list[tuple[int, int]]:
        """Half-open address ranges that hold Thumb instructions."""
        ends = {s.address + s.size for s in self.sections}
        marks = sorted(set(self.mapping))
        ranges = []
        for k, (address, kind) in enumerate(marks):
            if kind != CODE_MARK:
                continue
            section_end = min((end for end in ends if end > address), default=address)
            following = marks[k + 1][0] if k + 1 < len(marks) else section_end
            if (end := min(following, section_end)) > address:
                ranges.append((address, end))
        return ranges


def read_elf(path: Path) -> Elf:
    """Read a linked image.

    Raises
    ------
    Refusal
        `path` is not a little-endian 32-bit ARM ELF file.
    """
    raw = Path(path).read_bytes()
    if raw[:6] != b"\x7fELF\x01\x01" or len(raw) < 52 or struct.unpack_from("<H", raw, 18)[0] != 40:
        raise Refusal(f"{path} is not a 32-bit ARM ELF file; link the M7 objects first.")
    header = struct.unpack_from("<HHIIIIIHHHHHH", raw, 16)
    phoff, shoff = header[4], header[5]
    phentsize, phnum, shentsize, shnum, shstrndx = header[8:13]
    elf = Elf(Path(path))
    for k in range(phnum):
        kind, offset, address, _, in_file, in_memory, _, _ = struct.unpack_from(
            "<8I", raw, phoff + k * phentsize
        )
        if kind == 1 and in_memory:
            elf.segments.append((address, raw[offset : offset + in_file] + bytes(in_memory - in_file)))
    heads = [struct.unpack_from("<10I", raw, shoff + k * shentsize) for k in range(shnum)]

    def text(table: tuple[int, ...], at: int) -> str:
        start = table[4] + at
        return raw[start : raw.index(b"\0", start)].decode()

    for head in heads:
        if head[2] & 2 and head[5]:
            elf.sections.append(Section(text(heads[shstrndx], head[0]), head[3], head[5], head[1] != 8))
    for head in heads:
        if head[1] != 2:
            continue
        for at in range(head[4], head[4] + head[5], 16):
            name_at, value, size, info, _, index = struct.unpack_from("<IIIBBH", raw, at)
            name = text(heads[head[6]], name_at)
            if name.startswith((CODE_MARK, DATA_MARK)):
                elf.mapping.append((value & ~1, name[:2]))
            elif name and index not in (0, 0xFFF1):
                elf.symbols.append(
                    Symbol(name, value & ~1 if info & 15 == 2 else value, size, info & 15 == 2)
                )
    return elf
