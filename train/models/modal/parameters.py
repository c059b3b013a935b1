"""The sixteen parameters of the instrument `modal`: their travel, and patches drawn at random.

A position lies between 0 and 1, and is what a knob, a preset and the network say. A value is what the engine
computes with. ``firmware/instruments/kinds/modal.py`` holds the same ends, and a test holds the two together.
"""

from __future__ import annotations

import math

import numpy as np

C1_HZ = 32.7031957
ENDS: dict[str, tuple[float, float]] = {
    "pitch": (0.0, 6.0),  # octaves above C1
    "stretch": (0.4, 1.8),  # mode k lies at k to this power
    "scatter": (0.0, 0.5),  # log ratio
    "decay": (math.log(0.03), math.log(8.0)),  # log s to −60 dB, of the first mode
    "damping": (0.0, 1.5),  # log loss per log frequency
    "brightness": (-2.0, 0.5),  # log gain per log frequency
    "position": (0.02, 0.5),  # of the body's length
    "bend": (0.0, 3.0),  # octaves above its pitch
    "settle": (math.log(0.01), math.log(0.25)),  # log s
    "exciter": (0.0, 1.0),  # strike, noise, bow
    "attack": (math.log(0.001), math.log(0.5)),  # log s
    "length": (math.log(0.005), math.log(3.0)),  # log s to −60 dB
    "hardness": (math.log(200.0), math.log(18_000.0)),  # log Hz
    "direct": (0.0, 1.0),
    "colour": (math.log(20.0), math.log(8_000.0)),  # log Hz
    "drive": (math.log(0.5), math.log(30.0)),  # log gain
}
NAMES = tuple(ENDS)
SIZE = len(NAMES)

STRUCK = 0.4
"""Part of the patches that a strike begins; in the others noise or bow says more."""
NARROWED = {
    "stretch": (0.0, 0.8),
    "decay": (0.1, 0.95),
    "brightness": (0.05, 0.95),
    "attack": (0.0, 0.75),
    "length": (0.2, 1.0),
    "hardness": (0.15, 1.0),
    "drive": (0.0, 0.9),
}
"""Parts of the travel that are drawn from, where the ends are seldom of use."""


def random_patches(count: int, seed: int) -> np.ndarray:
    """Positions ``[count, 16]`` float32.

    Even over the travel as a rule (`NARROWED` says of what part), but: a strike comes oftener than a bow,
    scatter, bend and attack are small oftener than large, and what is heard beside the body is never nothing.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.random((count, SIZE))
    columns = {name: drawn[:, at] for at, name in enumerate(NAMES)}
    for name, (low, high) in NARROWED.items():
        columns[name] = low + (high - low) * columns[name]
    struck = rng.random(count) < STRUCK
    columns["exciter"] = np.where(struck, 0.4 * columns["exciter"], columns["exciter"])
    for name in ("scatter", "bend", "attack"):
        columns[name] = columns[name] ** 1.5
    return np.stack([columns[name] for name in NAMES], 1).astype(np.float32)
