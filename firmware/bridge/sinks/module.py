"""A module over USB, or the Pi's program: each move is a request; what waits keeps its last value."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from common.refusal import ModuleGone, Refusal
from firmware.bridge.sinks.instrument import Length, Say
from firmware.instruments import kinds
from firmware.instruments.latents import layer, macro
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.midi.player import MidiPlayer
from firmware.play.live.outbox import Outbox
from firmware.play.live.telemetry import report_values
from firmware.ports.serial.remote import RemoteInstrument
from firmware.script.cv_script import LONGEST_S, Script, command_of

WAIT_S = 0.05
AT_ONCE = 32
BACK_S = 1.0
"""Between two looks for a module that went away."""
MOST_KEPT = 2_000_000


class ModuleSide:
    """Plays a module behind a link; see `firmware.bridge.sinks.instrument.Instrument`.

    Parameters
    ----------
    device : str
        Serial port, pty or ``unix:PATH``.
    instrument : str, optional
        Whose file says what MIDI does; found by the module's title when omitted.
    """

    def __init__(self, device: str, instrument: str | None = None):
        self._remote = RemoteInstrument(device)
        self.device = device
        self.parameters = self._remote.parameters
        self.info = self._remote.info
        self._instrument = instrument or self._shipped()
        self.gates = self._gates()
        self._names = list(self.parameters)
        self._kept: dict[str, list[tuple[float, float]]] = {}
        self._outbox: Outbox | None = None
        self._refused: str = ""
        self.obeyed = 0
        self._began = self._ended = time.monotonic()

    @property
    def presets(self) -> int:
        """How many presets it has."""
        return self.info.presets

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Hand a command over at once, beside the outbox."""
        return self._remote.post(kind, index, value)

    def position(self, name: str) -> float:
        """Position of a parameter."""
        return self._remote.position(name)

    def describe(self) -> list[str]:
        """Title, kind, board and version."""
        return self._remote.describe()

    def midi_player(self) -> MidiPlayer:
        """Return what knows the MIDI table of the instrument's file."""
        if self._instrument is None:
            raise Refusal(
                f"no instrument here is called {self.info.instrument!r}; name its file beside --port, so "
                "that MIDI has a table."
            )
        return MidiPlayer(load_instrument(self._instrument), self.parameters)

    def values(self) -> Mapping[str, float | None]:
        """Positions, values, gates and load; nothing while the module is away."""
        try:
            report = self._remote.report()
        except Refusal:
            return {}
        load = {"/load/mean": report.cpu_mean, "/load/worst": report.cpu_worst}
        gates = {f"/gate_out/{n + 1}": float(report.gates_out >> n & 1) for n in range(self.info.gates_out)}
        return {**load, **gates, **report_values(report, self._names)}

    def perform(self, outbox: Outbox, length: Length, say: Say, started: Callable[[], None]) -> None:
        """Post what waits, until the time is over or the user interrupts."""
        self._outbox = outbox
        self._began = time.monotonic()
        ends = float("inf") if length.seconds is None else self._began + length.seconds
        started()
        with suppress(KeyboardInterrupt):
            while (left := ends - time.monotonic()) > 0.0 and not length.stop.is_set():
                if outbox.wait(min(WAIT_S, left)):
                    for column, value in outbox.take(AT_ONCE):
                        self._obey(column, value)
        self._ended = time.monotonic()

    def script(self) -> Script:
        """Write down what the module was told, and when."""
        points = {column: np.array(self._kept[column], np.float64) for column in sorted(self._kept)}
        return Script(
            columns={column: (knots[:, 0], knots[:, 1]) for column, knots in points.items()},
            seconds=min(self._ended - self._began, LONGEST_S),
        )

    def close(self) -> None:
        """Close the link."""
        self._remote.close()

    def in_words(self) -> list[str]:
        """Say how much the module obeyed, and the last thing that it refused."""
        said = [f"played {self._ended - self._began:.1f} s, {self.obeyed} moves obeyed by {self.device}"]
        if self._refused:
            said.append(f"the last thing it refused: {self._refused}")
        if self._outbox is not None and self._outbox.dropped:
            said.append(f"{self._outbox.dropped} strokes came faster than it can play, and were dropped")
        return said

    def _obey(self, column: str, value: float) -> None:
        command = command_of(column, value, self.parameters, self.gates)
        if command is None:
            return
        at = time.monotonic() - self._began
        try:
            self._remote.post(*command)
        except ModuleGone as gone:
            self._refused = str(gone)
            time.sleep(BACK_S)  # the cable; meanwhile the outbox keeps last values
            if self._outbox is not None:
                self._outbox.give_back(column, value)
        except Refusal as why:
            self._refused = str(why)
        else:
            self.obeyed += 1
            if self.obeyed <= MOST_KEPT and at <= LONGEST_S:
                self._kept.setdefault(column, []).append((at, value))

    def _shipped(self) -> str | None:
        """Return the instrument of ours that bears the module's title."""
        ours = available_instruments()
        return next((n for n in ours if load_instrument(n).spec.title == self.info.instrument), None)

    def _gates(self) -> Sequence[str]:
        """Gate functions of the module's kind and of its latents, as far as they are ours."""
        if not self._instrument:
            return kinds.named(self.info.kind).gates if self.info.kind in kinds.names() else ()
        spec = load_instrument(self._instrument).spec
        own = kinds.named(spec.kind).gates_of(spec)
        return [*own, *layer.gates(spec, own), *macro.gates(spec)]
