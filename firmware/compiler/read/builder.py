"""The graph while it is read: what the operators' readers look up, and the nodes they add."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from common.model_metadata import ModelMetadata
from common.refusal import Refusal
from firmware.compiler.graph import Attributes, Constant, Node, Quant, Tensor
from firmware.compiler.read.advice import instead
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue, Dim, Frames, ShapeValue, Value, follow

MAX_CONSTANT_BYTES = 256 << 20
MAX_CHANNELS = 16_384
MAX_EVENT_FRAMES = 131_072
PACKED: dict[int, int] = {onnx.TensorProto.INT4: 2, onnx.TensorProto.UINT4: 2}
"""Elements of a byte."""


class Builder:
    """A graph under construction; the operator families in ``ops/`` add nodes through it.

    ``shuffle`` makes the attributes of a Shuffle (``ops/movement.py``), the one node it adds by itself.
    """

    def __init__(
        self,
        folder: Path | None,
        streaming: bool | None,
        shuffle: Callable[[int, int, np.ndarray], Attributes],
    ):
        self.shuffle = shuffle
        self.folder = folder
        self.opset = 1
        self.about = ModelMetadata()
        self.ticks_per_sample = Fraction(1)
        self.streaming = streaming
        self.event = False
        self.values: dict[str, Value] = {}
        self.tensors: dict[str, Tensor] = {}
        self.shapes: dict[str, tuple[int, int, Dim]] = {}
        # Quantize and Dequantize nodes by operator, tensor and scale, so that each is made once
        self.borders: dict[tuple[str, str, Quant | None], str] = {}
        self.nodes: list[Node] = []
        self.symbols: dict[str, Frames] = {}
        self.counter = 0
        self.where = "the graph"
        self.origin = ""
        self.known = ""

    def unsupported(self, node: onnx.NodeProto, what: str = "") -> Refusal:
        """Say that an operator is not supported, and what to use in its place."""
        return Refusal(
            f"{node.op_type[:40]}{what} is not supported{instead(node.op_type, self.known, self.event)}."
        )

    def array(self, tensor: onnx.TensorProto) -> np.ndarray:
        """Turn a TensorProto into an array after checking that its bytes are there."""
        dims = list(tensor.dims)
        if any(d < 0 for d in dims):
            raise Refusal(f"{self.where}: a dimension is negative.")
        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        except (KeyError, ValueError):
            raise Refusal(f"{self.where}: element type {tensor.data_type} is not known.") from None
        size = -(-math.prod(dims) * np.dtype(dtype).itemsize // PACKED.get(int(tensor.data_type), 1))
        if size > MAX_CONSTANT_BYTES:
            raise Refusal(f"{self.where}: it claims {size >> 20} MB, more than this compiler reads (256 MB).")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor, np.dtype(dtype), dims, size)
        if np.dtype(dtype).kind == "c":
            raise Refusal(f"{self.where}: complex numbers are not supported; a network holds real ones.")
        if tensor.data_type == onnx.TensorProto.STRING:
            raise Refusal(f"{self.where}: strings are not numbers; a network holds numbers only.")
        try:
            return numpy_helper.to_array(tensor)
        except Exception as error:
            raise Refusal(f"{self.where}: shape and data do not match ({first_line(error)}).") from None

    def _external(self, tensor: onnx.TensorProto, dtype: np.dtype, dims: list[int], size: int) -> np.ndarray:
        """Read weights kept in a file beside the model, and only there."""
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        if self.folder is None:
            raise Refusal(f"{self.where}: its data is in the file {location!r}; give the model as a path.")
        path = (self.folder / location).resolve()
        if not location or not path.is_relative_to(self.folder.resolve()):
            raise Refusal(f"{self.where}: its data file {location!r} is not beside the model.")
        if not path.is_file():
            raise Refusal(f"{self.where}: its data file {location!r} is missing; copy it beside the model.")
        offset = int(entries.get("offset", "0"))
        if offset < 0 or offset + size > path.stat().st_size:
            raise Refusal(f"{self.where}: its data file {location!r} is too short; copy it again.")
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read(size)
        if int(tensor.data_type) in PACKED:
            whole = onnx.TensorProto(dims=dims, data_type=tensor.data_type, raw_data=found)
            return numpy_helper.to_array(whole)
        return np.frombuffer(found, dtype=dtype).reshape(dims)

    def constant(self, array: np.ndarray) -> Value:
        """Keep an array, integers of shapes as shapes."""
        if array.dtype == object:
            raise Refusal(f"{self.where}: strings are not numbers; a network holds numbers only.")
        return Constant(array)

    def fresh(self, hint: str) -> str:
        """Make a new name from a hint."""
        base = re.sub(r"[^0-9A-Za-z]+", "_", hint).strip("_").lower()[-40:] or "t"
        base = f"t_{base}" if base[0].isdigit() else base
        if base not in self.tensors and not any(n.name == base for n in self.nodes[-1:]):
            return base
        self.counter += 1
        while f"{base}_{self.counter}" in self.tensors:
            self.counter += 1
        return f"{base}_{self.counter}"

    def add_tensor(self, channels: int, length: Dim, hint: str) -> str:
        """Declare an activation of ``channels`` × ``length``."""
        if not 0 < channels <= MAX_CHANNELS:
            raise Refusal(f"{self.where}: {channels} channels; 1 to {MAX_CHANNELS} are possible.")
        if isinstance(length, int):
            if self.streaming:
                raise Refusal(
                    f"{self.where}: its result has a fixed length of {length} along time in a model "
                    "that streams; "
                    "give every input its own rate, or export all lengths fixed for an event graph."
                )
            if not 0 < length <= MAX_EVENT_FRAMES:
                raise Refusal(
                    f"{self.where}: its result has {length} frames; 1 to {MAX_EVENT_FRAMES} are possible."
                )
        elif length.ratio <= 0:
            raise Refusal(f"{self.where}: its result has no frames.")
        elif max(length.ratio.numerator, length.ratio.denominator) > 1 << 22:
            raise Refusal(f"{self.where}: its rate is {length.ratio} of the input's; that is too far apart.")
        name = self.fresh(hint)
        self.tensors[name] = Tensor(name, channels, length if isinstance(length, int) else None)
        self.shapes[name] = (1, channels, length)
        return name

    def add_node(
        self,
        op: str,
        inputs: list[str],
        *,
        channels: int,
        length: Dim,
        hint: str,
        attrs: Attributes | None = None,
        constants: dict[str, Constant] | None = None,
        origin: str = "",
    ) -> str:
        """Add a node with one output and return the output's name.

        Its origin is the tensor that is read just now unless another is named.
        """
        tensor = self.add_tensor(channels, length, hint)
        quants = [self.tensors[name].quant for name in inputs]
        if op in ("Shuffle", "Delay", "Concat") and len(set(quants)) == 1:
            self.tensors[tensor] = replace(self.tensors[tensor], quant=quants[0])
        elif op not in ("Dequantize", "Integers") and any(quants):
            raise Refusal(f"{self.where}: it reads quantized integers; put a DequantizeLinear before it.")
        self.nodes.append(
            Node(
                tensor,
                op,
                tuple(inputs),
                (tensor,),
                attrs or Attributes(),
                constants or {},
                origin or self.origin,
            )
        )
        return tensor

    def result(self, node: OnnxNode, tensor: str) -> None:
        """Say that the first output of ``node`` is ``tensor``, as [1, channels, frames]."""
        shape = self.shapes[tensor]
        self.values[node.output[0]] = ActValue(tensor, shape, shape)

    def value(self, name: str) -> Value:
        """Look up what a name stands for."""
        if name not in self.values:
            raise Refusal(f"{self.where}: it reads {name!r}, which nothing writes.")
        return self.values[name]

    def act(self, name: str) -> ActValue:
        """Look up an activation."""
        value = self.value(name)
        if not isinstance(value, ActValue):
            raise Refusal(f"{self.where}: {name!r} must be an activation, but it is a constant.")
        return value

    def const(self, name: str) -> Constant:
        """Look up a constant."""
        value = self.value(name)
        if isinstance(value, ShapeValue):
            raise Refusal(f"{self.where}: {name!r} depends on the length of the signal.")
        if not isinstance(value, Constant):
            raise Refusal(f"{self.where}: {name!r} must be a constant, but it depends on an input.")
        return value

    def is_const(self, name: str) -> bool:
        """Tell whether a name is a constant."""
        return isinstance(self.value(name), Constant)

    def ints(self, name: str) -> list[Dim]:
        """Read a list of integers, lengths along time included."""
        value = self.value(name)
        if isinstance(value, ShapeValue) and value.dtype.kind != "f":
            return [entry if isinstance(entry, Frames) else int(entry) for entry in value.entries]
        if isinstance(value, Constant) and value.scale is None:
            if value.values.size > 64:
                raise Refusal(f"{self.where}: {name!r} has {value.values.size} entries, more than any shape.")
            return [int(v) for v in np.asarray(value.values).reshape(-1)]
        raise Refusal(f"{self.where}: {name!r} must be a list of whole numbers known beforehand.")

    def canonical(self, name: str) -> str:
        """Name the graph tensor of an activation that the file has as [1, channels, frames]."""
        act = self.act(name)
        if len(act.shape) != 3 or act.shape[0] != 1 or isinstance(act.shape[1], Frames):
            sizes = ", ".join("frames" if isinstance(d, Frames) else str(d) for d in act.shape)
            raise Refusal(f"{name!r} is [{sizes}] here; bring it to [1, channels, frames] first.")
        return self.tensor_of(act, name)

    def tensor_of(self, act: ActValue, hint: str, origin: str = "") -> str:
        """Name the graph tensor of a value [1, channels, frames]: its base, or what does its moves.

        That is called after ``hint`` and belongs to ``origin``, or to ``hint`` too.
        """
        if not act.chain:
            return act.base
        _, channels, length = act.shape
        assert isinstance(channels, int)
        of_time = len(act.base_shape) == 3 and isinstance(act.base_shape[2], Frames)
        if of_time and not isinstance(length, Frames):
            raise Refusal(f"{hint!r} mixes time into another axis; a stream keeps time on one axis.")
        return self._shuffle(act, hint, channels, length, origin or hint)

    def _shuffle(self, act: ActValue, hint: str, channels: int, length: Dim, origin: str) -> str:
        """Add the node that does an activation's moves."""
        index, frames = follow(act)
        index = index.reshape((channels, -1))
        if self.event:
            stride, produce = frames, index.shape[1]
        else:
            ratio = Fraction(index.shape[1], frames)
            stride, produce = ratio.denominator, ratio.numerator
        source_channel, source_frame = index // frames, index % frames
        table = (source_frame[:, :produce] * act_channels(act) + source_channel[:, :produce]).T
        firings = np.arange(index.shape[1] // produce)
        expected = source_frame[:, :produce][:, None, :] + firings[None, :, None] * stride
        regular = np.array_equal(expected.reshape(channels, -1), source_frame) and np.array_equal(
            np.tile(source_channel[:, :produce], (1, len(firings))), source_channel
        )
        if not regular or source_frame[:, :produce].max() >= stride:
            raise Refusal(
                f"{self.where}: the moves that make {hint!r} mix distant frames; a stream cannot wait "
                "for them."
            )
        same = stride == produce and channels == act_channels(act)
        if same and np.array_equal(table, np.arange(table.size).reshape(table.shape)):
            return act.base
        return self.add_node(
            "Shuffle",
            [act.base],
            channels=channels,
            length=length,
            hint=hint,
            attrs=self.shuffle(stride, produce, np.ascontiguousarray(table).astype(np.int64)),
            origin=origin,
        )

    # ---- rates ---------------------------------------------------------------------------------------

    def root(self, length: Frames) -> Frames:
        """Express a length by the root of its symbol's family."""
        while length.symbol in self.symbols:
            known = self.symbols[length.symbol]
            offset = length.ratio * known.offset + length.offset
            length = Frames(known.symbol, length.ratio * known.ratio, offset)
        return length

    def same_rate(self, a: Dim, b: Dim) -> None:
        """State that two lengths are the same."""
        if isinstance(a, int) and isinstance(b, int):
            if a != b:
                raise Refusal(f"{self.where}: lengths {a} and {b} meet; make them equal.")
            return
        if not (isinstance(a, Frames) and isinstance(b, Frames)):
            raise Refusal(f"{self.where}: a fixed length meets one along time.")
        a, b = self.root(a), self.root(b)
        if a.symbol != b.symbol:
            self.symbols[b.symbol] = Frames(a.symbol, a.ratio / b.ratio, (a.offset - b.offset) / b.ratio)
        elif a.ratio != b.ratio:
            raise Refusal(
                f"{self.where}: branches of different rates meet ({a.ratio} and {b.ratio} frames of "
                f"{a.symbol}); "
                "resample one of them."
            )
        elif a.offset != b.offset:
            more = abs(a.offset - b.offset)
            raise Refusal(
                f"{self.where}: branches of different lengths meet, one is {more} frame{'s' * (more != 1)} "
                "longer than the other; pad or crop one of them."
            )


def act_channels(act: ActValue) -> int:
    """Channels of an activation's base tensor."""
    channels = act.base_shape[1]
    assert isinstance(channels, int)
    return channels


def first_line(error: BaseException) -> str:
    """Shorten an error of a library to one line."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]
