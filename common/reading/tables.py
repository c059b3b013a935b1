"""CSV as people's programs write it: commas, semicolons or tabs, byte order marks, UTF-16, decimal commas.

What has one meaning is read; what has two, or none, is refused with its line and column. Nothing is guessed
in silence.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from common.refusal import Refusal

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def decoded(content: bytes, path: Path) -> str:
    """Text of a file in UTF-8 or UTF-16, with or without its mark.

    Raises
    ------
    Refusal
        Bytes of something else; the line and the column are named.
    """
    marked = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), None)
    if marked:
        content, encoding = content[len(marked[0]) :], marked[1]
    else:
        odd, even = content[1:200:2], content[0:200:2]
        # Latin text in UTF-16 has a zero in every second byte, text in UTF-8 has none
        encoding = "utf-16-le" if odd.count(0) > len(odd) / 2 else "utf-8"
        encoding = "utf-16-be" if even.count(0) > len(even) / 2 else encoding
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding)
        line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
        raise Refusal(
            f"{path}, line {line}, column {column}: this is no text in UTF-8; save the file as UTF-8"
        ) from error
    if "\0" in text:
        before = text[: text.index("\0")]
        line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
        raise Refusal(f"{path}, line {line}, column {column}: there is a zero byte; save the file as UTF-8")
    return text


def number(text: str) -> float:
    """Read a finite number, with a point or a comma before its decimals.

    Raises
    ------
    ValueError
        It is none, or one that has two meanings, as ``1,200``; the text says so.
    """
    text = text.strip()
    if _THOUSANDS.fullmatch(text):
        raise ValueError(
            f"'{text}' may be {text.replace(',', '')} or {text.replace(',', '.')}; write a point"
        )
    try:
        value = float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError:
        raise ValueError(f"'{text}' is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is no finite number")
    return value


def read_rows(
    path: Path, knows: Callable[[Collection[str]], bool], wanted: str, numbers: Collection[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Read a table whose first line names its columns.

    Parameters
    ----------
    path : Path
        The file.
    knows : callable
        Whether a set of column names (lower case) is one that the caller can use.
    wanted : str
        What such a set has, in words, for the refusal.
    numbers : collection of str
        Columns whose cells, where they are filled, are finite numbers.

    Returns
    -------
    list of (int, dict)
        Line number and cells by column name in lower case; a row that ends early lacks its last cells.

    Raises
    ------
    Refusal
        With line and column: not text, no known columns, two columns of one name, a row with too many cells,
        a cell that should be a number.
    OSError
        It cannot be read.
    """
    text = decoded(path.read_bytes(), path)
    first = 1
    told = re.match(r"sep=(.)\r?\n", text, re.IGNORECASE)  # Excel's own first line
    if told:
        text, first = text[told.end() :], 2
    blank = re.match(r"(?:[ \t]*\r?\n)*", text)
    skipped = blank.group() if blank else ""
    text, first = text[len(skipped) :], first + skipped.count("\n")
    if not text.strip():
        raise Refusal(f"{path} is empty; its first line names the columns: {wanted}")
    candidates = (told.group(1),) if told else tuple(DELIMITERS)
    heads = {mark: _head(text, mark) for mark in candidates}
    able = [mark for mark, head in heads.items() if knows(head)]
    if len(able) != 1:
        line = text.splitlines()[0][:80]
        problem = (
            "can be read in two ways" if able else f"names no column that is known here; it needs {wanted}"
        )
        raise Refusal(f"{path}, line {first}, column 1: '{line}' {problem}")
    mark = able[0]
    head = heads[mark]
    for at, name in enumerate(head):
        if name and name in head[:at]:
            raise Refusal(f"{path}, line {first}, column {at + 1}: a second column '{name}'; rename one")
    return _rows(path, text, mark, head, first, numbers)


def _head(text: str, mark: str) -> list[str]:
    """Column names, were the file cut at these marks."""
    try:
        return [
            name.strip().lower() for name in next(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
        ]
    except csv.Error:
        return []


def _rows(
    path: Path, text: str, mark: str, head: Sequence[str], first: int, numbers: Collection[str]
) -> list[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    found = []
    line = first
    try:
        next(reader)
        line = first + reader.line_num
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if any(cell.strip() for cell in cells[len(head) :]):
                    raise Refusal(
                        f"{path}, line {line}, column {len(head) + 1}: there are {len(cells)} cells and "
                        f"{len(head)} columns; put quotes around cells with {DELIMITERS.get(mark, mark)}"
                    )
                row = dict(zip(head, cells, strict=False))
                for name in numbers:
                    if row.get(name, "").strip():
                        row[name] = _number_cell(path, line, head.index(name) + 1, row[name])
                found.append((line, row))
            line = first + reader.line_num
    except csv.Error as error:
        raise Refusal(f"{path}, line {line}: {error}; save it as CSV again") from error
    return found


def _number_cell(path: Path, line: int, column: int, cell: str) -> str:
    try:
        number(cell)
    except ValueError as error:
        raise Refusal(f"{path}, line {line}, column {column}: {error}") from error
    return cell.strip().replace(",", ".")
