"""LSTM and GRU. In float32 their own memories are the only state; no frame of history is kept.

In integers (``judge/recurrent.py``) one kernel call does all frames. States are then at a scale of 2^-15.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from firmware.compiler.graph import Attributes, Constant, Graph, Node, Quant
from firmware.compiler.judge import recurrent as judge
from firmware.compiler.judge.recurrent import RecurrentIntegers
from firmware.compiler.ops.base import Family, Work, family, reader
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.recurrence import read_recurrence
from firmware.compiler.write.pack import float_dense
from firmware.compiler.write.writer import Writer
from firmware.kernelgen import recurrent as packing
from firmware.kernelgen.m7_recurrent import Shape


@dataclass(frozen=True, eq=False)
class RecurrentAttributes(Attributes):
    """As in ONNX: ``hidden`` units; ``integers`` where it runs in these."""

    hidden: int
    integers: RecurrentIntegers | None = None


class Recurrent(Family):
    """What both have in common when they run in integers."""

    exact_scale = judge.STATE_SCALE

    def rows(self, node: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, recurrent weights and biases of four sums a unit, real."""
        raise NotImplementedError

    def vectors(self, node: Node) -> int:
        """Vectors of states and inputs that the kernel reads."""
        return 1

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Round the weights, prove the sums."""
        (x,) = inputs
        if (x.dtype, output.dtype, output.scale) != ("int16", "int16", judge.STATE_SCALE):
            return None
        found = judge.recurrent_integers(*self.rows(node), x.scale, x.bound)
        if found is None:
            return None
        attrs = replace(node.attributes_as(RecurrentAttributes), integers=found)
        return replace(node, attrs=attrs, constants={})

    def integer_state_bytes(self, node: Node, graph: Graph) -> int:
        """Wide memories, and the vectors that are multiplied."""
        hidden = node.attributes_as(RecurrentAttributes).hidden
        columns = packing.columns_of(hidden, graph.tensors[node.inputs[0]].frame)
        return 4 * hidden + 2 * columns * self.vectors(node)

    def integer_work(self, kernel: str, node: Node, graph: Graph) -> Work:
        """Four sums a unit over the whole vector."""
        hidden = node.attributes_as(RecurrentAttributes).hidden
        columns = packing.columns_of(hidden, graph.tensors[node.inputs[0]].frame)
        macs = 4 * hidden * columns
        tables = 8 * 2 * judge.CELLS
        reads = 2 * columns
        return Work(kernel, macs=macs, outputs=hidden, reads=reads, weight_bytes=2 * macs + tables)

    def emit_integer(
        self, kernel: str, integers: RecurrentIntegers, node: Node, graph: Graph, out: Writer
    ) -> None:
        """One call for all frames."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        packed = packing.pack_recurrent(
            integers.weight, integers.recurrent, integers.bias, integers.shift, x.frame
        )
        if out.packing == "quad":
            kind = kernel.removeprefix("vk_").removesuffix("_s16")
            shape = Shape(kind, (packed.columns - packed.inputs) // 2, packed.inputs // 2, packed.shift)
            tables = [out.flat("stream", "int16", packed.stream), out.recurrence(shape)]
        else:
            tables = [out.flat("weights", "int16", packed.weights), out.flat("bias", "int32", packed.bias)]
        functions = (("sigmoid", judge.sigmoid_lines()), ("tanh", judge.tanh_lines()))
        tables += [f"{out.flat(n, 'int32', lines.reshape(-1))} + {judge.CELLS}" for n, lines in functions]
        layer = out.table("vk_recurrent", "layer", packed.initializer(*tables))
        wide = out.state("int32_t", packed.units)
        values = out.work_array("int16_t", packed.columns * self.vectors(node), "vector")
        places = out.src(0), x.frame, out.dst(), y.frame
        out.call(kernel, f"&{layer}", values, wide, *places, out.frames)


@reader("LSTM")
def read_lstm(builder: Builder, node: OnnxNode) -> None:
    """One direction, zero initial states, default activations, no peepholes; X is [frames, 1, inputs]."""
    found = read_recurrence(builder, node, gates=4, states=(5, 6))
    biases = {"bias": Constant(found.bias + found.recurrent_bias)}
    found.add(builder, node, RecurrentAttributes(found.hidden), biases)


@family(LSTM=RecurrentAttributes)
class LSTM(Recurrent):
    """i, o, f and c gates (ONNX order); C' = f·C + i·c, h' = o·tanh(C')."""

    def rows(self, node: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gates i, o, f, c as they are."""
        constants = node.constants
        return constants["weight"].real, constants["recurrent"].real, constants["bias"].real

    def state_bytes(self, node: Node, graph: Graph) -> int:
        """The hidden state and the cells."""
        if node.attributes_as(RecurrentAttributes).integers is not None:
            return self.integer_state_bytes(node, graph)
        return 8 * node.attributes_as(RecurrentAttributes).hidden

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Frame after frame: float64, or the judge's integers."""
        (x,) = inputs
        a = node.attributes_as(RecurrentAttributes)
        hidden = a.hidden
        if a.integers is not None:
            return judge.lstm(a.integers, x.T[:, :, None])[:, :, 0].T
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
        if node.attributes_as(RecurrentAttributes).integers is not None:
            return self.integer_work("lstm_s16", node, graph)
        hidden, inputs = (
            node.attributes_as(RecurrentAttributes).hidden,
            graph.tensors[node.inputs[0]].channels,
        )
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
        """One call in integers; dense layers and gates from the float kernels, frame by frame."""
        integers = node.attributes_as(RecurrentAttributes).integers
        if integers is not None:
            self.emit_integer("vk_lstm_s16", integers, node, graph, out)
            return
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        hidden, constants = node.attributes_as(RecurrentAttributes).hidden, node.constants
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


@dataclass(frozen=True, eq=False)
class GRUAttributes(RecurrentAttributes):
    """Also whether the reset gate acts behind the recurrent weights."""

    is_linear_before_reset: bool = False


KERNELS = {1: "gru", 2: "gru_before"}
"""By the vectors that they read."""


@reader("GRU")
def read_gru(builder: Builder, node: OnnxNode) -> None:
    """One direction, zero initial state, default activations; X is [frames, 1, inputs]."""
    found = read_recurrence(builder, node, gates=3, states=(5,))
    attributes = GRUAttributes(
        found.hidden, is_linear_before_reset=bool(node.attributes["linear_before_reset"])
    )
    biases = {"bias": Constant(found.bias), "recurrent_bias": Constant(found.recurrent_bias)}
    found.add(builder, node, attributes, biases)


@family(GRU=GRUAttributes)
class GRU(Recurrent):
    """z, r and n gates (ONNX order); h' = n + z·(h − n)."""

    def rows(self, node: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gates z, r and the two parts of n."""
        parts = (node.constants[name].real for name in ("weight", "recurrent", "bias", "recurrent_bias"))
        return judge.gru_rows(*parts, resets_before=self.vectors(node) == 2)

    def vectors(self, node: Node) -> int:
        """Another one of states times their reset gates, where these act before the recurrent weights."""
        return 1 if node.attributes_as(GRUAttributes).is_linear_before_reset else 2

    def state_bytes(self, node: Node, graph: Graph) -> int:
        """The hidden state."""
        if node.attributes_as(GRUAttributes).integers is not None:
            return self.integer_state_bytes(node, graph)
        return 4 * node.attributes_as(GRUAttributes).hidden

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Frame after frame: float64, or the judge's integers."""
        (x,) = inputs
        a = node.attributes_as(GRUAttributes)
        if a.integers is not None:
            run = judge.gru if a.is_linear_before_reset else judge.gru_before
            return run(a.integers, x.T[:, :, None])[:, :, 0].T
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
        if node.attributes_as(GRUAttributes).integers is not None:
            return self.integer_work(f"{KERNELS[self.vectors(node)]}_s16", node, graph)
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
        """One call in integers; dense layers and gates from the float kernels, frame by frame."""
        integers = node.attributes_as(GRUAttributes).integers
        if integers is not None:
            self.emit_integer(f"vk_{KERNELS[self.vectors(node)]}_s16", integers, node, graph, out)
            return
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
