"""One record an operator: every file here enters its own, and the rest of the room asks."""

import importlib
import pkgutil

from quantize.operators.layer import Layer, along, bias_of, groups_of
from quantize.operators.record import Movement, Operator, form_of, known, layer_of, movement_of, register

__all__ = [
    "Layer",
    "Movement",
    "Operator",
    "along",
    "bias_of",
    "form_of",
    "groups_of",
    "known",
    "layer_of",
    "movement_of",
    "register",
]

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
