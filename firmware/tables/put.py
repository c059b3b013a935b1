"""Tables of latents put into an instrument that plays on this computer, before its first sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.refusal import Refusal
from firmware.instruments.latents.tables import TABLES
from firmware.tables.wav import Table, read_table


class Player(Protocol):
    """An instrument that is played: on this computer, or in the emulated module."""

    def table_hash(self, which: int) -> int | None:
        """Hash of the model whose latents a table holds; None where there is no such table."""

    def write_table(self, which: int, hash_: int, frames: NDArray[np.int16]) -> None:
        """Fill a table."""


@dataclass(frozen=True)
class TableFiles:
    """What ``--table`` asks for.

    Attributes
    ----------
    files : mapping of table to WAV file
    of_any_model : bool
        Even where a file is of another model than the instrument's, or says of none.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    of_any_model: bool = False

    def put(self, player: Player, instrument: str | Path) -> None:
        """Fill the tables of an instrument.

        Raises
        ------
        Refusal
            A file is no table, the instrument has none of that name, or its model is another.
        """
        for name in self.files:
            number = table_number(name)
            own = player.table_hash(number)
            player.write_table(number, own or 0, self.read(name, own, instrument).frames)

    def read(self, name: str, own: int | None, instrument: str | Path) -> Table:
        """Read the table of that name for an instrument of the hash `own`; None: it has no tables."""
        path = self.files[name]
        table = read_table(path)
        if own is None:
            raise Refusal(
                f"{instrument} has no tables; say tables = true in [latents] of its file, "
                "or leave out --table."
            )
        require_own(table, f"{own:08x}", f"the table {path.name}", "the instrument", self.of_any_model)
        return table


def table_number(name: str) -> int:
    """Return which of an instrument's tables is meant; a `Refusal` where it has none of that name."""
    if name not in TABLES:
        raise Refusal(f"there is no table {name!r}; a module has {' and '.join(TABLES)}.")
    return TABLES.index(name)


def require_own(table: Table, own: str, what: str, player: str, of_any_model: bool = False) -> None:
    """Refuse a table of another model than the one that would play it, unless that was asked for."""
    if table.model != own and not of_any_model:
        of = f"of the model {table.model}" if table.model else "of a model that its file does not name"
        raise Refusal(
            f"{what} is {of}, and {player} plays {own}: its latents mean other sounds there. "
            "Record it on this model, or say --of-any-model."
        )
