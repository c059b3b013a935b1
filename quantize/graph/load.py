"""Read an ONNX file into a graph, constants folded, and what records rewrite (BatchNorm) rewritten."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from common.refusal import Refusal
from firmware.compiler.read.evaluate import evaluate
from firmware.compiler.read.guards import without_guards
from firmware.compiler.read.onnx_nodes import (
    Surroundings,
    checked,
    describe,
    expanded,
    is_known,
    opset_of,
    well_formed,
)
from firmware.compiler.read.onnx_operators import CONSTANT, EVALUATED, OF_SIZES, STANDARD
from quantize.graph.graph import Graph, Node
from quantize.operators import known
from quantize.operators.record import QUANTIZED


def load_graph(source: str | Path | onnx.ModelProto) -> Graph:
    """Load an ONNX model, fold its constants and its BatchNorm layers.

    Raises
    ------
    Refusal
        If the file is missing, is not a valid ONNX model, is quantized already, or says something that is
        not known.
    """
    if isinstance(source, onnx.ModelProto):
        model, where = source, source.graph.name
    else:
        where = str(source)
        if not Path(source).is_file():
            raise Refusal(f"there is no model file {where}; give the path of an .onnx file.")
        try:
            model = onnx.load(str(source))
            onnx.checker.check_model(model)
        except Exception as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise Refusal(f"{where} is not a valid ONNX model ({first}); export it again.") from None
    if any(node.op_type in QUANTIZED for node in model.graph.node):
        raise Refusal(f"{where} is quantized already; give the float model it was made from.")
    model = expanded(model)
    nodes, constants = read_nodes(model, fold=True)
    initial = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initial]
    graph = Graph(nodes, constants, inputs, list(model.graph.output), model)
    skip_identities(graph)
    rewrite_nodes(graph)
    return graph


def read_nodes(model: onnx.ModelProto, fold: bool) -> tuple[list[Node], dict[str, np.ndarray]]:
    """Read the nodes of a model, each checked against what is known of its operator.

    Parameters
    ----------
    model : ModelProto
    fold : bool
        Evaluate the nodes whose inputs are all constant.

    Returns
    -------
    list of Node
        Those that are left.
    dict of str to ndarray
        Initializers, the attributes that are inputs today, and what was evaluated.

    Raises
    ------
    Refusal
        With the name of the node.
    """
    opset = opset_of(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    fixed = set(constants)
    ranks = functools.cache(lambda: _ranks(model))
    read = {name for node in model.graph.node for name in node.input} | {v.name for v in model.graph.output}
    around = Surroundings(
        constants.get, lambda name: name in fixed, lambda name: ranks().get(name), read | set(constants)
    )
    nodes = []
    for proto in without_guards(model) if fold else model.graph.node:
        inputs = [name for name in proto.input if name]
        standard, constant = proto.domain in STANDARD, all(name in constants for name in inputs)
        if fold and standard and constant and proto.op_type in EVALUATED:
            well_formed(proto, opset)
            made = evaluate(proto, {name: constants[name] for name in inputs}, opset)
            constants.update(made)
            fixed.update(made)
            continue
        if not is_known(proto):
            name = f"{proto.domain[:40]}:{proto.op_type[:40]}" if not standard else proto.op_type[:40]
            raise Refusal(
                f"{describe(proto)} uses {name}, which can't be quantized or kept in float here; "
                "see quantize/README.md for the operators and what to use instead."
            )
        node = checked(proto, opset, around)
        if proto.op_type in OF_SIZES or all(name in fixed for name in inputs):
            fixed.update(node.output)
        constants.update(node.held)
        fixed.update(node.held)
        if fold and proto.op_type == CONSTANT:
            constants[node.output[0]] = _value(node.attributes)
            continue
        given = frozenset(attribute.name for attribute in proto.attribute)
        nodes.append(
            Node(
                node.op_type,
                list(node.input),
                list(node.output),
                dict(node.attributes),
                node.domain,
                node.name,
                given,
            )
        )
    return nodes, constants


def _value(attributes: Mapping[str, Any]) -> np.ndarray:
    """What a Constant holds: a tensor, a number or a list."""
    ((name, value),) = [(n, v) for n, v in attributes.items() if v is not None]
    if name == "value":
        return numpy_helper.to_array(value)
    return np.array(value, np.float32 if name.startswith("value_float") else np.int64)


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Axes of every tensor that ONNX's own inference knows."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:
        return {}
    return {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def skip_identities(graph: Graph) -> None:
    """Leave out what gives back what it reads, in place."""
    renamed: dict[str, str] = {}
    kept = []
    outputs = set(graph.output_names)
    for node in graph.nodes:
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        record = known(node)
        if record is not None and record.transparent and node.outputs[0] not in outputs:
            renamed[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(node)
    graph.nodes = kept


def rewrite_nodes(graph: Graph) -> None:
    """Let every operator whose record can say itself by others do so, in place."""
    for node in list(graph.nodes):
        record = known(node)
        if record is not None and record.rewrite is not None:
            record.rewrite(graph, node)
