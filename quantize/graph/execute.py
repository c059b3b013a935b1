"""Execute one node with torch: the operator's record says how."""

from __future__ import annotations

from common.refusal import Refusal
from quantize.graph.graph import Node
from quantize.operators import known
from quantize.operators.record import TorchForm


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
