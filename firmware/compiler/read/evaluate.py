"""Nodes between constants, computed by the evaluator that comes with ONNX; what would grow is refused."""

from __future__ import annotations

import math

import numpy as np
import onnx

from common.refusal import Refusal
from firmware.compiler.read.onnx_nodes import describe

MAX_FOLDED_ELEMENTS = 1 << 24
GROWING = (
    *("Expand", "Tile", "ConstantOfShape", "Range", "Resize", "Pad", "Upsample", "OneHot", "EyeLike"),
    *("Conv", "ConvTranspose", "MatMul", "Gemm"),
)
"""Operators whose result can be far larger than their inputs."""


def evaluate(node: onnx.NodeProto, feeds: dict[str, np.ndarray], opset: int) -> dict[str, np.ndarray]:
    """Compute the outputs of one node.

    Parameters
    ----------
    node : NodeProto
        Of the standard domain, checked to be well formed.
    feeds : dict of str to ndarray
        Its inputs.
    opset : int

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    Refusal
        When the result would be larger than any constant should be, or the inputs do not fit.
    """
    from onnx.reference import ReferenceEvaluator

    where = describe(node)
    _refuse_growth(node, feeds, where)
    inputs = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(f.dtype), f.shape)
        for n, f in feeds.items()
    ]
    names = [o for o in node.output if o]
    outputs = [onnx.helper.make_empty_tensor_value_info(o) for o in names]
    try:
        model = onnx.helper.make_model(
            onnx.helper.make_graph([node], "fold", inputs, outputs),
            opset_imports=[onnx.helper.make_opsetid("", opset)],
        )
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:
        text = str(error).strip().splitlines()
        raise Refusal(
            f"{where}: its constant inputs cannot be evaluated ({(text or ['?'])[0][:120]})."
        ) from None
    return {name: np.asarray(result) for name, result in zip(names, results, strict=False)}


def _refuse_growth(node: onnx.NodeProto, feeds: dict[str, np.ndarray], where: str) -> None:
    """Refuse a node that would make a constant out of all proportion."""
    total = sum(f.size for f in feeds.values())
    if node.op_type in GROWING:
        for feed in feeds.values():
            if feed.size <= 8 and feed.dtype.kind in "iu" and feed.size:
                claim = math.prod(max(1, abs(int(v))) for v in feed.reshape(-1))
                if claim * max(1, total) > MAX_FOLDED_ELEMENTS:
                    raise Refusal(f"{where}: it would make a constant of {claim} elements.")
    elif math.prod(max(1, f.size) for f in feeds.values()) > MAX_FOLDED_ELEMENTS**2:
        raise Refusal(f"{where}: it would make a constant too large to keep.")
    shapes = [f.shape for f in feeds.values()]
    if len(shapes) > 1 and node.op_type in ("Add", "Sub", "Mul", "Div", "Pow", "Where"):
        try:
            result = np.broadcast_shapes(*shapes)
        except ValueError:
            raise Refusal(
                f"{where}: its constants have the shapes {[list(s) for s in shapes]}, which do not "
                "go together."
            ) from None
        if math.prod(result) > MAX_FOLDED_ELEMENTS:
            raise Refusal(f"{where}: it would make a constant of shape {list(result)}.")
