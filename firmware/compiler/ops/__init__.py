"""One file an operator family: its check, its streaming rule, its cost, its kernel."""

from firmware.compiler.ops import (
    activation,
    composed,
    conv,
    domain,
    elementwise,
    endpoints,
    gru,
    movement,
    quantization,
    resize,
    shape,
)
from firmware.compiler.ops.base import FAMILIES, READERS, Family, Window, Work

__all__ = ["FAMILIES", "READERS", "Family", "Window", "Work", "known_operators"]

_FILES = (
    activation,
    composed,
    conv,
    domain,
    elementwise,
    endpoints,
    gru,
    movement,
    quantization,
    resize,
    shape,
)


def known_operators() -> str:
    """List the ONNX operators that can be applied to a signal."""
    return ", ".join(sorted(set(READERS) - {"Constant", "ConstantOfShape", "Shape"}))
