"""Execute one node with torch: the operator's record says how."""

from __future__ import annotations

import numpy as np
import torch

from common.refusal import Refusal
from quantize.graph.graph import Node
from quantize.operators import known
from quantize.operators.record import TorchForm


class FoldableError(Exception):
    """The node can't be evaluated from constants alone."""


def form_of(node: Node) -> TorchForm:
    """Find the function of a node.

    Raises
    ------
    Refusal
        If the operator is not one of docs/design.md#model-file.
    """
    record = known(node)
    if record is None:
        raise Refusal(
            f"node {node.name!r} uses {node.domain + ':' if node.domain else ''}{node.op}, which "
            "can't be quantized "
            "or kept in float here; see quantize/README.md for the operators and what to use instead."
        )
    return record.form


def evaluate_constant(node: Node, inputs: list[np.ndarray | None]) -> list[np.ndarray]:
    """Run a node on constants (float64 inside, so that folding adds no error).

    Raises
    ------
    FoldableError
        If the node must stay (unknown operator, random or control flow).
    """
    record = known(node)
    if record is None or not record.foldable:
        raise FoldableError
    tensors = [None if v is None else torch.from_numpy(np.array(v)) for v in inputs]
    try:
        out = record.form(node, tensors)
    except (RuntimeError, TypeError, ValueError) as error:
        raise FoldableError from error
    results = [t.numpy() for t in (out if isinstance(out, tuple) else (out,))]
    return [r.astype(np.float32) if r.dtype == np.float64 else np.ascontiguousarray(r) for r in results]
