"""Random 1-D networks as ONNX files: float, or quantized (QDQ) with calibrated ranges.

Every tensor's length is a whole multiple of the input's, so that onnxruntime accepts every graph too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Signal:
    """A tensor under construction."""

    name: str
    channels: int
    rate: Fraction


class Builder:
    """Grows one random graph from a seed."""

    def __init__(self, seed: int, layers: int = 7, slow: bool = False, batch_norm: bool = True):
        self.batch_norm = batch_norm  # quantizers fold it before they quantize
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.count = 0
        channels = int(self.rng.integers(1, 6))
        self.inputs = [Signal("x", channels, Fraction(1))]
        self.unit = int(self.rng.choice([60, 120])) if slow else 12
        self.signals = list(self.inputs)
        if self.rng.random() < 0.25:  # a second input at half the rate
            self.inputs.append(Signal("c", int(self.rng.integers(1, 4)), Fraction(1, 2)))
            self.signals.append(self.inputs[1])
        for _ in range(layers):
            self.grow(slow)
        self.outputs = [self.signals[-1]]
        if self.rng.random() < 0.3 and len(self.signals) > 3:
            extra = self.signals[-2]
            if extra.name not in ("x", "c"):
                self.outputs.append(extra)

    def pick(self, *options):
        return options[int(self.rng.integers(len(options)))]

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}_{self.count}"

    def const(self, array: np.ndarray, kind: str = "w") -> str:
        name = self.name(kind)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op: str, inputs: list[str], channels: int, rate: Fraction, **attrs) -> Signal:
        name = self.name(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"n_{name}", **attrs))
        signal = Signal(name, channels, rate)
        self.signals.append(signal)
        return signal

    def source(self) -> Signal:
        recent = self.signals[-3:]
        return recent[int(self.rng.integers(len(recent)))]

    def weights(self, *shape: int) -> np.ndarray:
        return (self.rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)

    def grow(self, slow: bool) -> None:
        """Add one layer."""
        x = self.source()
        kinds = ["conv", "conv", "activation", "binary", "concat", "row", "delay", "split", "matmul"] + [
            "norm"
        ] * self.batch_norm
        if x.rate < 8:
            kinds += ["transposed", "transposed", "upsample", "subpixel"]
        if (x.rate / 2 * self.unit).denominator == 1 and x.rate > Fraction(1, 8):
            kinds += ["strided"]
            if slow:
                kinds += ["strided"] * 3
        getattr(self, self.pick(*kinds))(x)

    def conv(self, x: Signal, stride: int = 1) -> None:
        taps, dilation = int(self.rng.integers(1, 6)), self.pick(1, 1, 2, 3)
        groups = self.pick(1, 1, 1, x.channels)
        out = int(self.rng.integers(1, 9)) if groups == 1 else x.channels * self.pick(1, 1, 2)
        reach = (taps - 1) * dilation + 1
        if reach < stride:
            taps, dilation, reach = stride, 1, stride
        total = reach - stride
        left = self.pick(total, total, total, int(self.rng.integers(0, total + 1)))
        weight = self.const(self.weights(out, x.channels // groups, taps))
        bias = (
            [self.const(self.rng.normal(size=out).astype(np.float32) * 0.2, "b")]
            if self.rng.random() < 0.8
            else []
        )
        self.add(
            "Conv",
            [x.name, weight, *bias],
            out,
            x.rate / stride,
            strides=[stride],
            dilations=[dilation],
            group=groups,
            pads=[left, total - left],
            kernel_shape=[taps],
        )

    def strided(self, x: Signal) -> None:
        choices = [s for s in (2, 3, 4) if (x.rate / s * self.unit).denominator == 1]
        self.conv(x, self.pick(*choices) if choices else 1)

    def transposed(self, x: Signal) -> None:
        stride = self.pick(2, 2, 3, 4)
        taps = int(self.rng.integers(stride, 3 * stride + 1))
        groups = self.pick(1, 1, 1, x.channels)
        per_group = int(self.rng.integers(1, 7)) if groups == 1 else 1
        total = taps - stride
        left = self.pick(0, 0, total // 2, int(self.rng.integers(0, total + 1)))
        weight = self.const(self.weights(x.channels, per_group, taps))
        bias = [self.const(self.rng.normal(size=per_group * groups).astype(np.float32) * 0.2, "b")]
        self.add(
            "ConvTranspose",
            [x.name, weight, *bias],
            per_group * groups,
            x.rate * stride,
            strides=[stride],
            group=groups,
            pads=[left, total - left],
            kernel_shape=[taps],
        )

    def activation(self, x: Signal) -> None:
        op = self.pick("Relu", "LeakyRelu", "Tanh", "Sigmoid", "Clip")
        if op == "Clip":
            limits = [self.const(np.float32(v), "limit") for v in (-0.7, 0.9)]
            self.add("Clip", [x.name, *limits], x.channels, x.rate)
        elif op == "LeakyRelu":
            self.add(op, [x.name], x.channels, x.rate, alpha=float(self.pick(0.01, 0.1, 0.2)))
        else:
            self.add(op, [x.name], x.channels, x.rate)

    def binary(self, x: Signal) -> None:
        others = [s for s in self.signals if s.rate == x.rate and s.channels == x.channels]
        y = others[int(self.rng.integers(len(others)))]
        self.add(self.pick("Add", "Sub", "Mul"), [x.name, y.name], x.channels, x.rate)

    def concat(self, x: Signal) -> None:
        others = [s for s in self.signals if s.rate == x.rate and s.channels + x.channels <= 12]
        if others:
            y = others[int(self.rng.integers(len(others)))]
            self.add("Concat", [x.name, y.name], x.channels + y.channels, x.rate, axis=1)

    def row(self, x: Signal) -> None:
        """One constant per channel."""
        row = (self.rng.normal(size=(1, x.channels, 1)) * 0.7).astype(np.float32)
        self.add(self.pick("Mul", "Add", "Sub"), [x.name, self.const(row, "row")], x.channels, x.rate)

    def split(self, x: Signal) -> None:
        if x.channels < 2:
            return
        first = int(self.rng.integers(1, x.channels))
        sizes = self.const(np.array([first, x.channels - first], np.int64), "sizes")
        names = [self.name("part"), self.name("part")]
        self.nodes.append(helper.make_node("Split", [x.name, sizes], names, axis=1, name=f"n_{names[0]}"))
        self.signals += [Signal(names[0], first, x.rate), Signal(names[1], x.channels - first, x.rate)]

    def delay(self, x: Signal) -> None:
        """Shift by n frames, keeping the length: into the past, or into the future."""
        n = int(self.rng.integers(1, 4))
        past = self.rng.random() < 0.6
        pads = self.const(np.array([0, 0, n, 0, 0, 0] if past else [0, 0, 0, 0, 0, n], np.int64), "pads")
        padded = self.name("padded")
        self.nodes.append(helper.make_node("Pad", [x.name, pads], [padded], name=f"n_{padded}"))
        begin, end = (0, -n) if past else (n, np.iinfo(np.int64).max)
        ends = [self.const(np.array([v], np.int64), "at") for v in (begin, end, 2)]
        self.add("Slice", [padded, *ends], x.channels, x.rate)

    def upsample(self, x: Signal) -> None:
        times = self.pick(2, 3)
        scales = self.const(np.array([1, 1, times], np.float32), "scales")
        attrs = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        self.add("Resize", [x.name, "", scales], x.channels, x.rate * times, mode="nearest", **attrs)

    def subpixel(self, x: Signal) -> None:
        times = self.pick(2, 3)
        channels = int(self.rng.integers(1, 4))
        weight = self.const(self.weights(channels * times, x.channels, 1))
        self.add("Conv", [x.name, weight], channels * times, x.rate, kernel_shape=[1])
        y = self.signals[-1]
        shapes = [
            self.const(np.array(s, np.int64), "shape") for s in ([1, channels, times, -1], [1, channels, -1])
        ]
        folded, turned = self.name("folded"), self.name("turned")
        self.nodes.append(helper.make_node("Reshape", [y.name, shapes[0]], [folded], name=f"n_{folded}"))
        self.nodes.append(
            helper.make_node("Transpose", [folded], [turned], perm=[0, 1, 3, 2], name=f"n_{turned}")
        )
        self.add("Reshape", [turned, shapes[1]], channels, x.rate * times)

    def matmul(self, x: Signal) -> None:
        """A dense layer over channels, time first, as torch's Linear exports it."""
        out = int(self.rng.integers(1, 7))
        before, after = self.name("ntc"), self.name("ntc")
        self.nodes.append(
            helper.make_node("Transpose", [x.name], [before], perm=[0, 2, 1], name=f"n_{before}")
        )
        weight = self.const(self.weights(x.channels, out))
        self.nodes.append(helper.make_node("MatMul", [before, weight], [after], name=f"n_{after}"))
        self.add("Transpose", [after], out, x.rate, perm=[0, 2, 1])

    def norm(self, x: Signal) -> None:
        gamma, beta, mean = (
            self.rng.normal(size=x.channels).astype(np.float32) * 0.3 + v for v in (1.0, 0.0, 0.0)
        )
        variance = self.rng.uniform(0.5, 2, x.channels).astype(np.float32)
        names = [self.const(v, "bn") for v in (gamma, beta, mean, variance)]
        self.add("BatchNormalization", [x.name, *names], x.channels, x.rate)

    def model(self) -> onnx.ModelProto:
        def info(s: Signal, symbolic: str | None):
            return helper.make_tensor_value_info(s.name, TensorProto.FLOAT, [1, s.channels, symbolic])

        inputs = [info(self.inputs[0], "2*frames" if len(self.inputs) > 1 else "frames")]
        inputs += [info(s, "frames") for s in self.inputs[1:]]
        outputs = [info(s, f"out{i}") for i, s in enumerate(self.outputs)]
        graph = helper.make_graph(self.nodes, "random", inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    def feeds(self, frames: int | None = None) -> dict[str, np.ndarray]:
        frames = frames or self.unit * 4
        rng = np.random.default_rng(99)
        return {
            s.name: rng.uniform(-1, 1, (1, s.channels, int(frames * s.rate))).astype(np.float32)
            for s in self.inputs
        }


def random_graph(
    seed: int, layers: int = 7, slow: bool = False, batch_norm: bool = True
) -> tuple[onnx.ModelProto, Builder]:
    """Make a float graph."""
    builder = Builder(seed, layers, slow, batch_norm)
    return builder.model(), builder


def session(model: onnx.ModelProto, *extra: str):
    """An onnxruntime session without rewrites, with some inner tensors as outputs too."""
    import onnxruntime

    if extra:
        model = onnx.ModelProto.FromString(model.SerializeToString())
        known = {o.name for o in model.graph.output}
        model.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in extra if n not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


MOVES = ("Concat", "Split", "Slice", "Pad", "Reshape", "Transpose")


def quantized(builder: Builder, kind: str) -> onnx.ModelProto:
    """Write a random graph with QuantizeLinear and DequantizeLinear, ranges taken from one run.

    Parameters
    ----------
    builder : Builder
    kind : str
        int16, int8, or uint8 (with zero points that are not 0).
    """
    model = builder.model()
    inner = [name for node in model.graph.node for name in node.output]
    names = [i.name for i in model.graph.input] + inner
    run = session(model, *inner).run(inner, builder.feeds())
    ranges = {n: np.asarray(v) for n, v in (builder.feeds() | dict(zip(inner, run, strict=True))).items()}
    nodes: list[onnx.NodeProto] = []
    constants = {c.name: c for c in model.graph.initializer}
    extra: list[onnx.TensorProto] = []
    bound: dict[str, str] = {}

    def add(array: np.ndarray, hint: str) -> str:
        name = f"q_{hint}_{len(extra)}"
        extra.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def pair(name: str) -> None:
        values = ranges[name]
        low, high = min(0.0, float(values.min())), max(1e-2, float(values.max()))
        if kind == "uint8":
            scale = (high - low) / 255
            zero = np.uint8(np.clip(np.rint(-low / scale), 0, 255))
        else:
            top = 127 if kind == "int8" else 32767
            scale, zero = max(-low, high) / top, np.zeros((), kind)
        s, z = add(np.float32(scale), "scale"), add(zero, "zero")
        nodes.append(helper.make_node("QuantizeLinear", [name, s, z], [f"{name}_q"], name=f"q_{name}"))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_q", s, z], [f"{name}_dq"], name=f"dq_{name}")
        )
        bound[name] = f"{name}_dq"

    def weights(name: str, axis: int) -> str:
        values = numpy_helper.to_array(constants[name])
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = (np.maximum(np.abs(values).max(axis=others), 1e-2) / 127).astype(np.float32)
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        whole = np.clip(np.rint(values / scale.reshape(shape)), -127, 127).astype(np.int8)
        made = [add(whole, "w"), add(scale, "ws"), add(np.zeros(scale.shape, np.int8), "wz")]
        nodes.append(helper.make_node("DequantizeLinear", made, [f"{name}_dq"], axis=axis, name=f"dq_{name}"))
        return f"{name}_dq"

    for graph_input in model.graph.input:
        pair(graph_input.name)
    for node in model.graph.node:
        inputs = [bound.get(n, n) for n in node.input]
        if node.op_type in ("Conv", "ConvTranspose", "MatMul"):
            axis = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1}[node.op_type]
            inputs[1] = weights(node.input[1], axis)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = inputs
        nodes.append(copy)
        for name in node.output:
            pair(name)
    graph = helper.make_graph(
        nodes,
        "quantized",
        list(model.graph.input),
        [
            helper.make_tensor_value_info(f"{o.name}_dq", TensorProto.FLOAT, [1, None, None])
            for o in model.graph.output
        ],
        [*model.graph.initializer, *extra],
    )
    assert names
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def decoder(hops: tuple[int, ...] = (4, 4, 4, 2), latents: int = 32, width: int = 128, bands: int = 16):
    """A slow-rate decoder: latents upsampled by ``hops`` with a residual layer each, ending in subbands."""
    rng = np.random.default_rng(0)
    nodes, constants, channels, name = [], [], latents, "z"

    def weights(*shape: int) -> str:
        constants.append(
            numpy_helper.from_array(
                (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32),
                f"w{len(constants)}",
            )
        )
        return constants[-1].name

    for level, hop in enumerate(hops):
        out = max(bands, width >> level)
        nodes.append(
            helper.make_node(
                "ConvTranspose",
                [name, weights(channels, out, 2 * hop)],
                [f"u{level}"],
                strides=[hop],
                pads=[0, hop],
            )
        )
        nodes.append(helper.make_node("LeakyRelu", [f"u{level}"], [f"a{level}"], alpha=0.2))
        nodes.append(
            helper.make_node("Conv", [f"a{level}", weights(out, out, 3)], [f"c{level}"], pads=[2, 0])
        )
        nodes.append(helper.make_node("Add", [f"u{level}", f"c{level}"], [f"r{level}"]))
        name, channels = f"r{level}", out
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, latents, "frames"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "t"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    total = int(np.prod(hops)) * bands
    entry = model.metadata_props.add()
    entry.key, entry.value = "vaectrol.inputs", json.dumps([{"name": "z", "rate": f"1/{total}"}])
    return model


def event_model():
    """A pattern decoder."""
    rng = np.random.default_rng(1)
    parts = {
        "w0": rng.normal(size=(256, 8)).astype(np.float32) * 0.3,
        "shape": np.array([1, 32, 8]),
        "w1": rng.normal(size=(32, 48, 4)).astype(np.float32) * 0.2,
        "w2": rng.normal(size=(27, 48, 3)).astype(np.float32) * 0.2,
    }
    nodes = [
        helper.make_node("Gemm", ["z", "w0"], ["h"], transB=1),
        helper.make_node("Reshape", ["h", "shape"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "w1"], ["u"], strides=[4]),
        helper.make_node("LeakyRelu", ["u"], ["a"], alpha=0.1),
        helper.make_node("Conv", ["a", "w2"], ["c"], pads=[1, 1]),
        helper.make_node("Sigmoid", ["c"], ["pattern"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pattern",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("pattern", TensorProto.FLOAT, [1, 27, 32])],
        [numpy_helper.from_array(v, k) for k, v in parts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
