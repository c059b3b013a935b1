"""A TorchScript archive as plain records: its code is neither run nor looked at.

The archive is a zip: ``data.pkl`` is a pickle of objects with their attributes, ``data/N`` are the bytes of
tensors. The unpickler here makes records of whatever class a module has, arrays of tensors, and nothing else.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common.refusal import Refusal

MOST_BYTES = 1 << 30
MOST_RECORD_BYTES = 64 << 20
STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
SCRIPTED = "__torch__"
"""What the modules of scripted classes are called by."""


class Module:
    """A scripted module: its class and its attributes.

    Attributes
    ----------
    class_name : str
        With its module, as the file has it.
    fields : dict
    """

    class_name = ""

    def __init__(self, *_: object) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.fields = state if isinstance(state, dict) else {}

    def find(self, path: str) -> Any:
        """An attribute by its dotted path; None where there is none."""
        here: Any = self
        for name in path.split("."):
            here = here.fields.get(name) if isinstance(here, Module) else None
        return here

    def arrays(self, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
        """Every tensor below, by its dotted path."""
        for name, value in self.fields.items():
            where = f"{path}.{name}" if path else name
            if isinstance(value, Module):
                yield from value.arrays(where)
            elif isinstance(value, np.ndarray):
                yield where, value


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def read_archive(path: Path) -> Module:
    """Read a scripted module.

    Raises
    ------
    Refusal
        A truncated zip, one that holds no scripted module, or a pickle that asks for anything else.
    """
    if path.stat().st_size > MOST_BYTES:
        raise Refusal(f"{path.name} has more than {MOST_BYTES >> 20} MB; a model of RAVE has tens.")
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(
                (n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")), None
            )
            is_scripted = any(f"/code/{SCRIPTED}" in n for n in archive.namelist())
            if name is None or not is_scripted:
                raise Refusal(
                    f"{path.name} is a zip, but holds no TorchScript; name a .ts that RAVE exported."
                )
            if archive.getinfo(name).file_size > MOST_RECORD_BYTES:
                raise Refusal(f"{path.name}: its records are too large for a model; export it again.")
            found = _Reader(archive, name.split("/")[0], archive.read(name)).load()
    except (zipfile.BadZipFile, EOFError, OSError):
        raise Refusal(f"{path.name} is cut short or damaged; download or export it again.") from None
    except Refusal:
        raise
    except Exception as error:  # a pickle can fail in any way
        raise Refusal(
            f"{path.name} can't be read as TorchScript ({type(error).__name__}: {error}); export it again."
        ) from None
    if not isinstance(found, Module):
        raise Refusal(f"{path.name} holds no module; name a .ts that RAVE exported.")
    return found


class _Reader(pickle.Unpickler):
    """Makes records, arrays, and plain values."""

    def __init__(self, archive: zipfile.ZipFile, root: str, data: bytes):
        super().__init__(io.BytesIO(data))
        self.archive, self.root = archive, root
        self.classes: dict[str, type[Module]] = {}
        self.stored: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give a stand-in, whatever is asked for."""
        if module == SCRIPTED or module.startswith(f"{SCRIPTED}."):
            full = f"{module}.{name}"
            return self.classes.setdefault(full, type("Module", (Module,), {"class_name": full}))
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch.jit._pickle" and name.startswith(("build_", "restore_type_tag")):
            return _first
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, place: Any) -> np.ndarray:
        """Read the bytes of a tensor: ("storage", type, key, device, count)."""
        _, kind, key, _, _ = place
        if key not in self.stored:
            self.stored[key] = np.frombuffer(self.archive.read(f"{self.root}/data/{key}"), kind)
        return self.stored[key]


def _first(*values: Any) -> Any:
    return values[0] if values else None


def _tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> np.ndarray:
    """A tensor's numbers, copied; what reaches out of its storage is refused."""
    reach = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True)) + 1
    if 0 in shape:
        return np.zeros(shape, storage.dtype)
    if offset < 0 or min(strides, default=0) < 0 or reach > storage.size:
        raise pickle.UnpicklingError("a tensor reaches out of its bytes")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()
