"""Where a data set is built: each source's result is kept as it is done, and the whole appears at once.

``OUT/.work`` holds one file per finished source (written under a temporary name and renamed), so an
interrupted run loses at most the source it was at. When all are done the arrays and the manifest are written
beside them and moved into place, the manifest last.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np

from common.refusal import Refusal
from train.data.manifest import Item, ItemT, Manifest, Notes, NotesT
from train.data.store import canonical_json, data_hash


@dataclass
class Result:
    """What one source gave: items with their arrays, or why it was left out, and remarks."""

    items: list[Item] = field(default_factory=list)
    arrays: list[dict[str, np.ndarray]] = field(default_factory=list)
    left_out: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    def add(self, item: Item, **arrays: np.ndarray) -> None:
        """Append one item and its arrays."""
        self.items.append(item)
        self.arrays.append(arrays)

    def to_bytes(self) -> bytes:
        """Pack into one .npz."""
        stream = io.BytesIO()
        packed = {
            f"{i}/{name}": array for i, arrays in enumerate(self.arrays) for name, array in arrays.items()
        }
        head = {"items": self.items, "left_out": self.left_out, "facts": self.facts}
        packed["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
        np.savez(stream, **packed)  # type: ignore[arg-type]  # the stub takes any keyword for allow_pickle
        return stream.getvalue()

    @classmethod
    def from_file(cls, path: Path) -> Result:
        """Unpack what :meth:`to_bytes` made."""
        with np.load(path, allow_pickle=False) as packed:
            head = json.loads(packed["head"].tobytes())
            arrays: list[dict[str, np.ndarray]] = [{} for _ in head["items"]]
            for key in packed.files:
                if key != "head":
                    index, name = key.split("/", 1)
                    arrays[int(index)][name] = packed[key]
        return cls(head["items"], arrays, head["left_out"], head["facts"])


class Workshop:
    """The building site of one data set; a context manager that holds the folder's lock.

    Parameters
    ----------
    out : Path
        The data set folder.
    source : Path
        The folder the sounds come from.
    identity : dict
        What decides the outcome: kind, options and the content of every source file.

    Raises
    ------
    Refusal
        When another run holds the folder, or it was begun or made from another source.
    """

    def __init__(self, out: Path, source: Path, identity: dict[str, Any]):
        self.out = Path(out)
        self.source = Path(source)
        self.fingerprint = hashlib.sha256(canonical_json(identity).encode()).hexdigest()
        self.work = self.out / ".work"
        self._made = False
        self._lock: Any = None

    def __enter__(self) -> Workshop:
        self._check_place()
        self._made = not self.out.exists()
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.work / "lock", "w")  # held for the whole run
        except OSError as error:
            raise Refusal(
                f"cannot write {self.out}: {error.strerror}; name a folder you may write"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refusal(f"another run is writing {self.out}; wait for it to end") from error
        self._check_begun()
        for leftover in self.work.glob("*.partial"):
            leftover.unlink()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.close()
        if isinstance(error, OSError):
            raise Refusal(
                f"cannot write {self.out}: {error.strerror or error}; make room and run the same command "
                "again, "
                "it will continue"
            ) from error

    def _check_place(self) -> None:
        if self.out.exists() and not self.out.is_dir():
            raise Refusal(f"{self.out} is a file; name a folder for the data set")
        if not self.out.is_dir() or self.finished_manifest() is not None or self.work.is_dir():
            return
        if any(self.out.iterdir()):
            raise Refusal(f"{self.out} already holds other files; name an empty folder")

    def _check_begun(self) -> None:
        """Refuse a second source in one output; a changed file in the same source is taken up."""
        path = self.work / "source.json"
        here = str(self.source.resolve())
        finished = self.finished_manifest()
        others = [finished["source"]] if finished else []
        if path.is_file():
            others.append(json.loads(path.read_text()))
        for other in others:
            if other["fingerprint"] != self.fingerprint and other["path"] != here:
                if not finished and not any((self.work / "done").glob("*")):
                    continue
                raise Refusal(
                    f"{self.out} was begun from {other['path']}; give {self.source} an output folder of "
                    "its own"
                )
        self.write(path, json.dumps({"fingerprint": self.fingerprint, "path": here}).encode())

    def finished_manifest(self) -> Manifest[Item, Notes] | None:
        """The manifest that stands in place, if one does."""
        path = self.out / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
        except OSError:
            return None
        except ValueError as error:
            raise Refusal(f"{path} is damaged ({error}); remove {self.out} and prepare again") from error
        if not isinstance(manifest, dict) or "arrays" not in manifest or "source" not in manifest:
            raise Refusal(f"{self.out} holds something else than a data set; name an empty folder")
        return cast(Manifest[Item, Notes], manifest)

    def is_complete(self) -> bool:
        """Whether this very data set already stands in place."""
        manifest = self.finished_manifest()
        return manifest is not None and manifest["source"]["fingerprint"] == self.fingerprint

    def write(self, path: Path, content: bytes) -> None:
        """Write under a temporary name, flush to the disk, rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.work / f"{path.name}.partial"
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)

    def done_path(self, key: dict[str, Any]) -> Path:
        """Where the result of the source with that key is kept."""
        return self.work / "done" / (hashlib.sha256(canonical_json(key).encode()).hexdigest()[:32] + ".npz")

    def recall(self, key: dict[str, Any]) -> Result | None:
        """The result an earlier run left for this key."""
        path = self.done_path(key)
        return Result.from_file(path) if path.is_file() else None

    def keep(self, key: dict[str, Any], result: Result) -> None:
        """Keep a source's result for this run and any later one."""
        self.write(self.done_path(key), result.to_bytes())

    def publish(
        self, manifest: Manifest[ItemT, NotesT], extra_files: dict[str, bytes]
    ) -> Manifest[ItemT, NotesT]:
        """Put the data set in place from ``.work/arrays``; the manifest comes last.

        Returns
        -------
        dict
            The manifest with its hash and source.
        """
        manifest = {**manifest, "hash": data_hash(manifest)}
        manifest["source"] = {"path": str(self.source.resolve()), "fingerprint": self.fingerprint}
        (self.out / "manifest.json").unlink(missing_ok=True)
        (self.out / "arrays").mkdir(exist_ok=True)
        for old in (self.out / "arrays").iterdir():
            old.unlink()
        for array in manifest["arrays"].values():
            name = Path(array["file"]).name
            os.replace(self.work / "arrays" / name, self.out / "arrays" / name)
        for name, content in extra_files.items():
            self.write(self.out / name, content)
        text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
        self.write(self.out / "manifest.json", text.encode())
        self.clear()
        return manifest

    def clear(self) -> None:
        """Remove the building site with its lock, and the folder if it was made for it and is empty."""
        shutil.rmtree(self.work, ignore_errors=True)
        if self._made and not any(self.out.iterdir()):
            self.out.rmdir()
