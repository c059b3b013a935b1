"""Partials: how much of what sounds above 1.5 kHz is tones that stand out of the noise around them."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

FROM_S = 0.02  # after the attack, whose spectrum is broad whatever follows
SIZE = 16384
BAND_HZ = (1500.0, 16_000.0)
NEIGHBOURS = 101
STANDS_OUT_DB = 14.0  # above the median: noise does that in one bin of thirty million


def tonal_share(audio: np.ndarray) -> float:
    """Part of the energy from 1.5 to 16 kHz that is in bins 14 dB above the median around them, 0 to 1.

    Parameters
    ----------
    audio : ndarray, shape (n,)
        One hit; a third of a second after its first 20 ms is looked at.
    """
    from scipy.ndimage import median_filter

    start = round(FROM_S * SAMPLE_RATE_HZ)
    part = np.zeros(SIZE)
    found = audio[start : start + SIZE]
    # The window falls where the sound ends: a cut at full level would smear every tone.
    part[: len(found)] = found * np.hanning(max(1, len(found)))
    power = np.abs(np.fft.rfft(part)) ** 2
    hz = np.fft.rfftfreq(SIZE, 1 / SAMPLE_RATE_HZ)
    band = power[(hz > BAND_HZ[0]) & (hz < BAND_HZ[1])]
    if band.sum() <= 1e-18:
        return 0.0
    median = median_filter(band, NEIGHBOURS)
    return float(band[band > median * 10 ** (STANDS_OUT_DB / 10)].sum() / band.sum())
