"""Softsign, x / (1 + |x|): what a new integer operator starts from, on the compiler's side.

A copy goes to ``firmware/compiler/ops/``, where it is found by itself.
"""

from __future__ import annotations

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops.activation import FUNCTIONS, Activations, CurveAttributes, read_function
from firmware.compiler.ops.base import family, reader
from firmware.compiler.read.onnx_operators import OPERATORS, Operator
from firmware.compiler.write.writer import Writer


def softsign(x: np.ndarray) -> np.ndarray:
    """In float64, which the table is made of."""
    return np.asarray(x / (1.0 + np.abs(x)))


# The opsets at which ONNX changed it, and its attributes: both readers obey this and refuse the rest.
OPERATORS["Softsign"] = Operator((1, 22))
FUNCTIONS["Softsign"] = softsign
reader("Softsign")(read_function)


@family(Softsign=CurveAttributes)
class Softsign(Activations):
    """Streaming rule, table, cost and kernel call are those of any activation; see ``base.Family``."""

    only_in_integers = True  # until there is a kernel vk_softsign_f32

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Look it up; float is refused."""
        if graph.tensors[node.outputs[0]].quant is None:
            raise Refusal(f"node {node.name!r} (Softsign) runs in integers only; quantize the model first.")
        super().emit(node, graph, out)
