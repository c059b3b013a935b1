"""`vaectrol send` and `vaectrol models`: models into a module that is flashed already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

PORT = typer.Option("--port", "-p", help="Serial port of the module; unix:PATH for the Pi program's socket.")
JSON = typer.Option("--json", help="Print JSON for a machine instead of text.")
BUILT_IN = "built in"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("send")(send)
    group = typer.Typer(
        help="Models in the slots of a module: list them, choose one, erase one.", no_args_is_help=True
    )
    group.command("list")(list_models)
    group.command("use")(use)
    group.command("morph")(morph)
    group.command("erase")(erase)
    group.command("preset")(preset)
    app.add_typer(group, name="models")


def send(
    file: Annotated[Path, typer.Argument(help="A model file of the module's shape, or a .vmodel file.")],
    port: Annotated[str | None, PORT] = None,
    slot: Annotated[int | None, typer.Option(help="Slot 1 to 8; the first empty one when omitted.")] = None,
    name: Annotated[str, typer.Option(help="What the slot is called; the file's name when omitted.")] = "",
    instrument: Annotated[
        str | None, typer.Option(help="Name or .toml file that the module was built from.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="ROLE=FILE.onnx: another of the instrument's models, too.")
    ] = None,
    store_only: Annotated[bool, typer.Option("--store-only", help="Let the old model play on.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a .vmodel file, too.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Send a model to a module that is flashed already; it plays at once, after a silence of 20 ms.

    The model must have the shape of the one that was built in: the same recipe, trained on other sounds.

    Example: vaectrol send kit.int8.onnx --slot 2
    """
    from common.outputs import check_file
    from firmware.models.model_file import named_file, read_model
    from firmware.slots import module
    from firmware.slots.file import SUFFIX, read_slot_file
    from firmware.slots.make import instrument_of, make_slot_file, role_of
    from hardware.protocol import Link, choose_port

    if out is not None:
        check_file(out, SUFFIX, [file])
    others = dict(named_file(text) for text in model or [])
    with Link(choose_port(port)) as link:
        hello, slots = link.hello(), module.slots_of(link)
        module.require_writes(hello, link.device)
        number = module.choose_slot(slot, slots)
        if file.suffix == SUFFIX:
            made = read_slot_file(file)
        else:
            played = instrument or instrument_of(hello)
            models = {role_of(read_model(file), played): file} if file not in others.values() else {}
            made = make_slot_file({**models, **others}, played, hello, slots, name)
        module.require_fits(made, hello, slots)
        if out is not None:
            made.write(out)
        module.send(link, number, made)
        if not store_only:
            module.use(link, number)
    plays = "is stored" if store_only else "plays"
    _say(f"{made.name}, {len(made.payload):,} bytes, {plays} in slot {number}.", as_json)


def list_models(port: Annotated[str | None, PORT] = None, as_json: Annotated[bool, JSON] = False) -> None:
    """List the models that a module holds; an arrow marks the one that plays.

    Example: vaectrol models list
    """
    from firmware.slots.module import slots_of
    from hardware.protocol import Link, choose_port

    with Link(choose_port(port)) as link:
        hello, slots = link.hello(), slots_of(link)
    if as_json:
        typer.echo(slots.model_dump_json(indent=1))
        return
    lines = [f"{_arrow(slots.playing == 0)} 0  {BUILT_IN}: {hello.instrument}, model {hello.model}"]
    for held in slots.models:
        about = f"{held.name}, model {held.hash}, {held.bytes:,} bytes, {held.licence or 'no licence named'}"
        paired = ", paired by model.morph" if held.slot == slots.pair else ""
        lines.append(f"{_arrow(held.slot == slots.playing)} {held.slot}  {about}{_unfit(held.fits)}{paired}")
    lines.append(f"{slots.slots - len(slots.models)} of {slots.slots} slots are empty.")
    typer.echo("\n".join(lines))


def use(
    slot: Annotated[int, typer.Argument(help="Slot 1 to 8; 0 is the model that was built in.")],
    port: Annotated[str | None, PORT] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Let the model of a slot play, now and after every power on.

    Example: vaectrol models use 2
    """
    from firmware.slots import module
    from hardware.protocol import Link, choose_port

    with Link(choose_port(port)) as link:
        _known(slot, 0, module.slots_of(link))
        module.use(link, slot)
    _say(f"slot {slot} plays." if slot else "the model that was built in plays.", as_json)


def morph(
    slot: Annotated[int, typer.Argument(help="Slot 1 to 8, 0 for the model that was built in; -1: none.")],
    port: Annotated[str | None, PORT] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Pair the model that plays with another: the parameter model.morph goes from one to the other.

    The instrument's file must say morph = true. Best are models that were trained on from one parent.

    Example: vaectrol models morph 2
    """
    from firmware.slots import module
    from hardware.protocol import Link, choose_port

    with Link(choose_port(port)) as link:
        if slot >= 0:
            _known(slot, 0, module.slots_of(link))
        module.morph(link, slot if slot >= 0 else None)
    _say(f"model.morph leads to slot {slot}." if slot >= 0 else "no models are paired.", as_json)


def erase(
    slot: Annotated[int, typer.Argument(help="Slot 1 to 8.")],
    port: Annotated[str | None, PORT] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Empty a slot; what plays from it plays on until power off.

    Example: vaectrol models erase 2
    """
    from firmware.slots import module
    from hardware.protocol import Link, choose_port

    with Link(choose_port(port)) as link:
        slots = module.slots_of(link)
        module.require_writes(link.hello(), link.device)
        _known(slot, 1, slots)
        module.erase(link, slot)
    _say(f"slot {slot} is empty.", as_json)


def preset(
    place: Annotated[int, typer.Argument(help="Place on the module, from 1.")],
    name: Annotated[
        str | None, typer.Argument(help="A factory preset; where everything stands now when omitted.")
    ] = None,
    slot: Annotated[
        int | None,
        typer.Option(help="Model slot that it names, 0: built in; the factory preset's own when omitted."),
    ] = None,
    instrument: Annotated[
        str | None, typer.Option(help="Name or .toml file that the module was built from.")
    ] = None,
    port: Annotated[str | None, PORT] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Save a preset on the module; recalled, it brings the model of the slot that it names.

    Example: vaectrol models preset 1 "Deep kick" --slot 2
    """
    from firmware.slots import module, presets
    from firmware.slots.make import instrument_of
    from hardware.protocol import Link, choose_port

    with Link(choose_port(port)) as link:
        hello = link.hello()
        at: dict[str, float] = {}
        if name is not None:
            at, own = presets.factory_positions(name, instrument or instrument_of(hello), hello)
            slot = own if slot is None else slot
        if slot is not None:
            presets.require_slot(slot, module.slots_of(link))
        presets.save_preset(link, place, at, slot)
    named = "" if slot is None else f", and names slot {slot}" if slot else ", and names the built-in model"
    _say(f"preset {place} is saved{named}.", as_json)


def _known(slot: int, first: int, slots: object) -> None:
    from common.refusal import Refusal
    from firmware.slots.module import Slots

    assert isinstance(slots, Slots)
    if not first <= slot <= slots.slots:
        raise Refusal(f"there is no slot {slot}; the module has slots {first} to {slots.slots}.")
    if slot and slot not in {held.slot for held in slots.models}:
        raise Refusal(f"slot {slot} is empty; send a model to it first.")


def _arrow(plays: bool) -> str:
    return "→" if plays else " "


def _unfit(fits: bool) -> str:
    return "" if fits else " (made for another image)"


def _say(text: str, as_json: bool) -> None:
    typer.echo(json.dumps({"done": text}) if as_json else text)
