"""An arpeggio plays a choir: four cables go from the one to the other, sample by sample.

``python examples/arpeggio_choir.py OUT.wav [SECONDS]`` renders both; the arpeggio's clock and knobs are its
demonstration's, the choir's timbre and hands are in ``arpeggio_choir.csv``.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from firmware.instruments.demo import find_demo
from firmware.play.hits import wires
from firmware.play.render import play

out = Path(sys.argv[1])
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else None
arpeggio = play("arpeggio", script=find_demo("arpeggio").script, seconds=seconds)
gates, cvs = wires(arpeggio.built)
played = arpeggio.rendered


def gate(name):
    """Return a gate output, 1 where it is high."""
    return (played.gates >> np.uint32(gates[name]) & 1).astype(np.float32)


def volts(name):
    """Return a CV output as a cable carries it: five volts are 1."""
    return played.cv[cvs[name]] / np.float32(5.0)


cables = {
    "cv_1": volts("melody"),
    "gate_in_1": gate("note"),
    "cv_2": volts("bass"),
    "gate_in_2": gate("change"),
}
script = Path(__file__).with_name("arpeggio_choir.csv")
choir = play("choir", script=script, sounds=cables, seconds=seconds)
soundfile.write(out, choir.sound.T, 48_000)
