"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

import typer

from train.data.commands import data


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.add_typer(data, name="data")
