"""A struck, blown or bowed body: an exciter, 32 resonators and a drive. It has no model."""

from __future__ import annotations

import math
from collections.abc import Mapping

from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import InstrumentKind
from firmware.instruments.tone import UNIT

SOUND: Mapping[str, tuple[tuple[float, float], float]] = {
    "pitch": ((0.0, 6.0), 0.5),  # octaves above C1
    "stretch": ((0.4, 1.8), 0.43),  # mode k lies at k to this power
    "scatter": ((0.0, 0.5), 0.1),  # log ratio
    "decay": ((math.log(0.03), math.log(8.0)), 0.6),  # log s to −60 dB, of the first mode
    "damping": ((0.0, 1.5), 0.4),  # log loss per log frequency
    "brightness": ((-2.0, 0.5), 0.5),  # log gain per log frequency
    "position": ((0.02, 0.5), 0.4),  # of the body's length
    "bend": ((0.0, 3.0), 0.0),  # octaves above its pitch
    "settle": ((math.log(0.01), math.log(0.25)), 0.5),  # log s
    "exciter": (UNIT, 0.0),
    "attack": ((math.log(0.001), math.log(0.5)), 0.0),  # log s
    "length": ((math.log(0.005), math.log(3.0)), 0.6),  # log s to −60 dB
    "hardness": ((math.log(200.0), math.log(18_000.0)), 0.7),  # log Hz
    "direct": (UNIT, 0.3),
    "colour": ((math.log(20.0), math.log(8_000.0)), 0.4),  # log Hz
    "drive": ((math.log(0.5), math.log(30.0)), 0.2),  # log gain
}
"""The sixteen parameters of the sound: ends of the travel as the C reads them, and the position at rest.

``train/models/modal/parameters.py`` holds the same ends, and a test holds the two together.
"""


class Modal(InstrumentKind):
    """Strokes in, the sound of a body out."""

    gates = ("trigger", "accent", "hold", "choke")
    gate_sources = ("trigger",)
    cv_sources = ("envelope",)
    audio_sources = ("mix",)
    audition: Mapping[str, float] = {"trigger": 1.5}
    words: Mapping[str, str] = {
        "pitch": "Pitch of the lowest mode, six octaves from the lowest C of a piano.",
        "stretch": "How modes lie: crowded as of a plate, harmonic as of a string, far apart as of a bar.",
        "scatter": "Moves modes from their places, until it is scrap metal.",
        "decay": "How long the body rings, from 30 milliseconds to eight seconds.",
        "damping": "How much sooner high modes die than low ones: from metal to rubber.",
        "brightness": "How loud high modes are beside low ones.",
        "position": "Where it is struck: at its edge, or in its middle, where even modes are silent.",
        "bend": "How far the pitch falls after a stroke, up to three octaves.",
        "settle": "How long that fall takes, from ten milliseconds to a quarter of a second.",
        "exciter": "Left: a strike; middle: a burst of noise; right: a bow.",
        "attack": "How slowly noise or bow comes in.",
        "length": "How long noise or bow lasts, from a tick to three seconds.",
        "hardness": "From a felt mallet to a needle: how high the exciter reaches.",
        "direct": "How much of the exciter is heard beside the body.",
        "colour": "Takes the lows out of what is heard beside the body.",
        "drive": "From clean to square.",
        "level": "Loudness of everything that leaves the module.",
    }
    struct_bytes = 2 * 1024
    callback_cycles, sample_cycles = 29_700, 590

    def add_parameters(self, assignment: Assignment) -> None:
        """The sound's sixteen, and the level."""
        for name, (ends, rest) in SOUND.items():
            assignment.add(name, ends, rest)
        assignment.add("level", UNIT, 1.0)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``ModalSpec``: where the C finds its parameters and its jacks."""
        parameters = "\n".join(f"    .{name} = {assignment.index[name]}," for name in (*SOUND, "level"))
        return KindTables([], f"{{\n{parameters}\n    .outputs = OUTPUTS,\n}}")


KIND = Modal()
