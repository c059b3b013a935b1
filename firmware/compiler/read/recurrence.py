"""What recurrent layers share: how ONNX lays out their inputs, weights and results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Attributes, Constant
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.layout import Layout, lay
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue, Dim


@dataclass(frozen=True)
class Recurrence:
    """One direction of a recurrent layer as the file has it.

    Attributes
    ----------
    source : str
        Tensor [inputs, frames] that it reads.
    weight, recurrent : ndarray of float64, shapes (gates · hidden, inputs) and (gates · hidden, hidden)
    bias, recurrent_bias : ndarray of float64, shape (gates · hidden,)
    """

    hidden: int
    source: str
    length: Dim
    weight: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    recurrent_bias: np.ndarray
    batch_first: bool

    def add(
        self, builder: Builder, node: OnnxNode, attributes: Attributes, biases: dict[str, Constant]
    ) -> None:
        """Add the layer, called as the file calls it, and lay its results out as ONNX does."""
        result = builder.add_node(
            node.op_type,
            [self.source],
            channels=self.hidden,
            length=self.length,
            hint=next(o for o in node.output if o),
            attrs=attributes,
            constants={"weight": Constant(self.weight), "recurrent": Constant(self.recurrent), **biases},
        )
        base, hidden, length = builder.shapes[result], self.hidden, self.length
        out = ActValue(result, base, base)
        if node.output[0]:
            order = (0, 2, 1) if self.batch_first else (2, 0, 1)
            flat = (1, length, hidden) if self.batch_first else (length, 1, hidden)
            full = (1, length, 1, hidden) if self.batch_first else (length, 1, 1, hidden)
            y = out.moved("transpose", order, flat)
            builder.values[node.output[0]] = y.moved("reshape", full, full)
        if len(node.output) > 1 and node.output[1] and isinstance(length, int):
            last = out.moved("take", (2, np.array([length - 1])), (1, hidden, 1))
            shape = (1, 1, hidden)
            builder.values[node.output[1]] = last.moved("reshape", shape, shape)


def read_recurrence(builder: Builder, node: OnnxNode, gates: int, states: tuple[int, ...]) -> Recurrence:
    """Read a layer of ``gates`` gates whose initial states are the inputs ``states``.

    Raises
    ------
    Refusal
        A batch, an initial state that is not zero, or weights of other sizes.
    """
    hidden = int(node.attributes["hidden_size"])
    act = builder.act(node.input[0])
    batch_first = bool(node.attributes["layout"])
    if len(act.shape) != 3 or act.shape[0 if batch_first else 1] != 1:
        raise Refusal("its input must be [frames, 1, inputs] (batch 1).")
    rows = gates * hidden
    weight, recurrent = builder.const(node.input[1]).real, builder.const(node.input[2]).real
    bias_name = node.optional(3)
    bias = builder.const(bias_name).real if bias_name else np.zeros((1, 2 * rows))
    for place in states:
        initial = node.optional(place)
        if initial and (not builder.is_const(initial) or np.any(builder.const(initial).real != 0)):
            raise Refusal("its initial state must be zero, so that a reset is silence.")
    source = lay(builder, act, Layout.of(act.shape, 1 if batch_first else 0), node.input[0])
    channels, length = builder.shapes[source][1:]
    expected = ((1, rows, channels), (1, rows, hidden), (1, 2 * rows))
    if hidden < 1 or (weight.shape, recurrent.shape, bias.shape) != expected:
        raise Refusal(f"its weights do not fit {channels} inputs and {hidden} hidden units.")
    return Recurrence(
        hidden, source, length, weight[0], recurrent[0], bias[0, :rows], bias[0, rows:], batch_first
    )
