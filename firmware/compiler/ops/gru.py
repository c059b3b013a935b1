"""Gated recurrent unit, in float32: its own memory is the only state; no frame of history is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Attributes, Constant, Graph, Node
from firmware.compiler.ops.base import Family, Work, family, reader
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.layout import Layout, lay
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue
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
    hidden = int(node.attributes["hidden_size"])
    act = builder.act(node.input[0])
    batch_first = bool(node.attributes["layout"])
    if len(act.shape) != 3 or act.shape[0 if batch_first else 1] != 1:
        raise Refusal("its input must be [frames, 1, inputs] (batch 1).")
    weight, recurrent = builder.const(node.input[1]).real, builder.const(node.input[2]).real
    bias_name = node.optional(3)
    bias = builder.const(bias_name).real if bias_name else np.zeros((1, 6 * hidden))
    initial = node.optional(5)
    if initial and (not builder.is_const(initial) or np.any(builder.const(initial).real != 0)):
        raise Refusal("its initial state must be zero, so that a reset is silence.")
    layout = Layout.of(act.shape, 1 if batch_first else 0)
    source = lay(builder, act, layout, node.input[0])
    channels, length = builder.shapes[source][1:]
    expected = ((1, 3 * hidden, channels), (1, 3 * hidden, hidden), (1, 6 * hidden))
    if hidden < 1 or (weight.shape, recurrent.shape, bias.shape) != expected:
        raise Refusal(f"its weights do not fit {channels} inputs and {hidden} hidden units.")
    result = builder.add_node(
        "GRU",
        [source],
        channels=hidden,
        length=length,
        hint=next(o for o in node.output if o),
        attrs=GRUAttributes(hidden, bool(node.attributes["linear_before_reset"])),
        constants={
            "weight": Constant(weight[0]),
            "recurrent": Constant(recurrent[0]),
            "bias": Constant(bias[0, : 3 * hidden]),
            "recurrent_bias": Constant(bias[0, 3 * hidden :]),
        },
    )
    base = builder.shapes[result]
    out = ActValue(result, base, base)
    if node.output[0]:
        if batch_first:
            y = out.moved("transpose", (0, 2, 1), (1, length, hidden))
            y = y.moved("reshape", (1, length, 1, hidden), (1, length, 1, hidden))
        else:
            y = out.moved("transpose", (2, 0, 1), (length, 1, hidden))
            y = y.moved("reshape", (length, 1, 1, hidden), (length, 1, 1, hidden))
        builder.values[node.output[0]] = y
    if len(node.output) > 1 and node.output[1] and isinstance(length, int):
        last = out.moved("take", (2, np.array([length - 1])), (1, hidden, 1))
        shape = (1, 1, hidden)
        builder.values[node.output[1]] = last.moved("reshape", shape, shape)


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
