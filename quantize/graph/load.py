"""Read an ONNX file into a graph, constants and BatchNorm folded."""

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
from firmware.compiler.read.onnx_nodes import (
    Surroundings,
    checked,
    describe,
    expanded,
    is_known,
    opset_of,
    well_formed,
)
from firmware.compiler.read.onnx_operators import EVALUATED, STANDARD
from quantize.graph.graph import Graph, Node


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
    if any(node.op_type in ("QuantizeLinear", "QLinearConv", "ConvInteger") for node in model.graph.node):
        raise Refusal(f"{where} is quantized already; give the float model it was made from.")
    model = expanded(model)
    nodes, constants = read_nodes(model, fold=True)
    initial = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initial]
    graph = Graph(nodes, constants, inputs, list(model.graph.output), model)
    skip_identities(graph)
    fold_batchnorm(graph)
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
    for proto in model.graph.node:
        inputs = [name for name in proto.input if name]
        standard, known = proto.domain in STANDARD, all(name in constants for name in inputs)
        if fold and standard and known and proto.op_type in EVALUATED:
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
        if proto.op_type in ("Shape", "Size") or all(name in fixed for name in inputs):
            fixed.update(node.output)
        constants.update(node.held)
        fixed.update(node.held)
        if fold and proto.op_type == "Constant":
            constants[node.output[0]] = _value(node.attributes)
            continue
        given = frozenset(attribute.name for attribute in proto.attribute)
        nodes.append(
            Node(
                node.op_type,
                list(node.input),
                list(node.output),
                {name: value for name, value in node.attributes.items() if value is not None},
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
    """Drop Identity and Dropout, in place."""
    renamed: dict[str, str] = {}
    kept = []
    outputs = set(graph.output_names)
    for node in graph.nodes:
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        if node.op in ("Identity", "Dropout") and not node.domain and node.outputs[0] not in outputs:
            renamed[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(node)
    graph.nodes = kept


def fold_batchnorm(graph: Graph) -> None:
    """Fold each BatchNormalization into the convolution before it, else into a Mul and an Add, in place.

    A crop along time between the two (the causal trim of a transposed convolution) is no obstacle.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for node in [n for n in graph.nodes if n.op == "BatchNormalization"]:
        gamma, beta, mean, var = (graph.constants[name].astype(np.float64) for name in node.inputs[1:5])
        factor = gamma / np.sqrt(var + node.attributes.get("epsilon", 1e-5))
        stem = node.outputs[0]
        source = node.inputs[0]
        layer = producers.get(source)
        alone = len(consumers[source]) == 1
        while layer is not None and alone and layer.op == "Slice" and _crops_time(layer, graph):
            source = layer.inputs[0]
            alone = len(consumers[source]) == 1
            layer = producers.get(source)
        if layer is None or not alone or not _absorbs(layer, graph):
            shape = (1, -1, 1)
            graph.constants[f"{stem}.factor"] = factor.reshape(shape).astype(np.float32)
            graph.constants[f"{stem}.offset"] = (beta - mean * factor).reshape(shape).astype(np.float32)
            place = graph.nodes.index(node)
            graph.nodes[place : place + 1] = [
                Node("Mul", [node.inputs[0], f"{stem}.factor"], [f"{stem}.scaled"], name=f"{stem}.mul"),
                Node("Add", [f"{stem}.scaled", f"{stem}.offset"], [stem], name=f"{stem}.add"),
            ]
            continue
        weight = graph.constants[layer.inputs[1]]
        bias = graph.constants[layer.inputs[2]] if len(layer.inputs) > 2 and layer.inputs[2] else 0.0
        axes = [1] * weight.ndim
        axes[0 if layer.op == "Conv" else 1] = -1
        graph.constants[f"{stem}.weight"] = (weight * factor.reshape(axes)).astype(np.float32)
        graph.constants[f"{stem}.bias"] = ((bias - mean) * factor + beta).astype(np.float32)
        layer.inputs = [layer.inputs[0], f"{stem}.weight", f"{stem}.bias"]
        graph.nodes.remove(node)
        for reader in consumers.get(stem, []):
            reader.inputs = [node.inputs[0] if name == stem else name for name in reader.inputs]
        if stem in graph.output_names:
            graph.producers()[node.inputs[0]].outputs[0] = stem
            for reader in graph.nodes:
                reader.inputs = [stem if name == node.inputs[0] else name for name in reader.inputs]
        producers, consumers = graph.producers(), graph.consumers()


def _absorbs(layer: Node, graph: Graph) -> bool:
    """Whether a per-channel factor after this layer can go into its weight."""
    if layer.inputs[1:2] == [] or layer.inputs[1] not in graph.constants:
        return False
    return layer.op == "Conv" or (layer.op == "ConvTranspose" and layer.attributes.get("group", 1) == 1)


def _crops_time(node: Node, graph: Graph) -> bool:
    axes = graph.constants.get(node.inputs[3]) if len(node.inputs) > 3 else None
    return axes is not None and all(int(axis) in (2, -1) for axis in axes.reshape(-1))
