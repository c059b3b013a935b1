"""One TFLite subgraph under construction: tensors, buffers and operators, for the operators' records to fill.

Tensors [1, C, T] become [1, 1, T, C]. What LiteRT's integer kernels demand (fixed scales, 64-bit biases
beside 16-bit activations) is met by a requantization or a wider constant. The schema's object interface comes
with LiteRT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from quantize.graph.graph import Graph, Node
from quantize.integers.weights import QuantizedLayer, bias_scale

TYPES: dict[Any, int] = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
}
INTEGER_TYPES: dict[int, Any] = {8: np.dtype(np.int8), 16: np.dtype(np.int16)}


class Integers(Protocol):
    """What the writer asks of a quantized model."""

    def scale(self, tensor: str) -> float:
        """Scale of a quantized tensor."""

    def layer(self, position: int) -> QuantizedLayer:
        """Integers of the layer at a position."""


def layout(shape: Sequence[int]) -> list[int]:
    """Shape in the file of a tensor of this ONNX shape."""
    return [1, 1, shape[2], shape[1]] if len(shape) == 3 else [int(s) for s in shape] or [1]


def laid_out(value: np.ndarray) -> np.ndarray:
    """A constant in the file's layout."""
    if value.ndim == 3:
        return np.ascontiguousarray(value.transpose(0, 2, 1)[:, None])
    return value.reshape(-1) if value.ndim == 0 else value


class Writer:
    """Collects what one file holds.

    Parameters
    ----------
    graph : Graph
        What is written.
    shapes : mapping of str to tuple of int
        Shape of every tensor at the length that the file is fixed to.
    integers : Integers
        Scales and rounded layers.
    width : callable
        Quantized tensor → bits.
    fused : mapping of str to str
        Output of a layer → output of the ReLU that it takes over.
    """

    FLOAT: Any = np.dtype(np.float32)
    VALID = schema.Padding.VALID

    def __init__(
        self,
        graph: Graph,
        shapes: Mapping[str, tuple[int, ...]],
        integers: Integers,
        width: Callable[[str], int],
        fused: Mapping[str, str],
    ):
        self.graph, self.shapes, self.model, self.width, self.fused = graph, shapes, integers, width, fused
        self.file = schema.ModelT()
        self.file.version, self.file.description = 3, "vaectrol"
        self.file.buffers, self.file.operatorCodes = [schema.BufferT()], []
        self.sub = schema.SubGraphT()
        self.sub.name, self.sub.tensors, self.sub.operators = "main", [], []
        self.codes: dict[int, int] = {}
        self.whole: dict[str, int] = {}  # quantized tensors by name
        self.real: dict[str, int] = {}  # float tensors by name
        self.position, self.integer = 0, False  # of the node that is written

    def begin(self) -> None:
        """Add the inputs."""
        for name in self.graph.input_names:
            self.real[name] = self.tensor(name, self.layout(name), self.FLOAT)
        self.sub.inputs = [self.real[n] for n in self.graph.input_names]

    def end(self) -> bytes:
        """Add the outputs and return the file."""
        self.sub.outputs = [self.as_float(n) for n in self.graph.output_names]
        self.file.subgraphs = [self.sub]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.file.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # Tensors and operators ------------------------------------------------------------------------

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        kind: np.dtype[Any],
        scale: Any = None,
        zero: int = 0,
        data: np.ndarray | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor and return its number."""
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name, [int(s) for s in shape], TYPES[kind], 0
        if data is not None:
            t.buffer = self._buffer(data.astype(kind))
        if scale is not None:
            q = schema.QuantizationParametersT()
            q.scale = np.atleast_1d(np.asarray(scale, np.float32))
            q.zeroPoint = np.full(q.scale.shape, zero, np.int64)
            q.quantizedDimension = axis
            t.quantization = q
        self.sub.tensors.append(t)
        return len(self.sub.tensors) - 1

    def _buffer(self, data: np.ndarray) -> int:
        """Store the bytes of a constant and return their number."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self.file.buffers.append(buffer)
        return len(self.file.buffers) - 1

    def constant(self, name: str, data: np.ndarray) -> int:
        """Add a plain constant."""
        return self.tensor(name, data.shape, data.dtype, data=data)

    def floats(self, name: str, like: str) -> int:
        """Add a float tensor of the shape of another of the graph."""
        return self.tensor(name, self.layout(like), self.FLOAT)

    def number(self, name: str, value: float, like: str, beside: int) -> int:
        """Add one number that meets tensor `beside`; among integers with the scale of graph tensor `like`."""
        if not self.integer:
            return self.constant(name, np.full(1, value, np.float32))
        limit = np.iinfo(INTEGER_TYPES[self.width(like)])
        whole = np.clip(np.rint(value / self.model.scale(like)), limit.min, limit.max)
        made = self.like(name, [1], beside)
        self.sub.tensors[made].buffer = self._buffer(whole.reshape(1).astype(limit.dtype))
        return made

    def like(self, name: str, shape: Sequence[int], other: int) -> int:
        """Add a tensor with the type and scale of another."""
        t = self.sub.tensors[other]
        kind = next(k for k, v in TYPES.items() if v == t.type)
        q = t.quantization
        if q is None or q.scale is None:
            return self.tensor(name, shape, kind)
        return self.tensor(name, shape, kind, q.scale, int(q.zeroPoint[0]))

    def add(
        self, code: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **fields: Any
    ) -> None:
        """Add an operator by its name in the schema, with the fields of its options."""
        number = getattr(schema.BuiltinOperator, code)
        if number not in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = number, min(number, 127), 1
            self.file.operatorCodes.append(entry)
            self.codes[number] = len(self.file.operatorCodes) - 1
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = self.codes[number], list(inputs), list(outputs)
        if options:
            op.builtinOptions = getattr(schema, f"{options}T")()
            op.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            for name, value in fields.items():
                setattr(op.builtinOptions, name, value)
        self.sub.operators.append(op)

    # What a graph's tensors are in the file -------------------------------------------------------

    def layout(self, name: str) -> list[int]:
        """Shape in the file of a tensor of the graph."""
        return layout(self.shapes[name])

    def sizes(self, tensor: int) -> list[int]:
        """Shape of a tensor of the file."""
        return list(self.sub.tensors[tensor].shape)

    def rank(self, name: str) -> int:
        """Axes of a tensor of the graph; 0 for a constant."""
        return len(self.shapes.get(name, ()))

    def axes(self, name: str) -> list[int]:
        """For each axis of a tensor of the graph, its axis in the file."""
        rank = self.rank(name)
        return [0, 3, 2] if rank == 3 else list(range(rank))

    def _integer_tensor(self, name: str) -> int:
        """Make the quantized tensor of an activation."""
        kind = INTEGER_TYPES[self.width(name)]
        self.whole[name] = self.tensor(name, self.layout(name), kind, self.model.scale(name))
        return self.whole[name]

    def as_integers(self, name: str) -> int:
        """Find an activation or constant as integers, quantizing it where it is float."""
        if name in self.whole:
            return self.whole[name]
        if name in self.graph.constants:
            value, scale = laid_out(self.graph.constants[name]), self.model.scale(name)
            kind = INTEGER_TYPES[self.width(name)]
            limit = np.iinfo(kind).max
            data = np.clip(np.rint(value.astype(np.float64) / scale), -limit, limit)
            self.whole[name] = self.tensor(name, value.shape, kind, scale, data=data)
        else:
            self.add("QUANTIZE", [self.real[name]], [self._integer_tensor(name)], "QuantizeOptions")
        return self.whole[name]

    def as_float(self, name: str) -> int:
        """Find an activation or constant as float, dequantizing it where it is not."""
        if name not in self.real:
            if name in self.graph.constants:
                value = laid_out(self.graph.constants[name]).astype(np.float32)
                self.real[name] = self.constant(name, value)
            else:
                shape = self.sizes(self.whole[name])
                self.real[name] = self.tensor(f"{name}/float", shape, self.FLOAT)
                self.add("DEQUANTIZE", [self.whole[name]], [self.real[name]], "DequantizeOptions")
        return self.real[name]

    def read(self, name: str) -> int:
        """Find an operand in the arithmetic of the node that is written."""
        return self.as_integers(name) if self.integer else self.as_float(name)

    def result(self, name: str) -> int:
        """Make a result in the arithmetic of the node that is written."""
        if self.integer:
            return self._integer_tensor(name)
        self.real[name] = self.tensor(name, self.layout(name), self.FLOAT)
        return self.real[name]

    def target(self, node: Node) -> str:
        """What a layer makes: its output, or that of the ReLU that it takes over."""
        out = node.outputs[0]
        return self.fused.get(out, out) if self.integer else out

    def activation(self, node: Node) -> int:
        """The fused activation of a layer's options."""
        functions = schema.ActivationFunctionType
        return int(functions.RELU if self.target(node) != node.outputs[0] else functions.NONE)

    # Pieces that several operators share ----------------------------------------------------------

    def kernel(
        self,
        node: Node,
        code: str,
        options: str = "",
        demands: Mapping[int, tuple[float, int]] | None = None,
        **fields: Any,
    ) -> None:
        """Write a node that is one kernel.

        Parameters
        ----------
        node : Node
            What is written.
        code, options, fields
            See :meth:`add`.
        demands : mapping of int to (float, int), optional
            Width of the result → scale and zero point that LiteRT insists on.
        """
        out = node.outputs[0]
        operands = [self.read(name) for name in node.inputs]
        bits = self.width(out) if self.integer else 0
        if demands is None or bits not in demands:
            self.add(code, operands, [self.result(out)], options, **fields)
            return
        scale, zero = demands[bits]
        fixed = self.tensor(f"{out}/fixed", self.layout(out), INTEGER_TYPES[bits], scale, zero)
        self.add(code, operands, [fixed], options, **fields)
        self.add("QUANTIZE", [fixed], [self._integer_tensor(out)], "QuantizeOptions")

    def weights(
        self,
        node: Node,
        arrange: Callable[[np.ndarray], np.ndarray],
        axis: int,
        factors: tuple[float, float] = (1.0, 1.0),
    ) -> tuple[int, int]:
        """Add filter and bias of a layer.

        Parameters
        ----------
        node : Node
            The layer.
        arrange : callable
            Weight in ONNX's layout → in LiteRT's.
        axis : int
            Axis of the latter that counts output channels.
        factors : (float, float)
            What the node multiplies weight and bias by; integers have it in them.
        """
        out, source = node.outputs[0], node.inputs[0]
        count = self.shapes[out][1 if len(self.shapes[out]) == 3 else -1]
        if not self.integer:
            weight = self.graph.constants[node.inputs[1]].astype(np.float32) * np.float32(factors[0])
            bias = np.zeros(count, np.float32)
            if len(node.inputs) > 2 and node.inputs[2]:
                bias = self.graph.constants[node.inputs[2]].astype(np.float32).reshape(-1)
                bias = bias * np.float32(factors[1])
            filters = self.constant(f"{out}/weight", arrange(weight))
            return filters, self.constant(f"{out}/bias", bias)
        layer = self.model.layer(self.position)
        filters_int8, kind = arrange(layer.weight), INTEGER_TYPES[8]
        filters = self.tensor(
            f"{out}/weight", filters_int8.shape, kind, layer.scale, data=filters_int8, axis=axis
        )
        whole = layer.bias if layer.bias is not None else np.zeros(count, np.int32)
        wide = np.dtype(np.int64 if self.width(source) == 16 else np.int32)
        scale = bias_scale(self.model.scale(source), layer.scale)
        return filters, self.tensor(f"{out}/bias", whole.shape, wide, scale, data=whole)

    def padded(self, x: int, pads: tuple[int, int], stem: str) -> int:
        """Put zeros before and behind a signal."""
        begin, end = pads
        if not begin and not end:
            return x
        shape = self.sizes(x)
        shape[2] += begin + end
        made = self.like(f"{stem}/padded", shape, x)
        table = self.constant(f"{stem}/pads", np.array([[0, 0], [0, 0], [begin, end], [0, 0]], np.int32))
        self.add("PAD", [x, table], [made], "PadOptions")
        return made

    def slice(self, x: int, y: int, begin: list[int], size: list[int], stem: str) -> None:
        """Take a piece of one tensor for another."""
        places = [
            self.constant(f"{stem}/{n}", np.array(v, np.int32)) for n, v in (("begin", begin), ("take", size))
        ]
        self.add("SLICE", [x, *places], [y], "SliceOptions")

    def unfolded(self, node: Node) -> tuple[int, int, tuple[int, ...]]:
        """Operand and result of a reshuffle in ONNX's own order of axes, and the result's shape there."""
        source, out = node.inputs[0], node.outputs[0]
        x, shape = self.read(source), self.shapes[source]
        if len(shape) == 3:
            _, channels, length = shape
            order = self.constant(f"{out}/in/turn", np.array([0, 2, 1], np.int32))
            start = self.like(f"{out}/in/first", [1, length, channels], x)
            self._reshape(x, start)
            turned = self.like(f"{out}/in/turned", [1, channels, length], x)
            self.add("TRANSPOSE", [start, order], [turned], "TransposeOptions")
            x = turned
        made = self.shapes[out]
        return x, self.like(f"{out}/flat", made, x), made

    def folded(self, node: Node, flat: int) -> None:
        """Take the result of a reshuffle back to the file's layout."""
        out = node.outputs[0]
        shape, result = self.shapes[out], flat
        if len(shape) == 3:
            _, channels, length = shape
            order = self.constant(f"{out}/turn", np.array([0, 2, 1], np.int32))
            self.like(f"{out}/first", [1, channels, length], flat)
            turned = self.like(f"{out}/turned", [1, length, channels], flat)
            self.add("TRANSPOSE", [flat, order], [turned], "TransposeOptions")
            result = self.like(out, self.layout(out), flat)
            self._reshape(turned, result)
        (self.whole if self.integer else self.real)[out] = result

    def _reshape(self, x: int, y: int) -> None:
        shape = self.sizes(y)
        target = self.constant(f"shape_{y}", np.array(shape, np.int32))
        self.add("RESHAPE", [x, target], [y], "ReshapeOptions", newShape=shape)
