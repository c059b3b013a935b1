"""Long short-term memory, in float32: its own two memories are the only state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware.compiler.graph import Attributes, Constant, Graph, Node
from firmware.compiler.ops.base import Family, Work, family, reader
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.recurrence import read_recurrence
from firmware.compiler.write.pack import float_dense
from firmware.compiler.write.writer import Writer


@dataclass(frozen=True)
class LSTMAttributes(Attributes):
    """As in ONNX: ``hidden`` units."""

    hidden: int


@reader("LSTM")
def read_lstm(builder: Builder, node: OnnxNode) -> None:
    """One direction, zero initial states, default activations, no peepholes; X is [frames, 1, inputs]."""
    found = read_recurrence(builder, node, gates=4, states=(5, 6))
    biases = {"bias": Constant(found.bias + found.recurrent_bias)}
    found.add(builder, node, LSTMAttributes(found.hidden), biases)


@family(LSTM=LSTMAttributes)
class LSTM(Family):
    """i, o, f and c gates (ONNX order); C' = f·C + i·c, h' = o·tanh(C')."""

    def state_bytes(self, node: Node, graph: Graph) -> int:
        """The hidden state and the cells."""
        return 8 * node.attributes_as(LSTMAttributes).hidden

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Frame after frame, float64."""
        (x,) = inputs
        hidden = node.attributes_as(LSTMAttributes).hidden
        recurrent = node.constants["recurrent"].real
        driven = node.constants["weight"].real @ x + node.constants["bias"].real[:, None]
        h, cells, frames = np.zeros(hidden), np.zeros(hidden), []
        for t in range(x.shape[1]):
            total = driven[:, t] + recurrent @ h
            i, o, f = 0.5 * (1 + np.tanh(0.5 * total[: 3 * hidden].reshape(3, hidden)))
            cells = f * cells + i * np.tanh(total[3 * hidden :])
            h = o * np.tanh(cells)
            frames.append(h)
        return np.stack(frames, axis=1)

    def work(self, node: Node, graph: Graph) -> Work:
        """Two dense layers and the gates."""
        hidden, inputs = node.attributes_as(LSTMAttributes).hidden, graph.tensors[node.inputs[0]].channels
        macs = 4 * hidden * (hidden + inputs)
        return Work(
            "conv_f32",
            macs=macs,
            outputs=9 * hidden,
            reads=4 * (hidden + inputs),
            weight_bytes=4 * macs,
            shape=(hidden + inputs, 4 * hidden, 1),
            calls=10,
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Dense layers and gates from the float kernels, frame by frame."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        hidden, constants = node.attributes_as(LSTMAttributes).hidden, node.constants
        driven = float_dense(out, "driven", constants["weight"].real, constants["bias"].real)
        recurrent = constants["recurrent"].real
        back = float_dense(out, "recurrent", recurrent, np.zeros(4 * hidden))
        h = out.state("float", 2 * hidden)
        cells = f"{h} + {hidden}"
        gates, more = out.work_array("float", 4 * hidden, "gx"), out.work_array("float", 4 * hidden, "gh")
        i, o, f, c = (f"{gates} + {k * hidden}" if k else gates for k in range(4))
        with out.loop():
            src, dst = out.at(out.src(0), x.frame), out.at(out.dst(), y.frame)
            out.call("vk_conv_f32", f"&{driven}", src, gates, 0, 1, 0, 4 * hidden)
            out.call("vk_conv_f32", f"&{back}", h, more, 0, 1, 0, 4 * hidden)
            out.call("vk_add_f32", gates, 0, more, 0, gates, 0, 1, 4 * hidden)
            out.call("vk_sigmoid_f32", gates, 0, gates, 0, 1, 3 * hidden)
            out.call("vk_tanh_f32", c, 0, c, 0, 1, hidden)
            out.call("vk_mul_f32", f, 0, cells, 0, cells, 0, 1, hidden)
            out.call("vk_mul_f32", i, 0, c, 0, c, 0, 1, hidden)
            out.call("vk_add_f32", cells, 0, c, 0, cells, 0, 1, hidden)
            out.call("vk_tanh_f32", cells, 0, more, 0, 1, hidden)
            out.call("vk_mul_f32", o, 0, more, 0, h, 0, 1, hidden)
            out.call("vk_copy_rows", h, 0, dst, 0, 1, 4 * hidden)
