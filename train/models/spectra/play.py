"""Sound of the magnitudes that a network says, as the instrument plays them with its knobs in the middle."""

from __future__ import annotations

import numpy as np

from train.models.spectra.shape import HIGHEST_LOG, LOWEST_LOG, PER_HARMONIC, SCALE_HZ
from train.models.spectra.spsi import Asked, Spsi

PULL = 0.2
LEVEL_LOG = float(np.log(0.25))


def played(logs: np.ndarray, hz: np.ndarray, pull: float = PULL) -> np.ndarray:
    """Sound ``[256·T]`` of log magnitudes ``[T, 512]`` at a pitch a hop ``[T]``."""
    spsi, hops = Spsi(), []
    for row, pitch in zip(np.clip(logs, LOWEST_LOG, HIGHEST_LOG) + LEVEL_LOG, hz, strict=True):
        scale = float(pitch) / SCALE_HZ
        hops.append(spsi.hop(row, Asked(scale, PER_HARMONIC, pull, noise=-0.5 * float(np.log(scale)))))
    return np.concatenate(hops)
