"""Read an ONNX file into a graph, constants folded, and what records rewrite (BatchNorm) rewritten."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper, numpy_helper

from common.refusal import Refusal
from quantize.graph.execute import FoldableError, evaluate_constant
from quantize.graph.graph import Graph, Node
from quantize.operators import known
from quantize.operators.quantization import QUANTIZED


def load_graph(source: str | Path | onnx.ModelProto) -> Graph:
    """Load an ONNX model, fold its constants and BatchNorm layers.

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
    if any(node.op in QUANTIZED for node in nodes):
        raise Refusal(f"{where} is quantized already; give the float model it was made from.")
    inputs = [value for value in model.graph.input if value.name not in constants]
    graph = Graph(nodes, constants, inputs, list(model.graph.output), model)
    fold_constants(graph)
    rewrite_nodes(graph)
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
    """Evaluate every node whose inputs are all constant, and leave out what changes nothing, in place."""
    renamed: dict[str, str] = {}
    kept = []
    outputs = set(graph.output_names)
    for node in graph.nodes:
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        record = known(node)
        if record is not None and record.transparent and node.outputs[0] not in outputs:
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


def rewrite_nodes(graph: Graph) -> None:
    """Let every operator whose record can say itself by others do so, in place."""
    for node in list(graph.nodes):
        record = known(node)
        if record is not None and record.rewrite is not None:
            record.rewrite(graph, node)
