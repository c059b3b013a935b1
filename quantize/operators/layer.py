"""What a convolution or a matrix product says of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quantize.graph.graph import Graph, Node

Shape = Sequence[int]


class Layer:
    """A layer: a weight, perhaps a bias, and multiply-accumulates. Subclasses say where channels are."""

    along_time = False
    """Whether its activations are [N, C, T]; those of a matrix product have channels last."""
    balances = False
    """Whether ``integers/balance.py`` may scale its inputs, on axis 1 of the weight."""

    def output_axis(self, node: Node, rank: int) -> int:
        """Axis of the weight that counts output channels (of one group, for a transposed convolution)."""
        raise NotImplementedError

    def input_axis(self, node: Node) -> int:
        """Axis of the weight that counts input channels (of one group, for a convolution)."""
        raise NotImplementedError

    def channel_axis(self, rank: int) -> int:
        """Axis of an activation of that rank that counts channels."""
        return 1 if self.along_time else rank - 1

    def repeats(self, node: Node) -> int:
        """How many times the scales of `output_axis` repeat over the output channels."""
        return 1

    def factors(self, node: Node) -> tuple[float, float]:
        """What the node multiplies its product and its bias by."""
        return 1.0, 1.0

    def with_factors(
        self, node: Node, weight: np.ndarray, bias: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Weight and flat bias with those factors multiplied in."""
        alpha, beta = (np.float32(factor) for factor in self.factors(node))
        return weight * alpha, None if bias is None else bias.reshape(-1) * beta

    def plain(self, node: Node) -> Node:
        """Return the node without those factors, for weights that hold them already."""
        return replace(node, attributes=dict(node.attributes))

    def traceable(self, node: Node, weight: np.ndarray) -> bool:
        """Whether channels can be told apart in it."""
        return True

    def macs(self, entering: Shape, leaving: Shape, weight: Shape) -> int:
        """Multiply-accumulates of a run with these shapes."""
        raise NotImplementedError

    def absorbs(self, node: Node, graph: Graph) -> bool:
        """Whether a factor for each output channel can go into its weight."""
        return False

    def adapts(self, node: Node) -> bool:
        """Whether its weights can be rounded adaptively."""
        return False

    def rows(self, node: Node, x: np.ndarray, weight: Shape) -> np.ndarray:
        """What each output sees of the input: [rows, D]."""
        raise NotImplementedError

    def matrices(self, node: Node, weight: np.ndarray) -> list[np.ndarray]:
        """The weight as one or more matrices [Cout, D] that multiply such rows."""
        raise NotImplementedError

    def weight_of(self, node: Node, matrices: list[np.ndarray], shape: Shape) -> np.ndarray:
        """The weight that has these matrices."""
        raise NotImplementedError


def groups_of(node: Node) -> int:
    """Groups of a layer's channels; 1 where the operator has none."""
    return int(node.attributes["group"]) if "group" in node.attributes else 1


def bias_of(node: Node) -> str:
    """Name of a layer's bias, "" where it has none."""
    return node.inputs[2] if len(node.inputs) > 2 else ""


def along(vector: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Shape a vector so that it broadcasts along one axis."""
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)
