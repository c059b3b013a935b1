"""A module behind a link, played as an instrument is: a Daisy over USB, a Pi's program over its socket."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from common.refusal import ModuleGone, Refusal
from firmware.play.live.osc import CLOCK, GATE, PRESET_RECALL, PRESET_SAVE, RESET_STEP, SET, TRIGGER
from hardware.protocol import Hello, Link, Report


class RemoteInstrument:
    """A module behind a link, as `OscControl` wants an instrument; one request at a time."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._lock = threading.Lock()
        self._link = Link(device)
        self.info: Hello = self._link.hello()
        self.parameters: dict[str, int] = {p.name: n for n, p in enumerate(self._link.parameters())}

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Hand a command over; False when the module has too many waiting.

        Raises
        ------
        ValueError
            The module's own sentence, or that it is gone: OSC answers it as /error.
        """
        requests: dict[int, dict[str, Any]] = {
            SET: {"cmd": "set", "parameter": index, "value": value},
            TRIGGER: {"cmd": "trigger", "voice": index, "accent": value},
            CLOCK: {"cmd": "clock"},
            RESET_STEP: {"cmd": "reset"},
            GATE: {"cmd": "gate", "index": index, "value": value},
            PRESET_RECALL: {"cmd": "preset", "do": "recall", "index": index},
            PRESET_SAVE: {"cmd": "preset", "do": "save", "index": index},
        }
        if kind == PRESET_SAVE and value:
            requests[kind]["slot"] = int(value) - 1
        self._ask(**requests[kind])
        return True

    def position(self, name: str) -> float:
        """Position of a parameter, 0 to 1."""
        return float(self.report().position[self.parameters[name]] or 0.0)

    def report(self) -> Report:
        """Ask for one telemetry frame; reconnects first where the program was restarted."""
        return Report.model_validate(self._ask("report"))

    def describe(self) -> list[str]:
        """Title, kind, board and version."""
        return [self.info.instrument, self.info.kind, self.info.board, self.info.version]

    def close(self) -> None:
        """Close the link."""
        self._link.close()

    def _ask(self, cmd: str, **members: Any) -> dict[str, Any]:
        with self._lock:
            with suppress(ModuleGone):
                return self._link.ask(cmd, **members)
            self._link.close()
            try:
                self._link = Link(self.device)
            except Refusal as why:
                raise ModuleGone(str(why)) from None
            return self._link.ask(cmd, **members)
