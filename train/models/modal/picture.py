"""What the encoder of strokes sees: pictures of a second.

Two are log-mel, one fine in pitch and one in time. The third holds the fine spectra of four moments, by which
partials are told that share a mel band.
"""

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
MOMENTS = (-6_144, 2_048, 12_288, 31_616)
"""Samples from the onset at which the windows of the fine spectra begin."""
FINE_WINDOW = 16_384
STEPS = MELS * FRAMES // len(MOMENTS)
"""Steps of a fine spectrum, equal in pitch: about nine cents each."""
FINE_HZ = (28.0, 20_000.0)
PLANES = len(VIEWS) + 1
"""The third plane holds the fine spectra, one after the other, folded into rows of 64."""
SHAPE = (PLANES, MELS, FRAMES)


@cache
def _bank(view: int) -> Tensor:
    bins = VIEWS[view][0] // 2 + 1
    return torch.from_numpy(mel_bank(MELS, bins, lowest_hz=LOWEST_HZ[view]).astype(np.float32))


def _decibels(power: Tensor) -> Tensor:
    return 10.0 * torch.log10(power + 10.0 ** (FLOOR_DB / 10.0))


def _view(sound: Tensor, view: int) -> Tensor:
    size, hop = VIEWS[view]
    padded = torch.nn.functional.pad(sound, (size // 2, size // 2))
    window = torch.hann_window(size)
    bins = torch.stft(padded, size, hop, window=window, center=False, return_complex=True)[..., :FRAMES]
    return _decibels(_bank(view) @ (bins.abs() * (4.0 / size)).square())


@cache
def _edges() -> tuple[Tensor, Tensor, Tensor]:
    """Where steps of the fine spectrum begin and end, in bins: whole part ``[STEPS + 1]``, rest, widths."""
    places = np.geomspace(*FINE_HZ, STEPS + 1) * FINE_WINDOW / SAMPLE_RATE_HZ + 0.5
    whole = np.floor(places).astype(np.int64)
    return torch.from_numpy(whole), torch.from_numpy(places - whole), torch.from_numpy(np.diff(places))


def _fine(sound: Tensor) -> Tensor:
    """Levels of the fine spectra, ``[N, moments, STEPS]``, dB: mean power of the bins that a step covers."""
    window = torch.hann_window(FINE_WINDOW)
    padded = torch.nn.functional.pad(sound, (-MOMENTS[0], 0))
    cut = torch.stack([padded[:, first - MOMENTS[0] :][:, :FINE_WINDOW] for first in MOMENTS], 1)
    power = (torch.fft.rfft(cut * window).abs() * (4.0 / FINE_WINDOW)).square().double()
    summed = torch.nn.functional.pad(torch.cumsum(power, -1), (1, 0))
    whole, rest, widths = _edges()
    at = torch.lerp(summed[..., whole], summed[..., whole + 1], rest)
    return _decibels((torch.diff(at) / widths).clamp(min=0.0)).float()


def pictures(sound: Tensor) -> Tensor:
    """Pictures of strokes, each brought to full scale: level does not matter.

    Parameters
    ----------
    sound : Tensor, shape (N, samples)
        From the onset on; a second is seen, and what is shorter ends in silence.

    Returns
    -------
    Tensor, shape (N, 3, 80, 64), uint8
        From −80 to 10 dB.
    """
    second = sound[:, :SAMPLE_RATE_HZ]
    second = torch.nn.functional.pad(second, (0, SAMPLE_RATE_HZ - second.shape[1]))
    loud = second / second.abs().amax(1, keepdim=True).clamp(min=1e-6)
    planes = [_view(loud, view) for view in range(len(VIEWS))] + [_fine(loud).reshape(-1, MELS, FRAMES)]
    share = (torch.stack(planes, 1) - FLOOR_DB) / (TOP_DB - FLOOR_DB)
    return (share * 255.0).round().clamp(0, 255).to(torch.uint8)


def standardised(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures ``[N, 240, 64]``, one plane above the other, as a network reads them: float, about −1 … 1.

    Returns
    -------
    views : Tensor, shape (N, 2, 80, 64)
    fine : Tensor, shape (N, 4, 1280)
    """
    planes = (seen.float() * (2.0 / 255.0) - 1.0).unflatten(1, (PLANES, MELS))
    return planes[:, : len(VIEWS)], planes[:, len(VIEWS)].flatten(1).unflatten(1, (len(MOMENTS), STEPS))
