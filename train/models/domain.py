"""Nodes of the ``vaectrol`` operator domain in an exported graph.

A domain operator is a model-local function whose body is standard ONNX
(``train/export/domain_functions.py``); the compiler knows it by name. While torch exports, a module puts one
such node instead of its own arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

DOMAIN = "vaectrol"
VERSION = 1


def domain_node(
    operator: str, inputs: Sequence[Tensor], attributes: dict[str, Any], shape: Sequence[int | torch.SymInt]
) -> Tensor:
    """Place a node of the domain, with the type of its first input and the given output shape."""
    return torch.onnx.ops.symbolic(
        f"{DOMAIN}::{operator}", inputs, attributes, dtype=inputs[0].dtype, shape=shape, version=VERSION
    )
