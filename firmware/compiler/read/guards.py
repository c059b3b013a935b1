"""The comparison around a Softplus, which torch's newer exporter writes, taken away.

It writes ``x > 20 ? x : log(1 + exp(x))``, as torch computes it: the branch keeps exp from overflowing and
says nothing else. ONNX's Softplus needs no such guard, and what runs sample by sample compares nothing.
"""

from __future__ import annotations

import math

import onnx
from onnx import numpy_helper

from firmware.compiler.read.onnx_operators import STANDARD

LEAST_THRESHOLD = 12.0
"""From here on log(1 + exp(x)) is x to 6e-6, and to 5e-7 of x."""


def without_guards(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """List a model's nodes; where torch guards a Softplus the Where is its Identity and the Greater is gone.

    Parameters
    ----------
    model : ModelProto
        Left as it is, so that a witness runs what the file says.

    Returns
    -------
    list of NodeProto
    """
    nodes = list(model.graph.node)
    guarded = [node for node in nodes if node.op_type == "Where" and node.domain in STANDARD]
    if not guarded:
        return nodes
    makers = {name: node for node in nodes for name in node.output if name}
    numbers = _numbers(model)
    plain = {id(node): _identity(node) for node in guarded if _guards_softplus(node, makers, numbers)}
    kept = [plain.get(id(node), node) for node in nodes]
    read = {name for node in kept for name in node.input} | {value.name for value in model.graph.output}
    idle = {node.input[0] for node in guarded if id(node) in plain} - read
    return [node for node in kept if not (node.op_type == "Greater" and set(node.output) <= idle)]


def _identity(node: onnx.NodeProto) -> onnx.NodeProto:
    """The branch that holds the Softplus, under the name of the choice."""
    return onnx.helper.make_node("Identity", [node.input[2]], list(node.output), name=node.name)


def _guards_softplus(
    choice: onnx.NodeProto, makers: dict[str, onnx.NodeProto], numbers: dict[str, float]
) -> bool:
    """Whether a Where takes ``x`` above a threshold of ``beta·x`` and ``softplus(beta·x)/beta`` below."""
    if len(choice.input) != 3:
        return False
    asked, above, below = choice.input
    compared, bent = makers.get(asked), makers.get(below)
    if compared is None or bent is None or compared.op_type != "Greater" or len(compared.input) != 2:
        return False
    scaled, threshold = compared.input
    if numbers.get(threshold, -math.inf) < LEAST_THRESHOLD:
        return False
    beta = 1.0
    if scaled != above:
        product = makers.get(scaled)
        if product is None or product.op_type != "Mul" or above not in product.input:
            return False
        beta = numbers.get(next((name for name in product.input if name != above), ""), math.nan)
        if bent.op_type != "Div" or numbers.get(bent.input[1]) != beta:
            return False
        bent = makers.get(bent.input[0])
    return bent is not None and bent.op_type == "Softplus" and bent.input[0] == scaled and beta > 0


def _numbers(model: onnx.ModelProto) -> dict[str, float]:
    """Single numbers that the file holds, by name."""
    tensors = [(tensor.name, tensor) for tensor in model.graph.initializer]
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors += [(node.output[0], a.t) for a in node.attribute if a.name == "value"]
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    return {
        name: float(numpy_helper.to_array(tensor).reshape(-1)[0])
        for name, tensor in tensors
        if tensor.data_type in floats
        and math.prod(tensor.dims) == 1
        and tensor.data_location != onnx.TensorProto.EXTERNAL
        and (tensor.raw_data or tensor.float_data or tensor.double_data or tensor.int32_data)
    }
