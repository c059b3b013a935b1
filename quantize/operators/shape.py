"""What exporters write around shapes and types; most of it is folded before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from quantize.graph.graph import Node
from quantize.operators.movement import ints
from quantize.operators.record import Channels, Operator, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor


def same(node: Node, inputs: list[Any]) -> Tensor:
    """The input itself."""
    x: Tensor = inputs[0]
    return x


def cast(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Cast; floats keep the precision that the network runs in."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    if np.issubdtype(kind, np.floating):
        return inputs[0].to(
            torch.get_default_dtype() if not inputs[0].is_floating_point() else inputs[0].dtype
        )
    return inputs[0].to(torch.bool if kind == np.bool_ else torch.int64)


def shape(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Shape."""
    full = list(inputs[0].shape)
    return torch.tensor(full[node.attributes["start"] : node.attributes["end"]])


def gather(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Gather."""
    x, index, axis = inputs[0], inputs[1], node.attributes["axis"]
    axis = axis % x.ndim
    index = torch.where(index < 0, index + x.shape[axis], index)
    y = x.index_select(axis, index.reshape(-1))
    return y.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def constant(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX Constant."""
    ((key, value),) = [(k, v) for k, v in node.attributes.items() if v is not None]
    array = numpy_helper.to_array(value) if key == "value" else np.asarray(value)
    if array.dtype == np.float64 and key != "value":
        array = array.astype(np.float32)
    return torch.from_numpy(np.array(array))


def constant_of_shape(node: Node, inputs: list[Any]) -> Tensor:
    """ONNX ConstantOfShape."""
    given = node.attributes["value"]
    value = 0.0 if given is None else numpy_helper.to_array(given).reshape(-1)[0].item()
    return torch.full(ints(inputs[0]), value)


def _write_identity(w: Writer, node: Node) -> None:
    w.real[node.outputs[0]] = w.as_float(node.inputs[0])


register(
    Operator(
        "Identity",
        same,
        channels=Channels.KEPT,
        homogeneous=True,
        transparent=True,
        tflite=_write_identity,
    ),
    Operator("Dropout", same, transparent=True),
    Operator("Cast", cast, channels=Channels.KEPT),
    Operator("CastLike", lambda node, inputs: inputs[0].to(inputs[1].dtype)),
    Operator("Shape", shape),
    Operator("Size", lambda node, inputs: torch.tensor(inputs[0].numel())),
    Operator("Gather", gather),
    Operator("Tile", lambda node, inputs: inputs[0].repeat(ints(inputs[1]))),
    Operator("Constant", constant),
    Operator("ConstantOfShape", constant_of_shape),
    Operator("Range", lambda node, inputs: torch.arange(*(v.item() for v in inputs[:3]))),
    Operator("Where", lambda node, inputs: torch.where(inputs[0].bool(), inputs[1], inputs[2])),
    Operator("Equal", lambda node, inputs: inputs[0] == inputs[1]),
    Operator("Greater", lambda node, inputs: inputs[0] > inputs[1]),
    Operator("Less", lambda node, inputs: inputs[0] < inputs[1]),
)
