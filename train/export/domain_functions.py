"""Bodies of the ``vaectrol`` domain operators: model-local ONNX functions of standard operators.

Any runtime executes them as they are; the compiler recognises the name and uses its own kernels.
"""

from __future__ import annotations

import numpy as np
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from train.export.bank_function import harmonic_bank
from train.export.body import Body, function
from train.export.hit_function import hit_sound
from train.export.texture_functions import ear_function, source_filter_function
from train.models.domain import DOMAIN, VERSION
from train.models.noise import GOLDEN, WORD


def pqmf_synthesis(bands: int, taps: int) -> FunctionProto:
    """``PQMFSynthesis(subbands [1, M, T], bank [M, 1, L], prototype [L]) -> [1, 1, T·M]``."""
    b = Body()
    b.ConvTranspose("subbands", "bank", name="audio", strides=[bands], pads=[0, taps - bands])
    return function("PQMFSynthesis", ["subbands", "bank", "prototype"], "audio", b, [])


def pqmf_analysis(bands: int, taps: int) -> FunctionProto:
    """``PQMFAnalysis(audio [1, 1, T·M], bank [M, 1, L], prototype [L]) -> [1, M, T]``.

    ``bank`` holds impulse responses; Conv correlates, so the body turns them round.
    """
    b = Body()
    turned = b.Slice("bank", b.integers(-1), b.integers(-(1 << 62)), b.integers(2), b.integers(-1))
    b.Conv("audio", turned, name="subbands", strides=[bands], pads=[taps - bands, 0])
    return function("PQMFAnalysis", ["audio", "bank", "prototype"], "subbands", b, [])


def filtered_noise() -> FunctionProto:
    """``FilteredNoise(filters [1, B·K, T]) {bands, taps, hop, seed} -> [1, B, T·hop]``."""
    b = Body()
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
    return function("FilteredNoise", ["filters"], "noise", b, ["bands", "taps", "hop", "seed"])


def _hit_sound(node: NodeProto, sizes: dict[str, tuple[int, ...]]) -> FunctionProto:
    """The body for one node: its constants say how large everything is."""
    anchors, _, filters, grid, _ = (sizes[name] for name in node.input[4:])
    given = {a.name: a.i for a in node.attribute}
    return hit_sound(anchors[0], filters[0], grid[0], given["samples"], filters[2], given["gliding"])


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
        if node.op_type == "HitSound":
            functions[node.op_type] = _hit_sound(node, sizes)
            continue
        if node.op_type == "Ear":
            functions[node.op_type] = ear_function()
            continue
        if node.op_type == "SourceFilter":
            functions[node.op_type] = source_filter_function(sizes[node.input[2]][0])
            continue
        if node.op_type == "HarmonicBank":
            count = next(a.i for a in node.attribute if a.name == "harmonics")
            functions[node.op_type] = harmonic_bank(count)
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
