"""Sums of several signals in one accumulator: what is written without a Q between layers and their sum.

``passes/join_sums.py`` makes these nodes. The scale of the accumulator is that of the largest layer,
s_x·s_w[c]; other layers' weights, and the 1 of a plain signal, are int16 at that scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firmware.compiler.graph import Attributes, Graph, Node
from firmware.compiler.judge import arithmetic
from firmware.compiler.judge.tables import FunctionTable, look_up
from firmware.compiler.ops.base import Family, Window, Work, family
from firmware.compiler.write.writer import Writer
from firmware.kernelgen import packing
from firmware.kernelgen.m7_joined import Shape


@dataclass(frozen=True)
class Tap:
    """One frame that a sum reads.

    Attributes
    ----------
    source : int
        Which of the node's inputs.
    back : int
        Frames before the present one.
    is_along : bool
        Whether each output reads its own channel alone, as of a signal that is added.
    """

    source: int
    back: int
    is_along: bool = False


@dataclass(frozen=True, eq=False)
class JoinedAttributes(Attributes):
    """A sum over taps.

    Attributes
    ----------
    taps : tuple of Tap
        In the order of the weights' columns.
    shift : int
        Of the requantization.
    bound : ndarray of int64, shape (rows,)
        Largest possible ``|accumulator|`` of each output.
    curve : FunctionTable or None
        Looked up behind the sum.
    """

    taps: tuple[Tap, ...]
    shift: int
    bound: np.ndarray
    curve: FunctionTable | None = None


@family(Joined=JoinedAttributes)
class JoinedSum(Family):
    """Constants: weight [rows, channels of all taps], bias and multiplier [rows]."""

    only_in_integers = True
    reads_taps = True

    def windows(self, node: Node) -> tuple[Window, ...]:
        """From the oldest to the newest tap of each input."""
        found = []
        for source in range(len(node.inputs)):
            backs = [t.back for t in node.attributes_as(JoinedAttributes).taps if t.source == source]
            found.append(Window(before=max(backs), after=-min(backs)))
        return tuple(found)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """That of the shortest input."""
        return min(lengths)

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Sum, requantize once, look up; zeros before the first frame."""
        a = node.attributes_as(JoinedAttributes)
        quant = graph.tensors[node.outputs[0]].quant
        assert quant is not None
        frames = min(x.shape[1] for x in inputs)
        columns = [_late(inputs[tap.source], tap.back, frames) for tap in a.taps]
        weights = node.constants["weight"].values.astype(np.float64)  # exact: sums stay below 2^31
        acc = np.rint(weights @ np.concatenate(columns).astype(np.float64)).astype(np.int64)
        acc += node.constants["bias"].values.astype(np.int64)[:, None]
        multiplier = node.constants["multiplier"].values
        if a.curve is None:
            return arithmetic.requantize(acc, multiplier, a.shift, quant.low, quant.high)
        return look_up(arithmetic.requantize(acc, multiplier, a.shift, *arithmetic.LIMITS["int16"]), a.curve)

    def shape(self, node: Node, graph: Graph) -> Shape:
        """What a Cortex-M7 has code of its own for."""
        a = node.attributes_as(JoinedAttributes)
        pitches = tuple(graph.tensors[node.inputs[t.source]].frame for t in a.taps)
        bits = shift = 0
        if a.curve is not None:
            laid = packing.joined_curve(a.curve.knots, a.curve.first, a.curve.shift)
            assert laid is not None
            bits, shift = laid[2], a.curve.shift
        along = tuple(i for i, tap in enumerate(a.taps) if tap.is_along)
        return Shape(pitches, graph.tensors[node.outputs[0]].frame, bits, shift, along)

    def work(self, node: Node, graph: Graph) -> Work:
        """All taps of all rows."""
        rows, columns = node.constants["weight"].values.shape
        shape, curve = self.shape(node, graph), node.attributes_as(JoinedAttributes).curve
        table = 0 if curve is None else 8 << (shape.bits - shape.shift)
        return Work(
            "joined_s16_table" if shape.bits else "joined_s16",
            macs=rows * columns,
            outputs=rows,
            reads=2 * sum(shape.pitches),
            weight_bytes=-(-rows // 2) * shape.size + table,
            shape=(len(shape.steps), len(shape.pitches), rows, 1),
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Point at every tap, then call ``vk_joined_s16``."""
        a, y = node.attributes_as(JoinedAttributes), graph.tensors[node.outputs[0]]
        sources = [graph.tensors[name] for name in node.inputs]
        places = [out.tap(t.source, t.back, sources[t.source].frame) for t in a.taps]
        weights = self._padded(node, graph)
        bias, multiplier = node.constants["bias"].values, node.constants["multiplier"].values
        shape, reach = self.shape(node, graph), max(source.bound for source in sources)
        if out.packing == "quad":
            steps = self._steps(node, graph)
            packed = packing.pack_joined_stream(steps, bias, multiplier, a.shift)
            stream = out.flat("stream", "int16", packed)
            out.check("stream", stream, size=shape.size, reach=reach)
            curve, first = "0", 0
            if a.curve is not None:
                laid = packing.joined_curve(a.curve.knots, a.curve.first, a.curve.shift)
                assert laid is not None
                curve, first = out.flat("curve", "int32", laid[0].reshape(-1)), laid[1]
                out.check("any", curve)
            values = f"{{{stream}, {out.joined(shape)}, {curve}, @, {(len(weights) + 1) // 2}}}"
            layer = out.table("vk_joined", "layer", values, (-first,))
            out.check("first", layer)
        else:
            lanes = out.flat("weights", "int16", packing.pack_joined_lanes(weights))
            rows = np.stack([bias, multiplier, np.full(len(bias), a.shift)], axis=1)
            pitches = out.flat("pitches", "uint16", np.array(shape.pitches), is_shape=True)
            curve = "0"
            if a.curve is not None:
                fine = out.knots(a.curve.knots, a.curve.first, a.curve.span, a.curve.shift, "int16")
                curve = f"&{fine}"
            requant = out.flat("requant", "vk_requant", rows)
            out.check("lanes16", lanes, requant, size=weights.shape[1], reach=reach)
            values = f"{{{lanes}, {requant}, {curve}, {pitches}, {len(a.taps)}, {len(bias)}}}"
            layer = out.table("vk_joined", "layer", values)
        out.line(f"const int16_t *const taps[] = {{{', '.join(places)}}};")
        out.call("vk_joined_s16", f"&{layer}", "taps", out.dst(), y.frame, out.frames)
        if a.curve is None:
            out.clip()

    def _padded(self, node: Node, graph: Graph) -> np.ndarray:
        """Weights with zeros for the pad lanes of every tap."""
        weights, parts, at = node.constants["weight"].values, [], 0
        for tap in node.attributes_as(JoinedAttributes).taps:
            source = graph.tensors[node.inputs[tap.source]]
            part = np.zeros((len(weights), source.frame), np.int64)
            part[:, : source.channels] = weights[:, at : at + source.channels]
            parts.append(part)
            at += source.channels
        return np.concatenate(parts, axis=1)

    def _steps(self, node: Node, graph: Graph) -> np.ndarray:
        """The same with two columns for a tap along the outputs: those of the pair."""
        full, parts, at = self._padded(node, graph), [], 0
        for tap in node.attributes_as(JoinedAttributes).taps:
            pitch = graph.tensors[node.inputs[tap.source]].frame
            part = full[:, at : at + pitch]
            at += pitch
            if tap.is_along:
                rows = np.arange(len(full))
                pair = np.zeros((len(full), 2), np.int64)
                pair[rows, rows % 2] = part[rows, rows]
                part = pair
            parts.append(part)
        return np.concatenate(parts, axis=1)


def _late(x: np.ndarray, back: int, frames: int) -> np.ndarray:
    """A signal some frames later, zeros first."""
    padded = np.concatenate([np.zeros((x.shape[0], max(back, 0)), x.dtype), x[:, max(-back, 0) :]], axis=1)
    return np.pad(padded, ((0, 0), (0, max(0, frames - padded.shape[1]))))[:, :frames]
