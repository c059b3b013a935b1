"""Matrix products with a constant: Gemm and MatMul, channels on the last axis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from quantize.graph.graph import Node
from quantize.operators.layer import Layer, Shape
from quantize.operators.record import Operator, layer_of, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer


def multiply(node: Node, inputs: list[Any]) -> torch.Tensor:
    """ONNX MatMul."""
    return inputs[0] @ inputs[1]


def gemm(node: Node, inputs: list[Any]) -> torch.Tensor:
    """ONNX Gemm: alpha·A·B + beta·C with optional transposes."""
    a, b, c = (*inputs, None)[:3]
    a = a.transpose(0, 1) if node.attributes["transA"] else a
    b = b.transpose(0, 1) if node.attributes["transB"] else b
    y = node.attributes["alpha"] * (a @ b)
    return y if c is None else y + node.attributes["beta"] * c


def _factors(node: Node) -> tuple[float, float]:
    return node.attributes["alpha"], node.attributes["beta"]


class MatrixProduct(Layer):
    """Weight [Cin, Cout]."""

    def turned(self, node: Node) -> bool:
        """Whether the weight is [Cout, Cin]."""
        return False

    def output_axis(self, node: Node, rank: int) -> int:
        """Last axis."""
        return rank - 1

    def input_axis(self, node: Node) -> int:
        """First axis."""
        return 0

    def traceable(self, node: Node, weight: np.ndarray) -> bool:
        """Where the weight is one matrix."""
        return weight.ndim == 2

    def macs(self, entering: Shape, leaving: Shape, weight: Shape) -> int:
        """Every output reads all inputs."""
        return int(np.prod(leaving)) * int(entering[-1])


class Gemm(MatrixProduct):
    """Weight [Cin, Cout], or [Cout, Cin] with transB."""

    def turned(self, node: Node) -> bool:
        """As transB says."""
        return bool(node.attributes["transB"])

    def output_axis(self, node: Node, rank: int) -> int:
        """Last axis, or first."""
        return 0 if self.turned(node) else 1

    def input_axis(self, node: Node) -> int:
        """First axis, or last."""
        return 1 if self.turned(node) else 0

    def factors(self, node: Node) -> tuple[float, float]:
        """Alpha and beta."""
        return _factors(node)

    def plain(self, node: Node) -> Node:
        """Leave alpha and beta out."""
        given = None if node.given is None else node.given - {"alpha", "beta"}
        return replace(node, attributes={**node.attributes, "alpha": 1.0, "beta": 1.0}, given=given)

    def traceable(self, node: Node, weight: np.ndarray) -> bool:
        """Where the input is not turned."""
        return not node.attributes["transA"] and super().traceable(node, weight)

    def adapts(self, node: Node) -> bool:
        """Always."""
        return True

    def rows(self, node: Node, x: np.ndarray, weight: Shape) -> np.ndarray:
        """The input as it is."""
        return x.reshape(-1, x.shape[-1])

    def matrices(self, node: Node, weight: np.ndarray) -> list[np.ndarray]:
        """One."""
        return [weight if self.turned(node) else weight.T]

    def weight_of(self, node: Node, matrices: list[np.ndarray], shape: Shape) -> np.ndarray:
        """The one, turned back."""
        return matrices[0] if self.turned(node) else matrices[0].T


def _write(w: Writer, node: Node) -> None:
    """FULLY_CONNECTED, whose weight is [Cout, Cin]."""
    x, layer = w.read(node.inputs[0]), layer_of(node)
    assert isinstance(layer, MatrixProduct)
    turned = layer.turned(node)
    weight, bias = w.weights(node, lambda v: v if turned else v.T, 0, layer.factors(node))
    result = w.result(w.target(node))
    fields = {"keepNumDims": True, "fusedActivationFunction": w.activation(node)}
    w.add("FULLY_CONNECTED", [x, weight, bias], [result], "FullyConnectedOptions", **fields)


register(
    Operator("Gemm", gemm, layer=Gemm(), tflite=_write),
    Operator("MatMul", multiply, layer=MatrixProduct(), tflite=_write),
)
