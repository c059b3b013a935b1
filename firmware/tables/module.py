"""Tables of latents of a module that is plugged in, by the serial protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.refusal import Refusal
from firmware.instruments.latents.tables import LATENTS
from firmware.tables.put import require_own, table_number
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
        answer = link.ask("table", table=table_number(name), at=len(found) // LATENTS)
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
    number = table_number(name)
    own = _model(link.ask("table", table=number, at=0))
    require_own(table, own, "the table", "the module", of_any_model)
    for at in range(0, len(table.frames), WRITE_FRAMES):
        data = table.frames[at : at + WRITE_FRAMES].ravel().tolist()
        link.ask("table_write", table=number, at=at, hash=own, data=data)
    link.ask("table_write", table=number, at=len(table.frames), hash=own, data=[])


def _model(answer: dict[str, Any]) -> str:
    return str(answer.get("hash", ""))
