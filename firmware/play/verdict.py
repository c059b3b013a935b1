"""Whether a rendering is worth hearing: finite, neither silent nor clipped; one judgement for every command.

An instrument whose sound is silence, or whose gates never move, is broken or was given nothing to do; either
way nobody wants it certified as "equal to the host".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from common.refusal import Refusal
from common.spool import largest, lowest_and_highest, spans
from firmware.play.host import Rendered

FULL_SCALE = 1.0
"""±1.0 is the converter's last code on every board: ±``full_scale_volts_out`` at the jack.

`hardware.board.Audio` says which voltage that is: 9 V on a Patch SM, 7.07 V on the Pi's carrier, 1.25 V on a
bare Seed. The engine bounds what it writes to ±1.0 (``audible`` in ``engine/instruments/outputs.h``), so a
sample that reaches it was cut, or would have been a moment later.
"""
SILENT_DBFS = -60.0
"""A sound whose peak stays below this is silence: the default of FFmpeg's ``silencedetect``, and the level
below which a drive's engine finds nothing to match (``POWER_FLOOR`` in ``engine/instruments/drive.c``)."""
STILL_VOLTS = 0.05
"""A CV output that moves less than this is still: 1 % of the 5 V that an envelope or a velocity spans."""


class BadRendering(Refusal):
    """What was rendered is silent, not finite, or clips."""


def dbfs(level: float) -> float:
    """Level re full scale in decibels."""
    return 20.0 * math.log10(level) if level > 0 else -math.inf


def swing(sound: NDArray[np.float32]) -> float:
    """Half of what the liveliest channel moves: a peak for which a constant voltage does not count.

    Parameters
    ----------
    sound : array, shape (channels, ticks)
    """
    low, high = lowest_and_highest(sound)
    return float((high - low).max(initial=0.0)) / 2


def complaint(rendered: Rendered, has_sound: bool) -> str | None:
    """Say what is wrong with a rendering.

    Parameters
    ----------
    rendered : Rendered
    has_sound : bool
        Whether any audio output carries something. An instrument without one must move a gate or a CV output.

    Returns
    -------
    str or None
        One clause, or None where there is nothing to say.
    """
    sound = rendered.audio
    if not (math.isfinite(largest(sound)) and math.isfinite(largest(rendered.cv))):
        return "it is not finite: a NaN or an infinity went out of a jack"
    if not has_sound:
        gates_move = bool(rendered.gates.size) and rendered.gates.min() != rendered.gates.max()
        return (
            None if gates_move or 2 * swing(rendered.cv) >= STILL_VOLTS else "no gate and no CV output moves"
        )
    if largest(sound) >= FULL_SCALE:
        cut = sum(
            int((np.abs(sound[:, span]) >= FULL_SCALE).sum())
            for span in spans(sound.shape[1], through=[sound])
        )
        return f"it clips: {cut:,} samples at full scale"
    level = dbfs(swing(sound))
    if level < SILENT_DBFS:
        heard = "nothing at all" if math.isinf(level) else f"a peak of {level:.0f} dBFS"
        return f"it is silent: {heard}, and below {SILENT_DBFS:.0f} dBFS there is nothing to hear"
    return None


def require_audible(rendered: Rendered, has_sound: bool, what: str) -> None:
    """Refuse a rendering that `complaint` finds fault with.

    Parameters
    ----------
    what : str
        What was rendered, as the sentence should name it.

    Raises
    ------
    BadRendering
        What is wrong, and what to do.
    """
    wrong = complaint(rendered, has_sound)
    if wrong is None:
        return
    cure = "turn its level or gain down" if "clips" in wrong else "check its script, its input and its model"
    raise BadRendering(f"{what}: {wrong}; {cure}, or keep it with --allow-silence.")
