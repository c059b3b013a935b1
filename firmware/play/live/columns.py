"""Commands of a remote as what a script would call them: the way back from `firmware.script.cv_script`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware.play.live import osc


class Columns:
    """An instrument for `OscControl` whose commands are put elsewhere, as columns and values.

    Parameters
    ----------
    instrument : Playable
        Asked for parameters, presets and positions.
    put : callable
        Takes a column and a value; False where there is no room.
    gates : sequence of str
        Gate functions of the instrument, in its order.
    """

    def __init__(
        self, instrument: osc.Playable, put: Callable[[str, float], bool], gates: Sequence[str] = ()
    ) -> None:
        self.instrument, self.put, self.gates = instrument, put, gates
        self.parameters = instrument.parameters
        self.info = instrument.info
        self._names = list(instrument.parameters)

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Put a command where it belongs."""
        return self.put(*self._column(kind, index, value))

    def position(self, name: str) -> float:
        """Position of a parameter."""
        return self.instrument.position(name)

    def _column(self, kind: int, index: int, value: float) -> tuple[str, float]:
        """Column and value of a PortCommand (engine/port.h)."""
        match kind:
            case osc.SET:
                return self._names[index], value
            case osc.TRIGGER:
                return f"trigger/{index + 1}", value
            case osc.CLOCK | osc.RESET_STEP:
                return ("clock" if kind == osc.CLOCK else "reset"), 1.0
            case osc.GATE:
                return f"gate/{self.gates[index]}", value
        return ("preset" if kind == osc.PRESET_RECALL else "save"), index + 1.0
