"""Write a quantized model as TFLite, for LiteRT: W8A8 and 16×8, the float edges included, one fixed length.

Tensors [1, C, T] become [1, 1, T, C]. What LiteRT's integer kernels demand (tanh and sigmoid at fixed
scales, 64-bit biases beside 16-bit activations) is met by a requantization or a wider constant; everything
else is carried over as is. The schema's object interface comes with LiteRT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import onnx
import torch
from ai_edge_litert import schema_py_generated as schema

from common.refusal import Refusal
from quantize.data.examples import tensors
from quantize.graph.channels import example_feeds
from quantize.graph.graph import LINEAR, Graph, Node
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.operators import hash32, pads_of
from quantize.integers.plan import MOVEMENT, Plan, clip_bounds
from quantize.integers.qdq import Quantized
from quantize.integers.weights import bias_scale

TYPES: dict[Any, int] = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
}
INTEGER_TYPES: dict[int, Any] = {8: np.dtype(np.int8), 16: np.dtype(np.int16)}
FLOAT: Any = np.dtype(np.float32)
# scales and zero points that LiteRT's integer kernels insist on: (operator, bits)
DEMANDED = {
    ("Tanh", 8): (1 / 128, 0),
    ("Tanh", 16): (1 / 32768, 0),
    ("Sigmoid", 8): (1 / 256, -128),
    ("Sigmoid", 16): (1 / 32768, 0),
}
OP = schema.BuiltinOperator


def to_tflite(model: Quantized, frames: int) -> bytes:
    """Write a model for `frames` frames of its slowest input.

    Parameters
    ----------
    model : Quantized
        Plan, scales and integers.
    frames : int
        Length that the file is fixed to.

    Raises
    ------
    Refusal
        For an operator that LiteRT has no kernel for.
    """
    return _Writer(model, frames).write()


def float_tflite(model: onnx.ModelProto, frames: int = 1) -> bytes:
    """Write a float model as it is, nothing quantized: for the bench, which times LiteRT beside us.

    Parameters
    ----------
    model : ModelProto
        Standard ONNX; input lengths as stated there.
    frames : int
        Length of inputs whose length is not stated.

    Raises
    ------
    Refusal
        For an operator that LiteRT has no kernel for.
    """
    nothing_quantized = Plan(load_graph(model), set(), {}, {})
    return to_tflite(Quantized(nothing_quantized, {}, {}), frames)


def layout(shape: Sequence[int]) -> list[int]:
    """Shape in the file of a tensor of this ONNX shape."""
    return [1, 1, shape[2], shape[1]] if len(shape) == 3 else [int(s) for s in shape] or [1]


class _Writer:
    """Collects tensors, buffers and operators of one subgraph."""

    def __init__(self, model: Quantized, frames: int):
        self.model, self.plan, self.graph = model, model.plan, model.plan.graph
        self.shapes = _shapes(self.graph, frames)
        self.file = schema.ModelT()
        self.file.version, self.file.description = 3, "vaectrol"
        self.file.buffers, self.file.operatorCodes = [schema.BufferT()], []
        self.sub = schema.SubGraphT()
        self.sub.name, self.sub.tensors, self.sub.operators = "main", [], []
        self.codes: dict[int, int] = {}
        self.whole: dict[str, int] = {}  # quantized tensors by name
        self.real: dict[str, int] = {}  # float tensors by name

    def write(self) -> bytes:
        for name in self.graph.input_names:
            self.real[name] = self.tensor(name, layout(self.shapes[name]), FLOAT)
        self.sub.inputs = [self.real[n] for n in self.graph.input_names]
        for position, node in enumerate(self.graph.nodes):
            self._node(position, node)
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
            t.buffer = self.buffer(data.astype(kind))
        if scale is not None:
            q = schema.QuantizationParametersT()
            q.scale = np.atleast_1d(np.asarray(scale, np.float32))
            q.zeroPoint = np.full(q.scale.shape, zero, np.int64)
            q.quantizedDimension = axis
            t.quantization = q
        self.sub.tensors.append(t)
        return len(self.sub.tensors) - 1

    def buffer(self, data: np.ndarray) -> int:
        """Store the bytes of a constant and return their number."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self.file.buffers.append(buffer)
        return len(self.file.buffers) - 1

    def constant(self, name: str, data: np.ndarray) -> int:
        """Add a plain constant."""
        return self.tensor(name, data.shape, data.dtype, data=data)

    def like(self, name: str, shape: Sequence[int], other: int) -> int:
        """Add a tensor with the type and scale of another."""
        t = self.sub.tensors[other]
        kind = next(k for k, v in TYPES.items() if v == t.type)
        q = t.quantization
        if q is None or q.scale is None:
            return self.tensor(name, shape, kind)
        return self.tensor(name, shape, kind, q.scale, int(q.zeroPoint[0]))

    def add(self, code: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> None:
        """Add an operator."""
        if code not in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            self.file.operatorCodes.append(entry)
            self.codes[code] = len(self.file.operatorCodes) - 1
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = self.codes[code], list(inputs), list(outputs)
        if options is not None:
            op.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            op.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        self.sub.operators.append(op)

    def integer_tensor(self, name: str) -> int:
        """Make the quantized tensor of an activation."""
        kind = INTEGER_TYPES[self.plan.width(name)]
        self.whole[name] = self.tensor(name, layout(self.shapes[name]), kind, self.model.scale(name))
        return self.whole[name]

    def as_integers(self, name: str) -> int:
        """Find an activation or constant as integers, quantizing it where it is float."""
        if name in self.whole:
            return self.whole[name]
        if name in self.graph.constants:
            value, scale = _laid_out(self.graph.constants[name]), self.model.scale(name)
            kind = INTEGER_TYPES[self.plan.width(name)]
            limit = np.iinfo(kind).max
            data = np.clip(np.rint(value.astype(np.float64) / scale), -limit, limit)
            self.whole[name] = self.tensor(name, value.shape, kind, scale, data=data)
        else:
            self.add(OP.QUANTIZE, [self.real[name]], [self.integer_tensor(name)], schema.QuantizeOptionsT())
        return self.whole[name]

    def as_float(self, name: str) -> int:
        """Find an activation or constant as float, dequantizing it where it is not."""
        if name not in self.real:
            if name in self.graph.constants:
                self.real[name] = self.constant(
                    name, _laid_out(self.graph.constants[name]).astype(np.float32)
                )
            else:
                shape = self.sub.tensors[self.whole[name]].shape
                self.real[name] = self.tensor(f"{name}/float", shape, FLOAT)
                self.add(OP.DEQUANTIZE, [self.whole[name]], [self.real[name]], schema.DequantizeOptionsT())
        return self.real[name]

    # Nodes ----------------------------------------------------------------------------------------

    def _node(self, position: int, node: Node) -> None:
        integer = position in self.plan.integer
        if integer and node.op == "Relu" and node.inputs[0] in self.plan.fused:
            return  # done by its layer
        read = self.as_integers if integer else self.as_float
        if node.op == "Identity":
            self.real[node.outputs[0]] = self.as_float(node.inputs[0])
        elif node.is_domain:
            self._domain(node)
        elif node.op in LINEAR:
            self._linear(position, node, integer)
        elif node.op in MOVEMENT:
            self._movement(node, read, integer)
        else:
            self._elementwise(node, read, integer)

    def _result(self, name: str, integer: bool) -> int:
        if integer:
            return self.integer_tensor(name)
        self.real[name] = self.tensor(name, layout(self.shapes[name]), FLOAT)
        return self.real[name]

    def _elementwise(self, node: Node, read: Any, integer: bool) -> None:
        simple = {
            "Add": (OP.ADD, schema.AddOptionsT),
            "Sub": (OP.SUB, schema.SubOptionsT),
            "Mul": (OP.MUL, schema.MulOptionsT),
            "Div": (OP.DIV, schema.DivOptionsT),
            "Relu": (OP.RELU, None),
            "Exp": (OP.EXP, schema.ExpOptionsT),
            "Sin": (OP.SIN, None),
            "Tanh": (OP.TANH, None),
            "Sigmoid": (OP.LOGISTIC, None),
        }
        out = node.outputs[0]
        if node.op == "Clip":
            self._clip(node, integer)
        elif node.op == "LeakyRelu":
            options = schema.LeakyReluOptionsT()
            options.alpha = float(node.attributes.get("alpha", 0.01))
            self.add(OP.LEAKY_RELU, [read(node.inputs[0])], [self._result(out, integer)], options)
        elif node.op == "Softplus":
            one = self.constant(f"{out}/one", np.ones(1, np.float32))
            shape = layout(self.shapes[out])
            raised, grown = (self.tensor(f"{out}/{s}", shape, FLOAT) for s in ("exp", "sum"))
            self.add(OP.EXP, [self.as_float(node.inputs[0])], [raised], schema.ExpOptionsT())
            self.add(OP.ADD, [raised, one], [grown], schema.AddOptionsT())
            self.add(OP.LOG, [grown], [self._result(out, False)])
        elif node.op in simple:
            code, options_class = simple[node.op]
            options = options_class() if options_class else None
            if options is not None and hasattr(options, "potScaleInt16"):
                options.potScaleInt16 = False
            operands = [read(n) for n in node.inputs]
            bits = self.plan.width(out) if integer else 0
            if (node.op, bits) in DEMANDED:
                scale, zero = DEMANDED[node.op, bits]
                fixed = self.tensor(
                    f"{out}/fixed", layout(self.shapes[out]), INTEGER_TYPES[bits], scale, zero
                )
                self.add(code, operands, [fixed], options)
                self.add(OP.QUANTIZE, [fixed], [self.integer_tensor(out)], schema.QuantizeOptionsT())
            else:
                self.add(code, operands, [self._result(out, integer)], options)
        else:
            raise Refusal(f"node {node.name!r} ({node.op}) has no kernel in TFLite; export to onnx instead.")

    def _clip(self, node: Node, integer: bool) -> None:
        """A maximum and a minimum; between integers their constants have the tensor's own scale."""
        source, out = node.inputs[0], node.outputs[0]
        current = self.as_integers(source) if integer else self.as_float(source)
        bounds = clip_bounds(node, self.graph)
        if bounds is None:
            raise Refusal(f"node {node.name!r} (Clip) computes its bounds; export them as constants.")
        steps = [(OP.MAXIMUM, bounds[0]), (OP.MINIMUM, bounds[1])]
        steps = [(code, bound) for code, bound in steps if np.isfinite(bound)]
        if not steps:
            raise Refusal(f"node {node.name!r} (Clip) has no bounds; leave it out.")
        for index, (code, bound) in enumerate(steps):
            last = index == len(steps) - 1
            name = f"{out}/bound{index}"
            if integer:
                limit = np.iinfo(INTEGER_TYPES[self.plan.width(out)])
                whole = np.clip(np.rint(bound / self.model.scale(out)), limit.min, limit.max)
                other = self.like(name, [1], current)
                self.sub.tensors[other].buffer = self.buffer(whole.reshape(1).astype(limit.dtype))
            else:
                other = self.constant(name, np.full(1, bound, np.float32))
            shape = layout(self.shapes[out])
            result = self._result(out, integer) if last else self.like(f"{out}/low", shape, current)
            self.add(code, [current, other], [result], schema.MaximumMinimumOptionsT())
            current = result

    def _linear(self, position: int, node: Node, integer: bool) -> None:
        out = node.outputs[0]
        x = self.as_integers(node.inputs[0]) if integer else self.as_float(node.inputs[0])
        fused = self.plan.fused.get(out) if integer else None
        weight, bias = self._weights(position, node, integer)
        if node.op in ("Gemm", "MatMul"):
            options = schema.FullyConnectedOptionsT()
            options.keepNumDims = True
            result = self._result(fused or out, integer)
            self.add(OP.FULLY_CONNECTED, [x, weight, bias], [result], options)
            if fused:
                options.fusedActivationFunction = schema.ActivationFunctionType.RELU
            return
        if node.op == "Conv":
            x = self._padded(node, x)
            groups = node.attributes.get("group", 1)
            depthwise = groups > 1 and groups == self.shapes[node.inputs[0]][1]
            options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
            if depthwise:
                options.depthMultiplier = self.shapes[out][1] // groups
            options.padding = schema.Padding.VALID
            options.strideH, options.strideW = 1, node.attributes.get("strides", [1])[0]
            options.dilationHFactor, options.dilationWFactor = 1, node.attributes.get("dilations", [1])[0]
            if fused:
                options.fusedActivationFunction = schema.ActivationFunctionType.RELU
            code = OP.DEPTHWISE_CONV_2D if depthwise else OP.CONV_2D
            self.add(code, [x, weight, bias], [self._result(fused or out, integer)], options)
            return
        self._transposed(node, x, weight, bias, fused, integer)

    def _transposed(
        self, node: Node, x: int, weight: int, bias: int, fused: str | None, integer: bool
    ) -> None:
        out = node.outputs[0]
        if node.attributes.get("group", 1) != 1 or node.attributes.get("dilations", [1])[0] != 1:
            raise Refusal(
                f"node {node.name!r} (ConvTranspose) is grouped or dilated, which TFLite has no kernel for."
            )
        begin, _ = pads_of(node)
        stride = node.attributes.get("strides", [1])[0]
        _, channels, length = self.shapes[out]
        kernel = self.sub.tensors[weight].shape[2]
        full = (self.shapes[node.inputs[0]][2] - 1) * stride + kernel
        options = schema.TransposeConvOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, stride
        size = self.constant(f"{out}/size", np.array([1, 1, full, channels], np.int32))
        result = self._result(fused or out, integer)
        whole = [1, 1, full, channels]
        target = self.like(f"{out}/uncropped", whole, result)
        self.add(OP.TRANSPOSE_CONV, [size, weight, x, bias], [target], options)
        if fused:
            straightened = self.like(f"{out}/positive", whole, result)
            self.add(OP.RELU, [target], [straightened])
            target = straightened
        self._slice(target, result, [0, 0, begin, 0], [1, 1, length, channels], out)

    def _weights(self, position: int, node: Node, integer: bool) -> tuple[int, int]:
        """Filter in LiteRT's layout and bias."""
        out = node.outputs[0]
        outputs = self.shapes[out][1 if len(self.shapes[out]) == 3 else -1]
        if not integer:
            weight = self.graph.constants[node.inputs[1]].astype(np.float32)
            bias = np.zeros(outputs, np.float32)
            if len(node.inputs) > 2 and node.inputs[2]:
                bias = self.graph.constants[node.inputs[2]].astype(np.float32).reshape(-1)
            arranged, _ = self._arranged(node, weight)
            return self.constant(f"{out}/weight", arranged), self.constant(f"{out}/bias", bias)
        layer = self.model.layer(position)
        arranged, axis = self._arranged(node, layer.weight)
        filters = self.tensor(
            f"{out}/weight", arranged.shape, np.dtype(np.int8), layer.scale, data=arranged, axis=axis
        )
        whole = layer.bias if layer.bias is not None else np.zeros(outputs, np.int32)
        wide = np.dtype(np.int64 if self.plan.width(node.inputs[0]) == 16 else np.int32)
        scale = bias_scale(self.model.scale(node.inputs[0]), layer.scale)
        return filters, self.tensor(f"{out}/bias", whole.shape, wide, scale, data=whole)

    def _arranged(self, node: Node, weight: np.ndarray) -> tuple[np.ndarray, int]:
        """Weight in LiteRT's layout, and its output axis."""
        if node.op == "Conv":
            groups = node.attributes.get("group", 1)
            if groups > 1 and groups == self.shapes[node.inputs[0]][1]:
                return weight.transpose(1, 2, 0)[None], 3
            return weight.transpose(0, 2, 1)[:, None], 0
        if node.op == "ConvTranspose":
            return weight.transpose(1, 2, 0)[:, None], 0
        return (weight if node.op == "Gemm" and node.attributes.get("transB", 0) else weight.T), 0

    def _padded(self, node: Node, x: int) -> int:
        begin, end = pads_of(node)
        if not begin and not end:
            return x
        shape = list(self.sub.tensors[x].shape)
        shape[2] += begin + end
        padded = self.like(f"{node.outputs[0]}/padded", shape, x)
        table = self.constant(
            f"{node.outputs[0]}/pads", np.array([[0, 0], [0, 0], [begin, end], [0, 0]], np.int32)
        )
        self.add(OP.PAD, [x, table], [padded], schema.PadOptionsT())
        return padded

    def _slice(self, x: int, y: int, begin: list[int], size: list[int], stem: str) -> None:
        places = [
            self.constant(f"{stem}/{n}", np.array(v, np.int32)) for n, v in (("begin", begin), ("take", size))
        ]
        self.add(OP.SLICE, [x, *places], [y], schema.SliceOptionsT())

    def _movement(self, node: Node, read: Any, integer: bool) -> None:
        rank = len(self.shapes[node.inputs[0]]) if node.inputs[0] in self.shapes else 0
        constants = self.graph.constants
        axes = {3: [0, 3, 2]}.get(rank, list(range(rank)))
        if node.op == "Concat":
            options = schema.ConcatenationOptionsT()
            options.axis = axes[node.attributes["axis"] % rank]
            parts = [read(n) for n in node.inputs]
            self.add(OP.CONCATENATION, parts, [self._result(node.outputs[0], integer)], options)
        elif node.op == "Split":
            axis, start = axes[node.attributes.get("axis", 0) % rank], 0
            for name in node.outputs:
                size = layout(self.shapes[name])
                begin = [0] * len(size)
                begin[axis] = start
                self._slice(read(node.inputs[0]), self._result(name, integer), begin, size, name)
                start += size[axis]
        elif node.op == "Slice":
            begin, out = [0] * (4 if rank == 3 else rank), node.outputs[0]
            which = constants[node.inputs[3]].reshape(-1) if len(node.inputs) > 3 else np.arange(rank)
            for axis, start in zip(
                which.tolist(), constants[node.inputs[1]].reshape(-1).tolist(), strict=True
            ):
                length = self.shapes[node.inputs[0]][axis % rank]
                begin[axes[axis % rank]] = slice(start, None).indices(length)[0]
            self._slice(
                read(node.inputs[0]), self._result(out, integer), begin, layout(self.shapes[out]), out
            )
        elif node.op == "Resize":
            options = schema.ResizeNearestNeighborOptionsT()
            out = node.outputs[0]
            stretched = self.constant(f"{out}/size", np.array([1, self.shapes[out][2]], np.int32))
            operands = [read(node.inputs[0]), stretched]
            self.add(OP.RESIZE_NEAREST_NEIGHBOR, operands, [self._result(out, integer)], options)
        else:
            self._reshuffle(node, read, integer)

    def _reshuffle(self, node: Node, read: Any, integer: bool) -> None:
        """Reshape, transpose and their kin, by way of ONNX's own layout."""
        out = node.outputs[0]
        x = self._turned(read(node.inputs[0]), self.shapes[node.inputs[0]], f"{out}/in", True)
        shape = self.shapes[out]
        if node.op == "Pad":
            raise Refusal(
                f"node {node.name!r} (Pad) stands alone; put the padding into the convolution after it."
            )
        flat = self.like(f"{out}/flat", shape, x)
        if node.op == "Transpose":
            order = self.constant(f"{out}/order", np.array(node.attributes["perm"], np.int32))
            self.add(OP.TRANSPOSE, [x, order], [flat], schema.TransposeOptionsT())
        elif node.op == "Expand":
            target = self.constant(f"{out}/shape", np.array(shape, np.int32))
            self.add(OP.BROADCAST_TO, [x, target], [flat])
        else:
            target = self.constant(f"{out}/shape", np.array(shape, np.int32))
            options = schema.ReshapeOptionsT()
            options.newShape = list(shape)
            self.add(OP.RESHAPE, [x, target], [flat], options)
        result = self._turned(flat, shape, out, False)
        if integer:
            self.whole[out] = result
        else:
            self.real[out] = result

    def _turned(self, x: int, shape: Sequence[int], stem: str, to_onnx: bool) -> int:
        """Go between [1, 1, T, C] and [1, C, T]; other ranks stay."""
        if len(shape) != 3:
            return x
        _, channels, length = shape
        order = self.constant(f"{stem}/turn", np.array([0, 2, 1], np.int32))
        first = [1, length, channels] if to_onnx else [1, channels, length]
        start = self.like(f"{stem}/first", first, x)
        if to_onnx:
            self._reshape(x, start, first)
        else:
            start = x
        turned_shape = [1, channels, length] if to_onnx else [1, length, channels]
        turned = self.like(f"{stem}/turned", turned_shape, x)
        self.add(OP.TRANSPOSE, [start, order], [turned], schema.TransposeOptionsT())
        if to_onnx:
            return turned
        result = self.like(stem, layout(shape), x)
        self._reshape(turned, result, layout(shape))
        return result

    def _reshape(self, x: int, y: int, shape: Sequence[int]) -> None:
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        target = self.constant(f"shape_{y}", np.array(shape, np.int32))
        self.add(OP.RESHAPE, [x, target], [y], options)

    # Domain operators, in float -------------------------------------------------------------------

    def _domain(self, node: Node) -> None:
        out = node.outputs[0]
        x = self.as_float(node.inputs[0])
        if node.op == "PQMFSynthesis":
            bank = self.graph.constants[node.inputs[1]].astype(np.float32)
            bands, _, taps = bank.shape
            plain = Node("ConvTranspose", [node.inputs[0]], [out], {"strides": [bands]}, "", node.name)
            weight = self.constant(f"{out}/bank", bank.transpose(1, 2, 0)[:, None])
            bias = self.constant(f"{out}/none", np.zeros(1, np.float32))
            self._transposed(plain, x, weight, bias, None, False)
        elif node.op == "PQMFAnalysis":
            bank = self.graph.constants[node.inputs[1]].astype(np.float32)[..., ::-1]
            bands, _, taps = bank.shape
            plain = Node("Conv", [], [out], {"pads": [taps - bands, 0]}, "", node.name)
            options = schema.Conv2DOptionsT()
            options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, bands
            weight = self.constant(f"{out}/bank", np.ascontiguousarray(bank.transpose(0, 2, 1)[:, None]))
            bias = self.constant(f"{out}/none", np.zeros(bands, np.float32))
            self.add(OP.CONV_2D, [self._padded(plain, x), weight, bias], [self._result(out, False)], options)
        elif node.op == "FilteredNoise":
            self._noise(node, x)
        else:
            raise Refusal(f"node {node.name!r} ({node.op}) can't be written as TFLite.")

    def _noise(self, node: Node, x: int) -> None:
        """Taps times stored noise: exact, since the noise is counted and the length is fixed."""
        out = node.outputs[0]
        bands, order = int(node.attributes["bands"]), int(node.attributes["taps"])
        hop, seed = int(node.attributes["hop"]), int(node.attributes.get("seed", 0))
        frames = self.shapes[node.inputs[0]][2]
        n = torch.arange(frames * hop, dtype=torch.int64)
        raw = hash32(n[:, None] * bands + torch.arange(bands) + ((seed * 0x9E3779B9) & 0xFFFFFFFF)).numpy()
        noise = (np.where(raw >= 1 << 31, raw - (1 << 32), raw) / 2.0**31).astype(np.float32)
        total: int | None = None
        for k in range(order):
            shifted = np.zeros_like(noise)
            shifted[k:] = noise[: len(noise) - k]
            options = schema.StridedSliceOptionsT()
            options.beginMask = options.endMask = 0b0111
            corners = [
                self.constant(f"{out}/{label}{k}", np.array([0, 0, 0, value], np.int32))
                for label, value in (("from", k), ("to", bands * order), ("step", order))
            ]
            steps = np.array([1, 1, 1, order], np.int32)
            corners[2] = self.constant(f"{out}/steps{k}", steps)
            taken = self.tensor(f"{out}/tap{k}", [1, 1, frames, bands], FLOAT)
            self.add(OP.STRIDED_SLICE, [x, *corners], [taken], options)
            if hop > 1:
                held = self.tensor(f"{out}/held{k}", [1, 1, frames * hop, bands], FLOAT)
                size = self.constant(f"{out}/size{k}", np.array([1, frames * hop], np.int32))
                resize = schema.ResizeNearestNeighborOptionsT()
                self.add(OP.RESIZE_NEAREST_NEIGHBOR, [taken, size], [held], resize)
                taken = held
            stored = self.constant(f"{out}/noise{k}", shifted[None, None])
            last = k == order - 1
            product = (
                self._result(out, False)
                if last and total is None
                else self.tensor(f"{out}/product{k}", [1, 1, frames * hop, bands], FLOAT)
            )
            self.add(OP.MUL, [taken, stored], [product], schema.MulOptionsT())
            if total is None:
                total = product
                continue
            added = (
                self._result(out, False)
                if last
                else self.tensor(f"{out}/sum{k}", [1, 1, frames * hop, bands], FLOAT)
            )
            self.add(OP.ADD, [total, product], [added], schema.AddOptionsT())
            total = added


def _laid_out(value: np.ndarray) -> np.ndarray:
    """A constant in the file's layout."""
    if value.ndim == 3:
        return np.ascontiguousarray(value.transpose(0, 2, 1)[:, None])
    return value.reshape(-1) if value.ndim == 0 else value


def _shapes(graph: Graph, frames: int) -> dict[str, tuple[int, ...]]:
    names = [name for node in graph.nodes for name in node.outputs if name]
    with torch.no_grad():
        values = Network(graph)(tensors(example_feeds(graph, frames)), keep=[*names, *graph.input_names])
    return {name: tuple(value.shape) for name, value in values.items()}


def run_tflite(data: bytes, feed: dict[str, np.ndarray], order: Sequence[str]) -> list[np.ndarray]:
    """Run a file in LiteRT's reference kernels.

    Parameters
    ----------
    data : bytes
        The file.
    feed : dict of str to ndarray [1, C, T]
        Inputs.
    order : sequence of str
        Names of the file's inputs, in order.

    Returns
    -------
    list of ndarray [1, C, T]
        Outputs.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    for name, detail in zip(order, interpreter.get_input_details(), strict=True):
        interpreter.set_tensor(detail["index"], _laid_out(feed[name].astype(np.float32)))
    interpreter.invoke()
    results = []
    for detail in interpreter.get_output_details():
        value = interpreter.get_tensor(detail["index"])
        results.append(value[:, 0].transpose(0, 2, 1) if value.ndim == 4 else value)
    return results
