"""Balance at the entry: model inputs whose weights differ in size are scaled on their way in.

The int8 scale of an output channel is that of its largest weight, so where a latent has small weights beside
a time basis with large ones, the latent's are rounded coarsely, and it is the latent that is large. Inner
channels are equalised where they are made (:mod:`quantize.integers.equalise`); inputs are made by nobody, so
a product with a constant is put before the layer: it costs one multiplication a channel and frame.
Activations of 16 bits have the room; those of 8 have not.
"""

from __future__ import annotations

import numpy as np

from quantize.graph.graph import Graph, Node
from quantize.integers.calibrate import Observations
from quantize.operators import along, groups_of, layer_of, movement_of
from quantize.operators.elementwise import PRODUCT

POWER = 0.75  # of a column's largest weight: 1 makes all columns alike
LEAST_GAIN_DB = 2.0  # less is not worth the products


def balance_entries(graph: Graph, seen: Observations) -> Graph:
    """Put a constant product before every layer that reads unequal inputs, where its weights gain by it.

    Parameters
    ----------
    graph : Graph
        Float graph.
    seen : Observations
        Mean squares of its activations on calibration data.

    Returns
    -------
    Graph
        Equal to `graph` up to float rounding; `graph` itself where nothing gains.
    """
    entries = _entries(graph)
    result = graph.copy()
    nodes: list[Node] = []
    changed = False
    for node in result.nodes:
        name = node.inputs[0] if node.inputs else ""
        layer = layer_of(node)
        able = layer is not None and layer.balances and groups_of(node) == 1
        if able and name in entries and node.inputs[1] in graph.constants and name in seen.energies:
            factors = _factors(graph.constants[node.inputs[1]], seen.energies[name])
            if factors is not None:
                weight = result.constants[node.inputs[1]].astype(np.float64)
                result.constants[node.inputs[1]] = (weight / along(factors, 1, weight.ndim)).astype(
                    np.float32
                )
                balance, balanced = f"{node.outputs[0]}_balance", f"{name}_for_{node.outputs[0]}"
                result.constants[balance] = factors.astype(np.float32).reshape(1, -1, 1)
                nodes.append(Node(PRODUCT, [name, balance], [balanced], {}, "", f"{balance}_product"))
                node.inputs[0] = balanced
                changed = True
        nodes.append(node)
    result.nodes = nodes
    return result if changed else graph


def _entries(graph: Graph) -> set[str]:
    """Tensors that are inputs of the model, moved but not computed with."""
    found = set(graph.input_names)
    for node in graph.nodes:
        fed = [n for n in node.inputs if n and n not in graph.constants]
        if movement_of(node) is not None and fed and all(n in found for n in fed):
            found.update(node.outputs)
    return found


def _factors(weight: np.ndarray, energy: np.ndarray) -> np.ndarray | None:
    """Factor of each input channel, at most 1, or None where rounding would gain too little by them.

    Parameters
    ----------
    weight : ndarray [Cout, Cin, K]
        Of the layer.
    energy : ndarray [Cin]
        Mean square of its inputs.
    """
    columns = np.abs(weight.astype(np.float64)).max((0, 2))
    if energy.size != columns.size or columns.max() == 0:
        return None
    factors = np.where(columns > 0, columns / columns.max(), 1.0) ** POWER

    def noise(scaled: np.ndarray, power: np.ndarray) -> float:  # of rounding, up to a constant
        steps = np.abs(scaled).max((1, 2))
        return float((steps**2).sum() * power.sum())

    before = noise(weight, energy)
    after = noise(weight / along(factors, 1, weight.ndim), energy * factors**2)
    gain = 10.0 * np.log10(before / after) if before > 0 and after > 0 else 0.0
    return factors if gain >= LEAST_GAIN_DB else None
