"""Scales of another model: two models that have the same ones can be blended, number by number.

What is borrowed: the scale of every activation and every weight, the widths, and the products at the entries
(:mod:`quantize.integers.balance`). Weights that are larger than the lender's scale allows are clipped; tuning
makes up for what it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch

from common.refusal import Refusal
from quantize.formats.qdq import read_qdq
from quantize.graph.graph import Graph, Node
from quantize.graph.layers import layers
from quantize.integers.arithmetic import as_float32
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import Plan, Quantized, make_plan
from quantize.integers.weights import TOP
from quantize.operators import along, known, layer_of
from quantize.operators.elementwise import PRODUCT

FLOAT = "/float"


@dataclass(frozen=True)
class Lender:
    """A quantized model whose scales another one takes.

    Attributes
    ----------
    name : str
        Of its file.
    quantized : Quantized
    weight_scales : dict of str to ndarray
        Output of a layer → scale of each of its output channels.
    """

    name: str
    quantized: Quantized
    weight_scales: dict[str, np.ndarray]

    @property
    def activations(self) -> Literal["16", "8", "mixed"]:
        """Widths of its activations, as `vaectrol quantize --activations` says them."""
        bits = set(self.quantized.plan.bits.values())
        return "mixed" if len(bits) > 1 else "8" if bits == {8} else "16"


def read_lender(path: Path) -> Lender:
    """Read the quantized model whose scales are to be borrowed.

    Raises
    ------
    Refusal
        It cannot be read, or is not quantized by Vaectrol.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # onnx raises errors of its own for each way a file can be wrong
        raise Refusal(f"cannot read {path}: it is no ONNX file ({type(error).__name__}).") from None
    quantized = read_qdq(model)
    stems = {one.name: one for one in model.graph.initializer if one.name.endswith("/weight/scale")}
    found = {
        name.removesuffix("/weight/scale"): np.atleast_1d(onnx.numpy_helper.to_array(tensor))
        for name, tensor in stems.items()
    }
    if not found:
        raise Refusal(f"{path.name} was not quantized by Vaectrol; its weights' scales have other names.")
    return Lender(path.name, quantized, found)


def check_shape(graph: Graph, lender: Lender) -> None:
    """Refuse a float model of another shape than the lender's: the layer that differs, with its numbers."""
    lent = lender.quantized.plan.graph
    here, there = _plain(graph).nodes, [node for node in lent.nodes if _factors_of(node) is None]
    if len(here) != len(there):
        raise Refusal(
            f"{lender.name} has another shape: {len(there)} operators, and this model has {len(here)}; "
            "borrow from a model of the same recipe."
        )
    for number, (own, other) in enumerate(zip(here, there, strict=True), 1):
        record = known(own)
        if own.op != other.op:
            raise Refusal(
                f"{lender.name} has another shape: its operator {number} is {other.op}, this model's is "
                f"{own.op}; borrow from a model of the same recipe."
            )
        if record is not None and record.weights is not None:
            raise Refusal(
                f"operator {number} is {own.op}, whose weights keep scales of their own; such a model has no "
                "slots and cannot be blended."
            )
        if layer_of(own) is None or own.inputs[1] not in graph.constants:
            continue
        ours, theirs = graph.constants[own.inputs[1]].shape, lent.constants[other.inputs[1]].shape
        if ours != theirs:
            raise Refusal(
                f"{lender.name} has another shape: {own.op} {own.outputs[0]} has weights of {_by(theirs)} "
                f"there and {_by(ours)} here; borrow from a model of the same recipe and pruning."
            )


def balanced_as(graph: Graph, lender: Lender) -> Graph:
    """Put the lender's products where it has them, and no others; see `balance_entries`."""
    result = _plain(graph)
    nodes: list[Node] = []
    own, factors = iter(result.nodes), None
    for other in lender.quantized.plan.graph.nodes:
        if (found := _factors_of(other)) is not None:
            factors = lender.quantized.plan.graph.constants[found]
            continue
        node = next(own)
        if factors is not None:
            _scale_entries(result, node, 1.0 / factors.astype(np.float64))
            balance, entry = f"{node.outputs[0]}_balance", node.inputs[0]
            result.constants[balance] = factors.astype(np.float32)
            node.inputs[0] = f"{entry}_for_{node.outputs[0]}"
            nodes.append(Node(PRODUCT, [entry, balance], [node.inputs[0]], {}, "", f"{balance}_product"))
            factors = None
        nodes.append(node)
    result.nodes = nodes
    return result


def plan_as(graph: Graph, lender: Lender) -> Plan:
    """Plan a balanced graph with the lender's widths."""
    plan = make_plan(graph, 8 if lender.activations == "8" else 16)
    bits, names = lender.quantized.plan.bits, _names(graph, lender)
    plan.bits = {root: bits.get(names.get(root, ""), plan.bits[root]) for root in plan.bits}
    return plan


def borrowed(plan: Plan, lender: Lender) -> QuantizedNetwork:
    """Make the quantized network that has the lender's scales, and keeps them when it is tuned.

    Raises
    ------
    Refusal
        The lender leaves in float what this model has in integers.
    """
    names, lent = _names(plan.graph, lender), lender.quantized.scales
    scales = {}
    for root, members in plan.members().items():
        found = [lent[names[name]] for name in members if names.get(name) in lent]
        if not found:
            raise Refusal(f"{lender.name} has no scale for {root}: it runs in float there.")
        scales[root] = found[0]
    network = QuantizedNetwork(plan, scales)
    with torch.no_grad():
        for key, parameter in network.log_weight_scales.items():
            output = names[plan.graph.nodes[int(key)].outputs[0]].removesuffix(FLOAT)
            scale = torch.from_numpy(lender.weight_scales[output].astype(np.float64))
            parameter.copy_(torch.log(scale.broadcast_to(parameter.shape)))
    for parameter in (*network.log_scales.parameters(), *network.log_weight_scales.parameters()):
        parameter.requires_grad_(False)
    return network


def clipped(network: QuantizedNetwork) -> tuple[int, int]:
    """How many weights are larger than their scale allows, and how many there are."""
    over = total = 0
    for position, node, layer in layers(network.plan.graph):
        if str(position) not in network.log_weight_scales:
            continue
        weight, _ = layer.with_factors(node, *network._parameters_numpy(node))
        scale = as_float32(torch.exp(network.log_weight_scales[str(position)])).detach().numpy()
        spread = along(scale, layer.output_axis(node, weight.ndim), weight.ndim)
        over += int((np.abs(weight) > (TOP + 0.5) * spread).sum())
        total += weight.size
    return over, total


def _factors_of(node: Node) -> str | None:
    """Name of the constant of a product at an entry; None for any other node."""
    ends = ("_balance", "_balance/dequantized")
    return next((n for n in node.inputs if node.op == PRODUCT and n.endswith(ends)), None)


def _plain(graph: Graph) -> Graph:
    """Return the same model without products at its entries: they go into the weights behind them."""
    result = graph.copy()
    products = {node.outputs[0]: node for node in result.nodes if _factors_of(node) is not None}
    result.nodes = [node for node in result.nodes if not node.outputs or node.outputs[0] not in products]
    for node in result.nodes:
        product = products.get(node.inputs[0]) if node.inputs else None
        if product is not None:
            factors = _factors_of(product)
            assert factors is not None
            _scale_entries(result, node, result.constants[factors].astype(np.float64))
            node.inputs[0] = next(name for name in product.inputs if name != factors)
    return result


def _scale_entries(graph: Graph, node: Node, factors: np.ndarray) -> None:
    """Multiply a layer's weights by a factor for each channel that it reads, in place."""
    weight = graph.constants[node.inputs[1]].astype(np.float64)
    scaled = weight * along(factors.reshape(-1), 1, weight.ndim)
    graph.constants[node.inputs[1]] = scaled.astype(np.float32)


def _names(graph: Graph, lender: Lender) -> dict[str, str]:
    """Tensor of a balanced graph → the lender's tensor in the same place."""
    lent = lender.quantized.plan.graph
    pairs: Iterator[tuple[str, str]] = zip(graph.input_names, lent.input_names, strict=True)
    found = dict(pairs)
    for own, other in zip(graph.nodes, lent.nodes, strict=True):
        found |= dict(zip(own.inputs, other.inputs, strict=False))
        found |= dict(zip(own.outputs, other.outputs, strict=False))
    return found


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
