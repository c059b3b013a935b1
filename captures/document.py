"""JSON as other tools wrote it: every field is asked for by name and type, and what is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common.refusal import Refusal

MOST_BYTES = 256 << 20


def read_document(path: Path) -> Part:
    """Read a JSON file whose top is an object.

    Raises
    ------
    Refusal
        No such file, one that is cut short, or none of JSON.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Refusal(f"{path.name} has more than {MOST_BYTES >> 20} MB; a capture has a few.")
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise Refusal(f"there is no file {path}; name a .nam or .json capture.") from None
    except IsADirectoryError:
        raise Refusal(f"{path} is a folder; name one .nam or .json capture.") from None
    except UnicodeDecodeError:
        raise Refusal(
            f"{path.name} is not JSON text, as .nam files and RTNeural's are; name another file."
        ) from None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(text.rstrip()) - 1
        what = "is cut short" if at_end else f"is damaged at line {error.lineno}"
        raise Refusal(f"{path.name} {what}: its JSON does not close; download or export it again.") from None
    except RecursionError:
        raise Refusal(f"{path.name} is nested too deep to be a capture; name another file.") from None
    if not isinstance(found, dict):
        raise Refusal(f"{path.name} holds no JSON object, so it is no capture; name another file.")
    return Part(found, path.name)


class Part:
    """An object of the document, and where it lies for the sentences about it.

    Parameters
    ----------
    fields : dict
    where : str
        File name and path of keys.
    """

    def __init__(self, fields: dict[str, Any], where: str):
        self.fields, self.where = fields, where

    def __contains__(self, key: str) -> bool:
        return self.fields.get(key) is not None

    def wrong(self, key: str, what: str) -> Refusal:
        """A refusal about one field."""
        return Refusal(f"{self.where}: {key} {what}; export the capture again.")

    def _get(self, key: str) -> Any:
        if key not in self:
            raise self.wrong(key, "is missing")
        return self.fields[key]

    def integer(self, key: str, default: int | None = None, least: int = 1, most: int = 1 << 20) -> int:
        """A whole number in bounds."""
        if default is not None and key not in self:
            return default
        found = self._get(key)
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise self.wrong(key, f"is {_brief(found)}, not a whole number from {least} to {most}")
        return found

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number, also one written as text."""
        if default is not None and key not in self:
            return default
        found = self._get(key)
        try:
            value = float("nan") if isinstance(found, bool) else float(found)
        except (TypeError, ValueError):
            value = float("nan")
        if not np.isfinite(value):
            raise self.wrong(key, f"is {_brief(found)}, not a finite number")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        """True or false, also as 1 or 0."""
        if default is not None and key not in self:
            return default
        found = self._get(key)
        if found not in (True, False):
            raise self.wrong(key, f"is {_brief(found)}, not true or false")
        return bool(found)

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        if default is not None and key not in self:
            return default
        found = self._get(key)
        if not isinstance(found, str):
            raise self.wrong(key, f"is {_brief(found)}, not text")
        return found

    def items(self, key: str) -> list[Any]:
        """A list."""
        found = self._get(key)
        if not isinstance(found, list):
            raise self.wrong(key, f"is {_brief(found)}, not a list")
        return found

    def integers(self, key: str, least: int = 1, most: int = 1 << 20) -> list[int]:
        """A list of whole numbers in bounds."""
        found = self.items(key)
        for value in found:
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self.wrong(key, f"holds {_brief(value)}, not a whole number from {least} to {most}")
        if not found:
            raise self.wrong(key, "is empty")
        return found

    def part(self, key: str) -> Part:
        """An object within."""
        found = self._get(key)
        if not isinstance(found, dict):
            raise self.wrong(key, f"is {_brief(found)}, not an object")
        return Part(found, f"{self.where}: {key}" if self.where.find(":") < 0 else f"{self.where}.{key}")

    def parts(self, key: str) -> Iterator[Part]:
        """The objects of a list."""
        for index, found in enumerate(self.items(key)):
            if not isinstance(found, dict):
                raise self.wrong(f"{key}[{index}]", f"is {_brief(found)}, not an object")
            name = f"{key}[{index}]"
            yield Part(found, f"{self.where}: {name}" if self.where.find(":") < 0 else f"{self.where}.{name}")

    def array(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers of a shape, float64."""
        return self.checked(key, self._get(key), shape)

    def checked(self, key: str, found: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Hold numbers, wherever they were found, to a shape."""
        try:
            values = np.asarray(found, np.float64)
        except (TypeError, ValueError):
            raise self.wrong(key, "holds something else than numbers in a full table") from None
        if values.shape != shape:
            raise self.wrong(key, f"has the shape {list(values.shape)} where {list(shape)} is needed")
        if not np.all(np.isfinite(values)):
            raise self.wrong(key, "holds a number that is not finite")
        return values


def _brief(value: Any) -> str:
    """Show a value in a sentence."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"
