"""Rubbish for the bridge's ears: ``python -m firmware.bridge.fuzz --messages 100000``.

Messages that were right once are cut, swapped and overwritten, and go to a real UDP port, a real WebSocket
and the MIDI parser. Nothing may be raised, nothing printed, no buffer may grow past its limit, and a right
message afterwards is obeyed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from firmware.bridge.hub import Hub
from firmware.bridge.mapping import PHONE, Mapping, Rule
from firmware.bridge.phone.defaults import shown
from firmware.bridge.phone.messages import LONGEST_BYTES
from firmware.bridge.phone.server import Offered, PhoneServer, Place
from firmware.bridge.sources.midi import MidiSource
from firmware.bridge.sources.osc import OscSource
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.midi.player import MidiPlayer
from firmware.play.live.osc import OscServer
from firmware.play.live.outbox import MOST_EVENTS, Outbox

NAMES = ("latent/1", "latent/2", "attribute/density", "level")
BURST = 64
PATIENCE_S = 60.0


class Nobody:
    """An instrument that has parameters and no sound."""

    def __init__(self) -> None:
        self.parameters = {name: number for number, name in enumerate(NAMES)}
        self.info = SimpleNamespace(presets=8)

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Take anything."""
        return True

    def position(self, name: str) -> float:
        """Stand in the middle."""
        return 0.5


@dataclass(frozen=True)
class Fuzzed:
    """What came of it: messages sent, moves obeyed, and what was said of the others."""

    messages: int
    moves: int
    said: list[str]


def mangled(rng: random.Random, data: bytes) -> bytes:
    """Spoil some bytes: cut, swapped, overwritten, doubled, or left alone."""
    made = bytearray(data)
    for _ in range(rng.randrange(4)):
        what = rng.randrange(5)
        at = rng.randrange(len(made) + 1)
        if what == 0:
            del made[at : at + rng.randrange(1, 9)]
        elif what == 1:
            made[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif what == 2 and made:
            made[at % len(made)] ^= 1 << rng.randrange(8)
        elif what == 3:
            made += made[: rng.randrange(64)]
        elif made:
            made[at:] = rng.randbytes(len(made) - at)
    return bytes(made)


def osc_packet(rng: random.Random) -> bytes:
    """Write a datagram of OSC, spoilt or not."""
    from pythonosc.osc_message_builder import build_msg

    address = rng.choice(["/latent/1", "/trigger", "/preset/save", "/wii/pitch", "/report", "/", "/clock"])
    values = [rng.choice([rng.random(), rng.randrange(-9, 99), "x", True, float("nan"), b"blob"])]
    return mangled(rng, build_msg(address, values * rng.randrange(3)).dgram)


def phone_text(rng: random.Random) -> str:
    """Write a phone's message, spoilt or not."""
    value = rng.choice([rng.random(), rng.randrange(-2, 3), True, None, "1", [0.5], 1e400, {"a": 1}])
    said = {rng.choice(PHONE).removeprefix("phone/"): value for _ in range(rng.randrange(4))}
    text = json.dumps(rng.choice([said, said, said, [said], value]))
    if rng.random() < 0.002:
        text = "[" * (LONGEST_BYTES - 1)
    return mangled(rng, text.encode()).decode("utf-8", "replace")[:LONGEST_BYTES]


def fuzz(messages: int, seed: int = 0) -> Fuzzed:
    """Send so many messages each way.

    Raises
    ------
    AssertionError
        Something was raised in a thread, a buffer grew, or a right message is no longer obeyed.
    """
    rng = random.Random(seed)
    mapping = Mapping(
        (
            Rule("osc/wii/pitch", "latent/2", smoothing_s=0.01),
            Rule("midi/cc/1", "attribute/density"),
            *(Rule(name, "latent/1" if "pad" not in name else "trigger/1", "level") for name in PHONE[:-4]),
            *(Rule(name, "trigger/1", "stroke") for name in PHONE[-4:]),
        )
    )
    raised: list[Any] = []
    before, threading.excepthook = threading.excepthook, raised.append
    hub = Hub(mapping)
    box = hub.outbox(lambda target: True)
    source = OscSource(hub, Nobody(), lambda: ["nobody", "", "", ""])
    taken = _Taker(box)
    try:
        with hub, taken, OscServer(source, 0) as osc:
            with PhoneServer(hub, Offered("nobody", shown(mapping)), None, Place(0)) as phone:
                _datagrams(osc.port, messages, rng)
                _midi(
                    MidiSource(hub, MidiPlayer(load_instrument(available_instruments()[0]), NAMES)),
                    messages,
                    rng,
                )
                asyncio.run(_texts(phone, messages, rng))
                said = [*source.in_words(), *phone.in_words()]
            _obeyed(taken, lambda: _right(osc.port))
    finally:
        threading.excepthook = before
    assert not raised, raised[0]
    return Fuzzed(3 * messages, taken.moves, said)


class _Taker:
    """Obeys an outbox, as an instrument does; a context manager."""

    def __init__(self, box: Outbox):
        self.box, self.moves, self.last = box, 0, {}  # type: Outbox, int, dict[str, float]
        self._ended = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._ended:
            self.box.wait(0.05)
            found = self.box.take(10_000)
            assert len(found) <= MOST_EVENTS + 32, f"{len(found)} moves waited"
            self.moves += len(found)
            self.last.update(found)

    def __enter__(self) -> _Taker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()


def _datagrams(port: int, messages: int, rng: random.Random) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(messages):
            sender.sendto(osc_packet(rng), ("127.0.0.1", port))
            if number % BURST == 0:
                time.sleep(0.002)


def _midi(source: MidiSource, messages: int, rng: random.Random) -> None:
    import mido

    parser = mido.Parser()
    for _ in range(messages):
        right = bytes(
            [rng.choice([0x80, 0x90, 0xB0, 0xE0, 0xD0]) | rng.randrange(16), *rng.choices(range(128), k=2)]
        )
        parser.feed(mangled(rng, right))
        for message in parser:
            source(message)


async def _texts(phone: PhoneServer, messages: int, rng: random.Random) -> None:
    import aiohttp

    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        sent = 0
        while sent < messages:
            async with session.ws_connect(phone.link("/ws")) as wire:
                closed = asyncio.ensure_future(_listen(wire))  # where a message was too long
                with suppress(ConnectionError):
                    while sent < messages and not closed.done():
                        sent += 1
                        if rng.random() < 0.05:
                            await wire.send_bytes(rng.randbytes(rng.randrange(64)))
                        else:
                            await wire.send_str(phone_text(rng))
                        await asyncio.sleep(0)
                await wire.close()
                await closed


async def _listen(wire: Any) -> None:
    async for _ in wire:
        pass


def _right(port: int) -> None:
    from pythonosc.osc_message_builder import build_msg

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(build_msg("/level", [0.625]).dgram, ("127.0.0.1", port))


def _obeyed(taken: _Taker, say: Callable[[], None]) -> None:
    end = time.monotonic() + PATIENCE_S
    while taken.last.get("level") != 0.625:
        assert time.monotonic() < end, "a right message is no longer obeyed"
        say()
        time.sleep(0.05)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--messages", type=int, default=100_000, help="each way: OSC, MIDI, WebSocket")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    began = time.monotonic()
    done = fuzz(chosen.messages, chosen.seed)
    print(f"{done.messages:,} messages in {time.monotonic() - began:.0f} s, {done.moves:,} moves obeyed")
    print("\n".join(done.said))
