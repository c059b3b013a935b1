"""What the module's loader does with an object: sections into memory, relocations, host symbols.

How the real loader works is not published. Assumed is what every plug-in of the interface's examples
needs: loaded sections lie in one piece of memory, the four relocations that arm-none-eabi-g++ makes of
them are applied, and undefined names are those of the interface (ELF for the Arm architecture, IHI 0044,
5.6).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.m7.elf import Elf
from bench.m7.elf import Section as ImageSection
from bench.m7.elf import Symbol as ImageSymbol
from common.refusal import DoesNotFit, Refusal
from firmware.ports.disting_nt.object_file import (
    ABSOLUTE,
    FUNCTION,
    NOBITS,
    RELOCATIONS,
    UNDEFINED,
    ObjectFile,
    Relocation,
)

ABS32, REL32, THM_CALL, THM_JUMP24, BASE_PREL, GOT_BREL = RELOCATIONS
TABLE = "_GLOBAL_OFFSET_TABLE_"
FARTHEST = 1 << 24
"""Of a Thumb BL."""


@dataclass(frozen=True)
class Loaded:
    """An object in memory.

    Attributes
    ----------
    elf : Elf
        As the emulator reads it: segments, functions, and where code lies.
    address : dict of str to int
        Of every named symbol; a function's has its Thumb bit set.
    begin, end : int
        Half-open range of its memory.
    """

    elf: Elf
    address: dict[str, int]
    begin: int
    end: int


def load(found: ObjectFile, begin: int, most_bytes: int, host: Mapping[str, int]) -> Loaded:
    """Place an object at `begin` and apply its relocations.

    Parameters
    ----------
    host : mapping of str to int
        Addresses of what the module offers; functions with their Thumb bit.

    Raises
    ------
    DoesNotFit
        More than `most_bytes`.
    Refusal
        A name that the module does not offer, or a relocation that it does not know.
    """
    beyond = [name for name in found.undefined if name not in host and name != TABLE]
    if beyond:
        raise Refusal(f"{found.name} needs {', '.join(beyond)}, which the module does not offer.")
    places: dict[int, int] = {}
    at = begin
    for number, section in enumerate(found.sections):
        if section.is_loaded and section.size:
            at = -(-at // section.align) * section.align
            places[number] = at
            at += section.size
    table_at = -(-at // 4) * 4
    entries = _table_entries(found, places)
    at = table_at + 4 * len(entries)
    if at - begin > most_bytes:
        raise DoesNotFit(
            f"{found.name} takes {at - begin:,} bytes, and {most_bytes:,} are left for plug-ins."
        )
    image = bytearray(at - begin)
    for number, place in places.items():
        section = found.sections[number]
        if section.kind != NOBITS:
            image[place - begin : place - begin + section.size] = section.data
    values = [
        _value(found, number, places, {**host, TABLE: table_at}) for number in range(len(found.symbols))
    ]
    for slot, symbol in enumerate(entries):
        struct.pack_into("<I", image, table_at - begin + 4 * slot, values[symbol])
    for number, place in places.items():
        for relocation in found.sections[number].relocations:
            is_slot = relocation.kind == GOT_BREL
            value = 4 * entries.index(relocation.symbol) if is_slot else values[relocation.symbol]
            _relocate(image, place + relocation.at - begin, begin, relocation, value, found.name)
    return Loaded(_image(found, begin, bytes(image), places, values), _named(found, values), begin, at)


def _table_entries(found: ObjectFile, places: Mapping[int, int]) -> list[int]:
    """Symbols whose addresses the loader's table holds, in its order."""
    asked = (r for number in places for r in found.sections[number].relocations if r.kind == GOT_BREL)
    return list(dict.fromkeys(r.symbol for r in asked))


def _value(found: ObjectFile, number: int, places: Mapping[int, int], host: Mapping[str, int]) -> int:
    symbol = found.symbols[number]
    if symbol.section == UNDEFINED:
        return host.get(symbol.name, 0)
    return symbol.value + (0 if symbol.section == ABSOLUTE else places.get(symbol.section, 0))


def _relocate(image: bytearray, at: int, begin: int, relocation: Relocation, value: int, name: str) -> None:
    place = begin + at
    if relocation.kind in (ABS32, REL32, BASE_PREL, GOT_BREL):
        (addend,) = struct.unpack_from("<I", image, at)
        thumb = value & 1
        result = (((value & ~1) + addend) & 0xFFFFFFFF) | thumb
        if relocation.kind in (REL32, BASE_PREL):
            result -= place
        struct.pack_into("<I", image, at, result & 0xFFFFFFFF)
    elif relocation.kind in (THM_CALL, THM_JUMP24):
        upper, lower = struct.unpack_from("<HH", image, at)
        offset = (value & ~1) + _branch_offset(upper, lower) - place
        if not -FARTHEST <= offset < FARTHEST or not value & 1:
            raise Refusal(f"{name}: a call at {place:#x} does not reach {value:#x}.")
        struct.pack_into("<HH", image, at, *_branch(upper, lower, offset))
    else:
        raise Refusal(f"{name} has a relocation of type {relocation.kind}, which the loader does not know.")


def _branch_offset(upper: int, lower: int) -> int:
    """Offset of a Thumb BL or B.W as it stands (Armv7-M manual, A7.7.18)."""
    sign = upper >> 10 & 1
    first, second = (lower >> 13 & 1 ^ sign ^ 1), (lower >> 11 & 1 ^ sign ^ 1)
    offset = first << 23 | second << 22 | (upper & 0x3FF) << 12 | (lower & 0x7FF) << 1
    return offset - (sign << 24)


def _branch(upper: int, lower: int, offset: int) -> tuple[int, int]:
    sign = 1 if offset < 0 else 0
    bits = offset & 0x1FFFFFF
    first, second = (bits >> 23 & 1 ^ sign ^ 1), (bits >> 22 & 1 ^ sign ^ 1)
    return (
        upper & 0xF800 | sign << 10 | bits >> 12 & 0x3FF,
        lower & 0xD000 | first << 13 | second << 11 | bits >> 1 & 0x7FF,
    )


def _image(found: ObjectFile, begin: int, image: bytes, places: Mapping[int, int], values: list[int]) -> Elf:
    elf = Elf(Path(found.name), segments=[(begin, image)])
    for number, place in places.items():
        section = found.sections[number]
        elf.sections.append(ImageSection(section.name, place, section.size, section.kind != NOBITS))
    for symbol, value in zip(found.symbols, values, strict=True):
        if symbol.section not in places:
            continue
        if symbol.name.startswith(("$t", "$d")):
            elf.mapping.append((value & ~1, symbol.name[:2]))
        elif symbol.name:
            is_function = symbol.kind == FUNCTION
            elf.symbols.append(
                ImageSymbol(symbol.name, value & ~1 if is_function else value, symbol.size, is_function)
            )
    return elf


def _named(found: ObjectFile, values: list[int]) -> dict[str, int]:
    return {
        symbol.name: value
        for symbol, value in zip(found.symbols, values, strict=True)
        if symbol.name and symbol.section != UNDEFINED
    }
