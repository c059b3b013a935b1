"""Relocatable ARM objects: read, checked for what a loader can do, reduced to what is reached, written.

A plug-in is one object. `ld -r` joins the engine, the instrument and the port; here what nobody reaches
from the entry is left out, sections of one sort are joined, and every name but the entry's becomes local,
so that two plug-ins loaded side by side cannot take each other's functions.

ELF for the Arm architecture (ARM IHI 0044), System V ABI chapter 4.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.refusal import Refusal

PROGBITS, SYMTAB, STRTAB, NOBITS, REL, ATTRIBUTES = 1, 2, 3, 8, 9, 0x7000_0003
WRITE, ALLOC, EXECUTE, INFO_LINK = 1, 2, 4, 0x40
LOCAL, GLOBAL = 0, 1
NOTYPE, OBJECT, FUNCTION, SECTION = 0, 1, 2, 3
UNDEFINED, ABSOLUTE = 0, 0xFFF1
RELOCATABLE, ARM = 1, 40
EABI5_HARD = 0x0500_0400
RELOCATIONS = {
    2: "R_ARM_ABS32",
    3: "R_ARM_REL32",
    10: "R_ARM_THM_CALL",
    30: "R_ARM_THM_JUMP24",
    25: "R_ARM_BASE_PREL",
    26: "R_ARM_GOT_BREL",
}
"""All that a plug-in of ours may need; arm-none-eabi-g++ makes the same of the interface's own examples."""
HEAD = struct.Struct("<16sHHIIIIIHHHHHH")
SECTION_HEAD = struct.Struct("<10I")
SYMBOL = struct.Struct("<IIIBBH")


@dataclass(frozen=True)
class Symbol:
    """One symbol; `section` is a number of `ObjectFile.sections`, or `UNDEFINED` or `ABSOLUTE`."""

    name: str
    value: int
    size: int
    binding: int
    kind: int
    section: int


@dataclass(frozen=True)
class Relocation:
    """What the loader must add to where; the addend lies there already."""

    at: int
    kind: int
    symbol: int


@dataclass
class Section:
    """One section; `data` is empty for NOBITS, which only has a size."""

    name: str
    kind: int
    flags: int
    align: int
    size: int
    data: bytes = b""
    relocations: list[Relocation] = field(default_factory=list)

    @property
    def is_loaded(self) -> bool:
        """Whether it takes memory in the module."""
        return bool(self.flags & ALLOC)


@dataclass
class ObjectFile:
    """A relocatable object; section 0 and symbol 0 are the null ones, as in the file."""

    name: str
    sections: list[Section]
    symbols: list[Symbol]

    @property
    def undefined(self) -> list[str]:
        """Names of what somebody else must define."""
        return sorted(s.name for s in self.symbols if s.section == UNDEFINED and s.name)

    def symbol(self, name: str) -> int:
        """Return the number of a defined symbol.

        Raises
        ------
        Refusal
            The object defines no such symbol.
        """
        for number, symbol in enumerate(self.symbols):
            if symbol.name == name and symbol.section != UNDEFINED:
                return number
        raise Refusal(f"{self.name} defines no {name}, so nothing can be called in it; is it a plug-in?")


def read_object(path: Path) -> ObjectFile:
    """Read an object.

    Raises
    ------
    Refusal
        It is no relocatable object for 32-bit ARM, or it ends before its tables do.
    """
    raw = Path(path).read_bytes()
    if len(raw) < HEAD.size or raw[:6] != b"\x7fELF\x01\x01":
        raise Refusal(f"{path} is no object file for a Cortex-M7; a plug-in is one, called NAME.o.")
    head = HEAD.unpack_from(raw)
    if (head[1], head[2]) != (RELOCATABLE, ARM):
        raise Refusal(f"{path} is no relocatable ARM object; a plug-in is one, called NAME.o.")
    try:
        return _parsed(Path(path).name, raw, head)
    except (struct.error, IndexError, ValueError):
        raise Refusal(f"{path} ends before its own tables do; it was not copied whole.") from None


def _parsed(name: str, raw: bytes, head: tuple) -> ObjectFile:
    offset, count, names_at = head[6], head[12], head[13]
    heads = [SECTION_HEAD.unpack_from(raw, offset + k * SECTION_HEAD.size) for k in range(count)]

    def text(table: int, at: int) -> str:
        start = heads[table][4] + at
        return raw[start : raw.index(b"\0", start)].decode()

    sections, symbols = [], []
    for entry in heads:
        data = b"" if entry[1] in (0, NOBITS) else raw[entry[4] : entry[4] + entry[5]]
        if entry[1] not in (0, NOBITS) and len(data) != entry[5]:
            raise ValueError(name)
        sections.append(
            Section(text(names_at, entry[0]), entry[1], entry[2], max(1, entry[8]), entry[5], data)
        )
    for entry in heads:
        if entry[1] == SYMTAB:
            for at in range(entry[4], entry[4] + entry[5], SYMBOL.size):
                name_at, value, size, info, _, index = SYMBOL.unpack_from(raw, at)
                symbols.append(Symbol(text(entry[6], name_at), value, size, info >> 4, info & 15, index))
    for entry in heads:
        if entry[1] == REL:
            for at in range(entry[4], entry[4] + entry[5], 8):
                where, info = struct.unpack_from("<II", raw, at)
                sections[entry[7]].relocations.append(Relocation(where, info & 0xFF, info >> 8))
    return ObjectFile(name, sections, symbols)


def check(found: ObjectFile, host_symbols: Collection[str]) -> None:
    """Refuse an object that the module's loader could not load, or two instances could not share.

    Raises
    ------
    Refusal
        A symbol beyond the interface's, a relocation that the interface's own examples do not need, or memory
        that is written to outside of an instance.
    """
    beyond = [name for name in found.undefined if name not in host_symbols]
    if beyond:
        raise Refusal(
            f"{found.name} needs {', '.join(beyond)}, which the disting NT does not offer a plug-in; nothing "
            "was written."
        )
    kinds = {r.kind for s in found.sections if s.is_loaded for r in s.relocations} - set(RELOCATIONS)
    if kinds:
        raise Refusal(
            f"{found.name} has relocations of type {', '.join(map(str, sorted(kinds)))}; only "
            f"{', '.join(RELOCATIONS.values())} are known to load on a disting NT."
        )
    written = [
        s for s in found.sections if s.is_loaded and s.flags & WRITE and s.size and not _is_constant(s)
    ]
    if written:
        raise Refusal(
            f"{found.name} keeps {sum(s.size for s in written):,} bytes that are written to outside of its "
            f"instances ({written[0].name}); two of them would share it."
        )


def _is_constant(section: Section) -> bool:
    """Whether only the loader writes to it: constants that hold addresses."""
    return section.name.startswith(".data.rel.ro")


def reached(found: ObjectFile, entry: str) -> set[int]:
    """Return the sections that anything reachable from `entry` refers to."""
    waiting = [found.symbols[found.symbol(entry)].section]
    seen: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number in seen or number in (UNDEFINED, ABSOLUTE):
            continue
        seen.add(number)
        waiting += [found.symbols[r.symbol].section for r in found.sections[number].relocations]
    return seen


def _joined_name(section: Section) -> str:
    if section.flags & EXECUTE:
        return ".text"
    if section.kind == NOBITS:
        return ".bss"
    if not section.flags & WRITE:
        return ".rodata"
    return ".data.rel.ro" if _is_constant(section) else ".data"


def tidied(found: ObjectFile, entry: str, busiest: str) -> ObjectFile:
    """Keep what is reached from `entry`, join sections of one sort, and make every other name local.

    What is reached from `busiest` comes first: code that runs at every step lies together, and fewer of its
    lines meet in the instruction cache.
    """
    busy = reached(found, busiest)
    kept = sorted(reached(found, entry), key=lambda number: (number not in busy, number))
    places: dict[int, tuple[str, int]] = {}
    joined: dict[str, Section] = {}
    for number in kept:
        section = found.sections[number]
        name = _joined_name(section)
        flags = section.flags & (WRITE | ALLOC | EXECUTE)
        whole = joined.setdefault(name, Section(name, section.kind, flags, 1, 0))
        at = -(-whole.size // section.align) * section.align
        places[number] = name, at
        whole.align = max(whole.align, section.align)
        if section.kind != NOBITS:
            whole.data += bytes(at - whole.size) + section.data
        whole.size = at + section.size
    order: list[str] = [
        name for name in (".text", ".rodata", ".data.rel.ro", ".data", ".bss") if name in joined
    ]
    sections = [Section("", 0, 0, 1, 0), *(joined[name] for name in order)]
    numbers = {name: at for at, name in enumerate(order, start=1)}
    wanted = {r.symbol for number in kept for r in found.sections[number].relocations}
    symbols, moved = _symbols(found, entry, wanted, places, numbers)
    for number in kept:
        name, at = places[number]
        sections[numbers[name]].relocations += [
            replace(r, at=r.at + at, symbol=moved[r.symbol]) for r in found.sections[number].relocations
        ]
    return ObjectFile(found.name, sections, symbols)


def _symbols(
    found: ObjectFile,
    entry: str,
    wanted: set[int],
    places: dict[int, tuple[str, int]],
    numbers: dict[str, int],
) -> tuple[list[Symbol], dict[int, int]]:
    """Return the symbols that stay, locals first, and where each of the old ones went."""
    stays: dict[int, list[tuple[int, Symbol]]] = defaultdict(list)
    for old, symbol in enumerate(found.symbols):
        is_entry = symbol.name == entry
        if symbol.section == UNDEFINED:
            if old in wanted:
                stays[GLOBAL].append((old, replace(symbol, kind=NOTYPE)))
            continue
        if symbol.section not in places:
            continue
        name, at = places[symbol.section]
        is_mark = symbol.name.startswith(("$t", "$d"))
        if not (old in wanted or is_entry or is_mark or symbol.kind == FUNCTION):
            continue
        is_named = is_entry or is_mark or symbol.kind == FUNCTION
        kind = NOTYPE if symbol.kind == SECTION else symbol.kind
        moved = Symbol(
            (symbol.name[:2] if is_mark else symbol.name) if is_named else "",
            symbol.value + at,
            symbol.size,
            GLOBAL if is_entry else LOCAL,
            kind,
            numbers[name],
        )
        stays[GLOBAL if is_entry else LOCAL].append((old, moved))
    listed = [*stays[LOCAL], *stays[GLOBAL]]
    symbols = [Symbol("", 0, 0, LOCAL, NOTYPE, UNDEFINED), *(symbol for _, symbol in listed)]
    return symbols, {old: new for new, (old, _) in enumerate(listed, start=1)}


class _Strings:
    """A string table; a name that is there already is not written twice."""

    def __init__(self) -> None:
        self.data = b"\0"
        self._at: dict[str, int] = {"": 0}

    def add(self, name: str) -> int:
        """Return where a name stands."""
        if name not in self._at:
            self._at[name] = len(self.data)
            self.data += name.encode() + b"\0"
        return self._at[name]


def object_bytes(found: ObjectFile) -> bytes:
    """Write an object as a file."""
    names, strings = _Strings(), _Strings()
    heads: list[list[int]] = []
    body = bytes(HEAD.size)

    def place(name: str, kind: int, flags: int, data: bytes, more: tuple[int, int, int, int, int]) -> None:
        nonlocal body
        size, link, info, align, entry = more
        body += bytes(-len(body) % max(4, align))
        heads.append(
            [names.add(name), kind, flags, 0, len(body), size or len(data), link, info, align, entry]
        )
        body += data

    for section in found.sections:
        more = (section.size, 0, 0, section.align if section.kind else 0, 0)
        place(section.name, section.kind, section.flags, section.data, more)
    tables = [n for n, s in enumerate(found.sections) if s.relocations]
    symbol_table = len(found.sections) + len(tables)
    for number in tables:
        rows = sorted(found.sections[number].relocations, key=lambda r: r.at)
        data = b"".join(struct.pack("<II", r.at, r.symbol << 8 | r.kind) for r in rows)
        name = f".rel{found.sections[number].name}"
        place(name, REL, INFO_LINK, data, (0, symbol_table, number, 4, 8))
    first_global = sum(s.binding == LOCAL for s in found.symbols)
    data = b"".join(
        SYMBOL.pack(strings.add(s.name), s.value, s.size, s.binding << 4 | s.kind, 0, s.section)
        for s in found.symbols
    )
    place(".symtab", SYMTAB, 0, data, (0, symbol_table + 1, first_global, 4, SYMBOL.size))
    place(".strtab", STRTAB, 0, strings.data, (0, 0, 0, 1, 0))
    names.add(".shstrtab")
    place(".shstrtab", STRTAB, 0, names.data, (0, 0, 0, 1, 0))
    body += bytes(-len(body) % 4)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    head = HEAD.pack(
        *(ident, RELOCATABLE, ARM, 1, 0, 0, len(body), EABI5_HARD, HEAD.size, 0, 0),
        *(SECTION_HEAD.size, len(heads), len(heads) - 1),
    )
    return head + body[HEAD.size :] + b"".join(SECTION_HEAD.pack(*entry) for entry in heads)


def relocation_names(kinds: Iterable[int]) -> list[str]:
    """Names of relocation types, for people."""
    return [RELOCATIONS.get(kind, str(kind)) for kind in sorted(set(kinds))]
