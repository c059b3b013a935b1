"""What Windows and macOS libraries export and import, read from the files: they can't be run here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Library:
    """A shared library from outside.

    Attributes
    ----------
    machine : str
    exports : set of str
    imports : dict of str to set of str
        Names by the library they come from; on a Mac all come under "".
    libraries : list of str
        What is loaded with it.
    """

    machine: str
    exports: set[str] = field(default_factory=set)
    imports: dict[str, set[str]] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)


def _text(raw: bytes, at: int) -> str:
    return raw[at : raw.index(b"\0", at)].decode()


def pe(raw: bytes) -> Library:
    """Read a Windows library of 64 bits."""
    (head,) = struct.unpack_from("<I", raw, 0x3C)
    assert raw[head : head + 4] == b"PE\0\0"
    machine, sections, _, _, _, optional, flags = struct.unpack_from("<HHIIIHH", raw, head + 4)
    assert struct.unpack_from("<H", raw, head + 24)[0] == 0x20B and flags & 0x2000  # PE32+, a DLL
    tables = head + 24 + 112
    spans = [
        struct.unpack_from("<IIII", raw, head + 24 + optional + 40 * n + 8) for n in range(sections)
    ]  # size in memory, address, size in the file, place in the file

    def place(address: int) -> int:
        for size, begin, length, at in spans:
            if begin <= address < begin + max(size, length):
                return at + address - begin
        raise AssertionError(hex(address))

    found = Library({0x8664: "x86_64", 0xAA64: "arm64"}[machine])
    exports, _ = struct.unpack_from("<II", raw, tables)
    if exports:
        at = place(exports)
        count, _, names = struct.unpack_from("<III", raw, at + 24)
        for n in range(count):
            (name,) = struct.unpack_from("<I", raw, place(names) + 4 * n)
            found.exports.add(_text(raw, place(name)))
    imports, _ = struct.unpack_from("<II", raw, tables + 8)
    at = place(imports)
    while True:
        lookup, _, _, name, thunk = struct.unpack_from("<IIIII", raw, at)
        if not name:
            return found
        library = _text(raw, place(name)).lower()
        found.libraries.append(library)
        row = place(lookup or thunk)
        while (entry := struct.unpack_from("<Q", raw, row)[0]) != 0:
            if not entry >> 63:
                found.imports.setdefault(library, set()).add(_text(raw, place(entry & 0x7FFFFFFF) + 2))
            row += 8
        at += 20


def _number(raw: bytes, at: int) -> tuple[int, int]:
    """Read a LEB128 number; also where the next thing begins."""
    value = shift = 0
    while True:
        value |= (raw[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not raw[at - 1] & 0x80:
            return value, at


def _trie(raw: bytes, at: int = 0, begun: str = "") -> Iterator[str]:
    """Yield the names of a Mac loader's tree of exports."""
    if not raw:
        return
    size, at = _number(raw, at)
    if size:
        yield begun
    at += size
    children, at = raw[at], at + 1
    for _ in range(children):
        piece = _text(raw, at)
        place, at = _number(raw, at + len(piece) + 1)
        yield from _trie(raw, place, begun + piece)


LINKERS_OWN = {"__mh_dylib_header", "___dso_handle"}
"""Names that a linker adds to every library of a Mac."""


def mach_o(raw: bytes) -> list[Library]:
    """Read a macOS library of several processors, or of one."""
    if struct.unpack_from(">I", raw)[0] == 0xCAFEBABE:
        (count,) = struct.unpack_from(">I", raw, 4)
        parts = [struct.unpack_from(">IIIII", raw, 8 + 20 * n) for n in range(count)]
        found = []
        for cpu, _, at, size, align in parts:
            assert at % (1 << align) == 0
            (one,) = mach_o(raw[at : at + size])
            assert {"x86_64": 0x01000007, "arm64": 0x0100000C}[one.machine] == cpu
            found.append(one)
        return found
    magic, cpu, _, kind, commands = struct.unpack_from("<IIIII", raw)
    assert magic == 0xFEEDFACF and kind in (6, 8)  # 64 bits; a library or a bundle
    library = Library({0x01000007: "x86_64", 0x0100000C: "arm64"}[cpu])
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", raw, at)
        if command == 2:  # symbols
            symbols, count, strings, _ = struct.unpack_from("<IIII", raw, at + 8)
            for n in range(count):
                name, sort, _, _, _ = struct.unpack_from("<IBBHQ", raw, symbols + 16 * n)
                if not sort & 0xE0 and sort & 0x0F == 1:  # no debugger's; from elsewhere
                    library.imports.setdefault("", set()).add(_text(raw, strings + name))
        elif command & 0x7FFFFFFF == 0x22:  # what the loader knows
            place, length = struct.unpack_from("<II", raw, at + 40)
            library.exports |= set(_trie(raw[place : place + length]))
        elif command & 0x7FFFFFFF == 0x33:  # the same in newer files
            place, length = struct.unpack_from("<II", raw, at + 8)
            library.exports |= set(_trie(raw[place : place + length]))
        elif command & 0x7FFFFFFF in (0xC, 0x18):  # a library that is loaded too
            (name,) = struct.unpack_from("<I", raw, at + 8)
            library.libraries.append(_text(raw, at + name))
        elif command == 0x1D:  # a signature
            place, length = struct.unpack_from("<II", raw, at + 8)
            assert struct.unpack_from(">I", raw, place)[0] == 0xFADE0CC0 and place + length <= len(raw)
            library.imports.setdefault("signed", set())
        at += size
    library.exports -= LINKERS_OWN
    return [library]
