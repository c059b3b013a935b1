"""A float model as if it were quantized to 8-bit weights and 16-bit activations, to ask what it would cost.

The scales are plausible, not calibrated: costs, memory and schedule are those of the quantized model, its
sound is not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware.compiler.graph import Constant, Graph, Node, Quant, fresh
from firmware.compiler.ops import FAMILIES
from firmware.compiler.passes.fold_affine import fold_affine
from firmware.compiler.passes.fold_delays import fold_delays
from firmware.compiler.passes.integerize import CLAMPED
from firmware.compiler.passes.sink_dequantize import MOVES

INTEGER_OPS = (
    "Conv",
    "ConvTranspose",
    "Add",
    "Sub",
    "Mul",
    "Mean",
    "Affine",
    "Leaky",
    "Clip",
    "Tanh",
    "Sigmoid",
    "Lerp",
    "Sin",
    "LSTM",
    "GRU",
)
STEP = 1 / 4096
HEADROOM = 16.0


def assume_quantized(graph: Graph) -> Graph:
    """Insert Quantize and Dequantize around what has an integer form; weights get scales per channel.

    A graph that is quantized already is returned as it is.
    """
    if any(n.op == "Quantize" for n in graph.nodes):
        return graph
    graph = fold_affine(fold_delays(graph))
    tensors = dict(graph.tensors)
    consumers = graph.consumers()
    scales: dict[str, float] = {}
    nodes: list[Node] = []
    standing: dict[str, str] = {}

    def quantized(name: str) -> str:
        """Name of a tensor after a trip through integers."""
        if name not in standing:
            q, d = fresh(f"{name}_as_q", tensors), fresh(f"{name}_as_f", tensors)
            scale = scales.get(name, STEP)
            tensors[q] = replace(tensors[name], name=q, quant=Quant(scale, "int16", -32768, 32767))
            tensors[d] = replace(tensors[name], name=d)
            nodes.append(Node(q, "Quantize", (name,), (q,)))
            nodes.append(Node(d, "Dequantize", (q,), (d,)))
            standing[name] = d
        return standing[name]

    for node in graph.nodes:
        readers = consumers[node.outputs[0]]
        absorbed = node.op in CLAMPED and len(readers) == 1 and readers[0].op == "Clip"
        weighted = _with_scales(node)
        if node.op == "Affine" and len(node.constants) == 2:
            nodes.append(node)
            continue
        if not _has_integers(node) or weighted is None:
            nodes.append(replace(node, inputs=tuple(standing.get(n, n) for n in node.inputs)))
            if node.op in MOVES:
                scales[node.outputs[0]] = scales.get(node.inputs[0], STEP)
            continue
        keep_float = [n for n in node.inputs if n in scales and scales[n] == 0.0]
        inputs = tuple(n if n in keep_float else quantized(n) for n in node.inputs)
        nodes.append(replace(weighted, inputs=inputs))
        source = max(scales.get(n, STEP) or STEP for n in node.inputs)
        gain = (
            float(np.max(np.asarray(weighted.constants["weight"].scale)))
            if "weight" in weighted.constants
            else 0.0
        )
        if node.op in ("Leaky", "Clip"):
            gain = 0.0
        exact = FAMILIES[node.op].exact_scale
        scales[node.outputs[0]] = exact or max(source, HEADROOM * source * gain)
        if absorbed:
            scales[node.outputs[0]] = 0.0  # no Q between an operator and its clamp
        elif node.op == "Clip" and node.inputs[0] in keep_float:
            scales[node.outputs[0]] = source
        if not absorbed and not any(_has_integers(r) for r in readers):
            quantized(node.outputs[0])
    outputs = tuple(standing.get(n, n) for n in graph.outputs)
    labels = dict(graph.labels) | {standing.get(n, n): graph.labels.get(n, n) for n in graph.outputs}
    fixed = [replace(n, inputs=tuple(_late(i, n, standing) for i in n.inputs)) for n in nodes]
    return replace(graph, outputs=outputs, labels=labels).with_nodes(fixed, tensors)


def _has_integers(node: Node) -> bool:
    return node.op in INTEGER_OPS or FAMILIES[node.op].only_in_integers


def _late(name: str, node: Node, standing: dict[str, str]) -> str:
    """Operators that stay float read a tensor after its trip too, so that its producer can be an integer."""
    return name if node.op == "Quantize" else standing.get(name, name)


def _with_scales(node: Node) -> Node | None:
    """Quantize a convolution's weights per channel."""
    if "weight" not in node.constants or node.op not in ("Conv", "ConvTranspose"):
        return node
    weight = node.constants["weight"]
    if weight.scale is not None:
        return node
    real = weight.real
    scale = np.maximum(np.abs(real).max(axis=(1, 2)), 1e-12) / 127
    values = np.rint(real / scale[:, None, None]).astype(np.int64)
    return replace(node, constants={**node.constants, "weight": Constant(values, scale, 0)})
