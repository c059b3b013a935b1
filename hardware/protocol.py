"""The computer's side of the serial protocol: one JSON object a line, each request answered once.

The module's side is `firmware/ports/serial/protocol.c`, one source for the Daisy, the Pi and the simulated
board. A line that is not JSON, an answer to something else or an unasked event never stops a request: it is
set aside until the answer with the right `id` comes, or the time is up.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from common.refusal import ModuleGone, Refusal

DAISY_APP_VID_PID = (0x0483, 0x5740)
"""USB CDC of a running Daisy program."""
LONGEST_LINE_BYTES = 16_384
"""Longer than any answer; what goes on longer is noise."""


class Hello(BaseModel):
    """What a module says of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    protocol: int
    version: str
    board: str
    instrument: str
    kind: str
    model: str
    rate_hz: float
    block: int
    latency: int
    inputs: int
    gates_in: int
    gates_out: int
    cv_outs: int
    parameters: int
    presets: int
    counts_cycles: bool = False
    storage: str = ""


class Parameter(BaseModel):
    """One latent, attribute or setting, and the inputs that move it (−1: none)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    knob: int
    cv: int


class Report(BaseModel):
    """One telemetry frame: fractions for the load, volts after calibration, positions 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    blocks: int
    cpu_mean: float | None = None
    cpu_worst: float | None = None
    late: int = 0
    over: int = 0
    codes: list[float] = []
    volts: list[float | None]
    position: list[float | None]
    value: list[float | None]
    gates_in: int
    gates_out: int
    triggers: list[int]
    preset: int
    unsaved: bool
    preset_slot: int | None = None
    preset_note: str = ""
    dropped: int = 0


@dataclass(frozen=True)
class Port:
    """A serial port where a module may answer."""

    device: str
    description: str


def candidate_ports() -> list[Port]:
    """Ports of running Daisys (USB CDC 0483:5740), in a stable order."""
    from serial.tools import list_ports

    found = [port for port in list_ports.comports() if (port.vid, port.pid) == DAISY_APP_VID_PID]
    return [Port(port.device, port.description or "") for port in sorted(found, key=lambda p: p.device)]


def choose_port(given: str | None) -> str:
    """Return the port to talk to: the one given, else the only one there is; refuse none and several."""
    if given is not None:
        return given
    ports = candidate_ports()
    if not ports:
        raise Refusal(
            "no board found: no USB serial port 0483:5740 is there; connect the module by a USB data "
            "cable and wait two seconds after power-on, or name the port with --port."
        )
    if len(ports) > 1:
        raise Refusal(
            f"{len(ports)} boards found ({', '.join(port.device for port in ports)}); "
            "choose one with --port or unplug the others."
        )
    return ports[0].device


def _cannot_open(device: str, error: Exception) -> Refusal:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        group = _group_of(device)
        return Refusal(
            f"permission denied on {device}: it belongs to the group {group}; "
            f"run `sudo usermod -aG {group} $USER`, log out and in again."
        )
    if number in (errno.EBUSY, errno.EWOULDBLOCK):
        return Refusal(
            f"{device} is in use by another program; close that one (a monitor or a terminal) first."
        )
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return Refusal(
            f"there is no port {device}; `vaectrol board ports` lists the boards that are connected."
        )
    return Refusal(f"cannot open {device}: {error}.")


def _group_of(device: str) -> str:
    import grp

    try:
        return grp.getgrgid(os.stat(device).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def decode(line: bytes) -> dict[str, Any] | None:
    """One received line as an object; None for anything that is not exactly that."""
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


class Link:
    """An open port. Use as a context manager; every failure is a `Refusal` in one sentence.

    Parameters
    ----------
    device : str
        Serial port (`/dev/ttyACM0`), pty, or ``unix:PATH`` for the Pi program's socket.
    timeout_s : float
        How long one answer may take.
    """

    def __init__(self, device: str, timeout_s: float = 2.0) -> None:
        self.device = device
        self.timeout_s = timeout_s
        self.garbage_lines = 0
        self._buffer = bytearray()
        self._skipping = False
        self._events: list[dict[str, Any]] = []
        self._next_id = 1
        self._wire = _open_wire(device)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port; a stream that runs is stopped first, as far as the port still answers."""
        self._wire.close()

    def ask(self, cmd: str, *, timeout_s: float | None = None, **members: Any) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises
        ------
        Refusal
            The module refused (its own sentence), did not answer in time, or went away.
        """
        number = self._next_id
        self._next_id += 1
        self._write(json.dumps({"cmd": cmd, "id": number, **members}, separators=(",", ":")).encode() + b"\n")
        limit_s = timeout_s or self.timeout_s
        deadline = time.monotonic() + limit_s
        while True:
            for answer in self._lines(deadline):
                if answer.get("id") == number and answer.get("re") == cmd:
                    if answer.get("ok") is True:
                        return answer
                    raise Refusal(f"{self.device}: {cmd}: {answer.get('error', 'refused without a reason')}.")
                if "event" in answer:
                    self._events.append(answer)
            noise = (
                f", only {self.garbage_lines} lines that are not its protocol" if self.garbage_lines else ""
            )
            raise ModuleGone(
                f"{self.device} did not answer {cmd} within {limit_s:g} s{noise}; is this a Vaectrol module, "
                "and is its program running?"
            )

    def hello(self) -> Hello:
        """Ask who is there."""
        return _parsed(Hello, self.ask("hello"), self.device)

    def parameters(self) -> list[Parameter]:
        """Ask for the parameters, in their order."""
        answer = self.ask("parameters").get("parameters")
        if not isinstance(answer, list):
            raise Refusal(f"{self.device}: the answer to parameters has no list of them.")
        return [_parsed(Parameter, entry, self.device) for entry in answer]

    def report(self) -> Report:
        """Ask for one telemetry frame."""
        return _parsed(Report, self.ask("report"), self.device)

    def events(self, wait_s: float) -> Iterator[dict[str, Any]]:
        """Everything unasked (telemetry, storage complaints) that came, or comes within `wait_s`."""
        yield from self._events
        self._events.clear()
        for answer in self._lines(time.monotonic() + wait_s, at_least_one=False):
            if "event" in answer:
                yield answer

    def _write(self, data: bytes) -> None:
        try:
            self._wire.write(data)
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> ModuleGone:
        return ModuleGone(
            f"{self.device} went away: the cable, the power or the module's program; connect it again."
        )

    def _lines(self, deadline: float, at_least_one: bool = True) -> Iterator[dict[str, Any]]:
        """Yield decoded objects until `deadline`; noise is counted and dropped."""
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                line = bytes(self._buffer[:end]).strip()
                del self._buffer[: end + 1]
                skipped, self._skipping = self._skipping, False
                value = None if skipped else decode(line)
                if value is not None:
                    yield value
                elif line:
                    self.garbage_lines += 1
                if not at_least_one or time.monotonic() < deadline:
                    continue
                return
            if len(self._buffer) > LONGEST_LINE_BYTES:
                self._buffer.clear()
                self._skipping = True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            try:
                data = self._wire.read(min(left_s, 0.25))
            except OSError as error:
                raise self._gone() from error
            self._buffer += data


def _parsed(kind: type[Any], answer: dict[str, Any], device: str) -> Any:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Refusal(
            f"{device}: its {kind.__name__.lower()} has {field} wrong ({first['msg']}); "
            "flash a program of this version of vaectrol."
        ) from None


class _SerialWire:
    """A serial port or pty through pyserial."""

    def __init__(self, device: str) -> None:
        import serial

        try:
            self._port = serial.Serial(device, 115_200, timeout=0.0, write_timeout=2.0, exclusive=True)
        except (OSError, ValueError) as error:
            raise _cannot_open(device, error) from error

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def read(self, wait_s: float) -> bytes:
        self._port.timeout = wait_s
        first = self._port.read(1)
        return first + self._port.read(self._port.in_waiting) if first else b""

    def close(self) -> None:
        self._port.close()


class _SocketWire:
    """The Pi program's socket."""

    def __init__(self, path: Path) -> None:
        import socket

        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            if error.errno == errno.EACCES:
                raise Refusal(
                    f"permission denied on the socket {path}; join its group or run as its service does."
                ) from error
            raise Refusal(
                f"nothing listens at {path} ({error.strerror}); is vaectrol.service running?"
            ) from error

    def write(self, data: bytes) -> None:
        self._socket.settimeout(2.0)
        self._socket.sendall(data)

    def read(self, wait_s: float) -> bytes:
        self._socket.settimeout(max(wait_s, 0.001))
        try:
            data = self._socket.recv(65_536)
        except TimeoutError:
            return b""
        if not data:
            raise OSError(errno.EPIPE, "closed")
        return data

    def close(self) -> None:
        self._socket.close()


def _open_wire(device: str) -> _SerialWire | _SocketWire:
    if device.startswith("unix:"):
        return _SocketWire(Path(device.removeprefix("unix:")))
    return _SerialWire(device)
