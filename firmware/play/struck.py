"""A rhythm made audible: the gates that leave a board strike the factory drum, as patch cables would.

Only gates that reach a jack are heard, so a board with two gate outputs plays two parts. A hit is as loud as
the velocity that the CV outputs show in that moment.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from common.refusal import Refusal
from common.spool import largest, release, spans, spooled
from firmware.build import Built, generate, host_library
from firmware.play.hits import hits, wires
from firmware.play.host import HostInstrument, Rendered
from firmware.play.pieces import rendered_pieces
from firmware.script.cv_script import EVENTS, SET, Event, Script, readings

KIT = Path(__file__).with_name("kit.toml")
LOUDEST = 0.5
"""Peak of the mixture, −6 dBFS: many drums at once stay below full scale."""


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
    found = hits(built, rendered, kit().part)
    ticks = rendered.gates.size
    mix = spooled((2, ticks), "float32")
    if found:
        with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
            kit_built = generate(kit().instrument, "host", Path(folder))
            host = HostInstrument(host_library(kit_built))
        for part, struck in found.items():
            piece = kit().part[part]
            for span, mono in _struck(host, kit_built, ticks, piece, struck):
                mix[0, span] += mono * piece.level * min(1.0, 1.0 - piece.pan)
                mix[1, span] += mono * piece.level * min(1.0, 1.0 + piece.pan)
                release(mix)
    peak = largest(mix)
    if peak > 0:
        for span in spans(ticks, through=[mix]):
            mix[:, span] *= np.float32(LOUDEST / peak)
    return mix, kit().instrument


@dataclass(frozen=True)
class Hit:
    """One stroke of a part, and the gate and CV outputs that would strike it; `cv` is −1 for none.

    `sound` is float32, shape (ticks,), at full velocity and at the part's level.
    """

    gate: int
    cv: int
    pan: float
    sound: NDArray[np.float32]


def one_hit_each(built: Built, seconds: float) -> list[Hit]:
    """Play one stroke of every part whose gate leaves the board, for those who mix them themselves."""
    gates, cvs = wires(built)
    parts = [part for part in kit().part if part in gates]
    if not parts:
        return []
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
        kit_built = generate(kit().instrument, "host", Path(folder))
        host = HostInstrument(host_library(kit_built))
    ticks = round(seconds * kit_built.board.audio.sample_rate_hz)
    found = []
    for part in parts:
        piece = kit().part[part]
        mono = np.concatenate([some.copy() for _, some in _struck(host, kit_built, ticks, piece, [(0, 1.0)])])
        cv = cvs.get(f"velocity.{part}", cvs.get("velocity", -1))
        found.append(Hit(gates[part], cv, piece.pan, mono * np.float32(piece.level)))
    return found


def settings_of(piece: Piece, parameters: Mapping[str, int], instrument: str) -> list[Event]:
    """Events that set a part's parameters.

    Raises
    ------
    Refusal
        The instrument has no parameter of that name.
    """
    unknown = [name for name in piece.set if name not in parameters]
    if unknown:
        raise Refusal(
            f"{KIT.name} sets {unknown[0]}, and {instrument} has no such parameter; it has "
            f"{', '.join(parameters)}."
        )
    return [Event(0, SET, parameters[name], position) for name, position in piece.set.items()]


def _struck(
    host: HostInstrument, kit_built: Built, ticks: int, piece: Piece, hits: list[tuple[int, float]]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    settings = settings_of(piece, host.parameters, kit_built.name)
    strokes = [Event(at, EVENTS["trigger"], 0, velocity) for at, velocity in hits]
    host.begin()
    block = kit_built.board.audio.block
    quiet = Script()
    for span, rendered in rendered_pieces(
        host, ticks, block, lambda span: readings(quiet, kit_built.board, span, {}), [*settings, *strokes]
    ):
        yield span, rendered.audio[0]
