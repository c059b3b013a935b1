"""A CV script as a source: what it says, when it says it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from firmware.bridge.hub import Hub
from firmware.bridge.targets import Targets
from firmware.script.cv_script import Script

LINES_HZ = 100.0
"""How often a line between two rows is asked where it is."""


def moments(script: Script, targets: Targets) -> list[tuple[float, str, float]]:
    """Seconds, column and value of everything that a script says, in order.

    What the remote does comes as it is written. A knob or a jack is a line between rows, and becomes a
    hundred values a second.
    """
    found: list[tuple[float, str, float]] = []
    for name, (times, values) in script.columns.items():
        if targets.manner(name) is None and name != "trigger" and len(times):
            steps = np.arange(times[0], times[-1], 1.0 / LINES_HZ)
            times, values = np.append(steps, times[-1]), np.interp(np.append(steps, times[-1]), times, values)
        found += [(float(at), name, float(value)) for at, value in zip(times, values, strict=True)]
    return sorted(found, key=lambda moment: moment[0])


class ScriptSource:
    """Plays a script into the hub by the clock; a context manager."""

    def __init__(self, hub: Hub, script: Script, targets: Targets, started: Callable[[], float]):
        self.hub, self.targets, self.started = hub, targets, started
        self._moments = moments(script, targets)
        self._stop = threading.Event()

    def _play(self) -> None:
        for at, name, value in self._moments:
            if self._stop.wait(max(0.0, self.started() + at - time.monotonic())):
                return
            if self.hub.receive(f"script/{name}", value) or not self.hub.through:
                continue
            if name == "trigger":
                self.hub.put(f"trigger/{int(value)}", 1.0)
            elif self.targets.manner(name) is not None:
                self.hub.put(name, value)

    def __enter__(self) -> ScriptSource:
        """Begin."""
        self._thread = threading.Thread(target=self._play, name="script", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()
