"""Give a causal float ONNX network explicit state, so that other runtimes can be fed block by block.

Each convolution with left padding gets an input and an output of its last frames (Concat, Conv, Slice), each
transposed convolution likewise. Nothing is computed twice; what comes out is what the offline graph gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.refusal import Refusal

POINTWISE = {"LeakyRelu", "Tanh", "Sigmoid", "Add", "Mul", "Sub", "Identity", "Relu", "Split", "Clip", "Mean"}
ROUNDS = {"QuantizeLinear", "DequantizeLinear"}


def with_states(path: Path) -> tuple[Any, list[tuple[str, str, tuple[int, ...]]]]:
    """Rewrite the network at `path`.

    Returns
    -------
    ModelProto, and (input name, output name, shape) of every state.

    Raises
    ------
    Refusal
        An operator whose state this does not know.
    """
    import onnx
    from onnx import TensorProto, helper, inliner, numpy_helper

    model = inliner.inline_local_functions(onnx.load(str(path)))
    graph = model.graph
    sizes = {t.name: tuple(t.dims) for t in graph.initializer}
    sizes |= {n.output[0]: sizes[n.input[0]] for n in graph.node if n.input[0] in sizes}
    nodes: list[Any] = []
    states: list[tuple[str, str, tuple[int, ...]]] = []
    constants: list[Any] = []

    def vector(name: str, *values: int) -> str:
        constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    for index, node in enumerate(graph.node):
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        pads = list(attributes.get("pads", [0, 0]))
        if node.op_type == "Conv" and pads[1] == 0 and attributes.get("strides", [1])[0] == 1:
            keep, channels = pads[0], sizes[node.input[1]][1] * attributes.get("group", 1)
            trim = 0
        elif node.op_type == "ConvTranspose" and pads[0] == 0:
            stride = attributes["strides"][0]
            taps = sizes[node.input[1]][2]
            keep, channels = -(-(taps - stride) // stride), sizes[node.input[1]][0]
            trim = keep * stride
        elif node.op_type in POINTWISE | ROUNDS:
            nodes.append(node)
            continue
        else:
            raise Refusal(
                f"{path.name}: {node.op_type} {node.name!r} has no explicit state here; peers are left out."
            )
        if keep == 0:
            nodes.append(node)
            continue
        old, new, joined = f"state_{index}", f"state_{index}_next", f"joined_{index}"
        states.append((old, new, (1, channels, keep)))
        nodes.append(helper.make_node("Concat", [old, node.input[0]], [joined], axis=2))
        changed = {k: v for k, v in attributes.items() if k != "pads"}
        raw = node.output[0] if trim == 0 else f"long_{index}"
        if trim:
            # what the kept frames begin has been heard; what the last ones begin is still to come
            changed["pads"] = [0, pads[1]]
        nodes.append(
            helper.make_node(node.op_type, [joined, *node.input[1:]], [raw], name=node.name, **changed)
        )
        if trim:
            start, end = vector(f"from_{index}", trim), vector(f"to_{index}", 1 << 60)
            axis = vector(f"along_{index}", 2)
            nodes.append(helper.make_node("Slice", [raw, start, end, axis], [node.output[0]]))
        tail = vector(f"tail_{index}", -keep)
        end, axis = vector(f"end_{index}", 1 << 60), vector(f"axis_{index}", 2)
        nodes.append(helper.make_node("Slice", [joined, tail, end, axis], [new]))
    inputs = [*graph.input] + [helper.make_tensor_value_info(o, TensorProto.FLOAT, s) for o, _, s in states]
    outputs = [*graph.output] + [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for _, n, s in states]
    rebuilt = helper.make_graph(nodes, graph.name, inputs, outputs, [*graph.initializer, *constants])
    opsets = [o for o in model.opset_import if o.domain in ("", "ai.onnx")]
    return helper.make_model(rebuilt, opset_imports=opsets, ir_version=10), states


def torch_module(model: Any, states: list[tuple[str, str, tuple[int, ...]]]) -> Any:
    """Return an nn.Module that runs the rewritten graph: (inputs…, states…) → (outputs…, states…)."""
    import torch
    from onnx import helper, numpy_helper
    from torch import nn
    from torch.nn import functional as F

    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
    starts = {
        n: int(t.reshape(-1)[0]) for n, t in values.items() if t.dtype == torch.int64 and t.numel() == 1
    }
    names_in = [i.name for i in model.graph.input]
    names_out = [o.name for o in model.graph.output]
    steps = [
        (
            n.op_type,
            list(n.input),
            list(n.output),
            {a.name: helper.get_attribute_value(a) for a in n.attribute},
        )
        for n in model.graph.node
    ]

    class Network(nn.Module):
        """Executes the nodes in order."""

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            """Run one block."""
            v: dict[str, Any] = {**values, **dict(zip(names_in, tensors, strict=True))}
            for op, ins, outs, attrs in steps:
                x = [v[i] for i in ins if i]
                if op == "Conv":
                    y = F.conv1d(
                        x[0], x[1], x[2] if len(x) > 2 else None, dilation=attrs.get("dilations", [1])[0]
                    )
                elif op == "ConvTranspose":
                    y = F.conv_transpose1d(
                        x[0], x[1], x[2] if len(x) > 2 else None, stride=attrs["strides"][0]
                    )
                    crop = attrs.get("pads", [0, 0])[1]
                    y = y[..., : y.shape[-1] - crop] if crop else y
                elif op == "Concat":
                    y = torch.cat(x, dim=attrs["axis"])
                elif op == "Slice":
                    y = x[0][..., starts[ins[1]] :]
                elif op == "Split":
                    for name, part in zip(
                        outs, torch.split(x[0], x[1].tolist(), dim=attrs["axis"]), strict=True
                    ):
                        v[name] = part
                    continue
                else:
                    y = {
                        "LeakyRelu": lambda a: F.leaky_relu(a[0], attrs.get("alpha", 0.01)),  # noqa: B023
                        "Tanh": lambda a: torch.tanh(a[0]),
                        "Sigmoid": lambda a: torch.sigmoid(a[0]),
                        "Relu": lambda a: torch.relu(a[0]),
                        "Add": lambda a: a[0] + a[1],
                        "Sub": lambda a: a[0] - a[1],
                        "Mul": lambda a: a[0] * a[1],
                        "Mean": lambda a: (a[0] + a[1]) / 2,
                        "Identity": lambda a: a[0],
                    }[op](x)
                v[outs[0]] = y
            return tuple(v[name] for name in names_out)

    return Network().eval()
