"""A tuning that was interrupted goes on where it stood: what it needs lies in a folder beside the output."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.files import whole
from common.refusal import Refusal

EVERY_S = 60.0
"""Longest time of work that a power cut takes."""


class Kept:
    """The states of one procedure's tunings, each under a name.

    Parameters
    ----------
    folder : Path
        Where they lie.
    key : str
        Of everything that decides what the procedure does; states of another one are not taken up.
    """

    def __init__(self, folder: Path, key: str):
        self.folder, self.key = folder, key

    @property
    def is_begun(self) -> bool:
        """Whether there is a state of this procedure."""
        return any(self.load(path.stem) is not None for path in self.folder.glob("*.pt"))

    def load(self, name: str) -> dict[str, Any] | None:
        """Return the state of a tuning, None where there is none of this procedure."""
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            found = torch.load(path, weights_only=True)
        except Exception as error:
            raise Refusal(
                f"{path} can't be read ({type(error).__name__}); remove {self.folder} to begin anew."
            ) from None
        return dict(found["state"]) if found.get("key") == self.key else None

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Put a state down; whoever reads meanwhile finds the one before."""
        with whole(self._path(name)) as part:
            torch.save({"key": self.key, "state": state}, part)

    def remove(self) -> None:
        """Forget all of it: the procedure is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '_').replace(',', '')}.pt"


def key_of(parts: Sequence[object]) -> str:
    """A fingerprint of what decides a procedure: settings, files as bytes, recordings as arrays."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = part.tobytes()
        found.update(part if isinstance(part, bytes) else repr(part).encode())
        found.update(b"|")
    return found.hexdigest()
