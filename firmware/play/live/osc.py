"""OSC: Max, Pure Data, a phone or a script plays an instrument that runs on this machine.

    /latent/3 0.7            any parameter by its address: position 0 … 1 until its knob is moved
    /attribute/density 0.2
    /trigger [part] [accent]
    /clock · /reset
    /preset 2 · /preset/save 2 [model slot]
    /latent/3                without a value: the answer /latent/3 position comes back
    /report                  all parameters come back, one message each
    /info                    title, kind, board, version come back as /info

What is wrong is answered with /error and one sentence. A bundle with a time tag is obeyed when its time
comes, a late one at once, and one that is tagged farther ahead than `FAR_S` not at all; both are counted.
"""

from __future__ import annotations

import heapq
import math
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from firmware.play.live.osc_packet import Timed, read_packet

MOST_UNKNOWN = 100
"""Addresses that are remembered: a stray sender shall not fill the memory."""
NAMED_UNKNOWN = 8
LONGEST_NAMED = 60

FAR_S = 10.0
"""A time tag farther ahead is another clock or a slip: nobody plays that far in advance."""
LATE_S = 0.1
"""A tag that is over by less is the way of the datagram, not a fault."""
LARGEST_BYTES = 65_507
"""Of a UDP datagram."""
WAITING_BYTES = 1 << 20
"""Asked of the system for datagrams that come in a burst; it may give less."""
MOST_WAITING = 1024
"""Messages that wait for their time at once."""
FAR = f"were tagged more than {FAR_S:g} s ahead and were left out"
LATE = "came after the time of their tag and were obeyed at once"
CROWDED = f"found {MOST_WAITING} others waiting for their time and were left out"
DROPPED = "found the queue full and were dropped"
UNFINISHED = "were still waiting for their time at the end"
SET, TRIGGER, CLOCK, RESET_STEP, GATE, PRESET_RECALL, PRESET_SAVE = range(1, 8)  # engine/port.h
MODEL_SLOTS = 8
"""PORT_MODEL_SLOTS of the engine."""


class Playable(Protocol):
    """What OSC needs of an instrument."""

    parameters: dict[str, int]
    info: Any

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Hand a command over."""

    def position(self, name: str) -> float:
        """Position of a parameter."""


class Answering(Protocol):
    """Who is asked what an OSC message does."""

    faults: Counter[str]

    def answer(self, address: str, arguments: tuple[Any, ...]) -> list[tuple[str, list[Any]]]:
        """Obey one message; return the replies, address and arguments each."""


class OscControl:
    """Turns OSC messages into commands, and says what came of them.

    Parameters
    ----------
    instrument : Playable
    describe : callable
        Returns title, kind, board and version.
    keep : bool
        Whether what was obeyed is kept in ``recorded``.
    """

    def __init__(self, instrument: Playable, describe: Callable[[], list[str]], keep: bool = True):
        self.instrument = instrument
        self.describe = describe
        self.keep = keep
        self._one_at_a_time = threading.Lock()  # commands come from one thread at a time (port.h)
        self.started = time.monotonic()
        self.recorded: list[tuple[float, str, float]] = []
        """Seconds, script column and value of everything that was obeyed."""
        self.unknown: Counter[str] = Counter()
        """Addresses that nothing here is called, and how often each came."""
        self.dropped = 0
        """Commands from elsewhere that the queue had no room for."""
        self.faults: Counter[str] = Counter()
        """What was wrong with messages before anything could obey them: in words, and how often."""

    def answer(self, address: str, arguments: tuple[Any, ...]) -> list[tuple[str, list[Any]]]:
        """Obey one message; return the replies, address and arguments each."""
        name = address.strip("/")
        try:
            with self._one_at_a_time:
                return self._obey(name, arguments)
        except ValueError as error:
            return [("/error", [f"{address}: {error}"])]

    def command(self, command: tuple[int, int, float], column: str, value: float) -> None:
        """Hand over what came from elsewhere, and keep it under its script column; a full queue drops it."""
        with self._one_at_a_time:
            if self.instrument.post(*command):
                self._record(column, value)
            else:
                self.dropped += 1

    def unknown_in_words(self) -> list[str]:
        """One line about the messages that reached nothing; none where all did."""
        if not self.unknown:
            return []
        often = [
            f"{printable(address)} ({count})" for address, count in self.unknown.most_common(NAMED_UNKNOWN)
        ]
        more = [f"{len(self.unknown) - NAMED_UNKNOWN} more"] if len(self.unknown) > NAMED_UNKNOWN else []
        named = ", ".join([*often, *more])
        return [f"{self.unknown.total()} messages came to addresses that are not here: {named}"]

    def faults_in_words(self) -> list[str]:
        """One line for each kind of message that did not come as it should."""
        said = [f"{count} OSC messages {words}" for words, count in sorted(self.faults.items())]
        return [*said, f"{self.dropped} MIDI messages {DROPPED}"] if self.dropped else said

    def _obey(self, name: str, arguments: tuple[Any, ...]) -> list[tuple[str, list[Any]]]:
        if name in self.instrument.parameters:
            if not arguments:
                return [(f"/{name}", [self.instrument.position(name)])]
            value = _number(arguments[0])
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"a position lies between 0 and 1, not {value:g}")
            self._post(SET, self.instrument.parameters[name], value)
            self._record(name, value)
        elif name == "trigger":
            part = int(_number(arguments[0])) if arguments else 1
            if not 1 <= part <= 32:
                raise ValueError("parts are numbered from 1")
            accent = min(1.0, max(0.0, _number(arguments[1]))) if len(arguments) > 1 else 1.0
            self._post(TRIGGER, part - 1, accent)
            self._record(f"trigger/{part}", accent)
        elif name in ("clock", "reset"):
            self._post(CLOCK if name == "clock" else RESET_STEP)
            self._record(name, 1)
        elif name in ("preset", "preset/save"):
            number = int(_number(arguments[0])) if arguments else 0
            if not 1 <= number <= self.instrument.info.presets:
                raise ValueError(f"presets are numbered 1 to {self.instrument.info.presets}")
            named = self._named_slot(arguments[1]) if name == "preset/save" and len(arguments) > 1 else 0.0
            self._post(PRESET_RECALL if name == "preset" else PRESET_SAVE, number - 1, named)
            self._record("preset" if name == "preset" else "save", number)
        elif name == "report":
            return [(f"/{each}", [self.instrument.position(each)]) for each in self.instrument.parameters]
        elif name == "info":
            return [("/info", list(self.describe()))]
        else:
            crowded = len(self.unknown) >= MOST_UNKNOWN and f"/{name}" not in self.unknown
            self.unknown["others" if crowded else f"/{name}"] += 1
            known = ", ".join(f"/{each}" for each in self.instrument.parameters)
            raise ValueError(
                f"there is no such address; there are {known}, /trigger, /clock, /reset, /preset, "
                "/preset/save, /report, /info"
            )
        return []

    @staticmethod
    def _named_slot(value: Any) -> float:
        """Value of the command that saves a preset which names a model slot."""
        slot = _number(value)
        if slot not in range(MODEL_SLOTS + 1):
            raise ValueError(f"model slots are numbered 0 to {MODEL_SLOTS}, not {slot:g}")
        return 1.0 + slot

    def _post(self, kind: int, index: int = 0, value: float = 0.0) -> None:
        if not self.instrument.post(kind, index, value):
            raise ValueError("too many messages at once; this one was dropped")

    def _record(self, column: str, value: float) -> None:
        if self.keep:
            self.recorded.append((time.monotonic() - self.started, column, float(value)))


def printable(address: str) -> str:
    """Write what a stranger sent so that it does nothing to a terminal, and takes no more than its line."""
    plain = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in address)
    return plain if len(plain) <= LONGEST_NAMED else f"{plain[:LONGEST_NAMED]}…"


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


class OscServer:
    """An OSC server: a thread that listens and one that waits for time tags; a context manager."""

    def __init__(self, control: Answering, port: int, host: str = "127.0.0.1"):
        from common.refusal import Refusal

        self.control = control
        self._due = threading.Condition()  # holds all below: commands come from one thread at a time (port.h)
        self._waiting: list[tuple[float, int, Timed, tuple[str, int]]] = []
        self._numbered = 0
        self._ended = False
        received = self._receive

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                received(self.request[0], self.client_address)

        class Listener(socketserver.UDPServer):
            max_packet_size = LARGEST_BYTES

            def server_bind(self) -> None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING_BYTES)
                super().server_bind()

        try:
            self.server = Listener((host, port), Datagram)
        except OSError as error:
            raise Refusal(
                f"cannot listen for OSC on {host}:{port}: {error.strerror}; try another --osc port."
            ) from None

    @property
    def host(self) -> str:
        """Address it listens on."""
        return str(self.server.server_address[0])

    @property
    def port(self) -> int:
        """Port it listens on."""
        return int(self.server.server_address[1])

    def _receive(self, data: bytes, client: tuple[str, int]) -> None:
        messages, faults = read_packet(data)
        with self._due:
            self.control.faults.update(faults)
            for message in messages:
                self._sort_in(message, client)

    def _sort_in(self, message: Timed, client: tuple[str, int]) -> None:
        ahead = 0.0 if message.at is None else message.at - time.time()
        if ahead > FAR_S:
            self.control.faults[FAR] += 1
        elif ahead <= 0.0:
            if ahead < -LATE_S:
                self.control.faults[LATE] += 1
            self._obey(message, client)
        elif len(self._waiting) >= MOST_WAITING:
            self.control.faults[CROWDED] += 1
        else:
            self._numbered += 1
            heapq.heappush(self._waiting, (time.monotonic() + ahead, self._numbered, message, client))
            self._due.notify()

    def _obey(self, message: Timed, client: tuple[str, int]) -> None:
        from pythonosc.osc_message_builder import build_msg

        for to, values in self.control.answer(message.address, message.arguments):
            with suppress(OSError):  # a sender that is gone is no reason to stop
                self.server.socket.sendto(build_msg(to, values).dgram, client)

    def _keep_time(self) -> None:
        with self._due:
            while not self._ended:
                now = time.monotonic()
                if not self._waiting:
                    self._due.wait()
                elif self._waiting[0][0] > now:
                    self._due.wait(self._waiting[0][0] - now)
                else:
                    _, _, message, client = heapq.heappop(self._waiting)
                    self._obey(message, client)

    def __enter__(self) -> OscServer:
        """Start listening."""
        for work in (self.server.serve_forever, self._keep_time):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; what still waits for its time is counted."""
        self.server.shutdown()
        self.server.server_close()
        with self._due:
            self._ended = True
            self._due.notify()
            if self._waiting:
                self.control.faults[UNFINISHED] += len(self._waiting)
