"""What an instrument's parameters are called by those who play them."""

from __future__ import annotations


def title(name: str) -> str:
    """Write a parameter's name as a panel would: ``drums.attribute.brightness`` is drums brightness."""
    return name.replace("attribute.", "").replace(".", " ").replace("_", " ")
