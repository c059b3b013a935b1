"""A preset as a script: its positions, and what makes the instrument sound, for a few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.refusal import Refusal
from firmware.build import Built
from firmware.instruments import kinds
from firmware.instruments.presets import MODEL_SLOTS, find_preset, positions
from firmware.instruments.spec import load_instrument
from firmware.models.model_file import read_model
from firmware.script.cv_script import Script, read_script

AUDITION_S = 4.0
FIRST_S = 0.05
HIGH_S = 0.01
"""Length of a pulse."""


class Audition:
    """Writes the script for `firmware.play.render.play`.

    Parameters
    ----------
    preset : str
        Its name.
    under : Path, optional
        A script whose hands play the preset; else the kind's own pulses do.
    """

    def __init__(self, preset: str, under: Path | None = None):
        self._preset, self._under = preset, under

    def __call__(self, built: Built, parameters: Mapping[str, int]) -> Script:
        """Return the script; a column of the script below goes before the preset's."""
        placed = positions(find_preset(built.assignment.loaded, self._preset), built.assignment)
        script = read_script(self._under) if self._under else _pulses(built)
        for name, position in placed.items():
            if name not in script.columns:
                script.columns[name] = (np.zeros(1), np.array([position]))
                if script.path is not None:
                    script.lines[name] = [1]
        return script


def named_models(
    instrument: str | Path, preset: str, slots: Mapping[str, Path]
) -> tuple[dict[str, Path], str]:
    """Return the models by role that the slot of a preset holds, and one sentence where it holds none.

    Parameters
    ----------
    slots : mapping of slot number to model file
        What a module's slots hold, for this play.

    Raises
    ------
    Refusal
        There is no such preset or slot, or the instrument takes no such model.
    """
    from firmware.slots.make import role_of

    for number in slots:
        if number not in map(str, range(1, MODEL_SLOTS + 1)):
            raise Refusal(f"there is no model slot {number}; a module has slots 1 to {MODEL_SLOTS}.")
    slot = find_preset(load_instrument(instrument), preset).slot
    if not slot:
        return {}, ""
    if str(slot) not in slots:
        return {}, f"preset {preset!r} names model slot {slot}, which is empty here; the model stays as it is"
    file = slots[str(slot)]
    return {role_of(read_model(file), instrument): file}, ""


def _pulses(built: Built) -> Script:
    """Pulse the gates that the kind names."""
    script = Script(seconds=AUDITION_S)
    for gate, hz in kinds.named(built.assignment.kind).audition.items():
        rises = np.arange(FIRST_S, AUDITION_S, 1.0 / hz)
        times = np.stack([rises, rises + HIGH_S], axis=1).ravel()
        script.columns[f"gate/{gate}"] = (times, np.tile([1.0, 0.0], len(rises)))
    return script
