"""A model file as a small graph that can be pruned, calibrated and written back.

Loading folds what is constant (Constant nodes, constant sub-expressions, BatchNorm into the layer before it),
so that everything behind it sees weights as initializers and activations as tensors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from train.refusal import Refusal

VAECTROL_DOMAIN = "vaectrol"
LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass
class Node:
    """One operator: its type (with domain for model-local functions), tensors by name and attributes."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    name: str = ""

    @property
    def is_domain(self) -> bool:
        """Whether the node calls a model-local function of the project (PQMF, filtered noise)."""
        return self.domain == VAECTROL_DOMAIN


@dataclass
class Graph:
    """A whole model: nodes in execution order, constants as numpy arrays, and the file they came from."""

    nodes: list[Node]
    constants: dict[str, np.ndarray]
    inputs: list[onnx.ValueInfoProto]
    outputs: list[onnx.ValueInfoProto]
    source: onnx.ModelProto

    @property
    def input_names(self) -> list[str]:
        """Names of the activations that are fed."""
        return [value.name for value in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the tensors that are read."""
        return [value.name for value in self.outputs]

    @property
    def metadata(self) -> dict[str, Any]:
        """The ``vaectrol.*`` metadata, JSON decoded, without the prefix."""
        return read_metadata(self.source)

    def copy(self) -> Graph:
        """Copy nodes and constants, sharing nothing that pruning or quantization changes."""
        return replace(
            self,
            nodes=[
                replace(n, inputs=list(n.inputs), outputs=list(n.outputs), attributes=dict(n.attributes))
                for n in self.nodes
            ],
            constants={name: np.array(value) for name, value in self.constants.items()},
        )

    def producers(self) -> dict[str, Node]:
        """Tensor name → the node that makes it."""
        return {out: node for node in self.nodes for out in node.outputs if out}

    def consumers(self) -> dict[str, list[Node]]:
        """Tensor name → the nodes that read it, in order."""
        table: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    table.setdefault(name, []).append(node)
        return table

    def fixed_shape(self, name: str) -> tuple[int | None, ...]:
        """Shape of a graph input, None where it is symbolic."""
        value = next(v for v in self.inputs if v.name == name)
        return tuple(
            d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
        )

    def parameters(self) -> int:
        """Count the weights and biases of the linear layers."""
        used = {n for node in self.nodes if node.op in (*LINEAR, "GRU") for n in node.inputs[1:] if n}
        return int(sum(self.constants[n].size for n in used if n in self.constants))

    def to_model(self, metadata: dict[str, Any] | None = None) -> onnx.ModelProto:
        """Write the graph as an ONNX model with the source's opsets, functions and metadata.

        Parameters
        ----------
        metadata : dict, optional
            Values to add to (or replace in) the ``vaectrol.*`` metadata; keys without the prefix.
        """
        live = {name for node in self.nodes for name in node.inputs} | set(self.output_names)
        graph = helper.make_graph(
            [_to_proto(node, index) for index, node in enumerate(self.nodes)],
            self.source.graph.name or "vaectrol",
            self.inputs,
            self.outputs,
            [numpy_helper.from_array(v, n) for n, v in self.constants.items() if n in live],
        )
        model = helper.make_model(
            graph, opset_imports=list(self.source.opset_import), functions=list(self.source.functions)
        )
        model.ir_version = self.source.ir_version
        model.producer_name = "vaectrol"
        for entry in self.source.metadata_props:
            model.metadata_props.add(key=entry.key, value=entry.value)
        write_metadata(model, metadata or {})
        return model


def _to_proto(node: Node, index: int) -> onnx.NodeProto:
    """Write one node, dropping trailing absent inputs."""
    inputs = list(node.inputs)
    while inputs and not inputs[-1]:
        inputs.pop()
    return helper.make_node(
        node.op,
        inputs,
        node.outputs,
        name=node.name or f"{node.op}_{index}",
        domain=node.domain,
        **node.attributes,
    )


def read_metadata(model: onnx.ModelProto) -> dict[str, Any]:
    """Decode the ``vaectrol.*`` metadata of a model; text that is not JSON stays text."""
    found: dict[str, Any] = {}
    for entry in model.metadata_props:
        if entry.key.startswith("vaectrol."):
            try:
                found[entry.key.removeprefix("vaectrol.")] = json.loads(entry.value)
            except json.JSONDecodeError:
                found[entry.key.removeprefix("vaectrol.")] = entry.value
    return found


def write_metadata(model: onnx.ModelProto, values: dict[str, Any]) -> None:
    """Set ``vaectrol.*`` metadata in place; values are stored as JSON."""
    keys = {f"vaectrol.{key}" for key in values}
    kept = [(e.key, e.value) for e in model.metadata_props if e.key not in keys]
    del model.metadata_props[:]
    for key, text in kept + [(f"vaectrol.{k}", json.dumps(v)) for k, v in values.items()]:
        model.metadata_props.add(key=key, value=text)


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
