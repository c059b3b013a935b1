"""Layers of few taps get the straight-line code that a Cortex-M7 has for them."""

from __future__ import annotations

from firmware.compiler.graph import Graph
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
        if node.op == "Conv" and node.attrs.get("integer") and not node.attrs["wide"]:
            x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
            frames = (y.length if y.rate is None else y.rate * block) // node.attrs["phases"]
            shape, a = node.constants["weight"].values.shape, node.attrs
            short = packing.is_short(shape, x.frame, a["stride"], a["groups"], a["shift"])
            if x.dtype == "int16" and frames >= SHORT_FRAMES and short:
                node = node.with_attrs(short=True)
        nodes.append(node)
    return graph.with_nodes(nodes)
