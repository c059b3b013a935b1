"""Dequantize, operator, Quantize becomes the operator on integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware.compiler.graph import Graph, Node, Quant, Tensor, fresh, remove_dead
from firmware.compiler.judge import arithmetic
from firmware.compiler.ops import FAMILIES
from firmware.compiler.ops.elementwise import PointwiseAttributes
from firmware.compiler.ops.quantization import rescale

CLAMPED = ("Conv", "ConvTranspose", "Add", "Sub", "Mul", "Mean", "Affine", "Leaky")
"""Operators that may have a clamp between them and their Quantize."""


def integerize(graph: Graph) -> Graph:
    """Turn every DQ → operator → Q into the operator on integers; what has no Q around it stays float.

    A clamp between operator and Q follows the Q. Where input and output types differ, int8 is widened first,
    or narrowed last, which is exact.
    """
    tensors = dict(graph.tensors)
    consumers = graph.consumers()
    source = {n.outputs[0]: n.inputs[0] for n in graph.nodes if n.op == "Dequantize"}
    nodes: dict[str, Node] = {n.name: n for n in graph.nodes}
    alias: dict[str, str] = {}
    for node in graph.nodes:
        if node.op == "Quantize":
            _requantize(node, source, tensors, nodes, alias)
            continue
        if not node.inputs or not all(n in source for n in node.inputs) or node.op == "Dequantize":
            continue
        if any(n in graph.outputs for n in node.outputs):
            continue
        target = _target(node, graph, consumers)
        if target is None:
            continue
        quantize, clip = target
        output = _quant_of(tensors[quantize.outputs[0]])
        integers = [alias.get(source[n], source[n]) for n in node.inputs]
        made = _integer_nodes(node, integers, quantize.outputs[0], output, tensors)
        if made is None:
            continue
        absorbed = [clip.name] if clip is not None else []
        if clip is not None:
            _clamp(made, clip, tensors)
        for name in (node.name, quantize.name, *absorbed):
            nodes.pop(name, None)
        for new in made:
            nodes[new.name] = new
    renamed = [
        replace(n, inputs=tuple(alias.get(i, i) for i in n.inputs))
        if any(i in alias for i in n.inputs)
        else n
        for n in nodes.values()
    ]
    return remove_dead(graph.with_nodes(renamed, tensors))


def _requantize(
    node: Node,
    source: dict[str, str],
    tensors: dict[str, Tensor],
    nodes: dict[str, Node],
    alias: dict[str, str],
) -> None:
    """DQ → Q: nothing when both have one scale, else a change of scale."""
    if node.inputs[0] not in source or node.name not in nodes:
        return
    origin = source[node.inputs[0]]
    origin = alias.get(origin, origin)
    x, y = tensors[origin], tensors[node.outputs[0]]
    if x.quant == y.quant:
        alias[y.name] = origin
        del nodes[node.name]
    else:
        nodes[node.name] = replace(rescale(node.name, x, y, node.origin), outputs=node.outputs)


def _target(node: Node, graph: Graph, consumers: dict[str, list[Node]]) -> tuple[Node, Node | None] | None:
    """Find the one Quantize that reads a node's output, and the clamp between them if there is one."""
    readers = consumers[node.outputs[0]]
    if len(readers) == 1 and readers[0].op == "Clip" and node.op in CLAMPED:
        clip = readers[0]
        behind = consumers[clip.outputs[0]]
        if len(behind) == 1 and behind[0].op == "Quantize" and clip.outputs[0] not in graph.outputs:
            return behind[0], clip
        return None
    if len(readers) == 1 and readers[0].op == "Quantize":
        return readers[0], None
    return None


def _clamp(made: list[Node], clip: Node, tensors: dict[str, Tensor]) -> None:
    """Clamp what the last node writes: rounding is monotonic, so it may come after the Quantize."""
    last = made[-1]
    (name,) = last.outputs
    free = fresh(f"{name}_free", tensors)
    tensors[free] = replace(tensors[name], name=free)
    made[-1] = replace(last, name=free, outputs=(free,))
    quant = _quant_of(tensors[name])
    clamp = FAMILIES["Clip"].integer(clip, [quant], quant, [tensors[name].channels])
    assert clamp is not None
    made.append(replace(clamp, name=name, inputs=(free,), outputs=(name,)))


def _integer_nodes(
    node: Node, inputs: list[str], output: str, quant: Quant, tensors: dict[str, Tensor]
) -> list[Node] | None:
    """Make the integer form of a node, with widenings and narrowings where types differ."""
    family = FAMILIES[node.op]
    kinds = {tensors[n].dtype for n in inputs} | {quant.dtype}
    made: list[Node] = []
    names = list(inputs)
    if node.op == "Concat":
        names = _rescaled_operands(node, inputs, quant, tensors, made)
        tensors[output] = replace(tensors[output], quant=quant)
        made.append(replace(node, name=output, inputs=tuple(names), outputs=(output,)))
        return made
    if len(kinds) > 1:
        for i, name in enumerate(names):
            old = tensors[name]
            if old.dtype == "int8":
                wide = fresh(f"{name}_wide", tensors)
                tensors[wide] = replace(old, name=wide, quant=replace(_quant_of(old), dtype="int16"))
                made.append(rescale(wide, old, tensors[wide], node.origin))
                names[i] = wide
    if (pieces := _piecewise(node, names, output, quant, tensors, made)) is not None:
        return pieces
    wide_quant = replace(quant, dtype="int16") if len(kinds) > 1 else quant
    known = [_quant_of(tensors[n]) for n in names]
    channels = [tensors[n].channels for n in names]
    shaped = replace(node, inputs=tuple(names))
    integer = family.integer(shaped, known, wide_quant, channels)
    if integer is None:
        for new in made:
            del tensors[new.outputs[0]]
        return None
    if wide_quant == quant:
        tensors[output] = replace(tensors[output], quant=quant)
        made.append(replace(integer, name=output, inputs=tuple(names), outputs=(output,)))
        return made
    wide = fresh(f"{output}_wide", tensors)
    tensors[wide] = replace(tensors[output], name=wide, quant=wide_quant)
    tensors[output] = replace(tensors[output], quant=quant)
    made.append(replace(integer, name=wide, inputs=tuple(names), outputs=(wide,)))
    if quant.dtype == "int16":
        made[-1] = replace(made[-1], name=output, outputs=(output,))
        del tensors[wide]
    else:
        made.append(rescale(output, tensors[wide], tensors[output], node.origin))
    return made


def _quant_of(tensor: Tensor) -> Quant:
    """The scale of a tensor of integers."""
    assert tensor.quant is not None
    return tensor.quant


def _piecewise(
    node: Node, names: list[str], output: str, quant: Quant, tensors: dict[str, Tensor], made: list[Node]
) -> list[Node] | None:
    """Write a clamp, or one slope for negative inputs, between two scales of int16 without a table.

    A table with a knot every few inputs would miss where the line bends.
    """
    x = tensors[names[0]]
    if x.dtype != "int16" or quant.dtype != "int16" or _quant_of(x).scale == quant.scale:
        return None
    if node.op == "Clip":
        scaled = fresh(f"{node.name}_scaled", tensors)
        tensors[scaled] = replace(tensors[output], name=scaled, quant=quant)
        made.append(rescale(scaled, x, tensors[scaled], node.origin))
        clamp = FAMILIES["Clip"].integer(node, [quant], quant, [x.channels])
        assert clamp is not None
        made.append(replace(clamp, name=output, inputs=(scaled,), outputs=(output,)))
    elif node.op == "Leaky" and np.unique(node.constants["slope"].real).size == 1:
        slope = float(node.constants["slope"].real[0])
        full = arithmetic.LIMITS["int16"]
        parts = []
        for side, factor, (low, high) in (("above", 1.0, (0, full[1])), ("below", abs(slope), (full[0], 0))):
            part = fresh(f"{node.name}_{side}", tensors)
            tensors[part] = replace(tensors[output], name=part, quant=replace(quant, low=low, high=high))
            steeper = replace(x, quant=replace(_quant_of(x), scale=_quant_of(x).scale * factor))
            made.append(rescale(part, steeper, tensors[part], node.origin))
            parts.append(part)
        blend = arithmetic.blend_multipliers((1.0, -1.0 if slope < 0 else 1.0), (full[1], -full[0]))
        attrs = PointwiseAttributes(blend=blend)
        made.append(Node(output, "Add", (parts[0], parts[1]), (output,), attrs, origin=node.origin))
    else:
        return None
    tensors[output] = replace(tensors[output], quant=quant)
    return made


def _rescaled_operands(
    node: Node, inputs: list[str], quant: Quant, tensors: dict[str, Tensor], made: list[Node]
) -> list[str]:
    """Bring the operands of a concatenation to the output's scale."""
    names = []
    for index, name in enumerate(inputs):
        old = tensors[name]
        if old.quant == quant or (
            old.quant
            and old.dtype == quant.dtype
            and old.quant.scale == quant.scale
            and old.quant.low >= quant.low
            and old.quant.high <= quant.high
        ):
            names.append(name)
            continue
        scaled = fresh(f"{node.name}_part{index}", tensors)
        tensors[scaled] = replace(old, name=scaled, quant=quant)
        made.append(rescale(scaled, old, tensors[scaled], node.origin))
        names.append(scaled)
    return names
