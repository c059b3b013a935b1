"""The small typed graph every pass works on: tensors in channels × frames, nodes, constants.

All activations are ``[channels, frames]`` (the batch of one is gone); a constant is real-valued, or integer
with a scale. A pass is a function graph → graph; nothing here knows an operator.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from common.model_metadata import ModelMetadata

WIDTH = {"int8": 1, "int16": 2, "float32": 4}
"""Bytes of one activation."""
ALIGN = {"int8": 4, "int16": 2, "float32": 1}
"""A frame holds its channels and zeros up to a multiple of this (one 32-bit word of integers)."""


@dataclass(frozen=True)
class Quant:
    """How integers stand for reals: ``real = scale·q`` with q in [low, high]. The zero point is always 0.

    A foreign zero point is folded into ``low`` and ``high`` when the file is read: uint8 with zero point 3 is
    int16 in [-3, 252].
    """

    scale: float
    dtype: str
    low: int
    high: int

    @property
    def bound(self) -> int:
        """Largest magnitude."""
        return max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Tensor:
    """One activation.

    Attributes
    ----------
    name : str
    channels : int
    length : int or None
        Frames of an event graph's tensor; None when it streams.
    rate : Fraction or None
        Frames per base tick once ``rates`` has run.
    quant : Quant or None
        None for float32.
    """

    name: str
    channels: int
    length: int | None = None
    rate: Fraction | None = None
    quant: Quant | None = None

    @property
    def dtype(self) -> str:
        """Storage type."""
        return self.quant.dtype if self.quant else "float32"

    @property
    def bound(self) -> int:
        """Largest magnitude of its integers."""
        assert self.quant is not None
        return self.quant.bound

    @property
    def frame(self) -> int:
        """Elements of one frame in memory, pads included."""
        align = ALIGN[self.dtype]
        return -(-self.channels // align) * align

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in memory."""
        return self.frame * WIDTH[self.dtype]


def lanes(*tensors: Tensor) -> int:
    """Elements of a frame that an element-by-element kernel does: the pads too where that makes one flat run.

    Pads hold any value, so nothing is lost; row by row a kernel begins anew in every frame.
    """
    *_, y = tensors
    return y.frame if y.quant is not None and len({t.frame for t in tensors}) == 1 else y.channels


@dataclass(frozen=True)
class Constant:
    """A weight: real values, or integers with a scale along ``axis`` (zero points already folded)."""

    values: np.ndarray
    scale: np.ndarray | None = None
    axis: int = 0

    @property
    def real(self) -> np.ndarray:
        """Values as float64."""
        if self.scale is None:
            return self.values.astype(np.float64)
        scale = np.asarray(self.scale, np.float64)
        if scale.size > 1:
            scale = scale.reshape([-1 if i == self.axis else 1 for i in range(self.values.ndim)])
        return self.values.astype(np.float64) * scale


@dataclass(frozen=True)
class Attributes:
    """What a node says beside its inputs and constants: nothing here, all else in its family's own class."""


A = TypeVar("A", bound=Attributes)


@dataclass(frozen=True)
class Node:
    """One operation: ``op`` names its family in ``ops/``, ``attrs`` are of the class it declares.

    ``origin`` is the file's name of the tensor that the node makes; passes keep it, so that a layer is known
    by it however often it was renamed, split or joined. "" where a pass added the node by itself.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Attributes = field(default_factory=Attributes)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    origin: str = ""

    def attributes_as(self, kind: type[A]) -> A:
        """Return the attributes, which are of a known class (``passes/verify.py`` sees to it)."""
        assert isinstance(self.attrs, kind), f"{self.name} ({self.op}) has {self.attrs}, no {kind.__name__}"
        return self.attrs


@dataclass(frozen=True)
class Graph:
    """A whole model.

    Attributes
    ----------
    name : str
        A C identifier.
    nodes : tuple of Node
        In topological order.
    tensors : mapping of name to Tensor
    inputs, outputs : tuple of str
        Tensor names, in the model's order.
    event : bool
        True for a graph of fixed lengths, evaluated once per event instead of streamed.
    about : ModelMetadata
        What the file says about itself.
    labels : mapping of tensor name to str
        The names the file gives its inputs and outputs.
    ticks_per_sample : Fraction
        Base ticks of one sample at the sample rate.
    by_hop : int
        Ticks of a hop where all goes by hops and the engine calls for the ticks; 0: it goes by samples.
    parameters : int
        Weights and biases of the layers, as the file has them.
    """

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    event: bool = False
    about: ModelMetadata = field(default_factory=ModelMetadata)
    labels: Mapping[str, str] = field(default_factory=dict)
    ticks_per_sample: Fraction = Fraction(1)
    by_hop: int = 0
    parameters: int = 0

    def producer(self) -> dict[str, Node]:
        """Map each tensor to the node that writes it."""
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """Map each tensor to the nodes that read it, once per read."""
        readers: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in node.inputs:
                readers[name].append(node)
        return readers

    def with_nodes(self, nodes: Iterable[Node], tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """Return a copy with other nodes, sorted topologically, keeping only the tensors still in use."""
        ordered = topological(tuple(nodes), self.inputs)
        every = dict(self.tensors) | dict(tensors or {})
        used = {*self.inputs, *self.outputs}
        for node in ordered:
            used.update(node.inputs, node.outputs)
        return replace(self, nodes=ordered, tensors={n: t for n, t in every.items() if n in used})


def topological(nodes: tuple[Node, ...], inputs: Iterable[str]) -> tuple[Node, ...]:
    """Order nodes so that each follows what it reads; nodes already in order stay in order.

    Raises
    ------
    ValueError
        When the nodes form a cycle or read a tensor nobody writes (the verifier names it first).
    """
    ready = set(inputs)
    written = {name for node in nodes for name in node.outputs}
    waiting = {index: {n for n in node.inputs if n not in ready} for index, node in enumerate(nodes)}
    readers: dict[str, list[int]] = {}
    for index, names in waiting.items():
        for name in names:
            if name not in written:
                raise ValueError(f"{nodes[index].name} reads {name}, which nothing writes")
            readers.setdefault(name, []).append(index)
    queue = [index for index, names in waiting.items() if not names]
    heapq.heapify(queue)
    ordered = []
    while queue:
        index = heapq.heappop(queue)
        ordered.append(nodes[index])
        for name in nodes[index].outputs:
            for reader in readers.get(name, ()):
                if name in waiting[reader]:
                    waiting[reader].discard(name)
                    if not waiting[reader]:
                        heapq.heappush(queue, reader)
    if len(ordered) != len(nodes):
        raise ValueError("the nodes form a cycle")
    return tuple(ordered)


def fresh(name: str, tensors: dict[str, Tensor]) -> str:
    """Make a name that no tensor has yet."""
    number, candidate = 1, name
    while candidate in tensors:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def remove_dead(graph: Graph) -> Graph:
    """Drop nodes nothing reads."""
    used = set(graph.outputs)
    alive = []
    for node in reversed(graph.nodes):
        if used & set(node.outputs):
            alive.append(node)
            used.update(node.inputs)
    return graph.with_nodes(reversed(alive))


def dump(graph: Graph) -> str:
    """Print a graph, one node a line, for ``--dump`` and for debugging a pass."""

    def tensor(name: str) -> str:
        t = graph.tensors[name]
        where = f"{t.length}" if graph.event else (f"rate {t.rate}" if t.rate else "?")
        kind = f"{t.dtype}·{t.quant.scale:.4g}" if t.quant else "float32"
        if t.quant and (t.quant.low, t.quant.high) not in ((-128, 127), (-32768, 32767)):
            kind += f"[{t.quant.low},{t.quant.high}]"
        return f"{name}[{t.channels}, {where}] {kind}"

    lines = [f"graph {graph.name}" + (" (event)" if graph.event else "")]
    lines += [f"  input  {tensor(n)}" for n in graph.inputs]
    for node in graph.nodes:
        given = {k: v for k, v in vars(node.attrs).items() if v is not None and v is not False}
        attrs = ", ".join(f"{k}={_short(v)}" for k, v in given.items())
        weights = ", ".join(f"{k}{list(c.values.shape)}" for k, c in node.constants.items())
        outs = ", ".join(tensor(n) for n in node.outputs)
        inner = "; ".join(x for x in (", ".join(node.inputs), weights, attrs) if x)
        lines.append(f"  {outs} = {node.op}({inner})")
    lines += [f"  output {n}" for n in graph.outputs]
    return "\n".join(lines)


def _short(value: Any) -> str:
    """Shorten an attribute for one line of text."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"<{value.dtype} {list(value.shape)}>"
    return str(value)
