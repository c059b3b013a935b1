"""The Python side of a Pi: OSC in, presets, telemetry out. Never in the way of the audio.

It talks to the C program over its socket (or to a Daisy over USB: the protocol is the same) and answers the
same OSC messages as the host does (`firmware/play/live/osc.py`). Telemetry goes out as OSC, one message per
value that changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from common.refusal import ModuleGone, Refusal
from firmware.play.live.osc import (
    CLOCK,
    PRESET_RECALL,
    PRESET_SAVE,
    RESET_STEP,
    SET,
    TRIGGER,
    OscControl,
    OscServer,
)
from hardware.protocol import Hello, Link, Report

RETRY_S = 1.0
"""Between two looks for a program that went away; systemd restarts it within that."""


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
            PRESET_RECALL: {"cmd": "preset", "do": "recall", "index": index},
            PRESET_SAVE: {"cmd": "preset", "do": "save", "index": index},
        }
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
            self._link = Link(self.device)  # a Refusal again while it is not back yet
            return self._link.ask(cmd, **members)


@dataclass
class Telemetry:
    """Sends what changed since the last frame; `least` is the change that counts."""

    send: Any
    """Called with an address and a value."""
    names: list[str]
    least: float = 1e-3

    def __post_init__(self) -> None:
        self._last: dict[str, float] = {}

    def frame(self, report: Report) -> int:
        """Send one report's changes; returns how many messages that were."""
        values: dict[str, float | None] = {
            "/load/mean": report.cpu_mean,
            "/load/worst": report.cpu_worst,
            "/load/late": float(report.late),
            **{f"/position/{name}": value for name, value in zip(self.names, report.position, strict=False)},
            **{f"/value/{name}": value for name, value in zip(self.names, report.value, strict=False)},
            **{
                f"/gate/{number}": float(report.gates_in >> number & 1)
                for number in range(len(report.triggers))
            },
        }
        sent = 0
        for address, value in values.items():
            if value is None or abs(value - self._last.get(address, float("inf"))) < self.least:
                continue
            self._last[address] = value
            self.send(address, value)
            sent += 1
        return sent


def serve(
    device: str,
    osc_port: int,
    host: str,
    telemetry: tuple[str, int] | None,
    hz: float,
    seconds: float,
    tell: Callable[[str], None] = print,
) -> list[str]:
    """Run the control plane until `seconds` are over (0: until it is interrupted).

    Parameters
    ----------
    tell : callable
        Told where it listens.

    Returns
    -------
    list of str
        A line for each kind of message that did not come as it should, or came to nothing.
    """
    from pythonosc.udp_client import SimpleUDPClient

    instrument = RemoteInstrument(device)
    control = OscControl(instrument, instrument.describe)
    sender = (
        Telemetry(SimpleUDPClient(*telemetry).send_message, list(instrument.parameters))
        if telemetry
        else None
    )
    end = time.monotonic() + seconds if seconds > 0 else float("inf")
    try:
        with OscServer(control, osc_port, host) as server, suppress(KeyboardInterrupt):
            tell(f"listening for OSC on {server.host}:{server.port} (UDP), for {device}")
            while time.monotonic() < end:
                if sender is None:
                    time.sleep(min(RETRY_S, max(0.0, end - time.monotonic())))
                    continue
                try:
                    sender.frame(instrument.report())
                    time.sleep(1.0 / hz)
                except Refusal:
                    time.sleep(RETRY_S)  # the program restarts; OSC answers /error meanwhile
    finally:
        instrument.close()
    return [*control.faults_in_words(), *control.unknown_in_words()]
