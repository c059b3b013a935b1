"""A builder's folder as it is found: which files are in it, and what a manifest says about them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import files_below, links_to_nothing
from common.reading.tables import decoded, read_rows
from common.refusal import Refusal
from train.data.store import file_sha256

WAV_LIKE = {"wav", "wave", "bwf", "w64", "rf64", "aif", "aiff", "aifc", "caf", "au", "snd"}
AUDIO = frozenset(WAV_LIKE | {"flac", "ogg", "oga", "opus", "mp3"})
# Audio that libsndfile does not read: named in the report instead of passed over.
FOREIGN_AUDIO = frozenset({"m4a", "aac", "mp4", "wma", "ape", "wv", "ac3", "dts", "mka", "webm", "amr"})
MIDI = frozenset({"mid", "midi"})
MANIFESTS = ("manifest.json", "manifest.csv", "info.csv")
PATH_COLUMNS = ("path", "file", "filename", "midi_filename", "name")
NUMBERS = ("bpm",)


@dataclass(frozen=True)
class SourceFile:
    """One file: its place below the source (with forward slashes), content hash and manifest row."""

    path: Path
    relative: str
    sha256: str
    row: dict[str, Any]

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders between the source and the file."""
        return tuple(self.relative.split("/")[:-1])

    @property
    def stem(self) -> str:
        """File name without its last extension."""
        return Path(self.relative).stem


@dataclass(frozen=True)
class Source:
    """The files of one kind below a folder, and what else was seen there."""

    root: Path
    files: tuple[SourceFile, ...]
    foreign: tuple[str, ...]
    missing: tuple[str, ...]
    unusable: tuple[tuple[str, str], ...]
    other_count: int
    toy: dict[str, Any] | None
    rows: dict[str, dict[str, Any]]
    remarks: tuple[str, ...] = ()


def read_source(root: Path, endings: frozenset[str], what: str, out: Path) -> Source:
    """Search a folder and read its manifest.

    Parameters
    ----------
    root : Path
        The folder.
    endings : frozenset of str
        File endings wanted, lower case, without the dot.
    what : str
        What the folder should hold, in words, for the refusal.
    out : Path
        Left out of the search when it lies inside ``root``.

    Raises
    ------
    Refusal
        When the folder is not there, or holds none of these files that can be read.
    """
    root = Path(root)
    if not root.exists():
        raise Refusal(f"{root} does not exist; name the folder with your {what}")
    if not _is_utf8(str(root.resolve())):
        shown = os.fsencode(root).decode("utf-8", "backslashreplace")
        raise Refusal(f"the path {shown} is not UTF-8; rename the folder")
    if not root.is_dir():
        raise Refusal(f"{root} is a file; name the folder it is in")
    toy, rows, manifests = read_manifest(root)
    found, foreign, other = [], [], 0
    unusable: list[tuple[str, str]] = []
    inside = out.resolve()
    for path in links_to_nothing(root):
        if path.suffix.lower().lstrip(".") in endings:
            shown = os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace")
            unusable.append((shown, "is a link to a file that is not there"))
    for path in files_below(root):
        relative = path.relative_to(root)
        if any(part.startswith((".", "__MACOSX")) for part in relative.parts):
            continue
        if path.resolve().is_relative_to(inside):
            continue
        ending = path.suffix.lower().lstrip(".")
        name = relative.as_posix()
        if not _is_utf8(name):
            if ending in endings:
                shown = os.fsencode(name).decode("utf-8", "backslashreplace")
                unusable.append((shown, "has a name that is not UTF-8; rename it"))
            else:
                other += 1
        elif ending in endings:
            found.append((path, name))
        elif ending in FOREIGN_AUDIO and endings is AUDIO:
            foreign.append(name)
        else:
            other += 1
    if not found and not unusable:
        seen = (
            f"{len(foreign)} files in formats that cannot be read here" if foreign else f"{other} other files"
        )
        raise Refusal(f"{root} holds no {what} ({seen}); it reads {', '.join(sorted(endings))}")
    files = []
    for path, name in found:
        try:
            files.append(SourceFile(path, name, file_sha256(path), rows.get(name, {})))
        except OSError as error:
            unusable.append((name, f"cannot be read ({error.strerror}); check its permissions"))
    if not files:
        raise Refusal(f"nothing in {root} could be used: {unusable[0][0]} {unusable[0][1]}")
    names = {name for _, name in found}
    listed = [name for name in rows if Path(name).suffix.lower().lstrip(".") in endings]
    missing = tuple(name for name in listed if name not in names)
    remarks = [f"{name} was not read, since {manifests[0]} is there too; keep one." for name in manifests[1:]]
    if rows and not missing and not names & rows.keys():
        remarks.append(f"{manifests[0]} says something of {len(rows)} files, but of none that is read here.")
    return Source(
        root, tuple(files), tuple(foreign), missing, tuple(unusable), other, toy, rows, tuple(remarks)
    )


def _is_utf8(name: str) -> bool:
    """Whether a name can be written down; other systems' names come as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_manifest(root: Path) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]], tuple[str, ...]]:
    """Read ``manifest.json`` (ours, toy or a list of objects) or ``manifest.csv`` / ``info.csv``.

    Returns
    -------
    toy : dict or None
        The head of a toy set's manifest.
    rows : dict
        What is said about each file, by its path below ``root``.
    names : tuple of str
        The manifest that was read, and then those that were passed over for it.

    Raises
    ------
    Refusal
        When it cannot be read, names no column or file, or says two things of one file.
    """
    order = {name: place for place, name in enumerate(MANIFESTS)}
    names = sorted(
        (path.name for path in root.iterdir() if path.name.lower() in order and path.is_file()),
        key=lambda name: (order[name.lower()], name),
    )
    if not names:
        return None, {}, ()
    path = root / names[0]
    toy = None
    try:
        if path.suffix.lower() == ".json":
            toy, listed = _json_rows(path)
        else:
            listed = read_rows(
                path, _names_files, f"path ({', '.join(PATH_COLUMNS[1:])}), or dry and wet", NUMBERS
            )
    except Refusal:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{path} cannot be read ({error}); fix it or take it away") from error
    rows: dict[str, dict[str, Any]] = {}
    for line, row in listed:
        key = next((str(row[column]) for column in PATH_COLUMNS if row.get(column)), "")
        if "dry" in row and "wet" in row:
            key = str(row["wet"] or "")
        key = key.strip().replace("\\", "/").removeprefix("./")
        unit = "item" if path.suffix.lower() == ".json" else "line"
        if not key:
            raise Refusal(f"{path}, {unit} {line} names no file")
        if unit == "line" and rows.get(key, row) != row:
            raise Refusal(f"{path}, line {line} says something else of {key} than a line before it; keep one")
        rows[key] = row
    return toy, rows, tuple(names)


def _names_files(columns: Collection[str]) -> bool:
    """Whether a table with these columns says which file a row is about."""
    return any(column in columns for column in PATH_COLUMNS) or {"dry", "wet"} <= set(columns)


def _json_rows(path: Path) -> tuple[dict[str, Any] | None, list[tuple[int, dict[str, Any]]]]:
    """Head of a toy set's manifest, and all items by number from 1."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number that JSON knows")

    content = json.loads(decoded(path.read_bytes(), path), parse_constant=refuse)
    toy = content if isinstance(content, dict) and content.get("made_by") == "vaectrol toy" else None
    listed = content.get("items") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise Refusal(f"{path} is no list of items; see train/data/README.md for what it may hold")
    return toy, list(enumerate(listed, start=1))
