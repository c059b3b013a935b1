"""The numbers of a model file that ships, for a training that goes on from them.

Weights are read back from whatever they were packed into: rounded with scales (``quantize``), float16 or rows
of integers (``pack.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from common.refusal import Refusal

THROUGH = ("QuantizeLinear", "DequantizeLinear", "Cast")


class Layer(NamedTuple):
    """A convolution: weights ``[outputs, inputs, kernel]``, offsets ``[outputs]`` or None."""

    weight: np.ndarray
    bias: np.ndarray | None


class Packed:
    """A model file, opened for its numbers.

    Parameters
    ----------
    path : Path
        An ONNX file.

    Raises
    ------
    Refusal
        When it cannot be read.
    """

    def __init__(self, path: Path):
        try:
            self.graph = onnx.load(str(path)).graph
        except Exception as error:
            raise Refusal(f"{path} cannot be read as an ONNX file ({type(error).__name__})") from None
        self.made_by = {name: node for node in self.graph.node for name in node.output}
        self.constants = {t.name: t for t in self.graph.initializer}

    def value(self, name: str) -> np.ndarray | None:
        """A constant, whatever it was packed into; None of what depends on an input."""
        if name in self.constants:
            return numpy_helper.to_array(self.constants[name])
        node = self.made_by.get(name)
        if node is None or node.op_type not in THROUGH:
            return None
        held = self.value(node.input[0])
        if held is None or node.op_type != "DequantizeLinear":
            return None if held is None else held.astype(np.float32)
        scale = self.value(node.input[1])
        zero = self.value(node.input[2]) if len(node.input) > 2 else None
        assert scale is not None
        along = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [-1 if axis == along else 1 for axis in range(held.ndim)] if scale.ndim else []
        offset = np.float32(0) if zero is None else zero.astype(np.float32).reshape(shape)
        return ((held.astype(np.float32) - offset) * scale.reshape(shape)).astype(np.float32)

    def named(self, prefix: str) -> dict[str, np.ndarray]:
        """All constants that were parameters of a module, by their names within it."""
        names = {name.rsplit(".", 1)[0] for name in self.constants if name.endswith((".float16", ".int8"))}
        names |= {name for name in self.constants if not name.endswith((".float16", ".int8", ".scale"))}
        found = {name.removeprefix(prefix): self.value(name) for name in names if name.startswith(prefix)}
        return {name: value for name, value in found.items() if value is not None}

    def layers(self) -> list[Layer]:
        """Every convolution, in order; what its inputs were multiplied by is in its weights."""
        found = []
        for node in self.graph.node:
            if node.op_type != "Conv":
                continue
            weight = self.value(node.input[1])
            if weight is None:
                continue
            bias = self.value(node.input[2]) if len(node.input) > 2 else None
            balance = self._balance(node.input[0])
            found.append(Layer(weight if balance is None else weight * balance, bias))
        return found

    def _balance(self, name: str) -> np.ndarray | None:
        """What each channel was multiplied by just before, ``[1, inputs, 1]``."""
        node = self.made_by.get(name)
        while node is not None and node.op_type in THROUGH:
            node = self.made_by.get(node.input[0])
        return self.value(node.input[1]) if node is not None and node.op_type == "Mul" else None

    def matrix_of(self, output: str) -> np.ndarray | None:
        """The constant matrix that an output was multiplied by last."""
        node = self.made_by.get(output)
        return self.value(node.input[1]) if node is not None and node.op_type == "MatMul" else None
