"""How a toy set reaches the disk: whole or not at all.

Everything is written into a folder beside the target, which is renamed into place when the manifest is
complete. A set that already stands there, made from the same kind, seed and count, is left as it is.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import TracebackType

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.kinds import singular
from common.refusal import Refusal

FORMAT = 1


class ToyFolder:
    """Writer of one toy set; use as a context manager and call :meth:`finish` with the items.

    Parameters
    ----------
    target : Path
        The folder to make; must not hold anything but the same set.
    kind : str
        ``drum``, ``rhythm``, ``ear``, ``chords``, ``notes``, ``drive`` or ``digits``.
    recipe : dict
        What decides the bytes: seed, number of items and the like. Stored in the manifest.

    Raises
    ------
    Refusal
        When ``target`` holds something else or cannot be written.
    """

    def __init__(self, target: Path, kind: str, recipe: dict):
        self.target = Path(target)
        self.head = {"format": FORMAT, "kind": kind, "made_by": "vaectrol toy", "recipe": recipe}
        self.head["sample_rate_hz"] = SAMPLE_RATE_HZ
        self.partial = self.target.with_name(f".{self.target.name}.partial")

    def already_there(self) -> bool:
        """Whether the target already is this very set."""
        manifest = self.target / "manifest.json"
        if not self.target.exists() or (self.target.is_dir() and not any(self.target.iterdir())):
            return False
        if manifest.is_file():
            try:
                found = json.loads(manifest.read_text())
            except ValueError:
                found = {}
            if isinstance(found, dict):
                found["kind"] = singular(str(found.get("kind")), [str(self.head["kind"])])
                if all(found.get(key) == value for key, value in self.head.items()):
                    return True
        raise Refusal(
            f"{self.target} already holds something else; name an empty folder, or remove that one first"
        )

    def __enter__(self) -> ToyFolder:
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir()
        except OSError as error:
            raise Refusal(
                f"cannot write {self.target}: {error.strerror}; name a folder you may write"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise Refusal(
                f"cannot write {self.target}: {error.strerror or error}; nothing was kept"
            ) from error

    def path(self, name: str) -> Path:
        """Where to write the file ``name`` of the set; its folder is made."""
        path = self.partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_pcm(self, name: str, audio: np.ndarray) -> None:
        """Write mono audio [n] in -1..1 as 24-bit WAV."""
        import soundfile

        soundfile.write(self.path(name), audio, SAMPLE_RATE_HZ, subtype="PCM_24")

    def write_float(self, name: str, audio: np.ndarray) -> None:
        """Write mono audio [n] as 32-bit float WAV.

        Through scipy: libsndfile stamps the time of day into the PEAK chunk, and the same seed must give the
        same bytes.
        """
        from scipy.io import wavfile

        wavfile.write(self.path(name), SAMPLE_RATE_HZ, np.asarray(audio, np.float32))

    def write_array(self, name: str, array: np.ndarray) -> None:
        """Write an array as .npy."""
        np.save(self.path(name), array)

    def finish(self, items: list[dict]) -> None:
        """Write ``manifest.json`` and put the folder in its place."""
        manifest = {**self.head, "items": items}
        self.path("manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        if self.target.is_dir():
            self.target.rmdir()  # empty: already_there() has looked
        self.partial.rename(self.target)
