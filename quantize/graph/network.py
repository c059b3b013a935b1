"""A model file as a torch module: the float teacher, and the base of the quantized student."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from common.refusal import Refusal
from quantize.graph.graph import Graph, Node
from quantize.operators import form_of, known

# What a network has computed so far, by name: a tensor, or what a subclass puts in its place
Values = dict[str, Any]


class Network(nn.Module):
    """Execute a graph with torch, in float.

    Parameters
    ----------
    graph : Graph
        What to execute. Float constants of rank ≥ 1 become parameters; banks of domain operators do not.
    dtype : torch.dtype
        Precision of the float tensors.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.graph = graph
        self.dtype = dtype
        self.index: dict[str, str] = {}
        self.weights = nn.ParameterDict()
        self.fixed: dict[str, torch.Tensor] = {}
        trainable = {n for node in graph.nodes if not node.is_domain for n in _values(node)}
        trainable -= {n for node in graph.nodes if node.is_domain for n in node.inputs}
        for name, array in graph.constants.items():
            tensor = torch.from_numpy(np.array(array))
            if tensor.is_floating_point():
                tensor = tensor.to(dtype)
                if name in trainable and tensor.ndim >= 1:
                    self.index[name] = f"w{len(self.index)}"
                    self.weights[self.index[name]] = nn.Parameter(tensor)
                    continue
            self.fixed[name] = tensor
        self._last_use = _last_uses(graph)

    def constant(self, name: str) -> torch.Tensor:
        """Return the current value of a constant, a parameter where it can be trained."""
        return self.weights[self.index[name]] if name in self.index else self.fixed[name]

    def forward(
        self, feeds: dict[str, torch.Tensor], keep: Iterable[str] = (), outputs: bool = True
    ) -> dict[str, torch.Tensor]:
        """Run the whole graph, or as much of it as is asked for.

        Parameters
        ----------
        feeds : dict of str to Tensor [N, C, T]
            One tensor per graph input; any batch N.
        keep : iterable of str
            Further tensors to return.
        outputs : bool
            Whether the graph's outputs are asked for.

        Returns
        -------
        dict of str to Tensor
            Graph outputs and the tensors of `keep`.
        """
        wanted = (set(self.graph.output_names) if outputs else set()) | set(keep)
        values: Values = {}
        for name in self.graph.input_names:
            if name not in feeds:
                raise Refusal(f"the model's input {name!r} was not fed; feed {self.graph.input_names}.")
            values[name] = self.enter(name, feeds[name])
        found = {name: self.leave(values[name]) for name in wanted if name in values}
        for position, node in enumerate(self.graph.nodes):
            if len(found) == len(wanted):
                break
            results = self.execute(node, values)
            for name, value in zip(node.outputs, results, strict=False):
                values[name] = value
                if name in wanted:
                    found[name] = self.leave(value)
            for name in self._last_use.get(position, ()):
                values.pop(name, None)
        return found

    def enter(self, name: str, value: torch.Tensor) -> Any:
        """Take a fed tensor into the network."""
        return value.to(self.dtype) if value.is_floating_point() else value

    def leave(self, value: Any) -> torch.Tensor:
        """Give a tensor of the network to the caller."""
        return value

    def execute(self, node: Node, values: Values) -> tuple[Any, ...]:
        """Run one node on the values so far."""
        inputs = [self.operand(name, values) for name in node.inputs]
        try:
            out = form_of(node)(node, inputs)
        except (RuntimeError, IndexError, ValueError) as error:
            shapes = [tuple(i.shape) if i is not None else None for i in inputs]
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise Refusal(
                f"node {node.name or node.outputs[0]!r} ({node.op}) does not accept inputs of shapes "
                f"{shapes} "
                f"({reason}); check the model or what is fed."
            ) from None
        return out if isinstance(out, tuple) else (out,)

    def operand(self, name: str, values: Values) -> Any:
        """Fetch an input of a node: activation, constant or absent."""
        if not name:
            return None
        return values[name] if name in values else self.constant(name)

    def to_graph(self) -> Graph:
        """Return a copy of the graph whose constants are the current parameters."""
        graph = self.graph.copy()
        for name, key in self.index.items():
            graph.constants[name] = self.weights[key].detach().cpu().numpy().astype(np.float32)
        return graph


def _values(node: Node) -> list[str]:
    """Inputs of a node that it computes with, not those that say how it moves or bounds data."""
    record = known(node)
    return node.inputs if record is None or record.trainable_settings else record.operands(node)


def _last_uses(graph: Graph) -> dict[int, list[str]]:
    """Node position → activations that nobody reads after it."""
    last: dict[str, int] = {}
    for position, node in enumerate(graph.nodes):
        for name in (*node.inputs, *node.outputs):
            if name and name not in graph.constants:
                last[name] = position
    table: dict[int, list[str]] = {}
    for name, position in last.items():
        table.setdefault(position, []).append(name)
    return table
