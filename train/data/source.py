"""A builder's folder as it is found: which files are in it, and what a manifest says about them."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.refusal import Refusal
from train.data.store import file_sha256

WAV_LIKE = {"wav", "wave", "bwf", "w64", "rf64", "aif", "aiff", "aifc", "caf", "au", "snd"}
AUDIO = frozenset(WAV_LIKE | {"flac", "ogg", "oga", "opus", "mp3"})
# Audio that libsndfile does not read: named in the report instead of passed over.
FOREIGN_AUDIO = frozenset({"m4a", "aac", "mp4", "wma", "ape", "wv", "ac3", "dts", "mka", "webm", "amr"})
MIDI = frozenset({"mid", "midi"})
MANIFESTS = ("manifest.json", "manifest.csv", "info.csv")
PATH_COLUMNS = ("path", "file", "filename", "midi_filename", "name")


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
    toy, rows = read_manifest(root)
    found, foreign, other = [], [], 0
    unusable: list[tuple[str, str]] = []
    inside = out.resolve()
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if any(part.startswith((".", "__MACOSX")) for part in relative.parts) or not path.is_file():
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
    return Source(root, tuple(files), tuple(foreign), missing, tuple(unusable), other, toy, rows)


def _is_utf8(name: str) -> bool:
    """Whether a name can be written down; other systems' names come as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_manifest(root: Path) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """Read ``manifest.json`` (ours, toy or a list of objects) or ``manifest.csv`` / ``info.csv``.

    Returns
    -------
    toy : dict or None
        The head of a toy set's manifest.
    rows : dict
        What is said about each file, by its path below ``root``.
    """
    for name in MANIFESTS:
        path = root / name
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8-sig")
            if name.endswith(".json"):
                content = json.loads(text)
                toy = (
                    content
                    if isinstance(content, dict) and content.get("made_by") == "vaectrol toy"
                    else None
                )
                listed = content.get("items") if isinstance(content, dict) else content
                if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
                    raise Refusal(
                        f"{path} is no list of items; see train/data/README.md for what it may hold"
                    )
            else:
                toy, listed = None, list(csv.DictReader(text.splitlines()))
        except (OSError, ValueError) as error:
            if isinstance(error, Refusal):
                raise
            raise Refusal(f"{path} cannot be read ({error}); fix it or take it away") from error
        rows = {}
        for row in listed:
            key = next((str(row[column]) for column in PATH_COLUMNS if row.get(column)), None)
            if "dry" in row and "wet" in row:
                key = str(row["wet"])
            if key:
                rows[key.replace("\\", "/").removeprefix("./")] = row
        return toy, rows
    return None, {}
