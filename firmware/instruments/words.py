"""What an instrument's parameters are called by those who play them."""

from __future__ import annotations


def title(name: str) -> str:
    """Write a parameter's name as a panel would: ``attribute.brightness`` is brightness."""
    return name.removeprefix("attribute.").replace(".", " ").replace("_", " ")
