"""What an instrument's parameters are called by those who play them."""

from __future__ import annotations

from firmware.instruments.assignment import Assignment
from firmware.instruments.tone import knob_channels


def title(name: str) -> str:
    """Write a parameter's name as a panel would: ``attribute.brightness`` is brightness."""
    return name.removeprefix("attribute.").replace(".", " ").replace("_", " ")


def labels(assignment: Assignment, number: int) -> list[str]:
    """Names along a parameter's travel: the classes, where it chooses among them."""
    for role, tone in assignment.tones.items():
        if tone.class_parameter == number and role in assignment.models:
            model = assignment.models[role]
            told = [name.removeprefix("class:") for name in knob_channels(model) if name.startswith("class:")]
            return [name.replace("_", " ") for name in model.about.classes or told]
    return []
