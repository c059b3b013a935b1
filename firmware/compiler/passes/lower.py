"""Transposed convolutions become convolutions (polyphase)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware.compiler.graph import Constant, Graph
from firmware.compiler.ops.conv import ConvTransposeAttributes, lower_transposed


def lower(graph: Graph) -> Graph:
    """Rewrite transposed convolutions as convolutions with (phase, channel) outputs."""
    nodes = []
    for node in graph.nodes:
        if not isinstance(node.attrs, ConvTransposeAttributes):
            nodes.append(node)
            continue
        lowered = lower_transposed(node)
        stride = node.attrs.stride
        constants = dict(lowered.constants)
        for kind, constant in node.constants.items():
            if kind != "weight":
                scale = constant.scale
                if scale is not None and scale.size > 1:
                    scale = np.tile(scale, stride)
                constants[kind] = Constant(np.tile(constant.values, stride), scale, constant.axis)
        weight = lowered.constants["weight"]
        if weight.scale is not None and weight.scale.size > 1:
            constants["weight"] = Constant(weight.values, np.tile(weight.scale, stride), 0)
        nodes.append(replace(lowered, constants=constants))
    return graph.with_nodes(nodes)
