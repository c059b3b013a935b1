"""Operators that join two signals, or a signal and a constant, element by element."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

from quantize.graph.graph import Graph, Node
from quantize.integers import arithmetic
from quantize.operators.record import Call, Channels, Operator, Scale, all_inputs, register, two_inputs

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor
PRODUCT, SUM, MEAN = "Mul", "Add", "Mean"
"""What other parts of the room add to a graph."""


def add(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Add."""
    return inputs[0] + inputs[1]


def subtract(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Sub."""
    return inputs[0] - inputs[1]


def mean(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Mean."""
    total: Tensor = functools.reduce(torch.add, inputs)
    return total / len(inputs)


def multiply(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Mul."""
    return inputs[0] * inputs[1]


def divide(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Div; of whole numbers, rounded down."""
    return inputs[0] / inputs[1] if inputs[0].is_floating_point() else inputs[0] // inputs[1]


def power(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Pow; a square is a product, as in x + sin²(ax)/a."""
    exponent = inputs[1]
    if exponent.numel() == 1 and float(exponent) == 2.0:
        return inputs[0] * inputs[0]
    return torch.pow(inputs[0], exponent.to(inputs[0].dtype))


def _of_all(function: Any) -> Any:
    return lambda node, inputs: functools.reduce(function, inputs)


def _blend(call: Call, first_factor: float, second_factor: float) -> Tensor:
    factors = (
        first_factor * call.scale(0) / call.made_scale,
        second_factor * call.scale(1) / call.made_scale,
    )
    first, second = call.inputs
    return arithmetic.blend((first, second), factors, call.made_bits, (call.bits(0), call.bits(1)))


def integer_sum(call: Call) -> Tensor:
    """One rounding for both operands (docs/design.md#arithmetic)."""
    return _blend(call, 1.0, 1.0)


def integer_difference(call: Call) -> Tensor:
    """A sum with the second operand's sign turned."""
    return _blend(call, 1.0, -1.0)


def integer_mean(call: Call) -> Tensor:
    """Half a sum, rounded once."""
    return _blend(call, 0.5, 0.5)


def _mean_obstacle(node: Node, graph: Graph) -> str:
    is_of_two = len(node.inputs) == 2 and not any(name in graph.constants for name in node.inputs)
    return "" if is_of_two else "it is not of two signals"


def integer_product(call: Call) -> Tensor:
    """The product as an accumulator, requantized."""
    x, y = call.inputs
    factor = (call.scale(0) * call.scale(1) / call.made_scale).reshape(1)
    return arithmetic.requantize(lambda dtype: x.to(dtype) * y.to(dtype), factor, call.made_bits)


def _kernel(code: str, options: str, **fields: Any) -> Any:
    def write(w: Writer, node: Node) -> None:
        w.kernel(node, code, options, **fields)

    return write


register(
    Operator(
        SUM,
        add,
        operands=two_inputs,
        channels=Channels.UNITED,
        homogeneous=True,
        integer=integer_sum,
        tflite=_kernel("ADD", "AddOptions", potScaleInt16=False),
    ),
    Operator(
        "Sub",
        subtract,
        operands=two_inputs,
        channels=Channels.UNITED,
        homogeneous=True,
        integer=integer_difference,
        tflite=_kernel("SUB", "SubOptions", potScaleInt16=False),
    ),
    Operator(
        PRODUCT,
        multiply,
        operands=two_inputs,
        channels=Channels.UNITED,
        integer=integer_product,
        tflite=_kernel("MUL", "MulOptions"),
    ),
    Operator(
        "Div", divide, operands=two_inputs, channels=Channels.UNITED, tflite=_kernel("DIV", "DivOptions")
    ),
    Operator("Pow", power, operands=two_inputs, channels=Channels.UNITED),
    Operator("Min", _of_all(torch.minimum), operands=all_inputs, channels=Channels.UNITED),
    Operator("Max", _of_all(torch.maximum), operands=all_inputs, channels=Channels.UNITED),
    Operator(
        MEAN,
        mean,
        operands=all_inputs,
        channels=Channels.UNITED,
        homogeneous=True,
        scale=Scale.SAME,
        integer=integer_mean,
        obstacle=_mean_obstacle,
    ),
    Operator("Sum", _of_all(torch.add), operands=all_inputs, channels=Channels.UNITED),
)
