"""Operators that join the elements of a whole axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from quantize.graph.graph import Node
from quantize.operators.movement import ints
from quantize.operators.record import Operator, TorchForm, register

Tensor = torch.Tensor


def _over(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> TorchForm:
    def run(node: Node, inputs: list[Any]) -> Tensor:
        axes = ints(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else []
        keep = bool(node.attributes["keepdims"])
        if not axes and node.attributes["noop_with_empty_axes"]:
            same: Tensor = inputs[0]
            return same
        return function(inputs[0], tuple(axes) if axes else tuple(range(inputs[0].ndim)), keep)

    return run


register(
    Operator("ReduceMean", _over(lambda x, axes, keep: x.mean(axes, keep))),
    Operator("ReduceSum", _over(lambda x, axes, keep: x.sum(axes, keep))),
    Operator("Softmax", lambda node, inputs: F.softmax(inputs[0], node.attributes["axis"])),
)
