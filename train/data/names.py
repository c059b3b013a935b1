"""What file and folder names tell: the class of a drum sound, and which files are takes of one instrument."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from common.drums import CLASSES
from common.refusal import Refusal
from train.data.source import SourceFile

FACTORY_TABLE = Path(__file__).with_name("names.toml")
CLASS_COLUMNS = ("class", "category", "label", "type")
GROUP_COLUMNS = ("group", "instrument", "kit")
SET_COLUMNS = ("kit", "set", "pack")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class NameTable:
    """The table of words, see ``names.toml``."""

    classes: dict[tuple[str, ...], str]
    unknown: str
    takes: frozenset[str]
    take_pairs: frozenset[tuple[str, str]]
    text: str


def read_table(path: Path | None = None) -> NameTable:
    """Read the factory's table or the user's own.

    Raises
    ------
    Refusal
        When it cannot be read or names a class that does not exist.
    """
    path = path or FACTORY_TABLE
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise Refusal(f"cannot read the name table {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(
            f"the name table {path} is not TOML: {error}; start from train/data/names.toml"
        ) from error
    classes: dict[tuple[str, ...], str] = {}
    for label, phrases in table.get("classes", {}).items():
        if label not in CLASSES:
            raise Refusal(f"the name table {path} has a class '{label}'; there are {', '.join(CLASSES)}")
        for phrase in phrases:
            words = tuple(phrase.lower().split())
            if classes.get(words, label) != label:
                raise Refusal(f"the name table {path} gives '{phrase}' to {classes[words]} and to {label}")
            classes[words] = label
    unknown = table.get("unknown", "perc")
    if unknown not in (*CLASSES, "leave out"):
        raise Refusal(f"'unknown' in the name table {path} is '{unknown}'; write a class or \"leave out\"")
    instruments = table.get("instruments", {})
    pairs = frozenset(tuple(pair.split()) for pair in instruments.get("take_pairs", []))
    return NameTable(classes, unknown, frozenset(instruments.get("takes", [])), pairs, text)  # type: ignore[arg-type]


def words(name: str) -> list[str]:
    """Cut a name into lower-case words: ``OpenHat_03`` gives open, hat, 03."""
    return [word.lower() for word in _WORD.findall(name)]


def class_of_name(name: str, table: NameTable) -> str | None:
    """Class that a name speaks of.

    Microphone names ("snare mic") are passed over. Whole phrases beat abbreviations of one or two letters,
    longer phrases beat shorter ones, then the first in the name wins.
    """
    parts = _without_pairs(words(name), table)
    longest = max((len(key) for key in table.classes), default=0)
    best: tuple[bool, int, int, str] | None = None
    for start in range(len(parts)):
        for length in range(1, min(longest, len(parts) - start) + 1):
            phrase = tuple(parts[start : start + length])
            label = table.classes.get(phrase)
            if label:
                rank = (len("".join(phrase)) <= 2, -length, start, label)
                best = rank if best is None or rank < best else best
    if best is None or best[0]:  # words run together: "mykick", "openhat808"
        flat = "".join(word for word in parts if word.isalpha())
        for phrase, label in table.classes.items():
            joined = "".join(phrase)
            if len(joined) >= 4 and joined in flat:
                rank = (False, -len(joined), flat.index(joined), label)
                best = rank if best is None or rank < best else best
    return best[3] if best else None


def _without_pairs(parts: list[str], table: NameTable) -> list[str]:
    """Drop the pairs of words that name a microphone."""
    kept: list[str] = []
    index = 0
    while index < len(parts):
        if tuple(parts[index : index + 2]) in table.take_pairs:
            index += 2
        else:
            kept.append(parts[index])
            index += 1
    return kept


def guess_class(file: SourceFile, table: NameTable) -> tuple[str | None, str]:
    """Class of a file and what decided it: ``manifest``, ``folder NAME``, ``file name`` or ``nothing``.

    None stands for "leave out".
    """
    for column in CLASS_COLUMNS:
        value = str(file.row.get(column) or "").strip().lower()
        if value:
            label = value if value in CLASSES else class_of_name(value, table)
            if label:
                return label, "manifest"
    for folder in reversed(file.folders):
        label = folder.lower() if folder.lower() in CLASSES else class_of_name(folder, table)
        if label:
            return label, f"folder {folder}"
    label = class_of_name(file.stem, table)
    if label:
        return label, "file name"
    return (None if table.unknown == "leave out" else table.unknown), "nothing"


def instrument_of(file: SourceFile, label: str, table: NameTable) -> str:
    """Name of the instrument a file is a take of: kit, class and what its name keeps without take marks."""
    for column in GROUP_COLUMNS[:2]:
        if file.row.get(column):
            return str(file.row[column])
    kit = next((str(file.row[column]) for column in SET_COLUMNS if file.row.get(column)), "")
    if not kit:
        kit = "/".join(folder for folder in file.folders if class_of_name(folder, table) is None)
    stem = file.stem
    if kit and stem.lower().startswith(f"{kit.lower()}__"):
        stem = stem[len(kit) + 2 :]
    kept: list[str] = []
    for word in _without_pairs([word for word in words(stem) if not word.isdigit()], table):
        if word not in table.takes and word not in kept:
            kept.append(word)
    return "/".join(part for part in (kit, label, "-".join(kept)) if part)


def kit_of(instrument: str, label: str) -> str:
    """Take the kit from an instrument's name that :func:`instrument_of` made; all of it where it has none."""
    kit, found, _ = instrument.partition(f"/{label}/")
    return kit if found else instrument
