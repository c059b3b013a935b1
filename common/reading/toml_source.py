"""TOML whose errors name the line: values for pydantic, and where each key stands in the file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from common.refusal import Refusal

Schema = TypeVar("Schema", bound=BaseModel)
Place = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=""")


@dataclass(frozen=True)
class Located:
    """One TOML file: its values and its lines."""

    path: Path
    values: dict[str, Any]
    lines: dict[Place, int]

    def line(self, place: Sequence[str | int]) -> int:
        """Line of the key at `place`, or of the nearest table around it."""
        for end in range(len(place), 0, -1):
            if (found := self.lines.get(tuple(place[:end]))) is not None:
                return found
        return 1

    def refusal(self, place: Sequence[str | int], what: str) -> Refusal:
        """Return the refusal for what is wrong at `place`: file, line, field and reason."""
        field = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
        return Refusal(f"{self.path.name} line {self.line(place)}: {field}: {what.rstrip('.')}.")

    def validated(self, schema: type[Schema]) -> Schema:
        """Validate the values; the first error becomes a `Refusal` with its line and field."""
        try:
            return schema.model_validate(self.values)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                message = "there is no such field"
            elif "input" in first and not isinstance(first["input"], dict | list):
                message += f" (it says {first['input']!r})"
            raise self.refusal(first["loc"] or ("the file",), message) from None


def read_toml(path: Path) -> Located:
    """Read `path`; a file that is missing or not TOML is refused."""
    try:
        text = path.read_text(encoding="utf-8")
        return Located(path, tomllib.loads(text), key_lines(text))
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path.name} is not valid TOML: {error}.") from None


def key_lines(text: str) -> dict[Place, int]:
    """Return the line (from 1) of every table and key; entries of ``[[lists]]`` are numbered from 0."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            names: Place = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            table = _inside(names[:-1], counts) + names[-1:]
            if header[1] == "[[":
                index = counts.get(table, -1) + 1
                counts[table] = index
                lines.setdefault(table, number)
                table = (*table, index)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            parts = [part.strip().strip("\"'") for part in key[1].split(".")]
            for end in range(1, len(parts) + 1):
                lines.setdefault((*table, *parts[:end]), number)
    return lines


def _inside(names: Place, counts: dict[Place, int]) -> Place:
    """Return the place of a parent table: the newest entry wherever it is a list."""
    place: Place = ()
    for name in names:
        place = (*place, name)
        if place in counts:
            place = (*place, counts[place])
    return place
