"""Factory presets: named places of an instrument, one file an instrument (``presets/NAME.toml``).

A preset is a set of positions 0 … 1, by the names that controls use; what it does not name rests. It is what
`preset save` stores on a module, so it plays the same on every board, with or without a knob for each. It may
name the model slot that plays it (docs/manuals/model-slots.md).
"""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from common.reading.toml_source import read_toml
from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.assignment import Assignment
from firmware.instruments.schema import LoadedInstrument, Table

OF_A_MODEL = re.compile(r"(^|\.)(latent\.\d+|attribute\.\w+)$|^[xy]$")
"""What another model may lack: presets leave it out then."""
MODEL_SLOTS = 8
"""PORT_MODEL_SLOTS of the engine."""


class Preset(Table):
    """One place."""

    name: str = Field(min_length=1, max_length=24)
    words: str
    """What one hears."""
    slot: int | None = Field(default=None, ge=0, le=MODEL_SLOTS)
    """Model slot that plays it, 0 for the model that was built in; without one any model does."""
    set: dict[str, float] = Field(min_length=1)

    @field_validator("set")
    @classmethod
    def _are_positions(cls, positions: dict[str, float]) -> dict[str, float]:
        for name, position in positions.items():
            if not 0.0 <= position <= 1.0:
                raise ValueError(f"{name} stands at {position:g}; a position lies between 0 and 1")
        return positions


class PresetFile(Table):
    """The whole file."""

    preset: list[Preset] = Field(min_length=1)

    @field_validator("preset")
    @classmethod
    def _have_names_of_their_own(cls, presets: list[Preset]) -> list[Preset]:
        names = [one.name for one in presets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two presets are called {name!r}")
        return presets


def load_presets(loaded: LoadedInstrument) -> list[Preset]:
    """Return the presets of an instrument: ``presets/NAME.toml`` beside its file; none without one.

    Raises
    ------
    Refusal
        A field that is wrong: file, line, field, reason.
    """
    path = loaded.located.path.parent / "presets" / f"{loaded.name}.toml"
    if not path.is_file():
        return []
    return read_toml(path).validated(PresetFile).preset


def find_preset(loaded: LoadedInstrument, name: str) -> Preset:
    """Return a preset by its name, in small or capital letters.

    Raises
    ------
    Refusal
        There is none of this name.
    """
    presets = load_presets(loaded)
    for preset in presets:
        if preset.name.casefold() == name.casefold():
            return preset
    there = ", ".join(preset.name for preset in presets) or "none"
    raise Refusal(f"{loaded.name} has no preset {name!r}; there are {there}.")


def positions(preset: Preset, assignment: Assignment) -> dict[str, float]:
    """Return positions of single parameters by OSC address; a group's goes to each of its own.

    Raises
    ------
    Refusal
        The instrument has no such parameter, and it is none that a model brings.
    """
    kind = kinds.named(assignment.kind)
    found: dict[str, float] = {}
    for name, position in preset.set.items():
        group = [one for one in assignment.index if name in kind.groups and one.startswith(f"{name}.")]
        wanted = group or [one for one in assignment.index if one == name]
        if not wanted and not OF_A_MODEL.search(name):
            raise Refusal(
                f"preset {preset.name!r} of {assignment.loaded.name} sets {name!r}, which it lacks."
            )
        found |= {assignment.parameters[assignment.index[one]].name: position for one in wanted}
    return found
