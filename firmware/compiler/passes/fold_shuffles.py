"""Sub-pixel upsampling becomes an order of channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware.compiler.graph import Constant, Graph
from firmware.compiler.ops.conv import ConvAttributes
from firmware.compiler.ops.movement import ShuffleAttributes


def fold_shuffles(graph: Graph) -> Graph:
    """Reorder a convolution's outputs in place of a Shuffle behind it: sub-pixel upsampling becomes free."""
    for node in graph.nodes:
        shuffle = node.attrs
        if not isinstance(shuffle, ShuffleAttributes) or shuffle.stride != 1:
            continue
        producer, consumers = graph.producer(), graph.consumers()
        source = producer.get(node.inputs[0])
        table = shuffle.table
        if (
            source is None
            or not isinstance(source.attrs, ConvAttributes)
            or source.attrs.phases != 1
            or source.attrs.groups != 1
            or len(consumers[node.inputs[0]]) != 1
            or node.inputs[0] in graph.outputs
            or len(np.unique(table)) != table.size
        ):
            continue
        order = table.reshape(-1)
        constants = {}
        for kind, constant in source.constants.items():
            rows = constant.values.shape[0]
            scale = constant.scale
            if (
                scale is not None
                and scale.size == source.constants["weight"].values.shape[0]
                and scale.size > 1
            ):
                scale = scale[order]
            constants[kind] = Constant(
                constant.values[order] if rows > 1 else constant.values, scale, constant.axis
            )
        sums = source.attrs.sums
        if sums is not None:
            sums = replace(sums, bound=sums.bound[order])
        attrs = replace(source.attrs, phases=shuffle.produce, sums=sums)
        joined = replace(source, name=node.name, outputs=node.outputs, attrs=attrs, constants=constants)
        (name,) = node.outputs  # a clamp before the Shuffle lives on as the bounds of what it read
        moved = {name: replace(graph.tensors[name], quant=graph.tensors[node.inputs[0]].quant)}
        graph = graph.with_nodes([joined if n is node else n for n in graph.nodes if n is not source], moved)
    return graph
