"""A gain and an offset per channel become part of the convolution before them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware.compiler.graph import Constant, Graph, Node


def fold_affine(graph: Graph) -> Graph:
    """Fold a gain and offset per channel (a BatchNorm, a scale) into the convolution it follows."""
    nodes = {n.name: n for n in graph.nodes}
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        if node.op != "Affine":
            continue
        current = Graph(graph.name, tuple(nodes.values()), tensors, graph.inputs, graph.outputs)
        source = current.producer().get(node.inputs[0])
        if source is None or node.inputs[0] in graph.outputs or len(current.consumers()[node.inputs[0]]) != 1:
            continue
        if source.op not in ("Conv", "ConvTranspose", "Affine"):
            continue
        joined = _scaled(source, node)
        if joined is not None:
            del nodes[source.name]
            nodes[node.name] = joined
    return graph.with_nodes(nodes.values())


def _scaled(source: Node, affine: Node) -> Node | None:
    """Scale a convolution's (or another affine's) outputs."""
    outputs = next(iter(affine.constants.values())).values.size
    gain = affine.constants["gain"].real if "gain" in affine.constants else np.ones(outputs)
    offset = affine.constants["offset"].real if "offset" in affine.constants else np.zeros(outputs)
    if any(c.scale is not None for c in affine.constants.values()) or np.any(gain == 0):
        return None
    if source.op == "Affine":
        if any(c.scale is not None for c in source.constants.values()):
            return None
        before = source.constants.get("gain", Constant(np.ones(outputs))).real
        shift = source.constants.get("offset", Constant(np.zeros(outputs))).real
        constants = {"gain": Constant(before * gain), "offset": Constant(shift * gain + offset)}
        return replace(affine, inputs=source.inputs, constants=constants)
    weight = source.constants["weight"]
    if weight.scale is None:
        scaled = Constant(weight.values * gain[:, None, None])
    else:
        scale = np.broadcast_to(np.asarray(weight.scale, np.float64), (outputs,)) * np.abs(gain)
        scaled = Constant(weight.values * np.sign(gain).astype(np.int64)[:, None, None], scale, 0)
    bias = source.constants["bias"].real if "bias" in source.constants else np.zeros(outputs)
    constants = {"weight": scaled, "bias": Constant(bias * gain + offset)}
    return replace(source, name=affine.name, outputs=affine.outputs, constants=constants)
