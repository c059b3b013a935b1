"""The data set on disk: a manifest, memory-mapped arrays and one hash over both.

Layout of a data set folder (also in this folder's README)::

    manifest.json      format, kind, hash, sample_rate_hz, options, arrays {name: {file, dtype, shape,
    sha256}},
                       items [...], left_out [...], source; hashed_as, the word that the hash has for the kind
    arrays/NAME.npy    plain .npy files, C order, opened with mmap_mode="r"
    report.html, report.json

``manifest.json`` is renamed into place last, so a folder without one is never taken for a data set.
The hash covers the format, the kind, the options, the items and the arrays' own hashes; not the report and
not the place the sounds came from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, cast

import numpy as np

from common.drums import CLASSES
from common.kinds import kinds_in, singular
from common.refusal import Refusal
from train.data.manifest import ArrayEntry, ItemT, Manifest, NotesT

FORMAT = 1
SPLITS = ("train", "validation", "test")
KINDS = Path(__file__).parent / "kinds"

Normalise = Literal["peak", "loudness"]
# Loudness that `normalise="loudness"` brings an item to, in LUFS (momentary maximum)
LOUDNESS_TARGET_LUFS = -20.0


def canonical_json(value: Any) -> str:
    """Serialise to the one JSON text that hashes are taken of: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def file_sha256(path: Path) -> str:
    """Hash a file's bytes, a piece at a time."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_hash(manifest: Manifest[ItemT, NotesT]) -> str:
    """Compute the hash a manifest should carry (hex, 64 characters)."""
    covered = {
        "format": manifest["format"],
        "sample_rate_hz": manifest["sample_rate_hz"],
        "options": manifest["options"],
        "items": manifest["items"],
        "kind": manifest.get("hashed_as", manifest["kind"]),
        "arrays": {name: array["sha256"] for name, array in manifest["arrays"].items()},
    }
    return hashlib.sha256(canonical_json(covered).encode()).hexdigest()


class DataSet(Generic[ItemT]):
    """A prepared data set, opened for reading; nothing is loaded until it is asked for.

    Who works with one kind says so: ``DataSet[DrumItem]``, by the kind's own item (``kinds/drum.py``).

    Attributes
    ----------
    directory : Path
        Where it lies.
    kind : str
        A file of ``kinds/``; ``drum`` also where an older manifest says ``drums``.
    hash : str
        What the model card carries.
    manifest : list of ItemT
        One entry per item: name, file, split, group and what the kind adds (class, style, effect,
        parameters …).
    arrays : dict of str to ndarray
        The memory-mapped arrays.
    """

    def __init__(self, directory: Path, head: Manifest[ItemT, Any], arrays: dict[str, np.ndarray]):
        self.directory = directory
        self.head = head
        self.kind: str = singular(head["kind"], kinds_in([KINDS]))
        self.hash: str = head["hash"]
        self.sample_rate_hz: int = head["sample_rate_hz"]
        self.manifest: list[ItemT] = head["items"]
        self.arrays = arrays

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> DataSet:
        """Open a data set folder.

        Raises
        ------
        Refusal
            When there is none, it was never finished, or an array is missing or has another shape.
        """
        folder = Path(directory)
        try:
            head = json.loads((folder / "manifest.json").read_text())
        except FileNotFoundError:
            if (folder / ".work").is_dir():
                raise Refusal(
                    f"{folder} is unfinished; run the same `vaectrol data prepare` again to continue it"
                ) from None
            raise Refusal(
                f"{folder} holds no data set (no manifest.json); make one with `vaectrol data prepare`"
            ) from None
        except (OSError, ValueError) as error:
            raise Refusal(
                f"{folder}/manifest.json cannot be read ({error}); prepare the data again"
            ) from error
        known = kinds_in([KINDS])
        if (
            not isinstance(head, dict)
            or "arrays" not in head
            or singular(str(head.get("kind")), known) not in known
        ):
            raise Refusal(
                f"{folder}/manifest.json is not a prepared data set; run `vaectrol data prepare` on it first"
            )
        if head["format"] != FORMAT:
            raise Refusal(
                f"{folder} has data format {head['format']}, this is {FORMAT}; prepare the data again"
            )
        arrays = {}
        for name, entry in head["arrays"].items():
            path = folder / entry["file"]
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise Refusal(f"{path} cannot be read ({error}); prepare the data again") from error
            if list(array.shape) != entry["shape"] or str(array.dtype) != entry["dtype"]:
                raise Refusal(f"{path} is not the array its manifest describes; prepare the data again")
            arrays[name] = array
        return cls(folder, cast(Manifest[Any, Any], head), arrays)

    def __len__(self) -> int:
        return len(self.manifest)

    def verify(self) -> None:
        """Read everything back and compare with the hashes.

        Raises
        ------
        Refusal
            Naming the first file whose bytes changed.
        """
        for entry in self.head["arrays"].values():
            if file_sha256(self.directory / entry["file"]) != entry["sha256"]:
                raise Refusal(
                    f"{self.directory / entry['file']} has changed since it was written; prepare again"
                )
        if data_hash(self.head) != self.hash:
            raise Refusal(f"{self.directory}/manifest.json has changed since it was written; prepare again")

    def split(self, name: str, **wanted: Any) -> np.ndarray:
        """Indices of the items of one split, e.g. ``split("train", fill=False)``.

        Parameters
        ----------
        name : str
            ``train``, ``validation``, ``test`` or ``all``.
        **wanted
            Values that further manifest fields must have.

        Returns
        -------
        int64 ndarray
        """
        if name not in (*SPLITS, "all"):
            raise Refusal(f"there is no split '{name}'; there are {', '.join(SPLITS)} and all")
        return np.array(
            [
                index
                for index, item in enumerate(self._fields())
                if name in ("all", item["split"])
                and all(item.get(key) == value for key, value in wanted.items())
            ],
            dtype=np.int64,
        )

    def column(self, field: str) -> list[Any]:
        """One manifest field of every item, None where an item lacks it."""
        return [item.get(field) for item in self._fields()]

    def _fields(self) -> list[dict[str, Any]]:
        """Items by whatever field, for those that are asked for by name."""
        return cast(list[dict[str, Any]], self.manifest)

    def class_index(self) -> np.ndarray:
        """Class of each drum item as its index in :data:`CLASSES`, int64 [items]."""
        return np.array([CLASSES.index(name) for name in self.column("class")], dtype=np.int64)

    def audio(self, index: int, normalise: Normalise | None = "peak") -> np.ndarray:
        """One drum hit, float32 [n], a copy.

        ``peak`` brings the peak to 1, ``loudness`` the momentary maximum to -20 LUFS (peak at most 1), None
        leaves the level of the file.
        """
        return self._cut("audio", index) * np.float32(self._gain(index, normalise))

    def _gain(self, index: int, normalise: Normalise | None) -> float:
        item = self._fields()[index]
        if normalise is None:
            return 1.0
        to_full_scale = float(10 ** (-item["peak_db"] / 20))
        if normalise == "peak":
            return to_full_scale
        return min(to_full_scale, float(10 ** ((LOUDNESS_TARGET_LUFS - item["loudness_lufs"]) / 20)))

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One drive segment: dry and wet, float32 [n] each, copies. State is reset at its start."""
        return self._cut("dry", index), self._cut("wet", index)

    def texture(self, index: int) -> np.ndarray:
        """One stretch of a recording, float32 [n], a copy, at the level of its file."""
        return self._cut("audio", index).astype(np.float32) / np.float32(32768)

    def pattern(self, index: int) -> np.ndarray:
        """One rhythm, float32 [27, 32], a copy: nine onsets, nine velocities, nine microtimings."""
        return np.array(self.arrays["patterns"][index])

    def _cut(self, array: str, index: int) -> np.ndarray:
        start, stop = (int(v) for v in self.arrays["offsets"][index : index + 2])
        return np.array(self.arrays[array][start:stop])


@dataclass(frozen=True)
class Joined:
    """Pieces to be joined along their first axis: the shape is known before the pieces are read."""

    shape: tuple[int, ...]
    dtype: Any
    pieces: Iterable[np.ndarray]


def write_arrays(folder: Path, arrays: dict[str, np.ndarray | Joined]) -> dict[str, ArrayEntry]:
    """Write arrays as .npy; joined ones a piece at a time, so that none needs to fit in memory.

    Returns
    -------
    dict
        The manifest's ``arrays`` table.
    """
    table: dict[str, ArrayEntry] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in arrays.items():
        path = folder / f"{name}.npy"
        if isinstance(value, np.ndarray):
            np.save(path, value)
        elif 0 in value.shape:
            np.save(path, np.zeros(value.shape, value.dtype))
        else:
            joined = np.lib.format.open_memmap(path, mode="w+", dtype=value.dtype, shape=value.shape)
            position = 0
            for piece in value.pieces:
                joined[position : position + len(piece)] = piece
                position += len(piece)
            joined.flush()
            del joined
        table[name] = {
            "file": f"arrays/{name}.npy",
            "dtype": str(np.dtype(value.dtype)),
            "shape": [int(size) for size in value.shape],
            "sha256": file_sha256(path),
        }
    return table
