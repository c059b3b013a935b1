"""Jobs for `clap_host.c`: what a studio would send a plugin, and the same for `vaectrol play`."""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware import toolchain

HERE = Path(__file__).parent
NOTE_ON, NOTE_OFF, VALUE, MODULATION, TRANSPORT, MIDI = 0, 1, 5, 6, 9, 10
VOLTS = 10.0
"""In a CV or gate signal at 1: PLAYER_VOLTS."""
PORT_SET, PORT_TRIGGER, PORT_GATE = 1, 2, 5


@cache
def clap_host() -> Path:
    """The test's host, compiled once."""
    return toolchain.link_program(
        [HERE / "clap_host.c"], "host", toolchain.cache_dir() / "tests" / "clap_host"
    )


def ask(*words: str | Path) -> Any:
    """Run the host; what it says, as JSON."""
    done = subprocess.run([str(clap_host()), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass
class Sent:
    """One event of a host, at a sample counted from the beginning."""

    tick: int
    type: int
    id: int = 0
    channel: int = 0
    key: int = 0
    midi: tuple[int, int, int] = (0, 0, 0)
    value: float = 0.0
    tempo: float = 120.0

    def packed(self) -> bytes:
        """As a JobEvent."""
        midi = self.midi[0] | self.midi[1] << 8 | self.midi[2] << 16
        return struct.pack(
            "<IIIiiIdd",
            self.tick,
            self.type,
            self.id,
            self.channel,
            self.key,
            midi,
            self.value,
            self.tempo,
        )


@dataclass
class Part:
    """What one instance is given.

    Attributes
    ----------
    blocks : list of int
        Samples that the host asks for, one block after the other.
    events : list of Sent
    signals : array, shape (channels of all input ports, ticks)
    """

    blocks: list[int]
    events: list[Sent]
    signals: NDArray[np.float32]


@dataclass
class Heard:
    """What came of it; hits are (tick, type, key, velocity)."""

    channels: NDArray[np.float32]
    hits: list[tuple[int, int, int, float]] = field(default_factory=list)


def render(plugin: Path, parts: list[Part], folder: Path) -> tuple[list[Heard], int]:
    """Play a job; also how often the audio thread called for memory."""
    ticks = sum(parts[0].blocks)
    job = bytearray(struct.pack("<II", len(parts), ticks))
    for part in parts:
        job += struct.pack(f"<I{len(part.blocks)}I", len(part.blocks), *part.blocks)
        job += struct.pack("<I", len(part.events)) + b"".join(event.packed() for event in part.events)
        job += np.ascontiguousarray(part.signals, np.float32).tobytes()
    (folder / "job").write_bytes(job)
    asked = int(ask(plugin, "render", folder / "job", folder / "out")["asked"])
    about = ask(plugin, "about")
    channels = sum(port["channels"] for port in about["out"])
    raw = (folder / "out").read_bytes()
    heard, at = [], 0
    for _ in parts:
        rows = np.frombuffer(raw, np.float32, channels * ticks, at).reshape(channels, ticks)
        at += rows.nbytes
        (hits,) = struct.unpack_from("<I", raw, at)
        found = [struct.unpack_from("<IIiId", raw, at + 4 + 24 * n) for n in range(hits)]
        at += 4 + 24 * hits
        heard.append(Heard(rows, [(tick, kind, key, loud) for tick, kind, key, _, loud in found]))
    assert at == len(raw)
    return heard, asked


def drawn_ports(about: Any, ticks: int, seed: int) -> NDArray[np.float32]:
    """Signals for all input ports: noise, voltages that jump, gates."""
    rng = np.random.default_rng(seed)
    rows: list[NDArray[np.float64]] = []
    for port in about["in"]:
        for _ in range(port["channels"]):
            if port["flags"] & 1:
                rows.append(rng.uniform(-0.8, 0.8, ticks))
                continue
            steps = 1 + ticks // 1300
            gate = port["name"].startswith("Gate")
            levels = 0.5 * rng.integers(0, 2, steps) if gate else rng.uniform(-0.5, 0.5, steps)
            rows.append(np.repeat(levels, 1300)[:ticks])
    return np.array(rows, np.float32).reshape(len(rows), ticks)


def jacks_of(about: Any, ports: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The same by jack, in volts, as ``play --sound`` is given them."""
    found, row = {}, 0
    for port in about["in"]:
        kind, _, rest = port["name"].partition(" ")
        for channel in range(port["channels"]):
            if port["flags"] & 1:
                found[f"audio_in_{channel + 1}"] = ports[row]
            else:
                jack = {"CV": "cv_", "Gate": "gate_in_"}[kind] + rest.split(":")[0]
                found[jack] = ports[row] * np.float32(VOLTS)
            row += 1
    return found
