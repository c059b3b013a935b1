"""The blend of two models: a parameter that melts the playing one into another (``engine/slots``)."""

from __future__ import annotations

from firmware.instruments.assignment import Assignment

PARAMETER = "model.morph"
WORDS = "From the model that plays to the one of the slot that was paired with it; between lie their blends."


def add_morph(assignment: Assignment) -> None:
    """Add the parameter, where the file asks for it; until two models are paired it does nothing."""
    if assignment.loaded.spec.morph:
        assignment.add(PARAMETER, (0.0, 1.0), 0.0)


def blend_call(assignment: Assignment) -> str:
    """C of the main loop that brings the blend to where the parameter stands; "" without."""
    if PARAMETER not in assignment.index:
        return ""
    value = f"panel_value(&panel, {assignment.index[PARAMETER]})"
    return f"    model_slots_blend(&model_slots, {value});\n"
