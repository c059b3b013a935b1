"""Encoders small enough to ship: weights as float16, and a Fourier basis as the formula that it is.

An encoder never runs on the module, but whoever has a model wants to judge it, to match sounds, to listen.
The packed file opens in any onnxruntime: casts and a few sines make its tensors again when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

MOST_BYTES = 1_000_000
"""What a file that ships may have."""
Pack = Callable[[str, np.ndarray], "tuple[list[onnx.NodeProto], list[onnx.TensorProto]]"]
LEAST_VALUES = 256  # smaller tensors stay as they are
BASIS_ERROR = 2e-6
LARGEST_FLOAT16 = 65_504.0


def packed(model: onnx.ModelProto, most_bytes: int = MOST_BYTES) -> onnx.ModelProto:
    """Return a model that computes the same from a smaller file.

    Large float32 weights are rounded to float16, and to int8, one scale a row, where the file would still be
    larger than ``most_bytes``. What is a windowed Fourier basis, as log-mel pictures have one, becomes the
    nodes that compute it. Metadata stay.
    """
    halves = _packed(model, _cast_node)
    return halves if halves.ByteSize() <= most_bytes else _packed(model, _rows_node)


def _packed(model: onnx.ModelProto, pack: Pack) -> onnx.ModelProto:
    out = onnx.ModelProto()
    out.CopyFrom(model)
    graph = out.graph
    before: list[onnx.NodeProto] = []
    kept: list[onnx.TensorProto] = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        found = _window_of_basis(values)
        if found is not None:
            nodes, constants = _basis_nodes(tensor.name, *found, len(values) // 2)
        elif values.dtype == np.int64 and values.size >= LEAST_VALUES:
            nodes, constants = _counts_node(tensor.name, values)
        elif values.dtype == np.float32 and values.size >= LEAST_VALUES and _fits(values):
            nodes, constants = pack(tensor.name, values)
        else:
            nodes, constants = [], [tensor]
        before += nodes
        kept += constants
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(out, full_check=True)
    return out


def _fits(values: np.ndarray) -> bool:
    return bool(np.abs(values).max() < LARGEST_FLOAT16)


def _cast_node(name: str, values: np.ndarray) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    half = f"{name}.float16"
    node = helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT)
    return [node], [numpy_helper.from_array(values.astype(np.float16), half)]


def _rows_node(name: str, values: np.ndarray) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Rows as integers times the row's scale; a tensor of one row, and a vector, as float16."""
    if values.ndim < 2 or len(values) < 2:
        return _cast_node(name, values)
    largest = np.abs(values.reshape(len(values), -1)).max(1)
    scale = np.where(largest > 0, largest / 127, 1.0).astype(np.float32)
    rows = np.rint(values / scale.reshape(-1, *([1] * (values.ndim - 1)))).astype(np.int8)
    constants: dict[str, np.ndarray] = {f"{name}.int8": rows, f"{name}.scale": scale}
    node = helper.make_node("DequantizeLinear", [*constants], [name], axis=0)
    return [node], [numpy_helper.from_array(value, key) for key, value in constants.items()]


def _counts_node(name: str, values: np.ndarray) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Whole numbers that are a column times a row, as exporters leave the turns of a basis, as those two."""
    parts = _column_and_row(values) if values.ndim == 2 else None
    if parts is None:
        return [], [numpy_helper.from_array(values, name)]
    constants = {f"{name}.column": parts[0], f"{name}.row": parts[1]}
    node = helper.make_node("Mul", [*constants], [name])
    return [node], [numpy_helper.from_array(value, key) for key, value in constants.items()]


def _column_and_row(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Divide whole numbers ``[A, B]`` into a column ``[A, 1]`` and a row ``[1, B]``, if they are such."""
    filled = np.flatnonzero(values.any(1))
    if not len(filled):
        return None
    row = values[filled[:1]]
    row = row // np.gcd.reduce(row[0])
    place = int(np.flatnonzero(row[0])[0])
    column = values[:, place : place + 1] // row[0, place]
    return (column, row) if np.array_equal(column * row, values) else None


def _window_of_basis(values: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Take window ``[N]`` and first bin of a basis ``[2 · bins, 1, N]``, cosines above negative sines.

    None of other tensors.
    """
    if values.dtype != np.float32 or values.ndim != 3 or values.shape[1] != 1:
        return None
    size, bins = values.shape[2], values.shape[0] // 2
    if size < 16 or size % 2 or values.shape[0] % 2 or not 1 < bins <= size // 2 + 1:
        return None
    turning = values[0, 0] - 1j * values[bins, 0].astype(np.float64)
    middle = size // 2
    first = round(float(np.angle(turning[middle + 1] * np.conj(turning[middle]))) * size / (2 * np.pi))
    window = values[0, 0] if first == 0 else np.abs(turning).astype(np.float32)
    if not 0 <= first <= size // 2 + 1 - bins:
        return None
    rest = np.abs(values[:, 0] - basis(window, first, bins)).max()
    return (window, first) if rest <= BASIS_ERROR * max(1e-9, np.abs(window).max()) else None


def basis(window: np.ndarray, first: int = 0, bins: int = 0) -> np.ndarray:
    """Cosines, then negative sines, of frequencies of a real transform, times a window: [2 · bins, N].

    Parameters
    ----------
    window : ndarray, shape (N,)
    first : int
        The lowest frequency.
    bins : int
        How many; 0 takes all from there on.
    """
    size = len(window)
    which = np.arange(first, first + bins if bins else size // 2 + 1)
    turns = np.outer(which, np.arange(size)) % size / size
    return np.concatenate([np.cos(2 * np.pi * turns), -np.sin(2 * np.pi * turns)]) * window


def _basis_nodes(
    name: str, window: np.ndarray, first: int, bins: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Compute a basis from its window; float32 counts exactly that far, so no turn is off."""
    size = len(window)

    def called(what: str) -> str:
        return f"{name}.{what}"

    constants = {
        "bins": np.arange(first, first + bins, dtype=np.float32)[:, None],
        "times": np.arange(size, dtype=np.float32)[None],
        "size": np.float32(size),
        "turn": np.float32(2 * np.pi),
        "window": window[None],
        "axis": np.array([1], np.int64),
    }
    steps = [
        ("Mul", ("bins", "times"), "counts"),
        ("Mod", ("counts", "size"), "within"),
        ("Div", ("within", "size"), "part"),
        ("Mul", ("part", "turn"), "angle"),
        ("Cos", ("angle",), "cosine"),
        ("Sin", ("angle",), "sine"),
        ("Neg", ("sine",), "negative"),
        ("Concat", ("cosine", "negative"), "waves"),
        ("Mul", ("waves", "window"), "windowed"),
    ]
    more: dict[str, dict[str, Any]] = {"Mod": {"fmod": 1}, "Concat": {"axis": 0}}
    nodes = [
        helper.make_node(kind, [called(i) for i in inputs], [called(output)], **more.get(kind, {}))
        for kind, inputs, output in steps
    ]
    nodes.append(helper.make_node("Unsqueeze", [called("windowed"), called("axis")], [name]))
    tensors = [numpy_helper.from_array(np.asarray(value), called(key)) for key, value in constants.items()]
    return nodes, tensors
