"""Read an ONNX file into a graph, constants and BatchNorm folded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from common.refusal import Refusal
from quantize.graph.graph import Graph, Node


def load_graph(source: str | Path | onnx.ModelProto) -> Graph:
    """Load an ONNX model, fold its constants and its BatchNorm layers.

    Raises
    ------
    Refusal
        If the file is missing, is not a valid ONNX model, or is quantized already.
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
    constants = {init.name: numpy_helper.to_array(init) for init in model.graph.initializer}
    nodes = graph_nodes(model)
    if any(node.op in ("QuantizeLinear", "QLinearConv", "ConvInteger") for node in nodes):
        raise Refusal(f"{where} is quantized already; give the float model it was made from.")
    inputs = [value for value in model.graph.input if value.name not in constants]
    graph = Graph(nodes, constants, inputs, list(model.graph.output), model)
    fold_constants(graph)
    fold_batchnorm(graph)
    return graph


def graph_nodes(model: onnx.ModelProto) -> list[Node]:
    """Read the nodes of a model, attributes decoded."""
    nodes = []
    for proto in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
        nodes.append(
            Node(proto.op_type, list(proto.input), list(proto.output), attributes, proto.domain, proto.name)
        )
    return nodes


def fold_constants(graph: Graph) -> None:
    """Evaluate every node whose inputs are all constant, and drop Identity and Dropout, in place."""
    from quantize.graph.operators import FoldableError, evaluate_constant

    renamed: dict[str, str] = {}
    kept = []
    outputs = set(graph.output_names)
    for node in graph.nodes:
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        if node.op in ("Identity", "Dropout") and not node.domain and node.outputs[0] not in outputs:
            renamed[node.outputs[0]] = node.inputs[0]
            continue
        if not node.domain and all(name in graph.constants for name in node.inputs if name):
            try:
                values = evaluate_constant(node, [graph.constants.get(name) for name in node.inputs])
            except FoldableError:
                values = None
            if values is not None:
                graph.constants.update(zip(node.outputs, values, strict=False))
                continue
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
