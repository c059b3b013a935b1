"""What an instrument's gates play, as notes at once: drums on channel 10, pitches from channel 1 on."""

from __future__ import annotations

import numpy as np

from firmware.build import Built
from firmware.instruments import kinds
from firmware.midi.notes_out import DRUM_CHANNEL, PITCHED_VELOCITY
from firmware.midi.pitched import LOWEST_KEY
from firmware.play.hits import UNKNOWN_VELOCITY, VELOCITY_VOLTS, wires
from firmware.play.host import Rendered

HIGHEST_KEY = 127


class LiveNotes:
    """Turns chunks of a rendering into notes, as `firmware.midi.notes_out` does a whole one.

    Parameters
    ----------
    built : Built
        Of any kind; one without notes plays none.
    """

    def __init__(self, built: Built):
        kind = kinds.named(built.assignment.kind)
        self._gates, self._cvs = wires(built)
        self._parts = {part: key for part, key in kind.midi_notes.items() if part in self._gates}
        self._voices = {
            gate: (channel, voice)
            for channel, (gate, voice) in enumerate(kind.pitched.items())
            if gate in self._gates and voice.cv in self._cvs
        }
        self._levels = 0
        self._sounding: dict[str, str] = {}

    def moves(self, rendered: Rendered) -> list[tuple[str, float]]:
        """Targets and velocities of what begins and ends in a chunk, in order."""
        found: list[tuple[str, float]] = []
        for tick in np.flatnonzero(np.diff(rendered.gates, prepend=np.uint32(self._levels))).tolist():
            levels = int(rendered.gates[tick])
            rises, falls = levels & ~self._levels, self._levels & ~levels
            for part, key in self._parts.items():
                if rises >> self._gates[part] & 1:
                    found.append(
                        (f"midi/note/{key}@{DRUM_CHANNEL + 1}", self._velocity(part, rendered, tick))
                    )
                elif falls >> self._gates[part] & 1:
                    found.append((f"midi/note/{key}@{DRUM_CHANNEL + 1}", 0.0))
            for gate, (channel, voice) in self._voices.items():
                if falls >> self._gates[gate] & 1 and not voice.until_next:
                    found += self._end(gate)
                if rises >> self._gates[gate] & 1:
                    found += self._end(gate)
                    key = LOWEST_KEY + round(12.0 * float(rendered.cv[self._cvs[voice.cv], tick]))
                    if 0 <= key <= HIGHEST_KEY:
                        self._sounding[gate] = f"midi/note/{key}@{channel + 1}"
                        found.append((self._sounding[gate], PITCHED_VELOCITY / 127.0))
            self._levels = levels
        return found

    def _end(self, gate: str) -> list[tuple[str, float]]:
        target = self._sounding.pop(gate, "")
        return [(target, 0.0)] if target else []

    def _velocity(self, part: str, rendered: Rendered, tick: int) -> float:
        cv = self._cvs.get(f"velocity.{part}", self._cvs.get("velocity"))
        if cv is None:
            return UNKNOWN_VELOCITY
        return min(1.0, max(1.0 / 127.0, float(rendered.cv[cv, tick]) / VELOCITY_VOLTS))
