"""Gated recurrent unit, in float32: its own memory is the only state; no frame of history is kept."""

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
class GRUAttributes(Attributes):
    """As in ONNX: ``hidden`` units; whether the reset gate acts behind the recurrent weights."""

    hidden: int
    is_linear_before_reset: bool


@reader("GRU")
def read_gru(builder: Builder, node: OnnxNode) -> None:
    """One direction, zero initial state, default activations; X is [frames, 1, inputs]."""
    found = read_recurrence(builder, node, gates=3, states=(5,))
    attributes = GRUAttributes(found.hidden, bool(node.attributes["linear_before_reset"]))
    biases = {"bias": Constant(found.bias), "recurrent_bias": Constant(found.recurrent_bias)}
    found.add(builder, node, attributes, biases)


@family(GRU=GRUAttributes)
class GRU(Family):
    """z, r and n gates (ONNX order); h' = n + z·(h − n)."""

    def state_bytes(self, node: Node, graph: Graph) -> int:
        """The hidden state."""
        return 4 * node.attributes_as(GRUAttributes).hidden

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Frame after frame, float64."""
        (x,) = inputs
        a = node.attributes_as(GRUAttributes)
        hidden = a.hidden
        recurrent, recurrent_bias = node.constants["recurrent"].real, node.constants["recurrent_bias"].real
        driven = node.constants["weight"].real @ x + node.constants["bias"].real[:, None]
        h, frames = np.zeros(hidden), []
        for t in range(x.shape[1]):
            back = recurrent[: 2 * hidden] @ h + recurrent_bias[: 2 * hidden]
            gates = 0.5 * (1 + np.tanh(0.5 * (driven[: 2 * hidden, t] + back)))
            z, r = gates[:hidden], gates[hidden:]
            if a.is_linear_before_reset:
                inner = r * (recurrent[2 * hidden :] @ h + recurrent_bias[2 * hidden :])
            else:
                inner = recurrent[2 * hidden :] @ (r * h) + recurrent_bias[2 * hidden :]
            n = np.tanh(driven[2 * hidden :, t] + inner)
            h = n + (h - n) * z
            frames.append(h)
        return np.stack(frames, axis=1)

    def work(self, node: Node, graph: Graph) -> Work:
        """Two dense layers and the gates."""
        hidden, inputs = node.attributes_as(GRUAttributes).hidden, graph.tensors[node.inputs[0]].channels
        macs = 3 * hidden * (hidden + inputs)
        return Work(
            "conv_f32",
            macs=macs,
            outputs=6 * hidden,
            reads=4 * (hidden + inputs),
            weight_bytes=4 * macs,
            shape=(hidden + inputs, 3 * hidden, 1),
            calls=8,
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Dense layers and gates from the float kernels, frame by frame."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        a = node.attributes_as(GRUAttributes)
        hidden = a.hidden
        constants = node.constants
        driven = float_dense(out, "driven", constants["weight"].real, constants["bias"].real)
        h = out.state("float", hidden)
        gx, gh = out.work_array("float", 3 * hidden, "gx"), out.work_array("float", 3 * hidden, "gh")
        rows = 3 * hidden if a.is_linear_before_reset else 2 * hidden
        recurrent, recurrent_bias = constants["recurrent"].real, constants["recurrent_bias"].real
        back = float_dense(out, "recurrent", recurrent[:rows], recurrent_bias[:rows])
        with out.loop():
            src, dst = out.at(out.src(0), x.frame), out.at(out.dst(), y.frame)
            out.call("vk_conv_f32", f"&{driven}", src, gx, 0, 1, 0, 3 * hidden)
            out.call("vk_conv_f32", f"&{back}", h, gh, 0, 1, 0, rows)
            gates = 2 * hidden
            out.call("vk_add_f32", gx, 0, gh, 0, gx, 0, 1, gates)
            out.call("vk_sigmoid_f32", gx, 0, gx, 0, 1, gates)
            z, r, n = gx, f"{gx} + {hidden}", f"{gx} + {2 * hidden}"
            inner = f"{gh} + {2 * hidden}"
            if a.is_linear_before_reset:
                out.call("vk_mul_f32", r, 0, inner, 0, inner, 0, 1, hidden)
            else:
                last = float_dense(out, "candidate", recurrent[gates:], recurrent_bias[gates:])
                out.call("vk_mul_f32", r, 0, h, 0, gh, 0, 1, hidden)
                out.call("vk_conv_f32", f"&{last}", gh, inner, 0, 1, 0, hidden)
            out.call("vk_add_f32", n, 0, inner, 0, n, 0, 1, hidden)
            out.call("vk_tanh_f32", n, 0, n, 0, 1, hidden)
            out.call("vk_gru_blend_f32", z, n, h, h, hidden)
            out.call("vk_copy_rows", h, 0, dst, 0, 1, 4 * hidden)
