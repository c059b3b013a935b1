"""What one model of a shape has otherwise than another: its numbers, apart from the code that they make play.

The generated C marks every such number. With the marked text left out, what remains is the shape: equal for
two models, it says that one's numbers may lie where the other's lay. A module takes them as one run of bytes
(``engine/slots``), piece after piece.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from firmware.compiler.write.writer import NUMBERS, Struct, Table, Writer

OPEN, CLOSE = "/*[*/", "/*]*/"
MARKED = re.compile(re.escape(OPEN) + ".*?" + re.escape(CLOSE), re.DOTALL)
PIECE_BYTES = 8
"""Pieces begin at multiples of this (MODEL_PIECE_BYTES of engine/slots/part.h)."""
WIDTHS = {"int8_t": "<i1", "int16_t": "<i2", "uint16_t": "<u2", "float": "<f4"}
FORMS = {
    "int8_t": "bytes",
    "int16_t": "halves",
    "uint16_t": "kept",
    "int32_t": "words",
    "vk_requant": "words",
    "float": "floats",
}


@dataclass(frozen=True)
class Piece:
    """Something that a slot replaces.

    Attributes
    ----------
    place : str
        C expression of what it is.
    raw : bytes
        Its bytes on a module.
    form : str
        What it is made of: kept, bytes, halves, words, floats, records.
    record : int
        Bytes of a record.
    """

    place: str
    raw: bytes
    form: str
    record: int = 0


@dataclass(frozen=True)
class Part:
    """The numbers of one generated source.

    Attributes
    ----------
    name : str
        Of the C object that says where they lie.
    pieces : sequence of Piece
    checks : sequence of str
        Initialisers of ``ModelCheck``.
    shape : str
        The source, its numbers left out.
    """

    name: str
    pieces: Sequence[Piece]
    checks: Sequence[str]
    shape: str = ""

    @property
    def payload(self) -> bytes:
        """All pieces as a slot has them."""
        return b"".join(p.raw + bytes(-len(p.raw) % PIECE_BYTES) for p in self.pieces)

    def declaration(self) -> str:
        """C of the object that says where the pieces lie and what must hold for them."""
        places = "".join(
            f"    {{&{p.place}, {len(p.raw)}, MODEL_{p.form.upper()}, {p.record}}},\n" for p in self.pieces
        )
        sizes = " && ".join(f"sizeof {p.place} == {len(p.raw)}" for p in self.pieces if "." not in p.place)
        checks = "".join(f"    {check},\n" for check in self.checks)
        return (
            f'_Static_assert({sizes or "1"}, "of a piece");\n'
            f"static const ModelPiece {self.name}_pieces[] = {{\n{places or '    {0}'}\n}};\n"
            f"static const ModelCheck {self.name}_checks[] = {{\n{checks or '    {0}'}\n}};\n"
            f"const ModelPart {self.name} = {{\n"
            f"    .pieces = {len(self.pieces)}, .checks = {len(self.checks)},\n"
            f"    .piece = {self.name}_pieces, .check = {self.name}_checks}};\n"
        )


def marked(text: str) -> str:
    """Mark C that is another with another model of the shape."""
    return f"{OPEN}{text}{CLOSE}"


def shape_of(text: str) -> str:
    """Leave out all that is marked."""
    return MARKED.sub("", text)


def check(kind: str, piece: int, other: int = 0, size: int = 0, reach: int = 0) -> str:
    """Initialiser of a ``ModelCheck``."""
    return f"{{MODEL_{kind.upper()}, {piece}, {other}, {size}, {reach}}}"


def part_of(writer: Writer) -> Part | None:
    """Collect the numbers of a compiled model.

    Returns
    -------
    Part or None
        None where it has a table that no module can prove harmless: then its numbers stay in the image.
    """
    records = {c.table: c.size for c in writer.checks if c.kind == "stream"}
    pieces = [
        Piece(t.name, table_bytes(t), "records", records[t.name])
        if t.name in records
        else Piece(t.name, table_bytes(t), FORMS[t.ctype])
        for t in own_tables(writer)
    ]
    pieces += [
        Piece(f"{s.name}.{member}", numbers_bytes(s), "halves" if "h" in lie else "words")
        for s in own_structs(writer)
        for member, lie in (NUMBERS[s.ctype],)
    ]
    at = {piece.place.split(".")[0]: number for number, piece in enumerate(pieces)}
    checks = [check(c.kind, at[c.table], at.get(c.other, 0), c.size, c.reach) for c in writer.checks]
    proven = {name for c in writer.checks for name in (c.table, c.other)}
    for table in own_tables(writer):
        if table.name in proven:
            continue
        if table.ctype != "float":
            return None
        checks.append(check("finite", at[table.name]))
    return Part(f"{writer.prefix}_part", pieces, checks)


def own_tables(writer: Writer) -> list[Table]:
    """Tables that another model of the shape has otherwise."""
    return [table for table in writer.tables.values() if not table.is_shape]


def own_structs(writer: Writer) -> list[Struct]:
    """Structs of which another model of the shape has members otherwise."""
    return [one for one in writer.structs.values() if one.numbers]


def table_bytes(table: Table) -> bytes:
    """A table as a little-endian processor has it in memory."""
    return table.values.astype(WIDTHS.get(table.ctype, "<i4")).tobytes() + b"\0" * table.is_string


def numbers_bytes(one: Struct) -> bytes:
    """The numbers of a struct as a little-endian processor has them in memory."""
    return struct.pack(NUMBERS[one.ctype][1], *one.numbers)


def unmarked(text: str) -> str:
    """Take the marks away and leave what they mark."""
    return NUMBER.sub(r"\3", text)


FLOATS = re.compile(r"static const float (\w+)\[\] = \{([^{}]*)\};")
NUMBER = re.compile(re.escape(OPEN) + r"/\* (\w+) ([^ ]+) \*/(.*?)" + re.escape(CLOSE), re.DOTALL)


def number_at(ctype: str, place: str, text: str) -> str:
    """Mark one number of a struct.

    Parameters
    ----------
    ctype : str
        float or uint32_t.
    place : str
        C of the member.
    text : str
        Its literal.
    """
    return marked(f"/* {ctype} {place} */{text}")


def numbers_of(text: str, name: str, kinds: Mapping[str, str]) -> tuple[str, Part]:
    """Take the numbers of an instrument's source: all its arrays of floats, and what `number_at` marked.

    Parameters
    ----------
    name : str
        Of the C object.
    kinds : mapping of place to kind of check
        Where it is not "finite" for floats, "any" for words.

    Returns
    -------
    str, Part
        The source with its arrays marked.
    """

    def mark(found: re.Match[str]) -> str:
        array, values = found.groups()
        count = len(values.split(","))
        return f"MODEL_NUMBERS float {array}[{count}] = {{{number_at('float', array, values)}}};"

    source = FLOATS.sub(mark, text)
    pieces: list[Piece] = []
    checks: list[str] = []
    for ctype, place, values in NUMBER.findall(source):
        words = [word.strip() for word in values.split(",")]
        if ctype == "float":
            raw = np.array([float(word.removesuffix("f")) for word in words], "<f4").tobytes()
        else:
            raw = np.array([int(word.removesuffix("u"), 0) for word in words], "<u4").tobytes()
        checks.append(check(kinds.get(place, "finite" if ctype == "float" else "any"), len(pieces)))
        pieces.append(Piece(place, raw, "floats" if ctype == "float" else "kept"))
    return source, Part(name, pieces, checks)
