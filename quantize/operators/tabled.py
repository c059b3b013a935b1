"""Smooth functions that integers look up in a table (docs/design.md#arithmetic)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from quantize.graph.graph import Node
from quantize.integers import arithmetic
from quantize.operators.record import Call, Channels, Operator, TorchForm, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor
Curve = Callable[[Node, np.ndarray], np.ndarray]


def tabled(
    name: str,
    form: TorchForm,
    curve: Curve,
    *,
    largest: float | None = None,
    settles: float | None = None,
    tflite: Callable[[Writer, Node], None] | None = None,
) -> Operator:
    """Make the record of a function of one number.

    Parameters
    ----------
    name : str
        As ONNX has it.
    form : callable
        (node, inputs) → output, in torch.
    curve : callable
        (node, float64 array) → the same function in numpy, which the table is made of.
    largest : float, optional
        Largest magnitude that it ever makes.
    settles : float, optional
        Input beyond which it moves no more.
    tflite : callable, optional
        Writes it as TFLite.
    """

    def integer(call: Call) -> Tensor:
        def real(x: Tensor) -> Tensor:
            made: Tensor = form(call.node, [x])
            return made

        return arithmetic.table(
            call.inputs[0],
            (lambda x: curve(call.node, x), real),
            (call.scale(0), call.made_scale),
            (call.bits(0), call.made_bits),
        )

    return Operator(
        name,
        form,
        channels=Channels.KEPT,
        integer=integer,
        largest=largest,
        settles=settles,
        tflite=tflite,
    )


def tanh(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Tanh."""
    return torch.tanh(inputs[0])


def sigmoid(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Sigmoid."""
    return torch.sigmoid(inputs[0])


def _kernel(code: str, demands: dict[int, tuple[float, int]]) -> Callable[[Writer, Node], None]:
    """Write a kernel for which LiteRT insists on a scale and zero point by width of the result."""
    return lambda w, node: w.kernel(node, code, demands=demands)


register(
    tabled(
        "Tanh",
        tanh,
        lambda node, x: np.tanh(x),
        largest=1.0,
        settles=5.0,
        tflite=_kernel("TANH", {8: (1 / 128, 0), 16: (1 / 32768, 0)}),
    ),
    tabled(
        "Sigmoid",
        sigmoid,
        lambda node, x: 1.0 / (1.0 + np.exp(-x)),
        largest=1.0,
        settles=10.0,
        tflite=_kernel("LOGISTIC", {8: (1 / 256, -128), 16: (1 / 32768, 0)}),
    ),
)
