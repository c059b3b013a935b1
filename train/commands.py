"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
