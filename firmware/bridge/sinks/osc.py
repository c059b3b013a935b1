"""OSC as a sink: what rules send to ``osc/ADDRESS``, and what the instrument says of itself."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from common.refusal import Refusal
from firmware.play.live.outbox import Outbox

WAIT_S = 0.1
AT_ONCE = 256


def takes_osc(target: str) -> bool:
    """Whether a target goes out by OSC."""
    return target.startswith("osc/")


class OscOut:
    """Sends one message a value to one place; a context manager."""

    def __init__(self, host: str, port: int, outbox: Outbox):
        self.outbox = outbox
        try:
            self._to = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError):
            raise Refusal(
                f"there is no {host} to send OSC to; write a name or address this computer knows."
            ) from None
        self._socket = socket.socket(self._to[0], socket.SOCK_DGRAM)
        self._ended = False

    def send(self, address: str, value: float) -> None:
        """Send one value; nobody needs to listen."""
        from pythonosc.osc_message_builder import build_msg

        with suppress(OSError):
            self._socket.sendto(build_msg(address, [float(value)]).dgram, self._to[4])

    def _work(self) -> None:
        while not self._ended:
            if self.outbox.wait(WAIT_S):
                for target, value in self.outbox.take(AT_ONCE):
                    self.send(target.removeprefix("osc"), value)

    def __enter__(self) -> OscOut:
        """Begin to send."""
        self._thread = threading.Thread(target=self._work, name="OSC out", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; what waits is not sent."""
        self._ended = True
        self._thread.join()
        self._socket.close()
