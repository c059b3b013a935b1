"""What the encoder of strokes sees: two log-mel pictures of a second, one fine in pitch and one in time."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from common.audio import SAMPLE_RATE_HZ
from train.models.source_filter.mel_bank import mel_bank

MELS, FRAMES = 80, 64
VIEWS = ((4096, SAMPLE_RATE_HZ // FRAMES), (512, SAMPLE_RATE_HZ // FRAMES // 3))
"""Samples of a window and from one to the next: the second view ends after a third of the sound."""
LOWEST_HZ = (30.0, 60.0)
FLOOR_DB, TOP_DB = -80.0, 10.0
"""Band levels that are told apart, below a sine of full scale."""
SHAPE = (len(VIEWS), MELS, FRAMES)


@cache
def _bank(view: int) -> Tensor:
    bins = VIEWS[view][0] // 2 + 1
    return torch.from_numpy(mel_bank(MELS, bins, lowest_hz=LOWEST_HZ[view]).astype(np.float32))


def _view(sound: Tensor, view: int) -> Tensor:
    size, hop = VIEWS[view]
    padded = torch.nn.functional.pad(sound, (size // 2, size // 2))
    window = torch.hann_window(size)
    bins = torch.stft(padded, size, hop, window=window, center=False, return_complex=True)[..., :FRAMES]
    power = _bank(view) @ (bins.abs() * (4.0 / size)).square()
    return 10.0 * torch.log10(power + 10.0 ** (FLOOR_DB / 10.0))


def pictures(sound: Tensor) -> Tensor:
    """Pictures of strokes, each brought to full scale: level does not matter.

    Parameters
    ----------
    sound : Tensor, shape (N, samples)
        From the onset on; a second is seen, and what is shorter ends in silence.

    Returns
    -------
    Tensor, shape (N, 2, 80, 64), uint8
        From −80 to 10 dB.
    """
    second = sound[:, :SAMPLE_RATE_HZ]
    second = torch.nn.functional.pad(second, (0, SAMPLE_RATE_HZ - second.shape[1]))
    loud = second / second.abs().amax(1, keepdim=True).clamp(min=1e-6)
    levels = torch.stack([_view(loud, view) for view in range(len(VIEWS))], 1)
    share = (levels - FLOOR_DB) / (TOP_DB - FLOOR_DB)
    return (share * 255.0).round().clamp(0, 255).to(torch.uint8)


def standardised(seen: Tensor) -> Tensor:
    """Pictures as a network reads them: float, about −1 … 1."""
    return seen.float() * (2.0 / 255.0) - 1.0
