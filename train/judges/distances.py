"""Distances of two sounds by their spectra, as the judges take them."""

from __future__ import annotations

import numpy as np
import torch

FLOOR_DB = -80.0


def mr_stft(made: np.ndarray, wanted: np.ndarray) -> float:
    """Multi-resolution STFT distance (Yamamoto et al. 2020): auraloss's sizes and terms, with a floor.

    auraloss's own floor, a magnitude of 1e-4, lies below the noise of any recording and makes digital silence
    count more than sound; here a bin below 1e-3 (noise at −77 to −89 dBFS, by size) counts as silent.
    """
    from auraloss.freq import MultiResolutionSTFTLoss

    distance = MultiResolutionSTFTLoss(eps=1e-6)
    with torch.no_grad():
        return float(distance(torch.from_numpy(made)[None, None], torch.from_numpy(wanted)[None, None]))


def log_spectral_distance(made: np.ndarray, wanted: np.ndarray, size: int = 1024) -> float:
    """Root-mean-square difference of log spectra, dB, over sounding frames (Gray and Markel 1976)."""
    window = torch.hann_window(size)

    def decibels(x: np.ndarray) -> torch.Tensor:
        bins = torch.stft(torch.from_numpy(x), size, size // 4, window=window, return_complex=True)
        return 20 * torch.log10(bins.abs() / (size / 4) + 10 ** (FLOOR_DB / 20))

    a, b = decibels(made), decibels(wanted)
    sounding = b.max(0).values > FLOOR_DB + 20
    if not bool(sounding.any()):
        return 0.0
    return float(torch.sqrt(((a - b) ** 2).mean(0))[sounding].mean())
