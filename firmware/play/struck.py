"""A rhythm made audible: the gates that leave a board strike the factory drum, as patch cables would.

Only gates that reach a jack are heard, so a board with two gate outputs plays two parts. A hit is as loud as
the velocity that the CV outputs show in that moment.
"""

from __future__ import annotations

import tempfile
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from firmware.build import Built, generate, host_library
from firmware.instruments import kinds
from firmware.play.cv_script import EVENTS, SET, Event, Script, Signals, signals
from firmware.play.host import HostInstrument, Rendered

KIT = Path(__file__).with_name("kit.toml")
LOUDEST = 0.5
"""Peak of the mixture, −6 dBFS: many drums at once stay below full scale."""
VELOCITY_VOLTS = 5.0
UNKNOWN_VELOCITY = 0.7
"""Of a hit on a board without a velocity output."""


class Piece(BaseModel):
    """How one part sounds: positions of the drum's parameters by OSC address; its place in the mixture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float = Field(1.0, ge=0.0, le=1.0)
    pan: float = Field(0.0, ge=-1.0, le=1.0)
    set: dict[str, float]


class Kit(BaseModel):
    """``kit.toml``: which instrument is struck, and its settings by part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instrument: str
    part: dict[str, Piece]


@cache
def kit() -> Kit:
    """Read the kit."""
    return Kit.model_validate(tomllib.loads(KIT.read_text(encoding="utf-8")))


def strike(built: Built, rendered: Rendered) -> tuple[NDArray[np.float32], str]:
    """Play the kit by a rendering's gates.

    Returns
    -------
    array, shape (2, ticks), float32
        Left and right.
    str
        Name of the instrument that was struck.
    """
    hits = _hits(built, rendered)
    ticks = rendered.gates.size
    mix = np.zeros((2, ticks), np.float32)
    if hits:
        with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
            played = generate(kit().instrument, "host", Path(folder))
            host = HostInstrument(host_library(played))
            quiet = signals(Script(), played.board, ticks, host.parameters, {})
        for part, struck in hits.items():
            piece = kit().part[part]
            mono = _struck(host, quiet, piece, struck, played.board.audio.block)
            mix[0] += mono * piece.level * min(1.0, 1.0 - piece.pan)
            mix[1] += mono * piece.level * min(1.0, 1.0 + piece.pan)
    peak = float(np.abs(mix).max(initial=0.0))
    return mix * (LOUDEST / peak if peak > 0 else 1.0), kit().instrument


def _hits(built: Built, rendered: Rendered) -> dict[str, list[tuple[int, float]]]:
    """Sample and velocity of every hit, by part."""
    assignment = built.assignment
    kind = kinds.named(assignment.kind)
    gates = {kind.gate_sources[source]: at for at, source in enumerate(assignment.gate_out) if source >= 0}
    cvs = {kind.cv_sources[source]: at for at, source in enumerate(assignment.cv_out) if source >= 0}
    found: dict[str, list[tuple[int, float]]] = {}
    for part in kit().part:
        if part not in gates:
            continue
        level = (rendered.gates >> gates[part] & 1).astype(np.int8)
        rises = np.flatnonzero(np.diff(level, prepend=np.int8(0)) > 0)
        cv = cvs.get(f"velocity.{part}", cvs.get("velocity"))
        velocity = (
            np.full(len(rises), UNKNOWN_VELOCITY) if cv is None else rendered.cv[cv, rises] / VELOCITY_VOLTS
        )
        if len(rises):
            found[part] = [(int(at), float(v)) for at, v in zip(rises, velocity, strict=True)]
    return found


def _struck(
    host: HostInstrument, quiet: Signals, piece: Piece, hits: list[tuple[int, float]], block: int
) -> NDArray[np.float32]:
    settings = [Event(0, SET, host.parameters[name], position) for name, position in piece.set.items()]
    strokes = [Event(at, EVENTS["trigger"], 0, min(1.0, max(0.0, velocity))) for at, velocity in hits]
    host.begin()
    return host.render(Signals(quiet.inputs, quiet.gates, quiet.audio, [*settings, *strokes]), block).audio[0]
