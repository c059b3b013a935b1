"""A model file as a small graph that can be pruned, calibrated and written back.

Loading folds what is constant (Constant nodes, constant sub-expressions, BatchNorm into the layer before it),
so that everything behind it sees weights as initializers and activations as tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from common import model_metadata
from common.model_metadata import ModelMetadata
from firmware.compiler.read.onnx_nodes import LEAST_OPSET_OF_FORM, unwritten
from firmware.compiler.read.onnx_operators import STANDARD, VAECTROL

VAECTROL_DOMAIN = VAECTROL
Feed = dict[str, np.ndarray]
"""What a graph is fed with: an array [N, C, T] for each of its inputs."""


@dataclass
class Node:
    """One operator: its type (with domain for model-local functions), tensors by name and attributes.

    ``attributes`` holds every attribute that the operator has: as given, its default, or None. ``given`` has
    those that the file wrote, so that no others are written back; None where the node was made here and all
    are.
    """

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    name: str = ""
    given: frozenset[str] | None = None

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
    def about(self) -> ModelMetadata:
        """What the model file says about itself."""
        return model_metadata.read(self.source)

    @property
    def input_rates(self) -> dict[str, Fraction]:
        """Rate of every input as a fraction of the sample rate; 0 for events; empty without metadata."""
        return {
            spec.name: Fraction(0) if spec.is_event else spec.frames_per_sample or Fraction(1)
            for spec in self.about.inputs
        }

    @property
    def slowest_rate(self) -> Fraction | None:
        """Rate of the slowest input or output that streams; None without metadata, or where none does."""
        specs = (*self.about.inputs, *self.about.outputs)
        return min((s.frames_per_sample or Fraction(1) for s in specs if not s.is_event), default=None)

    @property
    def is_event(self) -> bool:
        """Whether the model is evaluated once per event instead of along time."""
        rates = self.input_rates
        return bool(rates) and not any(rates.values())

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

    def to_model(self, metadata: dict[str, Any] | None = None) -> onnx.ModelProto:
        """Write the graph as an ONNX model with the source's opsets, functions and metadata.

        Parameters
        ----------
        metadata : dict, optional
            Values to add to, or replace in, what the file says about itself (`common.model_metadata`).
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
        for entry in model.opset_import:
            if entry.domain in STANDARD:  # nodes have one form, whatever the opset they were read in
                entry.version = max(entry.version, LEAST_OPSET_OF_FORM)
        model.ir_version = self.source.ir_version
        model.producer_name = "vaectrol"
        model_metadata.copy(self.source, model)
        model_metadata.write(model, metadata or {})
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
        **{
            name: value
            for name, value in node.attributes.items()
            if node.given is None or name in node.given or not unwritten(node.op, name, value)
        },
    )
