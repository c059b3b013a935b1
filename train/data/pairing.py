"""Which wet recording belongs to which dry one, by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from train.data.source import SourceFile

DRY_WORDS = frozenset(
    {"dry", "di", "clean", "input", "in", "source", "raw", "direct", "unprocessed", "original"}
)
WET_WORDS = frozenset(
    {"wet", "fx", "out", "output", "target", "processed", "effected", "reamp", "reamped", "amped", "effect"}
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+(?:\.\d+)?")


@dataclass(frozen=True)
class PairFiles:
    """A dry file and a wet file that belong together."""

    dry: SourceFile
    wet: SourceFile
    effect: str
    parameters: dict[str, Any]
    why: str


def _name_words(text: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(text)]


def role_of(file: SourceFile) -> tuple[str | None, str]:
    """Whether a file is ``dry`` or ``wet`` by name (nearest to the file first), and the word that says so."""
    for part in (file.stem, *reversed(file.folders)):
        found = _name_words(part)
        for word in found:
            if word in DRY_WORDS:
                return "dry", word
            if word in WET_WORDS:
                return "wet", word
    return None, ""


def parameters_in(text: str) -> tuple[dict[str, float], list[str]]:
    """Split ``gain050_tone3`` into {gain: 50, tone: 3} and the words that carry no number."""
    parameters: dict[str, float] = {}
    rest: list[str] = []
    parts = _name_words(text)
    index = 0
    while index < len(parts):
        word = parts[index]
        following = parts[index + 1] if index + 1 < len(parts) else ""
        if word.isalpha() and following[:1].isdigit() and word not in DRY_WORDS | WET_WORDS:
            parameters[word] = float(following)
            index += 2
            continue
        rest.append(word)
        index += 1
    return parameters, rest


def find_pairs(files: tuple[SourceFile, ...]) -> tuple[list[PairFiles], dict[str, str]]:
    """Pair files by name.

    A manifest row with ``dry`` and ``wet`` decides. Else a wet file looks for a dry one, in this order: the
    same name without the words for dry and wet, in its own folder; the same name in any folder of dry
    files; the only dry file of its own folder. A file that is neither by name is wet when a dry file
    elsewhere has its name; its folder is then the effect.

    Returns
    -------
    pairs : list of PairFiles
    alone : dict
        Files without a partner, and why.
    """
    by_path = {file.relative: file for file in files}
    pairs: list[PairFiles] = []
    alone: dict[str, str] = {}
    used: set[str] = set()
    for file in files:
        if file.row.get("dry") and file.row.get("wet"):
            dry = by_path.get(str(file.row["dry"]).strip().replace("\\", "/").removeprefix("./"))
            if dry is None:
                alone[file.relative] = f"the manifest pairs it with {file.row['dry']}, which is not there"
                continue
            stated = file.row.get("parameters") or {}
            if not isinstance(stated, dict):
                alone[file.relative] = (
                    f"has parameters in the manifest that are no names with values: {stated}"
                )
                continue
            pairs.append(
                PairFiles(dry, file, str(file.row.get("effect") or "unnamed"), dict(stated), "manifest")
            )
            used |= {dry.relative, file.relative}
    left = [file for file in files if file.relative not in used and file.relative not in alone]
    dry_files = [file for file in left if role_of(file)[0] == "dry"]
    dry_keys: dict[tuple[str, ...], list[SourceFile]] = {}
    for file in dry_files:
        dry_keys.setdefault(_key(file.stem), []).append(file)
    for file in left:
        role, _ = role_of(file)
        if role == "dry":
            continue
        found = _partner(file, role, dry_files, dry_keys)
        if found is None:
            alone[file.relative] = (
                "is wet, but no dry file of that name was found"
                if role == "wet"
                else "is neither dry nor wet by name, and no dry file has its name"
            )
            continue
        dry, why = found
        parameters, effect = _effect(file, dry)
        pairs.append(PairFiles(dry, file, effect, dict(parameters), why))
        used |= {dry.relative, file.relative}
    for file in dry_files:
        if file.relative not in used:
            alone[file.relative] = "is dry, but no wet file of that name was found"
    return pairs, alone


def _key(stem: str) -> tuple[str, ...]:
    return tuple(word for word in _name_words(stem) if word not in DRY_WORDS | WET_WORDS)


def _partner(
    file: SourceFile,
    role: str | None,
    dry_files: list[SourceFile],
    dry_keys: dict[tuple[str, ...], list[SourceFile]],
) -> tuple[SourceFile, str] | None:
    key = _key(file.stem)
    _, bare = parameters_in(file.stem)
    bare_key = tuple(word for word in bare if word not in DRY_WORDS | WET_WORDS)
    same_name = [
        dry for wanted in (key, bare_key) for dry in dry_keys.get(wanted, []) if wanted and dry is not file
    ]
    beside = [dry for dry in same_name if dry.folders == file.folders]
    if beside:
        return beside[0], "same name in the same folder"
    if same_name:
        return max(same_name, key=lambda dry: _common(dry.folders, file.folders)), "same name"
    if role == "wet":
        # a name that goes on where the dry one stops: riff.wav and riff_wet_fuzz.wav
        begins = [dry for dry in dry_files if _key(dry.stem) and key[: len(_key(dry.stem))] == _key(dry.stem)]
        if begins:
            return max(
                begins, key=lambda dry: (len(_key(dry.stem)), _common(dry.folders, file.folders))
            ), "name begins alike"
        only = [dry for dry in dry_files if dry.folders == file.folders and not _key(dry.stem)]
        if len(only) == 1:
            return only[0], "the only dry file of its folder"
    return None


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _effect(wet: SourceFile, dry: SourceFile) -> tuple[dict[str, float], str]:
    """Name of the effect and its parameters, from what the wet name has and the dry one has not."""
    dry_words = set(_key(dry.stem))
    parameters, rest = parameters_in(wet.stem)
    parameters = {key: value for key, value in parameters.items() if key not in dry_words}
    extra = [word for word in rest if word not in dry_words | DRY_WORDS | WET_WORDS and word.isalpha()]
    if extra:
        return parameters, "-".join(extra)
    own = [folder for folder in wet.folders if folder not in dry.folders and folder.lower() not in WET_WORDS]
    if own:
        return parameters, own[-1]
    parent = wet.folders[-1] if wet.folders else wet.path.parent.name
    return parameters, parent if parent.lower() not in WET_WORDS else "unnamed"
