"""Layers of few taps get the straight-line code that a Cortex-M7 has for them."""

from __future__ import annotations

from dataclasses import replace

from firmware.compiler.graph import Graph
from firmware.compiler.ops.conv import ConvAttributes
from firmware.kernelgen import packing

SHORT_FRAMES = 4
"""Fewer frames in a call do not pay for straight-line code."""


def mark_short(graph: Graph, block: int) -> Graph:
    """Mark the layers of few taps for which a Cortex-M7 has straight-line code, where a call has the frames.

    Parameters
    ----------
    graph : Graph
        After all other passes, with its endpoints.
    block : int
        Ticks of a callback.
    """
    nodes = []
    for node in graph.nodes:
        a = node.attrs
        if isinstance(a, ConvAttributes) and a.sums is not None and not a.sums.wide:
            x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
            frames = (y.length or 0 if y.rate is None else y.rate * block) // a.phases
            shape = node.constants["weight"].values.shape
            short = packing.is_short(shape, x.frame, a.stride, a.groups, a.sums.shift)
            if x.dtype == "int16" and frames >= SHORT_FRAMES and short:
                node = replace(node, attrs=replace(a, short=True))
        nodes.append(node)
    return graph.with_nodes(nodes)
