"""The table of a CV script as spreadsheets write it: which sign parts the cells, which one the decimals.

Read where there is one reading only: a byte-order mark, UTF-16, semicolons or tabs between the cells, and
decimal commas where a comma does not part cells. What could mean two things is refused, with line and column.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.reading.tables import DELIMITERS, decoded
from common.refusal import Refusal

NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Row:
    """A line of the file: its number, from 1, and its cells without the spaces around them."""

    line: int
    cells: tuple[str, ...]


class Table:
    """A header and the rows under it; rows are read one at a time.

    Attributes
    ----------
    header : Row

    Raises
    ------
    Refusal
        No such file, no text, no ``time`` column, a header that can be read in two ways.
    """

    def __init__(self, path: Path):
        self.path = path
        self._point = ""  # the decimal sign seen so far
        self._rows = self._read(_text(path))
        first = next(self._rows, None)
        if first is None or first.cells[0].lower() != "time":
            raise Refusal(
                f"{path.name}: the first line must name the columns, and the first of them is `time`."
            )
        self.header = first
        for at, name in enumerate(first.cells):
            if not name or name in first.cells[:at]:
                fault = f"{name!r} twice" if name else "a column"
                raise Refusal(f"{path.name} line {first.line}: {fault} without a name of its own.")

    def _read(self, text: str) -> Iterator[Row]:
        lines = text.splitlines()
        first = next((at for at, line in enumerate(lines) if _says_something(line)), None)
        if first is None:
            return
        told = re.fullmatch(r"sep=([,;\t])", lines[first].strip(" \r\ufeff"))  # as Excel begins a file
        if told:
            lines[first] = ""
            delimiter = told[1]
        else:
            delimiter = self._delimiter(lines[first], first + 1)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        self._delimited_by = delimiter
        try:
            for cells in reader:
                row = Row(reader.line_num, tuple(cell.strip() for cell in cells))
                if any(row.cells) and not row.cells[0].startswith("#"):
                    yield row
        except csv.Error as error:
            raise Refusal(
                f"{self.path.name} line {reader.line_num} is no line of a table: {error}."
            ) from None

    def _delimiter(self, header: str, line: int) -> str:
        bare = re.sub(r'"[^"]*"', "", header)
        found = [sign for sign in DELIMITERS if sign in bare]
        if len(found) > 1:
            both = " and ".join(DELIMITERS[sign] for sign in found)
            raise Refusal(f"{self.path.name} line {line}: {both} part the names; use one of them.")
        return found[0] if found else ","

    def __iter__(self) -> Iterator[Row]:
        """Every row under the header; one that has more cells than there are columns is refused."""
        columns = len(self.header.cells)
        for row in self._rows:
            extra = [cell for cell in row.cells[columns:] if cell]
            if len(row.cells) > columns and (extra or self._delimited_by == ","):
                hint = (
                    "; decimal commas need semicolons between the cells" if self._delimited_by == "," else ""
                )
                raise Refusal(
                    f"{self.path.name} line {row.line}: {len(row.cells)} cells under {columns} columns{hint}."
                )
            yield row

    def number(self, row: Row, column: int) -> float | None:
        """Return the number in a cell; None for an empty one or where the row ends before.

        Raises
        ------
        Refusal
            No number, no finite one, or one with another decimal sign than the cells before.
        """
        cell = row.cells[column] if column < len(row.cells) else ""
        if not cell:
            return None
        plain = cell.replace("\N{MINUS SIGN}", "-")
        if not NUMBER.fullmatch(plain):
            raise Refusal(f"{self.place(row.line, column)} is {cell!r}, which is no number.")
        for sign in ".,":
            if sign in plain:
                if self._point and sign != self._point:
                    raise Refusal(
                        f"{self.place(row.line, column)} is {cell!r}, with another decimal sign than the "
                        "cells before; use points everywhere, or commas everywhere."
                    )
                self._point = sign
        value = float(plain.replace(",", "."))
        if not math.isfinite(value):
            raise Refusal(f"{self.place(row.line, column)} is {cell!r}, which is too large for a number.")
        return value

    def place(self, line: int, column: int) -> str:
        """Say where a cell is."""
        return place(self.path, line, column, self.header.cells[column])


def place(path: Path, line: int, column: int, name: str) -> str:
    """Say where a cell is; `column` counts from 0."""
    return f"{path.name} line {line}, column {column + 1}: {name}"


def _says_something(line: str) -> bool:
    return bool(line.strip(' ,;\t\r"')) and not line.lstrip(' "').startswith("#")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refusal(f"cannot read the CV script {path}: {error.strerror}.") from None
    return decoded(data, path)
