"""A witness from outside: single integer layers written as TFLite, run by LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
FRAMES, INPUTS, OUTPUTS = 40, 12, 10
SEED = 20261121


class TFLiteLayer:
    """One operator on integers: [1, 1, frames, channels], weights per channel, no zero points."""

    def __init__(self, bits: int) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.integer = {8: schema.TensorType.INT8, 16: schema.TensorType.INT16}[bits]
        self.file, self.graph = schema.ModelT(), schema.SubGraphT()
        self.file.version, self.file.buffers = 3, [schema.BufferT()]
        self.graph.name, self.graph.tensors = "main", []

    def tensor(
        self, name: str, shape: Any, kind: int, scale: Any = None, data: Any = None, axis: int = 0
    ) -> int:
        """Add a tensor; returns its number."""
        made = self.schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, [int(s) for s in shape], kind, 0
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.file.buffers.append(buffer)
            made.buffer = len(self.file.buffers) - 1
        if scale is not None:
            quantization = self.schema.QuantizationParametersT()
            quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.zeroPoint = np.zeros(quantization.scale.shape, np.int64)
            quantization.quantizedDimension = axis
            made.quantization = quantization
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def run(
        self, code: int, inputs: list[int], x: int, y: int, options: Any, values: np.ndarray
    ) -> np.ndarray:
        """Run the one operator on integers [channels, frames]."""
        import flatbuffers
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = self.schema.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, min(code, 127), 1
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, [y]
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(
            self.schema.BuiltinOptions, type(options).__name__.removesuffix("T")
        )
        self.file.operatorCodes, self.graph.operators = [kind], [operator]
        self.graph.inputs, self.graph.outputs, self.file.subgraphs = [x], [y], [self.graph]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.file.Pack(builder), b"TFL3")
        interpreter = Interpreter(
            model_content=bytes(builder.Output()),
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            num_threads=1,
        )
        interpreter.allocate_tensors()
        (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.set_tensor(into["index"], values.T[None, None].astype(into["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(out["index"])[0, 0].T.astype(np.int64)


def qdq_layer(node: Any, parts: dict[str, np.ndarray], axis: int, channels: int, length: Any) -> Any:
    """The same layer as a QDQ file: quantize, the node on (xd, wd, bd), quantize."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=axis),
        helper.make_node("DequantizeLinear", ["b", "sb", "zb"], ["bd"], axis=0),
        node,
        helper.make_node("QuantizeLinear", ["c", "sy", "zx"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zx"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, INPUTS, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, length])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in parts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def layer(kind: str, bits: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integers of one random layer: LiteRT's, the judge's, the compiled host build's."""
    rng = np.random.default_rng(seed)
    stride, dilation, taps = {
        "conv": (1, 1, 3),
        "dilated": (1, 3, 3),
        "strided": (2, 1, 5),
        "depthwise": (1, 1, 3),
        "transposed": (4, 1, 8),
        "dense": (1, 1, 1),
    }[kind]
    whole: Any = {8: np.int8, 16: np.int16}[bits]
    limit = int(np.iinfo(whole).max)
    sx = np.float32(1.0 / limit)
    outputs = INPUTS if kind == "depthwise" else OUTPUTS
    inner = 1 if kind == "depthwise" else INPUTS
    weight = rng.integers(-127, 128, (outputs, inner, taps)).astype(np.int8)
    sw = (rng.uniform(0.5, 1.5, outputs) / 127 / np.sqrt(inner * taps)).astype(np.float32)
    sy = np.float32(2.0 / limit)
    sb = (sx * sw).astype(np.float32)
    bias = np.rint(rng.uniform(-0.2, 0.2, outputs) / sb).astype(np.int32)
    x = rng.integers(-limit, limit + 1, (INPUTS, FRAMES))

    lite = TFLiteLayer(bits)
    types = lite.schema.TensorType
    wide = (types.INT64, np.int64) if bits == 16 else (types.INT32, np.int32)
    reach = (taps - 1) * dilation + 1
    length = (FRAMES - 1) * stride + taps if kind == "transposed" else (FRAMES - reach) // stride + 1
    xt = lite.tensor("x", (1, 1, FRAMES, INPUTS), lite.integer, sx)
    yt = lite.tensor("y", (1, 1, length, outputs), lite.integer, sy)
    arranged = weight[:, 0].T[None, None] if kind == "depthwise" else weight.transpose(0, 2, 1)[:, None]
    wt = lite.tensor("w", arranged.shape, types.INT8, sw, arranged, 3 if kind == "depthwise" else 0)
    bt = lite.tensor("b", bias.shape, wide[0], sb, bias.astype(wide[1]))
    operators = lite.schema.BuiltinOperator
    inputs = [xt, wt, bt]
    if kind == "transposed":
        options = lite.schema.TransposeConvOptionsT()
        size = lite.tensor("size", (4,), types.INT32, None, np.array([1, 1, length, outputs], np.int32))
        code, inputs = operators.TRANSPOSE_CONV, [size, wt, xt, bt]
    elif kind == "depthwise":
        options, code = lite.schema.DepthwiseConv2DOptionsT(), operators.DEPTHWISE_CONV_2D
        options.depthMultiplier = 1
    else:
        options, code = lite.schema.Conv2DOptionsT(), operators.CONV_2D
    options.padding, options.strideH, options.strideW = lite.schema.Padding.VALID, 1, stride
    if kind != "transposed":
        options.dilationHFactor, options.dilationWFactor = 1, dilation
    theirs = lite.run(code, inputs, xt, yt, options, x)

    parts = {"sx": sx, "zx": whole(0), "sy": sy, "sw": sw, "zw": np.zeros(outputs, np.int8), "b": bias}
    parts |= {"sb": sb, "zb": np.zeros(outputs, np.int32)}
    if kind == "transposed":
        parts["w"] = weight.transpose(1, 0, 2)
        pads = [0, taps - stride]
        node = helper.make_node("ConvTranspose", ["xd", "wd", "bd"], ["c"], strides=[stride], pads=pads)
    else:
        parts["w"] = weight
        groups = INPUTS if kind == "depthwise" else 1
        node = helper.make_node(
            "Conv",
            ["xd", "wd", "bd"],
            ["c"],
            strides=[stride],
            dilations=[dilation],
            group=groups,
            pads=[reach - 1, 0],
        )
    program = compile_onnx(qdq_layer(node, parts, 1 if kind == "transposed" else 0, outputs, "longer"))
    feeds = {"x": (x * sx).astype(np.float32)}
    judged = np.rint(run(program.graph, feeds)["y"] / sy).astype(np.int64)
    built = np.rint(load_host(program).process(feeds)["y"] / sy).astype(np.int64)
    if kind == "transposed":
        theirs = theirs[:, : judged.shape[1]]
    else:  # LiteRT's layer is not padded: its first frame is the first whose window is full
        skip = -(-(reach - 1) // stride)
        judged, built = judged[:, skip:], built[:, skip:]
    frames = min(judged.shape[1], built.shape[1], theirs.shape[1])
    return theirs[:, :frames], judged[:, :frames], built[:, :frames]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["conv", "dilated", "strided", "depthwise", "transposed", "dense"])
def test_integer_layers_agree_with_litert_within_one_lsb(kind, bits):
    total = 0
    for seed in range(SEED, SEED + 3):
        theirs, judged, built = layer(kind, bits, seed)
        np.testing.assert_array_equal(built, judged)
        assert np.abs(judged - theirs).max() <= 1, seed
        assert np.unique(judged).size > 60  # a layer that says something
        total += judged.size
    assert total > 500
