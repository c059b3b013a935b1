"""What an operator family says about itself, and the two registers it enters itself into.

``READERS`` maps an ONNX operator to the function that adds graph nodes for it; ``FAMILIES`` maps a graph
operator to the object that knows its streaming rule, arithmetic, cost and kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from firmware.compiler.graph import Attributes, Graph, Node, Quant
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.evaluate import evaluate
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.write.writer import Writer


@dataclass(frozen=True)
class Window:
    """What one firing reads: frames ``t·stride - before`` to ``t·stride + after``, both included.

    With ``hold`` above 1 so many firings in a row read the same: ``t // hold`` takes the place of t.
    """

    stride: int = 1
    before: int = 0
    after: int = 0
    hold: int = 1

    @property
    def frames(self) -> int:
        """Frames in the window."""
        return self.before + self.after + 1


@dataclass(frozen=True)
class Work:
    """What one firing costs, in the units the cost model prices.

    Attributes
    ----------
    kernel : str
        Name of the kernel, as in ``kernels/vk.h`` without its prefix.
    macs : int
        Multiply-accumulates.
    outputs : int
        Elements written.
    reads : int
        Activation bytes read.
    weight_bytes : int
        Bytes of constants read.
    rows : int
        Outputs that can be computed apart from each other (1: not sliceable).
    shape : tuple of int
        What else the price depends on: (runs, elements of a run, channels, groups) of a convolution.
    calls : int
        Kernel calls.
    """

    kernel: str
    macs: int = 0
    outputs: int = 0
    reads: int = 0
    weight_bytes: int = 0
    rows: int = 1
    shape: tuple[int, ...] = ()
    calls: int = 1


class Family:
    """One graph operator (or a few alike). Subclasses override what differs from an element-wise operator.

    ``ops`` are its graph operators, each with the class of its attributes (``family`` fills it in).
    """

    ops: ClassVar[Mapping[str, type[Attributes]]]
    only_in_integers: ClassVar[bool] = False
    """Whether no float kernel is there: a float model is costed as if this were in integers."""
    exact_scale: ClassVar[float | None] = None
    """The one scale that its integer results have, where its integer form is written for it."""
    reads_taps: ClassVar[bool] = False
    """Whether it asks for every frame of its windows by itself (``Writer.tap``)."""

    def produce(self, node: Node) -> int:
        """Output frames of one firing."""
        return 1

    def windows(self, node: Node) -> tuple[Window, ...]:
        """One window per input."""
        return tuple(Window() for _ in node.inputs)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Frames written offline for inputs of ``lengths`` frames."""
        return min(lengths)

    def state_bytes(self, node: Node, graph: Graph) -> int:
        """Bytes the kernel itself remembers between firings."""
        return 0

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Compute offline, in numpy: float64 for floats, int64 for integers; ``[channels, frames]``."""
        raise NotImplementedError(node.op)

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Return the node in integers, or None when the operator has no integer form."""
        return None

    def work(self, node: Node, graph: Graph) -> Work:
        """Say what one firing costs."""
        return Work("copy", outputs=sum(graph.tensors[n].channels for n in node.outputs))

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Write the kernel calls of one node."""
        raise NotImplementedError(node.op)


FAMILIES: dict[str, Family] = {}
Reader = Callable[[Builder, OnnxNode], None]
"""Adds graph nodes for a checked node of the file."""
READERS: dict[str, Reader] = {}
SHAPE_FOLDERS: dict[str, Reader] = {}


def family(**ops: type[Attributes]) -> Callable[[type[Family]], type[Family]]:
    """Enter a family into the register, with its graph operators and the class of each one's attributes."""

    def register(cls: type[Family]) -> type[Family]:
        cls.ops = ops
        FAMILIES.update(dict.fromkeys(ops, cls()))
        return cls

    return register


def reader(*operators: str) -> Callable[[Reader], Reader]:
    """Enter a reader into the register; nodes of constants or of shapes alone never reach it."""

    def register(read: Reader) -> Reader:
        for operator in operators:
            READERS[operator] = read
        return read

    return register


def shape_folder(*operators: str) -> Callable[[Reader], Reader]:
    """Enter a function that folds nodes whose inputs are shapes."""

    def register(function: Reader) -> Reader:
        for operator in operators:
            SHAPE_FOLDERS[operator] = function
        return function

    return register


def fold(builder: Builder, node: onnx.NodeProto) -> None:
    """Evaluate a node whose inputs are all constants."""
    feeds = {}
    for name in node.input:
        if name:
            constant = builder.const(name)
            feeds[name] = constant.values if constant.scale is None else constant.real.astype(np.float32)
    for name, result in evaluate(node, feeds, builder.opset).items():
        builder.values[name] = builder.constant(result)
