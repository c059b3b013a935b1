"""What a disting NT's processor has to do for each instrument, by where its tables and its file lie.

Knobs and voltages move, gates storm, noise comes in: more than music asks for. The plug-in's own code runs
on the emulated Cortex-M7, and the last 200 of 400 steps are counted. Predicted.

    python -m tests.firmware.disting_nt_figures [INSTRUMENT ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.disting_nt.host import FASTEST, load_plugin
from bench.disting_nt.play import Player
from firmware.instruments.spec import available_instruments
from tests.firmware.test_disting_nt_module import BLOCK, RATE, Pair, moving

STEPS, COUNTED = 400, 200
PLACES = {"axi": "SRAM", "sdram": "DRAM"}


def main(names: list[str]) -> None:
    """Print a row of Markdown for each instrument, level and place."""
    print("| instrument | fast memory | file in | mean | worst | asked for |\n|---|---|---|---|---|---|")
    for name in names or available_instruments():
        with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
            pair = Pair(name, Path(folder))
            played = moving(pair, BLOCK * STEPS)
            for level in (FASTEST - 1, FASTEST):
                for place, title in PLACES.items():
                    module = load_plugin(pair.built.image, pair.board, place=place)
                    player = Player(module, pair.built, level=level)
                    player.render(played, BLOCK, range(STEPS - COUNTED, STEPS))
                    share = np.array(player.cycles[0]) * RATE / (pair.board.processor.clock_hz * BLOCK)
                    asked = module.requirements(level)
                    sizes = ", ".join(f"{asked[r]:,} {r}" for r in ("dtc", "sram", "dram") if asked[r])
                    print(
                        f"| {name} | {level} | {title} | {share.mean():.1%} | {share.max():.1%} | {sizes} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main(sys.argv[1:])
