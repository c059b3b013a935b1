"""Presets on a module: where its parameters stand, or a factory preset, with the model slot that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.refusal import Refusal
from firmware.instruments.assign import assign
from firmware.instruments.presets import find_preset, positions
from firmware.instruments.spec import find_models, load_instrument
from firmware.slots.module import Slots
from hardware.board import load_board
from hardware.protocol import Hello, Link


def factory_positions(name: str, instrument: str | Path, hello: Hello) -> tuple[dict[str, float], int | None]:
    """Return where a factory preset lets all parameters stand, by their addresses, and the slot it names.

    Raises
    ------
    Refusal
        The instrument has no such preset.
    """
    loaded = load_instrument(instrument)
    preset = find_preset(loaded, name)
    assignment = assign(loaded, find_models(loaded), load_board(hello.board))
    rests = {one.name: one.rest for one in assignment.parameters}
    return {**rests, **positions(preset, assignment)}, preset.slot


def require_slot(slot: int | None, slots: Slots) -> None:
    """Refuse a slot that the module has not; an empty one may be filled later."""
    if slot is not None and not 0 <= slot <= slots.slots:
        raise Refusal(f"there is no slot {slot}; the module has slots 0 to {slots.slots}.")


def save_preset(link: Link, place: int, at: Mapping[str, float], slot: int | None) -> None:
    """Let a module's parameters stand at positions, and save them.

    Parameters
    ----------
    place : int
        From 1.
    at : mapping of address to position 0 … 1
        What it does not name stays.
    slot : int, optional
        That the preset names.

    Raises
    ------
    Refusal
        The module lacks the place or a parameter; nothing is changed then.
    """
    hello = link.hello()
    if not 1 <= place <= hello.presets:
        raise Refusal(f"there is no place {place}; the module has places 1 to {hello.presets}.")
    names = [parameter.name for parameter in link.parameters()]
    lacking = [name for name in at if name not in names]
    if lacking:
        raise Refusal(f"the module plays {hello.instrument}, which has no {', '.join(lacking[:4])}.")
    for name, position in at.items():
        link.ask("set", parameter=names.index(name), value=position)
    named = {} if slot is None else {"slot": slot}
    link.ask("preset", do="save", index=place - 1, **named)
