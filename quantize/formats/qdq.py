"""Write and read QDQ ONNX: QuantizeLinear/DequantizeLinear around what runs in integers.

The file is that of docs/design.md#model-file, its integers those of docs/design.md#arithmetic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from common.refusal import Refusal
from quantize.graph.graph import Graph, Node
from quantize.graph.load import read_nodes
from quantize.integers.plan import Plan, Quantized, can_fuse, quantized_inputs
from quantize.integers.weights import QuantizedLayer, bias_scale
from quantize.operators import along, bias_of, known, layer_of
from quantize.operators.record import DEQUANTIZE, QUANTIZE, WeightsForm

ACTIVATION_TYPES: dict[int, Any] = {8: np.dtype(np.int8), 16: np.dtype(np.int16)}
# int16 QuantizeLinear arrived with this opset
LEAST_OPSET = 21


def to_qdq(model: Quantized, metadata: dict[str, Any] | None = None) -> onnx.ModelProto:
    """Build the QDQ ONNX model.

    Parameters
    ----------
    model : Quantized
        Plan, scales and integers.
    metadata : dict, optional
        ``vaectrol.*`` values to add.
    """
    plan, graph = model.plan, model.plan.graph
    constants: dict[str, np.ndarray] = {}
    nodes: list[Node] = []
    inputs, outputs = set(graph.input_names), set(graph.output_names)

    def read(name: str) -> str:
        """Name of the dequantized form."""
        return name if name in outputs else f"{name}/dequantized"

    def add_pair(name: str, source: str) -> None:
        """Quantize `source` and dequantize it again under the name that integer nodes read."""
        width = plan.width(name)
        constants[f"{name}/scale"] = np.array(model.scale(name), np.float32)
        constants[f"{name}/zero"] = np.zeros((), ACTIVATION_TYPES[width])
        pair = [f"{name}/scale", f"{name}/zero"]
        nodes.append(Node(QUANTIZE, [source, *pair], [f"{name}/integer"], name=f"{name}/quantize"))
        nodes.append(Node(DEQUANTIZE, [f"{name}/integer", *pair], [read(name)], name=f"{name}/dequantize"))

    quantized = {name for name in plan.scale_class if name not in graph.constants}
    for name in graph.input_names:
        if name in quantized:
            add_pair(name, name)
    for name in plan.constants():
        _add_constant(model, name, constants, nodes)

    for position, node in enumerate(graph.nodes):
        integer = position in plan.integer
        operands = set(quantized_inputs(node)) if integer else set()

        def source(name: str, integer: bool = integer, operands: set[str] = operands) -> str:
            if name in quantized and (name not in inputs or (integer and name in operands)):
                return read(name)
            return f"{name}/dequantized" if name in operands and name in graph.constants else name

        layer = layer_of(node) if integer else None
        plain = layer.plain(node) if layer is not None else node
        written = replace(
            plain, inputs=[source(n) for n in node.inputs], outputs=[], attributes=dict(plain.attributes)
        )
        if layer is not None:
            _add_layer(model, position, written, constants, nodes)
        record = known(node)
        if integer and record is not None and record.weights is not None:
            _add_weights(model, record.weights, written, node, constants, nodes)
        written.outputs = [f"{n}/float" if n in quantized else n for n in node.outputs]
        nodes.append(written)
        for name in node.outputs:
            if name in quantized:
                add_pair(name, f"{name}/float")

    used = {name for node in nodes for name in node.inputs} - {
        name for node in nodes for name in node.outputs
    }
    constants.update({name: value for name, value in graph.constants.items() if name in used})
    result = Graph(nodes, constants, graph.inputs, graph.outputs, graph.source)
    written_model = result.to_model(metadata)
    _raise_opset(written_model)
    onnx.checker.check_model(written_model)
    return written_model


def _add_constant(model: Quantized, name: str, constants: dict[str, np.ndarray], nodes: list[Node]) -> None:
    kind = ACTIVATION_TYPES[model.plan.width(name)]
    scale = model.scale(name)
    top = np.iinfo(kind).max
    integers = np.rint(model.plan.graph.constants[name].astype(np.float64) / scale)
    constants[f"{name}/integer"] = np.clip(integers, -top, top).astype(kind)
    constants[f"{name}/scale"] = np.array(scale, np.float32)
    constants[f"{name}/zero"] = np.zeros((), kind)
    nodes.append(
        Node(
            DEQUANTIZE,
            [f"{name}/integer", f"{name}/scale", f"{name}/zero"],
            [f"{name}/dequantized"],
            name=f"{name}/dequantize",
        )
    )


def _add_layer(
    model: Quantized, position: int, node: Node, constants: dict[str, np.ndarray], nodes: list[Node]
) -> None:
    """Write weight and bias as integers with their DequantizeLinear, and point `node` at them."""
    original = model.plan.graph.nodes[position]
    layer = model.layer(position)
    stem = original.outputs[0]
    constants[f"{stem}/weight/integer"] = layer.weight
    constants[f"{stem}/weight/scale"] = layer.scale
    constants[f"{stem}/weight/zero"] = np.zeros(layer.scale.shape, layer.weight.dtype)
    nodes.append(
        Node(
            DEQUANTIZE,
            [f"{stem}/weight/integer", f"{stem}/weight/scale", f"{stem}/weight/zero"],
            [f"{stem}/weight"],
            {"axis": layer.axis},
            name=f"{stem}/weight/dequantize",
        )
    )
    node.inputs = [node.inputs[0], f"{stem}/weight"]
    if layer.bias is not None:
        groups = len(layer.bias) // len(layer.scale)
        scale = bias_scale(model.scale(original.inputs[0]), layer.scale, groups)
        constants[f"{stem}/bias/integer"] = layer.bias
        constants[f"{stem}/bias/scale"] = scale
        constants[f"{stem}/bias/zero"] = np.zeros(scale.shape, np.int32)
        nodes.append(
            Node(
                DEQUANTIZE,
                [f"{stem}/bias/integer", f"{stem}/bias/scale", f"{stem}/bias/zero"],
                [f"{stem}/bias"],
                {"axis": 0},
                name=f"{stem}/bias/dequantize",
            )
        )
        node.inputs.append(f"{stem}/bias")


def _add_weights(
    model: Quantized,
    weights_of: WeightsForm,
    node: Node,
    original: Node,
    constants: dict[str, np.ndarray],
    nodes: list[Node],
) -> None:
    """Write the weights of an operator that is no layer as integers, each of one scale."""
    stored = weights_of(original, model.plan.graph, model.scale(original.inputs[0]))
    for place, (integers, scale) in stored.items():
        stem = f"{original.outputs[0]}/weight_{place}"
        constants[f"{stem}/integer"] = integers
        constants[f"{stem}/scale"] = np.array([scale], np.float32)
        constants[f"{stem}/zero"] = np.zeros(1, integers.dtype)
        names = [f"{stem}/{part}" for part in ("integer", "scale", "zero")]
        nodes.append(Node(DEQUANTIZE, names, [stem], {"axis": 0}, name=f"{stem}/dequantize"))
        node.inputs[place] = stem


def _raise_opset(model: onnx.ModelProto) -> None:
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version < LEAST_OPSET:
            # a checked node means the same in every opset from LEAST_OPSET_OF_FORM on
            entry.version = LEAST_OPSET
    if model.ir_version < 10:
        model.ir_version = 10


def read_qdq(model: onnx.ModelProto) -> Quantized:
    """Read a QDQ model with zero points of 0 back into a plan, scales and integers.

    Raises
    ------
    Refusal
        If a zero point is not 0, or nothing is quantized.
    """
    nodes, constants = read_nodes(model, fold=False)
    alias: dict[str, str] = {}
    scales: dict[str, float] = {}
    bits: dict[str, int] = {}
    integers: dict[str, tuple[np.ndarray, np.ndarray, int]] = {}
    outputs = {value.name for value in model.graph.output}
    sources: dict[str, str] = {}
    kept: list[Node] = []
    for node in nodes:
        if node.op == QUANTIZE:
            sources[node.outputs[0]] = node.inputs[0]
        elif node.op == DEQUANTIZE:
            zero = constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
            if zero is not None and np.any(zero != 0):
                raise Refusal(
                    f"node {node.name!r} has a zero point that is not 0; quantize the float model "
                    "with Vaectrol."
                )
            scale, result = constants[node.inputs[1]], node.outputs[0]
            if node.inputs[0] in constants:
                values = constants[node.inputs[0]]
                integers[result] = (values, scale, node.attributes["axis"] if scale.ndim else 0)
                if scale.ndim == 0 and values.dtype in (np.int8, np.int16):
                    scales[result], bits[result] = float(scale), 8 * values.dtype.itemsize
            else:
                source = sources[node.inputs[0]]
                name = result if result in outputs else source
                alias[result], alias[source] = name, name
                scales[name] = float(scale)
                bits[name] = 8 if zero is None else 8 * zero.dtype.itemsize
        else:
            kept.append(node)
    if not scales:
        raise Refusal("this model is not quantized; run vaectrol quantize on it first.")
    return _assemble(model, kept, alias, scales, bits, integers, constants)


def _assemble(
    model: onnx.ModelProto,
    kept: list[Node],
    alias: dict[str, str],
    scales: dict[str, float],
    bits: dict[str, int],
    integers: dict[str, tuple[np.ndarray, np.ndarray, int]],
    constants: dict[str, np.ndarray],
) -> Quantized:
    """Put the nodes that remain without their Q and DQ into a plan."""
    values = dict(constants)
    for name, (whole, scale, axis) in integers.items():
        spread = along(scale, axis, whole.ndim) if scale.ndim and whole.ndim else scale
        values[name] = (whole.astype(np.float64) * spread).astype(np.float32)
    dequantized = {name for name, target in alias.items() if target in scales} | set(integers)
    reads_integers = [all(n in dequantized for n in quantized_inputs(node) if n) for node in kept]
    for node in kept:
        node.inputs = [alias.get(n, n) for n in node.inputs]
        node.outputs = [alias.get(n, n) for n in node.outputs]
    graph = Graph(kept, values, list(model.graph.input), list(model.graph.output), model)
    consumers = graph.consumers()
    fused: dict[str, str] = {}
    integer: set[int] = set()
    for position, node in enumerate(kept):
        record, readers = known(node), consumers.get(node.outputs[0], [])
        if record is None or not record.has_integers:
            continue
        alone = len(readers) == 1 and node.outputs[0] not in scales
        if record.layer is not None and alone and can_fuse(readers[0]):
            if reads_integers[position] and readers[0].outputs[0] in scales:
                fused[node.outputs[0]] = readers[0].outputs[0]
                integer.update((position, kept.index(readers[0])))
        elif reads_integers[position] and all(n in scales for n in node.outputs):
            integer.add(position)
    layers = {}
    for position in sorted(integer):
        node = kept[position]
        if layer_of(node) is not None and node.inputs[1] in integers:
            weight, scale, axis = integers[node.inputs[1]]
            bias = integers[bias_of(node)][0] if bias_of(node) in integers else None
            whole = weight.shape[axis]
            layers[position] = QuantizedLayer(weight, np.broadcast_to(scale, whole).copy(), axis, bias)
    return Quantized(Plan(graph, integer, fused, {n: n for n in scales}, bits), scales, layers)
