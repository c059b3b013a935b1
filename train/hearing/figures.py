"""Figures of single hits, by class: what was made beside what is real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict

import numpy as np

from train.attributes.sound import brightness
from train.hearing.attack import time_to_peak_ms
from train.hearing.envelope_line import envelope_line_db
from train.hearing.low_energy import low_energy_db
from train.hearing.tonal import tonal_share

Figure = Literal["line_db", "below_80_hz_db", "time_to_peak_ms", "tonal_share", "centroid_octaves"]
MEASURED: dict[Figure, Callable[[np.ndarray], float]] = {
    "line_db": envelope_line_db,
    "below_80_hz_db": low_energy_db,
    "time_to_peak_ms": time_to_peak_ms,
    "tonal_share": tonal_share,
    "centroid_octaves": brightness,
}


class HitFigures(TypedDict):
    """Medians over hits of one class; see the functions of :data:`MEASURED`."""

    line_db: float
    below_80_hz_db: float
    time_to_peak_ms: float
    tonal_share: float
    centroid_octaves: float


def figures_of(sounds: list[np.ndarray]) -> HitFigures:
    """Medians of every figure; NaN of no sounds."""

    def median(key: Figure) -> float:
        return float(np.median([MEASURED[key](sound) for sound in sounds])) if sounds else float("nan")

    return {
        "line_db": median("line_db"),
        "below_80_hz_db": median("below_80_hz_db"),
        "time_to_peak_ms": median("time_to_peak_ms"),
        "tonal_share": median("tonal_share"),
        "centroid_octaves": median("centroid_octaves"),
    }
