"""The version of the project, which images, cards, reports and pages carry."""

from __future__ import annotations

import importlib.metadata


def version() -> str:
    """Version of this installation."""
    return importlib.metadata.version("vaectrol")
