"""A capture as an ONNX graph, written operator by operator: signals are [1, channels, samples].

Convolutions are causal: zeros come before the signal. Weights are float32, as the files have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 21, 10
INPUT, OUTPUT = "audio_in", "audio"


@dataclass(frozen=True)
class Curve:
    """An activation function by its name in ``CURVES``; ``numbers`` are its slopes or limits."""

    name: str
    numbers: tuple[float, ...] = ()


class Sketch:
    """The graph while it is written; every method returns the name of the signal it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._count = 0

    # ---- what the formats ask for ----------------------------------------------------------------------

    def conv(
        self,
        x: str,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        dilation: int = 1,
        groups: int = 1,
        stem: str = "conv",
    ) -> str:
        """Convolve causally: ``weight`` [outputs, inputs / groups, taps], the newest tap last."""
        name = self._name(stem)
        inputs = [x, self.constant(weight, f"{name}_weight")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{name}_bias"))
        taps = weight.shape[2]
        attributes = {"pads": [(taps - 1) * dilation, 0], "dilations": [dilation], "group": groups}
        return self.node("Conv", inputs, name, kernel_shape=[taps], **attributes)

    def strided(
        self,
        x: str,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        stride: int = 1,
        dilation: int = 1,
        pads: tuple[int, int] = (0, 0),
        is_up: bool = False,
        stem: str = "conv",
    ) -> str:
        """Convolve with any zeros around, at another rate: ``is_up`` raises it, and ``pads`` are cut.

        ``weight`` [outputs, inputs, taps], where ``is_up`` [inputs, outputs, taps].
        """
        name = self._name(stem)
        inputs = [x, self.constant(weight, f"{name}_weight")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{name}_bias"))
        attributes = {"strides": [stride], "dilations": [dilation], "pads": list(pads)}
        op = "ConvTranspose" if is_up else "Conv"
        return self.node(op, inputs, name, kernel_shape=[weight.shape[2]], **attributes)

    def dense(self, x: str, weight: np.ndarray, bias: np.ndarray | None = None, stem: str = "dense") -> str:
        """Mix channels: ``weight`` [outputs, inputs]."""
        return self.conv(x, weight[:, :, None], bias, stem=stem)

    def add(self, first: str, second: str, stem: str = "sum") -> str:
        """Add two signals."""
        return self.node("Add", [first, second], self._name(stem))

    def mean(self, first: str, second: str, stem: str = "mean") -> str:
        """Half the sum of two signals."""
        return self.node("Mean", [first, second], self._name(stem))

    def multiply(self, first: str, second: str, stem: str = "product") -> str:
        """Multiply two signals."""
        return self.node("Mul", [first, second], self._name(stem))

    def scale(self, x: str, factor: float | np.ndarray, stem: str = "scaled") -> str:
        """Multiply a signal by a number, or each channel by its own [channels]."""
        name = self._name(stem)
        values = np.atleast_1d(np.asarray(factor, np.float64)).reshape(1, -1, 1)
        return self.node("Mul", [x, self.constant(values, f"{name}_factor")], name)

    def shift(self, x: str, offset: float | np.ndarray, stem: str = "shifted") -> str:
        """Add a number to a signal, or to each channel its own [channels]."""
        name = self._name(stem)
        values = np.atleast_1d(np.asarray(offset, np.float64)).reshape(1, -1, 1)
        return self.node("Add", [x, self.constant(values, f"{name}_offset")], name)

    def halves(self, x: str, channels: int, stem: str = "half") -> tuple[str, str]:
        """The first ``channels`` of a signal, and the next as many."""
        name = self._name(stem)
        sizes = self.constant(np.array([channels, channels]), f"{name}_sizes")
        outputs = [f"{name}_first", f"{name}_second"]
        self._append("Split", [x, sizes], outputs, axis=1)
        return outputs[0], outputs[1]

    def curve(self, x: str, curve: Curve, stem: str = "curve") -> str:
        """Apply an activation function."""
        return CURVES[curve.name](self, x, curve.numbers, self._name(stem))

    def lstm(self, x: str, weight: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> str:
        """Long short-term memory: rows of gates i, f, g, o; ``weight`` [4·hidden, inputs], one bias."""
        hidden = recurrent.shape[1]
        order = _gates(hidden, (0, 3, 1, 2))  # ONNX: i, o, f, c
        name, none = self._name("lstm"), np.zeros_like(bias)
        inputs = self._recurrent_inputs(name, weight[order], recurrent[order], bias[order], none)
        return self._recurrent("LSTM", x, inputs, name, hidden)

    def gru(
        self, x: str, weight: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, recurrent_bias: np.ndarray
    ) -> str:
        """Gated recurrent unit: rows of gates z, r, n; the reset gate acts behind the recurrent weights."""
        name = self._name("gru")
        inputs = self._recurrent_inputs(name, weight, recurrent, bias, recurrent_bias)
        return self._recurrent("GRU", x, inputs, name, recurrent.shape[1], linear_before_reset=1)

    # ---- the parts ---------------------------------------------------------------------------------------

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Append a node of one output, which has its name."""
        self._append(op, inputs, [name], **attributes)
        return name

    def constant(self, values: np.ndarray, name: str) -> str:
        """Store a constant: float32, or int64 where it is of integers."""
        kind = np.int64 if np.issubdtype(values.dtype, np.integer) else np.float32
        self.constants[name] = np.ascontiguousarray(values, kind)
        return name

    def _append(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def _recurrent_inputs(self, name: str, *arrays: np.ndarray) -> list[str]:
        weight, recurrent, bias, recurrent_bias = arrays
        return [
            self.constant(weight[None], f"{name}_weight"),
            self.constant(recurrent[None], f"{name}_recurrent"),
            self.constant(np.concatenate([bias, recurrent_bias])[None], f"{name}_bias"),
        ]

    def _recurrent(
        self, op: str, x: str, inputs: list[str], name: str, hidden: int, **attributes: Any
    ) -> str:
        """Along time: [1, channels, samples] → [samples, 1, channels], the cells, and back."""
        frames = self.node("Transpose", [x], f"{name}_frames", perm=[2, 0, 1])
        cells = self.node(op, [frames, *inputs], f"{name}_cells", hidden_size=hidden, **attributes)
        axis = self.constant(np.array([1]), f"{name}_direction")
        one = self.node("Squeeze", [cells, axis], f"{name}_states")
        return self.node("Transpose", [one], name, perm=[1, 2, 0])

    def model(
        self,
        result: str,
        given: tuple[str, int, str] = (INPUT, 1, "samples"),
        made: tuple[str, int, str] = (OUTPUT, 1, "samples"),
        name: str = "capture",
    ) -> onnx.ModelProto:
        """Close the graph: what ``result`` names is its output. Ports are (name, channels, length)."""
        import onnx
        from onnx import helper, numpy_helper

        self.node("Identity", [result], made[0])
        ports = [
            helper.make_tensor_value_info(port, onnx.TensorProto.FLOAT, [1, channels, length])
            for port, channels, length in (given, made)
        ]
        graph = helper.make_graph(
            self.nodes,
            name,
            ports[:1],
            ports[1:],
            [numpy_helper.from_array(values, key) for key, values in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="vaectrol")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


def _gates(hidden: int, order: tuple[int, ...]) -> np.ndarray:
    """Rows of gates in another order."""
    return np.concatenate([np.arange(gate * hidden, (gate + 1) * hidden) for gate in order])


def _plain(op: str, **attributes: float) -> Any:
    return lambda sketch, x, numbers, name: sketch.node(op, [x], name, **attributes)


def _clip(sketch: Sketch, x: str, low: float | None, high: float | None, name: str) -> str:
    limits = [
        "" if limit is None else sketch.constant(np.array(limit, np.float64), f"{name}_{side}")
        for limit, side in ((low, "low"), (high, "high"))
    ]
    return sketch.node("Clip", [x, *(limits if limits[1] else limits[:1])], name)


def _hardtanh(sketch: Sketch, x: str, numbers: tuple[float, ...], name: str) -> str:
    return _clip(sketch, x, -1.0, 1.0, name)


def _leaky(sketch: Sketch, x: str, numbers: tuple[float, ...], name: str) -> str:
    return sketch.node("LeakyRelu", [x], name, alpha=numbers[0])


def _prelu(sketch: Sketch, x: str, numbers: tuple[float, ...], name: str) -> str:
    slopes = sketch.constant(np.array(numbers).reshape(-1, 1), f"{name}_slopes")
    return sketch.node("PRelu", [x, slopes], name)


def _silu(sketch: Sketch, x: str, numbers: tuple[float, ...], name: str) -> str:
    gate = sketch.node("Sigmoid", [x], f"{name}_gate")
    return sketch.node("Mul", [x, gate], name)


def _hardswish(sketch: Sketch, x: str, numbers: tuple[float, ...], name: str) -> str:
    gate = sketch.node("HardSigmoid", [x], f"{name}_gate", alpha=1 / 6, beta=0.5)
    return sketch.node("Mul", [x, gate], name)


def _leaky_hardtanh(sketch: Sketch, x: str, numbers: tuple[float, ...], name: str) -> str:
    """A clamp with a slope of its own beyond either limit."""
    low, high, low_slope, high_slope = numbers
    total = _clip(sketch, x, low, high, f"{name}_middle")
    beyond = ((None, low, low, low_slope, "below"), (high, None, high, high_slope, "above"))
    for least, most, limit, slope, side in beyond:
        part = _clip(sketch, x, least, most, f"{name}_{side}")
        part = sketch.scale(sketch.shift(part, -limit), slope)
        total = sketch.add(total, part)
    return total


CURVES: dict[str, Any] = {
    "": lambda sketch, x, numbers, name: x,
    "Tanh": _plain("Tanh"),
    "Sigmoid": _plain("Sigmoid"),
    "ReLU": _plain("Relu"),
    "Softsign": _plain("Softsign"),
    "ELU": _plain("Elu", alpha=1.0),
    "Hardtanh": _hardtanh,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "SiLU": _silu,
    "Hardswish": _hardswish,
    "LeakyHardtanh": _leaky_hardtanh,
}
"""(sketch, signal, numbers, name) → signal."""
