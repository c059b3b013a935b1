"""The CLAP plugins in figures: ``python -m tests.firmware.clap_figures`` prints size and speed of each."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import numpy as np

from firmware.instruments.spec import available_instruments
from firmware.ports.plugin.link import Wanted, build_plugin
from hardware.board import load_board
from tests.firmware.clap_job import MIDI, TRANSPORT, Part, Sent, ask, render

SECONDS, FRAMES, RATE_HZ = 10, 480, 48_000
TICKS = SECONDS * RATE_HZ


def figures(name: str, folder: Path) -> str:
    """Play one for ten seconds, a key five times a second and a song at 120; a row of the table."""
    plugin = build_plugin(Wanted(name, load_board("host"), {}), "clap", "linux", folder / name)
    channels = sum(port["channels"] for port in ask(plugin, "about")["in"])
    sound = np.random.default_rng(1).uniform(-0.3, 0.3, (channels, TICKS)).astype(np.float32)
    sent = [Sent(0, TRANSPORT, id=1)]
    sent += [Sent(tick, MIDI, midi=(0x90, 36, 100)) for tick in range(0, TICKS, RATE_HZ // 5)]
    part = Part([FRAMES] * (TICKS // FRAMES), sent, sound)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    _, asked = render(plugin, [part], folder)
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return f"| {name} | {plugin.stat().st_size:,} | {SECONDS / took:.0f} | {asked} |"


def main() -> None:
    """Print a table for the page of experiments."""
    print("| instrument | bytes | times real time | calls for memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in available_instruments():
            print(figures(name, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
