"""Random float graphs with everything that ties channels together; every tensor has the inputs' length or a
multiple."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quantize.graph.graph import Graph
from quantize.graph.load import load_graph


class Builder:
    """Grows a graph from a seed: residual sums, concatenations, FiLM, groups, sub-pixel shuffles,
    up-sampling."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.bounds = np.random.default_rng([seed, 1])
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.scale = 1  # length of the current tensor over the input's

    def constant(self, value: np.ndarray) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], outputs: int = 1, **attributes) -> list[str]:
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        return names

    def weight(self, *shape: int) -> str:
        fan = max(1, int(np.prod(shape[1:])))
        return self.constant((self.random.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))

    def bias(self, channels: int) -> str:
        return self.constant((0.1 * self.random.standard_normal(channels)).astype(np.float32))

    def conv(self, x: str, channels_in: int, channels_out: int, groups: int = 1) -> str:
        kernel, dilation = int(self.random.integers(1, 4)), int(self.random.integers(1, 3))
        inputs = [x, self.weight(channels_out, channels_in // groups, kernel), self.bias(channels_out)]
        pads = [(kernel - 1) * dilation, 0]
        return self.node(
            "Conv", inputs, pads=pads, dilations=[dilation], group=groups, kernel_shape=[kernel]
        )[0]

    def activation(self, x: str) -> str:
        kind = self.random.choice(["Relu", "LeakyRelu", "Tanh", "Sigmoid", "none"])
        if kind == "none":
            return x
        return self.node(str(kind), [x], **({"alpha": 0.125} if kind == "LeakyRelu" else {}))[0]

    def block(self, x: str, channels: int, condition: str) -> tuple[str, int]:
        kind = self.random.choice(
            ["residual", "concat", "film", "depthwise", "grouped", "subpixel", "transpose", "plain", "scale"]
        )
        if kind == "residual":
            y = self.conv(self.activation(self.conv(x, channels, channels)), channels, channels)
            if self.bounds.random() < 0.5:  # as the drive bounds its residuals
                bounds = [self.constant(np.float32(v)) for v in (-1.5, 2.0)]
                y = self.node("Clip", [y, *bounds])[0]
            return self.node(str(self.random.choice(["Add", "Sub"])), [x, y])[0], channels
        if kind == "concat":
            y = self.activation(self.conv(x, channels, 8))
            return self.node("Concat", [x, y], axis=1)[0], channels + 8
        if kind == "film" and self.scale == 1:
            both = self.conv(condition, 4, 2 * channels)
            gain, offset = self.node("Split", [both], 2, axis=1, num_outputs=2)
            y = self.node("Mul", [x, gain])[0]
            return self.node("Add", [y, offset])[0], channels
        if kind == "depthwise":
            return self.activation(self.conv(x, channels, channels, channels)), channels
        if kind == "grouped" and channels % 4 == 0:
            return self.activation(self.conv(x, channels, channels, 4)), channels
        if kind == "subpixel" and self.scale < 6:
            wide = self.conv(x, channels, 2 * channels)
            shape = self.constant(np.array([1, channels, 2, -1], np.int64))
            y = self.node("Transpose", self.node("Reshape", [wide, shape]), perm=[0, 1, 3, 2])
            flat = self.constant(np.array([1, channels, -1], np.int64))
            self.scale *= 2
            return self.node("Reshape", [*y, flat])[0], channels
        if kind == "transpose" and self.scale < 6:
            stride = int(self.random.integers(2, 4))
            weights = [self.weight(channels, 12, 2 * stride), self.bias(12)]
            y = self.node("ConvTranspose", [x, *weights], strides=[stride], pads=[0, stride])
            self.scale *= stride
            return self.activation(y[0]), 12
        if kind == "scale":
            gain = self.constant(self.random.uniform(0.5, 1.5, (1, channels, 1)).astype(np.float32))
            return self.node("Mul", [x, gain])[0], channels
        return self.activation(self.conv(x, channels, 16)), 16

    def model(self, name: str) -> onnx.ModelProto:
        """What was grown so far, from x [1, 3, T] and c [1, 4, T] to y [1, 3, r·T]."""
        value, real = helper.make_tensor_value_info, TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            name,
            [value("x", real, [1, 3, "frames"]), value("c", real, [1, 4, "frames"])],
            [value("y", real, [1, 3, None])],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
        model.ir_version = 10
        onnx.checker.check_model(model, full_check=True)
        return model


def random_model(seed: int, blocks: int = 4) -> onnx.ModelProto:
    """A model with inputs x [1, 3, T] and c [1, 4, T] and output y [1, 3, r·T]."""
    b = Builder(seed)
    x, channels = b.activation(b.conv("x", 3, 16)), 16
    for _ in range(blocks):
        x, channels = b.block(x, channels, "c")
    b.conv(x, channels, 3)
    b.nodes[-1].output[0] = "y"
    return b.model(f"random_{seed}")


def random_graph(seed: int, blocks: int = 4) -> Graph:
    return load_graph(random_model(seed, blocks))


def random_feed(seed: int, frames: int = 40, batch: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "x": random.standard_normal((batch, 3, frames)).astype(np.float32),
        "c": random.standard_normal((batch, 4, frames)).astype(np.float32),
    }
