"""Which task trains which kind of recipe. A new kind is one line here and one file in ``tasks/``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.tasks.base import Task

KINDS = {
    "drum": "train.tasks.drum:DrumTask",
    "rhythm": "train.tasks.rhythm:RhythmTask",
    "digits": "train.tasks.digits:DigitsTask",
    "drive": "train.tasks.drive:DriveTask",
    "mel": "train.tasks.mel:MelTask",
}


def task_class(kind: str) -> type[Task]:
    """Import the task of a kind."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(importlib.import_module(module), name)
