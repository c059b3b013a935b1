"""The Python side of a Pi: OSC in, presets, telemetry out. Never in the way of the audio.

It talks to the C program over its socket (or to a Daisy over USB: the protocol is the same) and answers the
same OSC messages as the host does (`firmware/play/live/osc.py`). Telemetry goes out as OSC, one message per
value that changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from common.refusal import Refusal
from firmware.play.live.osc import OscControl, OscServer
from firmware.play.live.telemetry import Changes, report_values
from firmware.ports.serial.remote import RemoteInstrument
from hardware.protocol import Report

RETRY_S = 1.0
"""Between two looks for a program that went away; systemd restarts it within that."""


class Telemetry(Changes):
    """Sends what changed since the last report of a module."""

    def __init__(self, tell: Callable[[str, float], object], names: list[str]):
        super().__init__(tell)
        self.names = names

    def report(self, report: Report) -> int:
        """Send one report's changes; returns how many messages that were."""
        load = {
            "/load/mean": report.cpu_mean,
            "/load/worst": report.cpu_worst,
            "/load/late": float(report.late),
        }
        return self.frame({**load, **report_values(report, self.names)})


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
                    sender.report(instrument.report())
                    time.sleep(1.0 / hz)
                except Refusal:
                    time.sleep(RETRY_S)  # the program restarts; OSC answers /error meanwhile
    finally:
        instrument.close()
    return [*control.faults_in_words(), *control.unknown_in_words()]
