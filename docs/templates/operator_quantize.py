"""Softsign, x / (1 + |x|): what a new integer operator starts from, in the quantizer.

A copy goes to ``quantize/operators/``, where it is found by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from quantize.graph.graph import Node
from quantize.operators.record import register
from quantize.operators.tabled import tabled


def softsign(node: Node, inputs: list[Any]) -> torch.Tensor:
    """ONNX Softsign."""
    return F.softsign(inputs[0])


# `Operator` in record.py says what else a record may hold; `tabled` fills it in for a function of one number.
register(tabled("Softsign", softsign, lambda node, x: x / (1.0 + np.abs(x)), largest=1.0))
