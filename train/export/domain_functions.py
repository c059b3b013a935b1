"""Bodies of the ``vaectrol`` domain operators: model-local ONNX functions of standard operators.

Any runtime executes them as they are; the compiler recognises the name and uses its own kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from train.models.domain import DOMAIN, VERSION
from train.models.noise import GOLDEN, WORD

OPSET = 21


class _Body:
    """Collects nodes; ``_Body().Add(a, b)`` appends an Add and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []

    def __getattr__(self, operator: str) -> Any:
        def append(*inputs: str, name: str | None = None, **attributes: Any) -> str:
            output = name or f"t{len(self.nodes)}"
            self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
            return output

        return append

    def integers(self, *values: int) -> str:
        """An int64 vector."""
        return self.Constant(value_ints=list(values))

    def integer(self, value: int) -> str:
        """An int64 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.int64)))

    def attribute(self, name: str) -> str:
        """An int attribute of the function, as an int64 scalar."""
        output = f"t{len(self.nodes)}"
        node = helper.make_node("Constant", [], [output])
        reference = node.attribute.add()
        reference.name, reference.ref_attr_name, reference.type = "value_int", name, AttributeProto.INT
        self.nodes.append(node)
        return output


def _function(name: str, inputs: list[str], output: str, body: _Body, attributes: list[str]) -> FunctionProto:
    return helper.make_function(
        DOMAIN, name, inputs, [output], body.nodes, [helper.make_opsetid("", OPSET)], attributes
    )


def pqmf_synthesis(bands: int, taps: int) -> FunctionProto:
    """``PQMFSynthesis(subbands [1, M, T], bank [M, 1, L], prototype [L]) -> [1, 1, T·M]``."""
    b = _Body()
    b.ConvTranspose("subbands", "bank", name="audio", strides=[bands], pads=[0, taps - bands])
    return _function("PQMFSynthesis", ["subbands", "bank", "prototype"], "audio", b, [])


def pqmf_analysis(bands: int, taps: int) -> FunctionProto:
    """``PQMFAnalysis(audio [1, 1, T·M], bank [M, 1, L], prototype [L]) -> [1, M, T]``.

    ``bank`` holds impulse responses; Conv correlates, so the body turns them round.
    """
    b = _Body()
    turned = b.Slice("bank", b.integers(-1), b.integers(-(1 << 62)), b.integers(2), b.integers(-1))
    b.Conv("audio", turned, name="subbands", strides=[bands], pads=[taps - bands, 0])
    return _function("PQMFAnalysis", ["audio", "bank", "prototype"], "subbands", b, [])


def filtered_noise() -> FunctionProto:
    """``FilteredNoise(filters [1, B·K, T]) {bands, taps, hop, seed} -> [1, B, T·hop]``."""
    b = _Body()
    zero, one = b.integer(0), b.integer(1)
    bands, taps, hop, seed = (b.attribute(name) for name in ("bands", "taps", "hop", "seed"))

    def vector(scalar: str) -> str:
        return b.Unsqueeze(scalar, b.integers(0))

    frames = b.Squeeze(b.Shape("filters", start=2, end=3), b.integers(0))
    samples = b.Mul(frames, hop)
    # m = n − k, over [1, K, samples]
    n = b.Unsqueeze(b.Range(zero, samples, one), b.integers(0, 1))
    k = b.Unsqueeze(b.Range(zero, taps, one), b.integers(0, 2))
    m = b.Sub(n, k)
    band = b.Unsqueeze(b.Range(zero, bands, one), b.integers(1, 2))
    count = b.Add(b.Add(b.Mul(m, bands), band), b.Mul(seed, b.integer(GOLDEN)))
    x = b.Cast(b.BitwiseAnd(count, b.integer(WORD)), to=TensorProto.UINT32)

    def word(value: int) -> str:
        return b.Constant(value=numpy_helper.from_array(np.array(value, np.uint32)))

    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
        x = b.BitwiseXor(x, b.BitShift(x, word(shift), direction="RIGHT"))
        if factor is not None:
            x = b.Mul(x, word(factor))
    wide = b.Cast(x, to=TensorProto.INT64)
    wrapped = b.Where(b.Less(wide, b.integer(1 << 31)), wide, b.Sub(wide, b.integer(1 << 32)))
    scale = b.Constant(value=numpy_helper.from_array(np.array(2.0**-31, np.float32)))
    noise = b.Mul(b.Cast(wrapped, to=TensorProto.FLOAT), scale)
    silent = b.Constant(value=numpy_helper.from_array(np.array(0.0, np.float32)))
    noise = b.Where(b.Less(m, zero), silent, noise)
    held = b.Reshape("filters", b.Concat(vector(bands), vector(taps), b.integers(-1), b.integers(1), axis=0))
    held = b.Expand(held, b.Concat(b.integers(1, 1, 1), vector(hop), axis=0))
    held = b.Reshape(held, b.Concat(vector(bands), vector(taps), b.integers(-1), axis=0))
    summed = b.ReduceSum(b.Mul(held, noise), b.integers(1), keepdims=0)
    b.Unsqueeze(summed, b.integers(0), name="noise")
    return _function("FilteredNoise", ["filters"], "noise", b, ["bands", "taps", "hop", "seed"])


def attach(model: ModelProto) -> None:
    """Add the functions that the graph of ``model`` calls, in place."""
    sizes = {i.name: tuple(i.dims) for i in model.graph.initializer}
    functions: dict[str, FunctionProto] = {}
    for node in model.graph.node:
        if node.domain != DOMAIN:
            continue
        if node.op_type == "FilteredNoise":
            functions[node.op_type] = filtered_noise()
            continue
        bands, _, taps = sizes[node.input[1]]
        make = {"PQMFSynthesis": pqmf_synthesis, "PQMFAnalysis": pqmf_analysis}[node.op_type]
        made = make(bands, taps)
        if functions.setdefault(node.op_type, made) != made:
            raise ValueError(f"two {node.op_type} banks of different sizes in one model")
    del model.functions[:]
    model.functions.extend(functions.values())
    if functions and not any(o.domain == DOMAIN for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))
