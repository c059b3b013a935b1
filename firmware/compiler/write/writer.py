"""What operator families write C with: constant tables, kernel calls, places in memory."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from firmware.compiler.graph import Graph, Node, Tensor, lanes
from firmware.compiler.judge.arithmetic import Blend, Multiplier
from firmware.kernelgen.m7_joined import Shape as JoinedShape
from firmware.kernelgen.m7_recurrent import Shape as RecurrentShape

C_TYPE = {"int8": "int8_t", "int16": "int16_t", "float32": "float"}
ARRAYS = C_TYPE | {"int32": "int32_t", "uint16": "uint16_t"}
SUFFIX = {"int8": "s8", "int16": "s16", "float32": "f32"}
LONG_BYTES = 1024
"""Longer arrays of bytes are written as strings: clang reads them ten times faster than numbers."""
FULL_RANGE = {"int8": (-128, 127), "int16": (-32768, 32767)}
FLOAT_MAX = float(np.finfo(np.float32).max)
PARAMETERS = "kernel_parameters"
"""What the memory plan calls all constant structs of a model together."""
STRUCT_BYTES = {
    "vk_conv": 28,
    "vk_short": 16,
    "vk_conv_float": 28,
    "vk_depthwise": 20,
    "vk_depthwise_float": 20,
    "vk_add": 8,
    "vk_scale": 8,
    "vk_table": 16,
    "vk_joined": 20,
    "vk_pqmf": 12,
    "vk_noise": 12,
    "vs_item": 12,
    "vs_slices": 16,
    "vs_progress": 20,
    "vs_held": 8,
    "uint32_t": 4,
    "vk_recurrent": 24,
}
"""sizeof on a 32-bit processor, where memory is counted."""
ALIGNED = 8
"""Every table, and every array of the state but those of words, begins at a multiple of this."""


@dataclass
class Table:
    """A constant array of the generated code."""

    name: str
    ctype: str
    values: np.ndarray
    node: str
    is_shape: bool = False
    """Whether it says how the layers lie: what another model of the same shape has, too."""

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return int(self.values.size) * {"int8_t": 1, "int16_t": 2, "uint16_t": 2}.get(self.ctype, 4)

    @property
    def is_string(self) -> bool:
        """Whether it is written as a string literal, which ends with a 0 of its own."""
        return self.ctype == "int8_t" and self.values.size > LONG_BYTES

    @property
    def count(self) -> int:
        """Elements of the C array."""
        return int(self.values.size) // (3 if self.ctype == "vk_requant" else 1) + self.is_string

    @property
    def placed_bytes(self) -> int:
        """Memory that it takes up, to the next table."""
        return _aligned(self.bytes + self.is_string)


NUMBERS = {
    "vk_add": ("multiplier_a", "<hhi"),
    "vk_scale": ("multiplier", "<ii"),
    "vk_table": ("first", "<iii"),
    "vk_joined": ("minus_first", "<i"),
}
"""Members of the kernels' structs that depend on a model's scales: the first, and how all of them lie."""
NUMBERS_HERE = "@"
"""Stands for them in an initializer."""


@dataclass
class Struct:
    """A constant struct of the generated code.

    Attributes
    ----------
    name, ctype : str
    initializer : str
        C, with ``NUMBERS_HERE`` for `numbers`.
    numbers : tuple of int
        What depends on the model's scales (``NUMBERS``); () where nothing does.
    """

    name: str
    ctype: str
    initializer: str
    numbers: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The whole initializer."""
        return self.initializer.replace(NUMBERS_HERE, ", ".join(map(str, self.numbers)))

    @property
    def bytes(self) -> int:
        """Size in memory on a 32-bit processor."""
        return STRUCT_BYTES[self.ctype]


@dataclass(frozen=True)
class Check:
    """What a module proves of a table before it takes another model's (``engine/slots/proof.h``).

    Attributes
    ----------
    kind : str
        Of ``PROOFS``.
    table : str
        Name of the table or struct.
    other : str
        Name of a second one; "" where there is none.
    size, reach : int
        As the kind has them.
    """

    kind: str
    table: str
    other: str = ""
    size: int = 0
    reach: int = 0


@dataclass
class Field:
    """A member of the state; a count of 0 makes it no array."""

    name: str
    ctype: str
    count: int

    @property
    def is_aligned(self) -> bool:
        """Whether it begins at a multiple of ``ALIGNED``; words do not."""
        return self.ctype in ("int8_t", "uint8_t", "int16_t", "float")

    @property
    def bytes(self) -> int:
        """Size in memory."""
        width = {"int8_t": 1, "uint8_t": 1, "int16_t": 2}.get(self.ctype, STRUCT_BYTES.get(self.ctype, 4))
        return max(1, self.count) * width


def _aligned(size: int) -> int:
    """Round up to the next multiple of ``ALIGNED``."""
    return -(-size // ALIGNED) * ALIGNED


def struct_bytes(fields: Iterable[Field]) -> int:
    """Sizeof a struct of these members on a 32-bit processor."""
    size = 0
    for member in fields:
        size = (_aligned(size) if member.is_aligned else -(-size // 4) * 4) + member.bytes
    return _aligned(size)


class Writes(Protocol):
    """What the writer asks of an operator family (``ops/base.py``)."""

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Write the node's kernel calls."""

    def produce(self, node: Node) -> int:
        """Frames that one firing makes."""

    def windows(self, node: Node) -> tuple[Any, ...]:
        """What one firing reads of each input."""


@dataclass
class Writer:
    """Collects tables and lines while the nodes of a graph are written, one after the other.

    Attributes
    ----------
    prefix : str
        Name of the model.
    graph : Graph
    packing : str
        Order of weights that the target's kernels read.
    families : dict of str to Writes
        The operator families of ``ops/`` by operator.
    """

    prefix: str
    graph: Graph
    packing: str
    families: Mapping[str, Writes]
    tables: dict[str, Table] = field(default_factory=dict)
    structs: dict[str, Struct] = field(default_factory=dict)
    fields: dict[str, Field] = field(default_factory=dict)
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)
    sums: dict[str, JoinedShape] = field(default_factory=dict)
    recurrences: dict[str, RecurrentShape] = field(default_factory=dict)
    checks: dict[Check, None] = field(default_factory=dict)
    rows: tuple[str, str] | None = None
    single_firing: bool = False
    frames: str = "1"
    _content: dict[bytes, str] = field(default_factory=dict)
    _node: Node | None = None
    _lines: list[str] = field(default_factory=list)
    _sources: list[str] = field(default_factory=list)
    _target: str = ""
    _indent: str = "    "
    _buffer: tuple[str, str] = ("", "")
    _rounds: Mapping[int, Callable[[int], str]] = field(default_factory=dict)

    # ---- for emit.py ---------------------------------------------------------------------------------

    def write(
        self,
        node: Node,
        sources: list[str],
        target: str,
        frames: str,
        *,
        rows: tuple[str, str] | None = None,
        single: bool = False,
        buffer: tuple[str, str] = ("", ""),
        rounds: Mapping[int, Callable[[int], str]] = MappingProxyType({}),
    ) -> list[str]:
        """Let a node's family write its calls.

        Parameters
        ----------
        sources, target : str
            C expressions of the first frame read of each input, and of the first frame written.
        frames : str
            C expression of the number of firings.
        rows : (first, count), optional
            C expressions: only these outputs.
        single : bool
            The number of firings is one.
        buffer : (pointer, stride)
            The caller's memory, for an Input or Output.
        rounds : mapping of input to callable
            Inputs whose frames go round: so many frames back → C expression.
        """
        self._rounds = rounds
        self._node, self._sources, self._target = node, sources, target
        self.frames, self.rows, self.single_firing = frames, rows, single
        self._lines, self._indent = [], "    "
        self._buffer = buffer
        self.families[node.op].emit(node, self.graph, self)
        return self._lines

    # ---- for the families ------------------------------------------------------------------------------

    @staticmethod
    def suffix(tensor: Tensor) -> str:
        """Kernel suffix of a tensor's type."""
        return SUFFIX[tensor.dtype]

    @staticmethod
    def real(value: float) -> str:
        """A float literal that reads back to the same float32."""
        clipped = float(np.clip(np.float64(value), -FLOAT_MAX, FLOAT_MAX))
        text = repr(float(str(np.float32(clipped))))
        return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"

    def src(self, index: int) -> str:
        """First frame read of an input."""
        return self._sources[index]

    def dst(self) -> str:
        """First frame written."""
        return self._target

    def buffer(self) -> tuple[str, str]:
        """Pointer and stride of the caller's channels."""
        return self._buffer

    def call(self, kernel: str, *arguments: str | int) -> None:
        """Write one kernel call."""
        self._lines.append(f"{self._indent}{kernel}({', '.join(str(a) for a in arguments)});")

    def clip(self) -> None:
        """Clamp what was written, where its bounds are narrower than its type."""
        assert self._node is not None
        if not self._node.outputs:
            return
        y = self.graph.tensors[self._node.outputs[0]]
        if y.quant is None or (y.quant.low, y.quant.high) == FULL_RANGE[y.dtype]:
            return
        bounds = (y.quant.low, y.quant.high)
        produce = self.families[self._node.op].produce(self._node)
        if self.rows is not None:
            dst = f"{self._target} + {self.rows[0]}"
            step = y.frame if self.single_firing else produce * y.frame
            self.call(f"vk_clip_{self.suffix(y)}", *bounds, dst, step, dst, step, self.frames, self.rows[1])
            return
        frames = self.frames if produce == 1 else f"({self.frames}) * {produce}u"
        self.call(
            f"vk_clip_{self.suffix(y)}",
            *bounds,
            self._target,
            y.frame,
            self._target,
            y.frame,
            frames,
            lanes(y),
        )

    def flat(self, hint: str, kind: str, values: np.ndarray, *, is_shape: bool = False, own: str = "") -> str:
        """Make a constant array; return its name.

        Parameters
        ----------
        is_shape : bool
            It says how things lie, so it belongs to the code and not to the model's numbers.
        own : str
            Whose it is alone; equal arrays of nobody's own are shared.
        """
        assert self._node is not None
        ctype = ARRAYS.get(kind, kind)
        dtype = {"int8_t": np.int8, "int16_t": np.int16, "uint16_t": np.uint16, "float": np.float32}.get(
            ctype, np.int32
        )
        array = np.ascontiguousarray(np.asarray(values).astype(dtype))
        key = hashlib.sha256(f"{own} {is_shape} {ctype}".encode() + array.tobytes()).digest()
        if key not in self._content:
            name = self._unique(f"{self._node.name}_{hint}")
            self._content[key] = name
            self.tables[name] = Table(name, ctype, array, self._node.name, is_shape)
        return self._content[key]

    def number(self, hint: str, value: float) -> str:
        """Make a constant of a model's scales; return an expression for it.

        It is no literal, so models of one shape are one code. Equal ones of other layers are not shared:
        which ones are equal is no part of a shape.
        """
        assert self._node is not None
        clipped = float(np.clip(np.float64(value), -FLOAT_MAX, FLOAT_MAX))
        name = self.flat(hint, "float32", np.array([clipped]), own=self._node.name)
        self.check("scale", name)
        return f"{name}[0]"

    def check(self, kind: str, table: str, other: str = "", *, size: int = 0, reach: int = 0) -> None:
        """Say what must hold for a table of another model, too; reach: of what its sums are multiplied by."""
        self.checks[Check(kind, table, other, size, reach)] = None

    def code(self, shape: tuple[int, int]) -> str:
        """Bring the straight-line convolution of a shape (taps, pitch), for a Cortex-M7; return its name."""
        name = "{}_short_{}x{}".format(self.prefix, *shape)
        self.shapes[name] = shape
        return name

    def array(self, hint: str, kind: str, values: np.ndarray, tensor: Tensor) -> str:
        """Make a constant frame, padded to the tensor's pitch."""
        frame = np.zeros(tensor.frame, np.float64)
        flat = np.asarray(values, np.float64).reshape(-1)
        frame[: tensor.channels] = flat if flat.size > 1 else np.full(tensor.channels, flat[0])
        return self.flat(hint, kind, frame)

    def joined(self, shape: JoinedShape) -> str:
        """Bring the joined sum of a shape, for a Cortex-M7; return its name."""
        name = f"{self.prefix}_{shape.name}"
        self.sums[name] = shape
        return name

    def recurrence(self, shape: RecurrentShape) -> str:
        """Bring a recurrent layer's frame of a shape, for a Cortex-M7; return its name."""
        name = f"{self.prefix}_{shape.name}"
        self.recurrences[name] = shape
        return name

    def line(self, text: str) -> None:
        """Write a line that is no call."""
        self._lines.append(f"{self._indent}{text}")

    def tap(self, index: int, back: int, pitch: int) -> str:
        """Place of the frame `back` before the present one, of an input whose window begins further back."""
        assert self._node is not None
        if index in self._rounds:
            return self._rounds[index](back)
        before = self.families[self._node.op].windows(self._node)[index].before
        offset = (before - back) * pitch
        return f"{self._sources[index]} + {offset}" if offset else self._sources[index]

    def table(self, ctype: str, hint: str, initializer: str, numbers: tuple[int, ...] = ()) -> str:
        """Make a constant struct; return its name.

        Parameters
        ----------
        initializer : str
            C, with ``NUMBERS_HERE`` for `numbers`: the members that depend on scales. With those it is not
            shared between layers.
        """
        assert self._node is not None
        own = self._node.name if numbers else ""
        key = hashlib.sha256(f"{own} {ctype} {initializer} {numbers}".encode()).digest()
        if key not in self._content:
            name = self._unique(f"{self._node.name}_{hint}")
            self._content[key] = name
            self.structs[name] = Struct(name, ctype, initializer, numbers)
        return self._content[key]

    def scale(self, hint: str, factor: Multiplier, bound: int) -> str:
        """Make the constant struct of one factor of a requantization of at most `bound`; return its name."""
        name = self.table("vk_scale", hint, "{@}", (int(factor.multiplier[0]), factor.shift))
        self.check("factor", name, reach=bound)
        return name

    def blend(self, hint: str, blend: Blend, bounds: tuple[int, int]) -> str:
        """Make the constant struct of a sum of two signals of at most `bounds`; return its name."""
        name = self.table("vk_add", hint, "{@}", (*blend.multipliers, blend.shift))
        self.check("blend", name, size=bounds[0], reach=bounds[1])
        return name

    def knots(self, knots: np.ndarray, first: int, span: int, shift: int, dtype: str) -> str:
        """Make a function table with knots where they are wanted; return the name of its struct."""
        laid = self.flat("knots", dtype, np.append(knots, knots[-1]))
        name = self.table("vk_table", "table", f"{{{laid}, @}}", (first, span, shift))
        self.check("any", laid)
        self.check("knots", name, size=knots.size + 1)
        return name

    def state(self, ctype: str, count: int) -> str:
        """Make a member of the state; return an expression for it."""
        assert self._node is not None
        name = f"{self._node.name}_state"
        self.fields[name] = Field(name, ctype, count)
        return f"s->{name}" if ctype == "float" else f"&s->{name}[0]"

    def work_array(self, ctype: str, count: int, hint: str) -> str:
        """Make working memory that a node needs while it runs; return an expression for it."""
        assert self._node is not None
        name = f"{self._node.name}_{hint}"
        self.fields[name] = Field(name, ctype, count)
        return f"s->{name}"

    @contextlib.contextmanager
    def loop(self) -> Iterator[None]:
        """Write a loop over firings; inside, ``at`` gives the place of firing i."""
        self._lines.append(f"{self._indent}for (size_t i = 0; i < {self.frames}; i++) {{")
        outer, self._indent = self._indent, self._indent + "    "
        yield
        self._indent = outer
        self._lines.append(f"{self._indent}}}")

    @staticmethod
    def at(pointer: str, step: int) -> str:
        """Place of firing i inside ``loop``."""
        return f"{pointer} + i * {step}u"

    def hold_ends(self, tensor: Tensor, history: int) -> None:
        """Fill ``history`` frames before an event's tensor with its first, the one behind with its last."""
        assert tensor.length is not None
        size, base, last = tensor.frame_bytes, self.src(0), tensor.length + history - 1
        for source, held in [(history, i) for i in range(history)] + [(last, last + 1)]:
            first, second = (f"{base} + {i * tensor.frame}" for i in (source, held))
            self.call("vk_copy_rows", first, size, second, size, 1, size)

    def _unique(self, name: str) -> str:
        """Make a table name unique."""
        name = f"{self.prefix}_{name}"
        number, candidate = 1, name
        while candidate in self.tables or candidate in self.structs:
            number += 1
            candidate = f"{name}_{number}"
        return candidate
