"""Hostile ONNX files: valid models changed at random, in their bytes and in their meaning."""

from __future__ import annotations

import functools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.firmware.compiler_graphs import quantized, random_graph

NUMBERS = (0, -1, 1, 2, 3, 7, 64, 65_537, 2**31 - 1, -(2**31), 2**40, 2**62)
FLOATS = (0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e-45, 1e38, 1e-12)


@functools.cache
def seeds() -> list[bytes]:
    """Valid models to begin from."""
    models = []
    for seed in range(6):
        model, builder = random_graph(seed)
        models.append(model.SerializeToString())
        _, builder = random_graph(seed, batch_norm=False)
        models.append(quantized(builder, ("int16", "int8", "uint8")[seed % 3]).SerializeToString())
    return models


def mutate(number: int) -> bytes:
    """The ``number``-th mutation: the same number gives the same file."""
    rng = np.random.default_rng(number)
    raw = seeds()[int(rng.integers(len(seeds())))]
    if rng.random() < 0.3:
        return _bytes(raw, rng)
    model = onnx.ModelProto.FromString(raw)
    for _ in range(int(rng.integers(1, 4))):
        try:
            MEANINGS[int(rng.integers(len(MEANINGS)))](model, rng)
        except Exception:  # the mutation itself was impossible (too deep to encode, an empty list)
            continue
    return model.SerializeToString()


def _bytes(raw: bytes, rng) -> bytes:
    """Flip, cut, repeat or insert bytes."""
    data = bytearray(raw)
    kind = rng.integers(4)
    if kind == 0:
        for _ in range(int(rng.integers(1, 30))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
    elif kind == 1:
        del data[int(rng.integers(len(data))) :]
    elif kind == 2:
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 200))
        data[at:at] = data[at : at + size]
    else:
        at = int(rng.integers(len(data)))
        data[at:at] = rng.integers(0, 256, int(rng.integers(1, 50)), dtype=np.uint8).tobytes()
    return bytes(data)


def _pick(items, rng):
    return items[int(rng.integers(len(items)))]


def _dimension(model, rng):
    value = _pick([*model.graph.input, *model.graph.output], rng)
    dim = _pick(value.type.tensor_type.shape.dim, rng)
    if rng.random() < 0.3:
        dim.dim_param = str(_pick(["", "n", "4*n", "n*0", "x" * 5000], rng))
    else:
        dim.dim_value = int(_pick(NUMBERS, rng))


def _initializer_shape(model, rng):
    tensor = _pick(model.graph.initializer, rng)
    if tensor.dims and rng.random() < 0.7:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = int(_pick(NUMBERS, rng))
    else:
        tensor.dims.append(int(_pick(NUMBERS, rng)))


def _initializer_values(model, rng):
    tensor = _pick(model.graph.initializer, rng)
    values = numpy_helper.to_array(tensor).copy()
    if values.dtype.kind == "f":
        values.reshape(-1)[int(rng.integers(values.size))] = _pick(FLOATS, rng)
    else:
        info = np.iinfo(values.dtype)
        values.reshape(-1)[int(rng.integers(values.size))] = int(
            np.clip(_pick(NUMBERS, rng), info.min, info.max)
        )
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _initializer_type(model, rng):
    _pick(model.graph.initializer, rng).data_type = int(rng.integers(0, 30))


def _remove(model, rng):
    items = _pick([model.graph.initializer, model.graph.node, model.graph.input, model.graph.output], rng)
    del items[int(rng.integers(len(items)))]


def _swap(model, rng):
    a, b = (int(rng.integers(len(model.graph.node))) for _ in range(2))
    first, second = onnx.NodeProto(), onnx.NodeProto()
    first.CopyFrom(model.graph.node[a])
    second.CopyFrom(model.graph.node[b])
    model.graph.node[a].CopyFrom(second)
    model.graph.node[b].CopyFrom(first)


def _rewire(model, rng):
    node = _pick(model.graph.node, rng)
    names = [n for other in model.graph.node for n in other.output] + [
        i.name for i in model.graph.initializer
    ]
    names += ["", "missing"]
    node.input[int(rng.integers(len(node.input)))] = _pick(names, rng)


def _rename_output(model, rng):
    node = _pick(model.graph.node, rng)
    node.output[0] = _pick([_pick(model.graph.node, rng).output[0], "", node.input[0]], rng)


def _operator(model, rng):
    node = _pick(model.graph.node, rng)
    node.op_type = _pick(
        [
            "Conv",
            "ConvTranspose",
            "Add",
            "Concat",
            "Reshape",
            "Transpose",
            "GRU",
            "Split",
            "Slice",
            "Pad",
            "Resize",
            "Gemm",
            "MatMul",
            "Loop",
            "If",
            "Softmax",
            "PQMFSynthesis",
            "FilteredNoise",
            "QuantizeLinear",
            "DequantizeLinear",
            "Expand",
            "Tile",
            "Gather",
            "Squeeze",
            "Unsqueeze",
            "ConstantOfShape",
            "Clip",
            "PRelu",
            "Shape",
            "\u2620",
            "",
        ],
        rng,
    )
    if rng.random() < 0.3:
        node.domain = _pick(["vaectrol", "com.microsoft", "nowhere"], rng)


def _attribute(model, rng):
    node = _pick(model.graph.node, rng)
    if node.attribute and rng.random() < 0.7:
        attr = _pick(node.attribute, rng)
        if attr.ints:
            attr.ints[int(rng.integers(len(attr.ints)))] = int(np.clip(_pick(NUMBERS, rng), -(2**62), 2**62))
            if rng.random() < 0.2:
                attr.ints.append(1)
        elif attr.type == onnx.AttributeProto.INT:
            attr.i = int(_pick(NUMBERS, rng))
        else:
            attr.f = float(_pick(FLOATS, rng))
    else:
        name = _pick(
            [
                "group",
                "axis",
                "pads",
                "strides",
                "dilations",
                "auto_pad",
                "perm",
                "to",
                "hop",
                "bands",
                "alpha",
            ],
            rng,
        )
        node.attribute.append(
            helper.make_attribute(name, _pick([-1, 0, 2**40, [0], [1, 2, 3, 4], "SAME_UPPER", 1.5], rng))
        )


def _nest(model, rng):
    graph = helper.make_graph([], "leaf", [], [])
    for level in range(int(rng.integers(1, 90))):
        node = helper.make_node(
            "If",
            ["missing"],
            [f"nested_{level}"],
            then_branch=graph,
            else_branch=graph if level < 3 else helper.make_graph([], "e", [], []),
        )
        graph = helper.make_graph([node], "inner", [], [])
    model.graph.node.append(graph.node[0])


def _external(model, rng):
    tensor = _pick(model.graph.initializer, rng)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", _pick(["/etc/passwd", "../secret", "missing.bin", ""], rng)),
        ("length", str(2**31)),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _metadata(model, rng):
    entry = model.metadata_props.add()
    entry.key = _pick(["vaectrol.inputs", "vaectrol.kind", "vaectrol.outputs"], rng)
    entry.value = _pick(
        [
            "[",
            "{}",
            '[{"name": "x", "rate": "1/0"}]',
            '[{"name": "x", "rate": "event"}]',
            '[{"name": "x", "rate": "-3"}]',
            "[1]",
            '[{"name": ["x"], "rate": {}}]',
            "[" * 5000,
            '[{"name": "x", "rate": "1/1000000007"}]',
        ],
        rng,
    )


def _claim(model, rng):
    """A constant that claims gigabytes."""
    shape = numpy_helper.from_array(np.array([2**15, 2**15, 4], np.int64), "huge_shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(
        0, helper.make_node(_pick(["ConstantOfShape", "Expand"], rng), ["huge_shape"] * 2, ["huge"])
    )


def _many_axes(model, rng):
    value = _pick(model.graph.input, rng)
    for _ in range(int(rng.integers(1, 40))):
        value.type.tensor_type.shape.dim.add().dim_value = int(_pick((1, 2, 2**20), rng))


MEANINGS = (
    _dimension,
    _initializer_shape,
    _initializer_values,
    _initializer_values,
    _initializer_type,
    _remove,
    _swap,
    _rewire,
    _rewire,
    _rename_output,
    _operator,
    _operator,
    _attribute,
    _attribute,
    _attribute,
    _nest,
    _external,
    _metadata,
    _claim,
    _many_axes,
)
