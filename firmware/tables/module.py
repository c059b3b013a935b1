"""Tables of latents of a module that is plugged in, by the serial protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.refusal import Refusal
from firmware.instruments.latents.tables import LATENTS, TABLES
from firmware.tables.wav import Table
from hardware.protocol import Link

WRITE_FRAMES = 8
"""In a request, which has a line of 1,024 bytes (``ports/serial/protocol.c``)."""


def fetch_table(link: Link, name: str) -> Table:
    """Read a table of the module.

    Raises
    ------
    Refusal
        There is no such table, it is empty, or the answers are no table.
    """
    found: list[int] = []
    while True:
        answer = link.ask("table", table=_number(name), at=len(found) // LATENTS)
        total, data = answer.get("frames"), answer.get("data")
        if not isinstance(total, int) or not isinstance(data, list) or len(data) % LATENTS:
            raise Refusal(f"{link.device}: the answer to table is no table.")
        if total == 0:
            raise Refusal(f"table {name} of {link.device} is empty; hold its gate and record one.")
        found += data
        if not data or len(found) >= total * LATENTS:
            break
    return Table(np.array(found, np.int16).reshape(-1, LATENTS), _model(answer))


def send_table(link: Link, name: str, table: Table, of_any_model: bool = False) -> None:
    """Write a table to the module, which plays and stores it.

    Raises
    ------
    Refusal
        The table is of another model than the module's.
    """
    number = _number(name)
    own = _model(link.ask("table", table=number, at=0))
    if table.model != own and not of_any_model:
        of = f"of the model {table.model}" if table.model else "of a model that its file does not name"
        raise Refusal(
            f"the table is {of}, and the module plays {own}: its latents mean other sounds there. "
            "Record it on this model, or say --of-any-model."
        )
    for at in range(0, len(table.frames), WRITE_FRAMES):
        data = table.frames[at : at + WRITE_FRAMES].ravel().tolist()
        link.ask("table_write", table=number, at=at, hash=own, data=data)
    link.ask("table_write", table=number, at=len(table.frames), hash=own, data=[])


def _number(name: str) -> int:
    if name not in TABLES:
        raise Refusal(f"there is no table {name!r}; a module has {' and '.join(TABLES)}.")
    return TABLES.index(name)


def _model(answer: dict[str, Any]) -> str:
    return str(answer.get("hash", ""))
