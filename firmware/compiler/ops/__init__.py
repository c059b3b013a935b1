"""One file an operator family: its check, its streaming rule, its cost, its kernel."""

import importlib
import pkgutil

from firmware.compiler.ops.base import FAMILIES, READERS, Family, Window, Work

__all__ = ["FAMILIES", "READERS", "Family", "Window", "Work", "known_operators"]

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")


def known_operators() -> str:
    """List the ONNX operators that can be applied to a signal."""
    return ", ".join(sorted(set(READERS) - {"Constant", "ConstantOfShape", "Shape"}))
