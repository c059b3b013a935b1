"""The slots of a module that is plugged in, by the serial protocol."""

from __future__ import annotations

import base64
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, ValidationError

from common.refusal import Refusal
from firmware.slots.file import HEAD, SlotFile
from hardware.protocol import Hello, Link

DATA_BYTES = 540
"""In a request, which has a line of 1,024 bytes (``ports/serial/protocol.c``)."""
STORED_BYTES = 128
"""Of a slot, before the numbers (MODEL_STORED_BYTES of the engine)."""
PATIENCE_S = 5.0
"""For an answer: a sector is erased, or the whole is read back."""


class Slot(BaseModel):
    """What one slot holds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    slot: int
    name: str
    licence: str
    bytes: int
    hash: str
    fits: bool


class Slots(BaseModel):
    """What a module says of its slots."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    signature: str
    bytes: int
    slots: int
    slot_bytes: int
    playing: int
    blends: bool = False
    pair: int | None = None
    models: list[Slot]

    @property
    def first_empty(self) -> int | None:
        """The lowest number of a slot that holds nothing; None where all are full."""
        held = {model.slot for model in self.models}
        return next((number for number in range(1, self.slots + 1) if number not in held), None)


def slots_of(link: Link) -> Slots:
    """Ask a module for its slots.

    Raises
    ------
    Refusal
        The module holds no models beside its own, or its answer is none.
    """
    answer = link.ask("model", do="list", timeout_s=PATIENCE_S)
    try:
        return Slots.model_validate(answer)
    except ValidationError:
        raise Refusal(f"{link.device}: the answer to model is no list of slots.") from None


def require_writes(hello: Hello, device: str) -> None:
    """Refuse a module that cannot write its flash, before anything is made for it."""
    if hello.storage:
        raise Refusal(f"{device} takes no model: {hello.storage}.")


def require_fits(file: SlotFile, hello: Hello, slots: Slots) -> None:
    """Refuse a slot file of another board, of another shape, or too large."""
    if file.board != hello.board:
        raise Refusal(f"{file.name} was made for {file.board}, and the module is a {hello.board}.")
    most = slots.slot_bytes - STORED_BYTES
    if len(file.payload) > most:
        raise Refusal(f"{file.name} has {len(file.payload):,} bytes of numbers, and a slot holds {most:,}.")
    if file.signature.hex() != slots.signature:
        raise Refusal(
            f"{file.name} has another shape than the module's model ({len(file.payload):,} bytes of numbers, "
            f"the module's {slots.bytes:,}); build an image with it and flash that once, then send."
        )


def choose_slot(asked: int | None, slots: Slots) -> int:
    """Return the slot to write: the one asked for, else the first that is empty."""
    if asked is None:
        if slots.first_empty is None:
            raise Refusal(
                f"all {slots.slots} slots are full; say --slot to replace one, or erase one with "
                "`vaectrol models erase`."
            )
        return slots.first_empty
    if not 1 <= asked <= slots.slots:
        raise Refusal(f"there is no slot {asked}; the module has slots 1 to {slots.slots}.")
    return asked


def send(link: Link, slot: int, file: SlotFile, progress: Callable[[int], None] | None = None) -> None:
    """Write a model into a slot; until the last answer the slot holds what it held.

    Parameters
    ----------
    progress : callable, optional
        Told how many bytes are there.
    """
    assert len(file.head) == HEAD.size
    link.ask("model", do="begin", slot=slot, data=_text(file.head), timeout_s=PATIENCE_S)
    for at in range(0, len(file.payload), DATA_BYTES):
        part = file.payload[at : at + DATA_BYTES]
        link.ask("model", do="data", at=at, data=_text(part), timeout_s=PATIENCE_S)
        if progress is not None:
            progress(at + len(part))
    link.ask("model", do="commit", timeout_s=PATIENCE_S)


def use(link: Link, slot: int) -> None:
    """Let a slot's model play; 0: the one that was built in."""
    link.ask("model", do="use", slot=slot, timeout_s=PATIENCE_S)


def morph(link: Link, slot: int | None) -> None:
    """Pair the model that plays with a slot's, 0 being the one that was built in; None: with none."""
    link.ask("model", do="morph", timeout_s=PATIENCE_S, **({} if slot is None else {"slot": slot}))


def erase(link: Link, slot: int) -> None:
    """Empty a slot."""
    link.ask("model", do="erase", slot=slot, timeout_s=PATIENCE_S)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
