"""BatchNormalization: known statistics are a gain and an offset, which a layer before it takes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from quantize.graph.graph import Graph, Node
from quantize.operators.elementwise import PRODUCT, SUM
from quantize.operators.layer import bias_of
from quantize.operators.movement import crops_time
from quantize.operators.record import Operator, layer_of, register


def normalise(node: Node, inputs: list[Any]) -> torch.Tensor:
    """ONNX BatchNormalization."""
    x, gamma, beta, mean, variance = inputs[:5]
    return F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, node.attributes["epsilon"])


def fold(graph: Graph, node: Node) -> None:
    """Fold the node into the convolution before it, else into a product and a sum, in place.

    A crop along time between the two (the causal trim of a transposed convolution) is no obstacle.
    """
    producers, consumers = graph.producers(), graph.consumers()
    gamma, beta, mean, var = (graph.constants[name].astype(np.float64) for name in node.inputs[1:5])
    factor = gamma / np.sqrt(var + node.attributes["epsilon"])
    stem, source = node.outputs[0], node.inputs[0]
    before = producers.get(source)
    alone = len(consumers[source]) == 1
    while before is not None and alone and crops_time(before, graph):
        source = before.inputs[0]
        alone = len(consumers[source]) == 1
        before = producers.get(source)
    layer = layer_of(before) if before is not None else None
    if before is None or layer is None or not alone or not layer.absorbs(before, graph):
        _as_product_and_sum(graph, node, factor, beta - mean * factor)
        return
    weight = graph.constants[before.inputs[1]]
    bias = graph.constants[bias_of(before)] if bias_of(before) else 0.0
    axes = [1] * weight.ndim
    axes[layer.output_axis(before, weight.ndim)] = -1
    graph.constants[f"{stem}.weight"] = (weight * factor.reshape(axes)).astype(np.float32)
    graph.constants[f"{stem}.bias"] = ((bias - mean) * factor + beta).astype(np.float32)
    before.inputs = [before.inputs[0], f"{stem}.weight", f"{stem}.bias"]
    graph.nodes.remove(node)
    for reader in consumers.get(stem, []):
        reader.inputs = [node.inputs[0] if name == stem else name for name in reader.inputs]
    if stem in graph.output_names:
        graph.producers()[node.inputs[0]].outputs[0] = stem
        for reader in graph.nodes:
            reader.inputs = [stem if name == node.inputs[0] else name for name in reader.inputs]


def _as_product_and_sum(graph: Graph, node: Node, factor: np.ndarray, offset: np.ndarray) -> None:
    stem, shape = node.outputs[0], (1, -1, 1)
    graph.constants[f"{stem}.factor"] = factor.reshape(shape).astype(np.float32)
    graph.constants[f"{stem}.offset"] = offset.reshape(shape).astype(np.float32)
    place = graph.nodes.index(node)
    scaled = f"{stem}.scaled"
    graph.nodes[place : place + 1] = [
        Node(PRODUCT, [node.inputs[0], f"{stem}.factor"], [scaled], name=f"{stem}.mul"),
        Node(SUM, [scaled, f"{stem}.offset"], [stem], name=f"{stem}.add"),
    ]


register(Operator("BatchNormalization", normalise, rewrite=fold))
