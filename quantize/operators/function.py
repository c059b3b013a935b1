"""Functions of one number that run in float only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from quantize.graph.graph import Node
from quantize.operators.record import Channels, Operator, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor


def of(name: str, function: Callable[[Tensor], Tensor], tflite: Any = None) -> Operator:
    """Make the record of a function without attributes."""
    return Operator(name, lambda node, inputs: function(inputs[0]), channels=Channels.KEPT, tflite=tflite)


def elu(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Elu."""
    return F.elu(inputs[0], node.attributes["alpha"])


def gelu(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Gelu."""
    return F.gelu(inputs[0], approximate=node.attributes["approximate"])


def hard_sigmoid(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX HardSigmoid."""
    slope, offset = node.attributes["alpha"], node.attributes["beta"]
    return torch.clamp(inputs[0] * slope + offset, 0, 1)


def _write_softplus(w: Writer, node: Node) -> None:
    """Exp, plus 1, log; in float."""
    out = node.outputs[0]
    one = w.constant(f"{out}/one", np.ones(1, np.float32))
    raised, grown = (w.floats(f"{out}/{stem}", out) for stem in ("exp", "sum"))
    w.add("EXP", [w.as_float(node.inputs[0])], [raised], "ExpOptions")
    w.add("ADD", [raised, one], [grown], "AddOptions")
    w.add("LOG", [grown], [w.result(out)])


register(
    of("Exp", torch.exp, lambda w, node: w.kernel(node, "EXP", "ExpOptions")),
    of("Sin", torch.sin, lambda w, node: w.kernel(node, "SIN")),
    of("Cos", torch.cos),
    of("Log", torch.log),
    of("Abs", torch.abs),
    of("Neg", torch.neg),
    of("Sqrt", torch.sqrt),
    of("Reciprocal", lambda x: 1.0 / x),
    of("Softplus", F.softplus, _write_softplus),
    Operator("Elu", elu, channels=Channels.KEPT),
    Operator("Gelu", gelu, channels=Channels.KEPT),
    Operator("HardSigmoid", hard_sigmoid, channels=Channels.KEPT),
)
