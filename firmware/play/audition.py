"""A preset as a script: its positions, and what makes the instrument sound, for a few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from firmware.build import Built
from firmware.instruments import kinds
from firmware.instruments.presets import find_preset, positions
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


def _pulses(built: Built) -> Script:
    """Pulse the gates that the kind names."""
    script = Script(seconds=AUDITION_S)
    for gate, hz in kinds.named(built.assignment.kind).audition.items():
        rises = np.arange(FIRST_S, AUDITION_S, 1.0 / hz)
        times = np.stack([rises, rises + HIGH_S], axis=1).ravel()
        script.columns[f"gate/{gate}"] = (times, np.tile([1.0, 0.0], len(rises)))
    return script
