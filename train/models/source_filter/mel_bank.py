"""Bands on the mel scale as straight lines between centres: an FFT bin lies between two of them at most."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ


def mel(hz: np.ndarray | float) -> np.ndarray:
    """Mel of a frequency (O'Shaughnessy 1987)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0)


def mel_bank(bands: int, bins: int, lowest_hz: float = 60.0, highest_hz: float = 20_000.0) -> np.ndarray:
    """Share of every bin in every band, float64 [bands, bins]; a bin's shares add up to 1.

    Below the first centre and above the last one all belongs to that band.
    """
    centres = np.linspace(mel(lowest_hz), mel(highest_hz), bands)
    places = mel(np.linspace(0, SAMPLE_RATE_HZ / 2, bins))
    return np.stack([np.interp(places, centres, row) for row in np.eye(bands)])
