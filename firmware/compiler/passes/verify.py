"""What must hold of a graph between any two passes; a failure is a bug of the pass it names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops import FAMILIES
from firmware.compiler.ops.conv import ConvAttributes, Convolving


class BrokenGraph(AssertionError):
    """A pass left the graph inconsistent."""


def verify(graph: Graph, after: str) -> Graph:
    """Check a graph and return it.

    Parameters
    ----------
    graph : Graph
    after : str
        Name of the pass that made it, for the message.

    Raises
    ------
    BrokenGraph
    """

    def need(condition: bool, what: str) -> None:
        if not condition:
            raise BrokenGraph(f"after {after}: {what}")

    written = set(graph.inputs)
    for node in graph.nodes:
        need(node.op in FAMILIES, f"{node.name} has the unknown operator {node.op}")
        its_class = FAMILIES[node.op].ops[node.op]
        if type(node.attrs) is not its_class:  # said only where it is so: attributes hold whole tables
            need(False, f"{node.name} has {node.attrs}, which is no {its_class.__name__}")
        for name in node.inputs:
            need(name in written, f"{node.name} reads {name} before it is written")
        for name in node.outputs:
            need(name in graph.tensors, f"{node.name} writes the undeclared {name}")
            need(name not in written or node.op == "Input", f"{name} is written twice")
            written.add(name)
        _verify_types(graph, node, need)
        for kind, constant in node.constants.items():
            need(bool(np.all(np.isfinite(constant.values))), f"{node.name}: {kind} is not finite")
    for name in graph.outputs:
        need(name in written, f"output {name} is never written")
    for tensor in graph.tensors.values():
        need(tensor.channels > 0, f"{tensor.name} has no channels")
        need(graph.event == (tensor.length is not None), f"{tensor.name} mixes events and streams")
        if tensor.quant is not None:
            q = tensor.quant
            need(q.scale > 0 and q.low <= 0 <= q.high, f"{tensor.name}: quantization {q} has no zero")
    return graph


def _verify_types(graph: Graph, node: Node, need: Callable[[bool, str], None]) -> None:
    """Check element types, channels and rates of one node."""
    if node.op in ("Input", "Output"):
        return
    ins = [graph.tensors[n] for n in node.inputs]
    outs = [graph.tensors[n] for n in node.outputs]
    if node.op not in ("Quantize", "Dequantize", "Rescale", "Integers"):
        kinds = {t.dtype for t in (*ins, *outs)}
        need(len(kinds) == 1 or node.op == "Stored", f"{node.name} mixes the types {sorted(kinds)}")
    family = FAMILIES[node.op]
    if isinstance(node.attrs, Convolving):
        rows, inputs, _ = node.constants["weight"].values.shape
        phases = node.attrs.phases if isinstance(node.attrs, ConvAttributes) else 1
        need(inputs * node.attrs.groups == ins[0].channels, f"{node.name}: input channels")
        need(rows // phases == outs[0].channels, f"{node.name}: output channels")
    if not graph.event:
        for tensor, window in zip(ins, family.windows(node), strict=True):
            assert tensor.rate is not None and outs[0].rate is not None
            need(
                tensor.rate * family.produce(node) * window.hold == outs[0].rate * window.stride,
                f"{node.name}: rates {tensor.rate} and {outs[0].rate}",
            )
