"""How fast the bridge is here, and whether it loses anything: ``python -m bench.live.bridge INSTRUMENT``.

Four senders play at once, each a thousand messages a second: OSC and a phone from processes of their own,
over real sockets, MIDI and a CV script from threads. A fifth sends a step by OSC now and then; the time from
there until the rendered parameter has crossed half of it is the latency. Measured, on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from bench.live.timing import machine
from common.refusal import Refusal
from firmware.bridge.hub import Hub
from firmware.bridge.mapping import Mapping, Rule
from firmware.bridge.phone.server import Offered, PhoneServer, Place
from firmware.bridge.sinks.host import CHUNK_BLOCKS
from firmware.bridge.sources.midi import MidiSource
from firmware.bridge.sources.osc import OscSource
from firmware.bridge.sources.script import ScriptSource
from firmware.bridge.targets import Targets
from firmware.play.host import Rendered
from firmware.play.live.osc import OscServer
from firmware.play.live.pace import not_kept
from firmware.play.live.performance import Performance
from firmware.play.render import open_instrument
from firmware.script.cv_script import Script

SIDES = ("osc", "midi", "phone", "script")
STEP_S = 0.05
"""Between two steps whose way is timed."""
WARM_UP_STEPS = 10
"""Not timed: the first may go to where the parameter stands already."""
REST_S = 1.0
"""After the last message, for what is on its way."""
LOW, HIGH, HALF = 0.2, 0.8, 0.5


@dataclass(frozen=True)
class Measured:
    """What came of it.

    Attributes
    ----------
    latency_ms : array, shape (steps,), float64
    gap_ms : array, shape (chunks − 1,), float64
        Between the ends of two chunks; what is more than a chunk, the program waited for a core.
    sent, obeyed : int
        Messages of all sides, and moves that reached the instrument.
    lost : tuple of str
        Sides whose last value did not arrive.
    """

    latency_ms: np.ndarray
    gap_ms: np.ndarray
    sent: int
    obeyed: int
    lost: tuple[str, ...]


def paced(rate: float, seconds: float, send: Callable[[float], None], seed: int) -> tuple[int, float]:
    """Send random positions at a rate; return how many, and the last one."""
    rng = np.random.default_rng(seed)
    began, count, value = time.monotonic(), 0, 0.0
    while (now := time.monotonic() - began) < seconds:
        while count < now * rate:
            value = float(np.float32(rng.random()))
            send(value)
            count += 1
        time.sleep(0.001)
    return count, value


def send_osc(port: int, name: str, rate: float, seconds: float, answer: Connection) -> None:
    """Play by OSC, in a process of its own."""
    from pythonosc.udp_client import SimpleUDPClient

    client = SimpleUDPClient("127.0.0.1", port)
    answer.send(paced(rate, seconds, lambda value: client.send_message(f"/{name}", value), 1))


def send_steps(port: int, name: str, seconds: float, answer: Connection) -> None:
    """Send steps by OSC, in a process of its own; the moments of sending are answered."""
    from pythonosc.udp_client import SimpleUDPClient

    client = SimpleUDPClient("127.0.0.1", port)
    rng = np.random.default_rng(5)
    times, began = [], time.monotonic()
    while time.monotonic() - began < seconds:
        times.append(time.monotonic())
        client.send_message(f"/{name}", HIGH if len(times) % 2 else LOW)
        time.sleep(STEP_S * (1.0 + 0.2 * rng.random()))  # in no step with the blocks
    answer.send(times)


def send_phone(link: str, rate: float, seconds: float, answer: Connection) -> None:
    """Play as a phone does, in a process of its own."""
    import aiohttp

    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE

    async def play() -> tuple[int, float]:
        rng = np.random.default_rng(2)
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(connector=connector) as session, session.ws_connect(link) as wire:
            began, count, value = time.monotonic(), 0, 0.0
            while (now := time.monotonic() - began) < seconds:
                while count < now * rate:
                    value = float(np.float32(rng.random()))
                    await wire.send_str(json.dumps({"fader_1": value}))
                    count += 1
                await asyncio.sleep(0.001)
            await wire.close()
            return count, value

    answer.send(asyncio.run(play()))


class _Watch:
    """Notes when a chunk is done, and when a parameter crosses the middle."""

    def __init__(self, parameter: int):
        self.parameter, self.high = parameter, False
        self.times: list[float] = []
        self.chunks: list[float] = []

    def __call__(self, rendered: Rendered) -> None:
        now = time.monotonic()
        self.chunks.append(now)
        high = bool(rendered.positions[-1, self.parameter] > HALF)
        if high != self.high:
            self.high = high
            self.times.append(now)


def measure(instrument: str, seconds: float, rate: float) -> Measured:
    """Play an instrument from all sides for so long.

    Raises
    ------
    Refusal
        An instrument with fewer than five parameters.
    """
    import mido

    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder, ExitStack() as stack:
        built, host = open_instrument(instrument, Path(folder))
        names = list(host.parameters)
        if len(names) < 1 + len(SIDES):
            raise Refusal(f"{instrument} has {len(names)} parameters; the sides need five of their own.")
        step, moved = names[0], dict(zip(SIDES, names[1:], strict=False))
        mapping = Mapping((Rule("phone/fader_1", moved["phone"]), Rule("midi/cc/1", moved["midi"])))
        hub = stack.enter_context(Hub(mapping))
        outbox = hub.outbox(lambda target: True)
        performance = Performance(built, host, outbox, built.board.audio.block)
        osc = stack.enter_context(OscServer(OscSource(hub, host, lambda: ["bench", "", "", ""]), 0))
        phone = stack.enter_context(PhoneServer(hub, Offered("bench"), None, Place(0)))
        midi = MidiSource(hub, None)
        rows = np.arange(0.0, seconds, 1.0 / rate)
        values = np.random.default_rng(4).random(len(rows))
        script = Script(columns={moved["script"]: (rows, values)})
        spawn = multiprocessing.get_context("spawn")
        ends, processes = {}, []
        for side, target, words in (
            ("osc", send_osc, (osc.port, moved["osc"], rate, seconds)),
            ("phone", send_phone, (phone.link("/ws"), rate, seconds)),
            ("steps", send_steps, (osc.port, step, seconds)),
        ):
            ends[side], other = spawn.Pipe()
            processes.append(spawn.Process(target=target, args=(*words, other), daemon=True))  # type: ignore[arg-type]
        played: dict[str, tuple[int, float]] = {}

        def play_midi() -> None:
            count, value = paced(
                rate,
                seconds,
                lambda v: midi(mido.Message("control_change", control=1, value=round(127 * v))),  # type: ignore[arg-type]
                3,
            )
            played["midi"] = count, round(127 * value) / 127.0

        stop, watch = threading.Event(), _Watch(host.parameters[step])
        chunk = built.board.audio.block * CHUNK_BLOCKS
        clock = threading.Thread(
            target=not_kept, args=(performance, chunk), kwargs={"heard": watch, "stop": stop}
        )
        clock.start()
        for process in processes:
            process.start()
        began = time.monotonic()
        stack.enter_context(ScriptSource(hub, script, Targets(names), lambda: began))
        thread = threading.Thread(target=play_midi)
        thread.start()
        for side in ("osc", "phone"):
            played[side] = ends[side].recv()
        sent = np.array(ends["steps"].recv())
        thread.join()
        time.sleep(REST_S)
        stop.set()
        clock.join()
        played["script"] = len(rows), float(values[-1])
        take = performance.script().columns
    lost = [side for side in SIDES if take[moved[side]][1][-1] != played[side][1]]
    total = sum(count for count, _ in played.values()) + len(sent)
    gaps = 1e3 * np.diff(watch.chunks)
    timed = sent[WARM_UP_STEPS:]
    return Measured(_latencies(timed, np.array(watch.times)), gaps, total, performance.obeyed, tuple(lost))


def _latencies(sent: np.ndarray, crossed: np.ndarray) -> np.ndarray:
    """Milliseconds from each step to the first crossing after it; a step that none follows took for ever."""
    following = np.append(crossed, np.inf)[np.searchsorted(crossed, sent)]
    return 1e3 * (following - sent)


def main() -> None:
    """Measure, and print the figures with the machine."""
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("instrument")
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--rate", type=float, default=1000.0, help="messages a second of each side")
    asked = options.parse_args()
    made = measure(asked.instrument, asked.seconds, asked.rate)
    p50, p99, worst = np.percentile(made.latency_ms, [50, 99, 100])
    print(f"{made.sent:,} messages in {asked.seconds:g} s, {made.obeyed:,} moves; last values lost: ", end="")
    print(", ".join(made.lost) or "none")
    print(
        f"OSC to parameter, {len(made.latency_ms)} steps: p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"worst {worst:.1f} ms"
    )
    print("between two chunks: p50 {:.1f} ms, p99 {:.1f} ms".format(*np.percentile(made.gap_ms, [50, 99])))
    print(json.dumps(machine()))


if __name__ == "__main__":
    main()
