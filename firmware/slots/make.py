"""From a model file to a slot file: the instrument that a module plays, made with that model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.models.model_file import ModelFile, read_model
from firmware.slots.file import SlotFile
from firmware.slots.module import Slots
from hardware.protocol import Hello

if TYPE_CHECKING:
    from firmware.build import Built
    from firmware.instruments.c.slots import Slotted

AGAIN = "build an image with it and flash that once, then send"


def instrument_of(hello: Hello) -> str:
    """Name of the instrument that a module plays; a `Refusal` where it is none of the factory's."""
    for name in available_instruments():
        spec = load_instrument(name).spec
        if (spec.title, spec.kind) == (hello.instrument, hello.kind):
            return name
    raise Refusal(
        f"the module plays {hello.instrument!r}, which is no instrument of the factory; give the file that "
        "it was built from with --instrument."
    )


def role_of(model: ModelFile, instrument: str | Path) -> str:
    """Role that a model file plays in an instrument; a `Refusal` where it plays none."""
    loaded = load_instrument(instrument)
    roles = kinds.named(loaded.spec.kind).roles
    takes = [role for role in roles if model.kind in (role.model_kind or role.name, *role.also)]
    named = [role for role in takes if role.name == model.about.part] or takes
    if len(named) == 1:
        return named[0].name
    if not takes:
        wanted = " and ".join(role.model_kind or role.name for role in roles) or "none"
        raise Refusal(
            f"{model.path.name} is a {model.kind} model, and {loaded.name} takes {len(roles)}: {wanted}."
        )
    raise Refusal(
        f"{model.path.name} may be {' or '.join(role.name for role in takes)}; say --model ROLE={model.path}."
    )


def make_slot_file(
    models: Mapping[str, Path], instrument: str | Path, hello: Hello, slots: Slots, name: str = ""
) -> SlotFile:
    """Make the slot file of a model for a module.

    Parameters
    ----------
    models : mapping of role to file
        In place of the instrument's own.
    name : str
        What the slot is called; "": as the first model's file.

    Raises
    ------
    Refusal
        The module was made of something else, the models don't fit its shape, or a file is bad.
    """
    from firmware.build import generate

    def made(given: Mapping[str, Path] | None) -> Built:
        with tempfile.TemporaryDirectory() as folder:
            return generate(
                instrument, hello.board, Path(folder), models=given, block=hello.block, target=slots.target
            )

    new = made(models)
    first = next(iter(models.values()))
    if new.slotted is None or new.slotted.signature.hex() != slots.signature:
        _refuse_shape(first.name, new.slotted, made(None), hello, slots)
    assert new.slotted is not None
    called = name or first.name.removesuffix(".onnx").removesuffix(".int8")
    licences = dict.fromkeys(read_model(path).about.licence for path in models.values())
    return SlotFile(
        hello.board,
        new.slotted.signature,
        int(new.model_hash, 16),
        called,
        ", ".join(licence for licence in licences if licence),
        new.slotted.payload,
    )


def _refuse_shape(file: str, new: Slotted | None, own: Built, hello: Hello, slots: Slots) -> None:
    """Say in what a model's shape is another than the module's."""
    if own.slotted is None or own.slotted.signature.hex() != slots.signature:
        size = len(own.slotted.payload) if own.slotted is not None else 0
        raise Refusal(
            f"the module was built from another instrument file or version ({hello.version}, {slots.bytes:,} "
            f"bytes of numbers) than {own.name} of {own.version} ({size:,}); give its file with "
            f"--instrument, or {AGAIN}."
        )
    if new is None:
        raise Refusal(f"{file} has layers whose sums no module can prove; {AGAIN}.")
    ours = {piece.place: len(piece.raw) for part in own.slotted.parts for piece in part.pieces}
    theirs = {piece.place: len(piece.raw) for part in new.parts for piece in part.pieces}
    for place in [*ours, *theirs]:
        if ours.get(place) != theirs.get(place):
            raise Refusal(
                f"{file} has another shape: {place} has {theirs.get(place, 0):,} bytes, the module's "
                f"{ours.get(place, 0):,}; {AGAIN}."
            )
    raise Refusal(
        f"{file} has another shape: its {len(theirs)} tables are as large as the module's, and the code "
        f"between them is other; {AGAIN}."
    )
