"""Presets: what was found, as positions of a module's parameters, in a file and on the module."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.drums import CLASSES
from common.files import write_text
from common.refusal import Refusal
from hardware.protocol import Link
from match.search import Found, Matcher

FORMAT = 1
DIGITS = 5


class Preset(BaseModel):
    """Positions of an instrument's parameters.

    Attributes
    ----------
    name : str
        Of the sound.
    model : str
        Of the model that the positions are for.
    codec : str
        Hash of its training; the same positions mean nothing to another model.
    parameters : dict of str to float
        Positions 0 to 1, by the module's names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    name: str
    model: str = ""
    codec: str = ""
    parameters: dict[str, float] = Field(min_length=1)


def preset_of(matcher: Matcher, found: Found) -> Preset:
    """Write a match as positions, by the tables that the module reads them with."""
    latents = {
        f"latent/{number}": position(row["quantiles"], float(value))
        for number, (row, value) in enumerate(zip(matcher.player.latents, found.z, strict=True), 1)
    }
    attributes = {
        f"attribute/{name}": position((-1.0, 1.0), float(value))
        for name, value in zip(matcher.task.recipe.model.attributes, found.knobs[len(CLASSES) :], strict=True)
    }
    label = round(found.label / (len(CLASSES) - 1), DIGITS)
    return Preset(
        name=found.target.name,
        model=matcher.player.name,
        codec=matcher.codec,
        parameters={"class": label, **latents, **attributes},
    )


def position(table: Sequence[float], value: float) -> float:
    """Say at which travel a rising table reaches a value."""
    return round(float(np.interp(value, table, np.linspace(0.0, 1.0, len(table)))), DIGITS)


def write_preset(preset: Preset, path: Path) -> None:
    """Write a preset's file."""
    write_text(path, json.dumps(preset.model_dump(), indent=1) + "\n")


def read_preset(path: Path) -> Preset:
    """Read a preset's file.

    Raises
    ------
    Refusal
        When it is missing or damaged.
    """
    try:
        return Preset.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}); check the path") from None
    except (ValidationError, UnicodeDecodeError):
        raise Refusal(f"{path} is no preset that `vaectrol match` wrote; match the sound again") from None


def send(link: Link, presets: Sequence[Preset], first: int, slot: int | None = None) -> list[int]:
    """Set a module's parameters and let it save them, one preset after the other.

    Parameters
    ----------
    first : int
        Number of the first place, from 1.
    slot : int, optional
        Model slot that they name.

    Returns
    -------
    list of int
        The places.

    Raises
    ------
    Refusal
        When the module lacks a parameter or the places; nothing is changed then.
    """
    hello = link.hello()
    names = [parameter.name for parameter in link.parameters()]
    lacking = sorted({name for preset in presets for name in preset.parameters if name not in names})
    if lacking:
        raise Refusal(
            f"the module plays {hello.instrument}, which has no {', '.join(lacking[:4])}; "
            "name all of the model's latents in its .toml file and flash it again"
        )
    last = first + len(presets) - 1
    if not 1 <= first <= last <= hello.presets:
        raise Refusal(
            f"{len(presets)} presets from place {first} on do not fit: "
            f"the module has places 1 to {hello.presets}"
        )
    for place, preset in enumerate(presets, first):
        for name, value in preset.parameters.items():
            link.ask("set", parameter=names.index(name), value=value)
        link.ask("preset", do="save", index=place - 1, **({} if slot is None else {"slot": slot}))
    return list(range(first, last + 1))
