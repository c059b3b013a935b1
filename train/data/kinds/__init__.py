"""The kinds of data set: one file each, found by its name; ``report/KIND.py`` describes what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.kinds import check_kind, class_of, kinds_in

if TYPE_CHECKING:
    from train.data.kinds.base import Preparation


def data_kinds() -> tuple[str, ...]:
    """Names of all kinds of data set."""
    return kinds_in(__path__)


def preparation(kind: str) -> type[Preparation]:
    """Import a kind's file and give the class that it defines.

    Raises
    ------
    Refusal
        When there is no such kind.
    """
    from train.data.kinds.base import Preparation

    return class_of(f"{__name__}.{check_kind(kind, data_kinds())}", Preparation)
