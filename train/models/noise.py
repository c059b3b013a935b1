"""Filtered noise: white noise that depends only on the sample count, through filters that change per frame.

    y[b, n] = Σ_{k<K} taps[b·K+k, n div hop] · noise(b, n−k),   noise(b, m) = 0 for m < 0
    noise(b, m) = int32(hash32(m·B + b + seed·0x9E3779B9)) / 2^31

``hash32`` is the two-multiply integer hash "lowbias32" of Wellons (nullprogram.com/blog/2018/07/31), so
that every target makes the same noise without keeping a generator's state. In training the noise is drawn
afresh instead: a decoder must not learn one particular sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.domain import domain_node

WORD = 0xFFFFFFFF
GOLDEN = 0x9E3779B9


def hash32(x: Tensor) -> Tensor:
    """Hash unsigned 32-bit integers held in an int64 tensor."""
    x = (x ^ (x >> 16)) * 0x7FEB352D & WORD
    x = (x ^ (x >> 15)) * 0x846CA68B & WORD
    return x ^ (x >> 16)


def counted_noise(bands: int, samples: int, seed: int, device: torch.device | str = "cpu") -> Tensor:
    """White noise in [−1, 1), a function of band and sample number only.

    Returns
    -------
    Tensor, shape (bands, samples), float32
    """
    m = torch.arange(samples, device=device)[None, :]
    b = torch.arange(bands, device=device)[:, None]
    word = hash32((m * bands + b + seed * GOLDEN) & WORD)
    signed = torch.where(word >= 1 << 31, word - (1 << 32), word)
    return (signed.double() / 2.0**31).float()


def filter_noise(taps: Tensor, noise: Tensor, bands: int, hop: int) -> Tensor:
    """Apply per-frame filters ``taps [N, B·K, T]`` to ``noise [N or 1, B, T·hop]``."""
    batch, channels, frames = taps.shape
    order = channels // bands
    held = taps.reshape(batch, bands, order, frames)
    if hop > 1:
        held = held.repeat_interleave(hop, dim=-1)
    delayed = torch.stack([F.pad(noise, (k, 0))[..., : frames * hop] for k in range(order)], dim=2)
    return (held * delayed).sum(2)


class FilteredNoise(nn.Module):
    """Noise through filters that change per frame, ``[N, B·K, T]`` to ``[N, B, T·hop]``; causal.

    Parameters
    ----------
    bands, taps, hop : int
        B, K and the samples a filter is held.
    seed : int
        Which noise is made outside training.
    """

    def __init__(self, bands: int, taps: int, hop: int = 1, seed: int = 1):
        super().__init__()
        self.bands, self.taps, self.hop, self.seed = bands, taps, hop, seed

    def forward(self, taps: Tensor) -> Tensor:
        """Noise through ``taps``."""
        if torch.onnx.is_in_onnx_export():
            attributes = {"bands": self.bands, "taps": self.taps, "hop": self.hop, "seed": self.seed}
            return domain_node(
                "FilteredNoise", (taps,), attributes, (taps.shape[0], self.bands, taps.shape[2] * self.hop)
            )
        samples = taps.shape[-1] * self.hop
        if self.training:
            noise = torch.rand(taps.shape[0], self.bands, samples, device=taps.device) * 2 - 1
        else:
            noise = counted_noise(self.bands, samples, self.seed, taps.device)[None]
        return filter_noise(taps, noise, self.bands, self.hop)
