"""Latents that move while a sound is made, as CV does.

Models trained on still controls fail on moving ones (Devis et al., arXiv 2302.13542).
"""

from __future__ import annotations

import torch
from torch import Tensor


def moving_latents(mean: Tensor, deviation: Tensor, frames: int, share: float) -> Tensor:
    """Draw samples of the posterior over time: still ones, and ones that move as CV does.

    Moving ones keep the posterior's marginal at every frame: a slow rotation between two draws (ramp, LFO),
    a jump between them, or smoothed noise brought back to unit variance.

    Parameters
    ----------
    mean, deviation : Tensor, shape (N, Z)
        Of the posterior.
    frames : int
        Control frames.
    share : float
        Part of the items whose latents move.

    Returns
    -------
    Tensor, shape (N, Z, frames)
    """
    batch, size = mean.shape
    still = torch.randn(batch, size, 1)
    other = torch.randn(batch, size, 1)
    t = torch.linspace(0, 1, frames)[None, None]
    kind = torch.randint(0, 3, (batch, 1, 1))
    angle = 2 * torch.pi * torch.rand(batch, 1, 1) * 3.0 * t
    rotated = torch.cos(angle) * still + torch.sin(angle) * other
    jumped = torch.where(t < torch.rand(batch, 1, 1), still, other)
    rough = torch.randn(batch, size, frames + 32)
    smooth = torch.nn.functional.avg_pool1d(rough, 33, stride=1) * 33**0.5
    moved = torch.where(kind == 0, rotated, torch.where(kind == 1, jumped, smooth))
    moves = torch.rand(batch, 1, 1) < share
    noise = torch.where(moves, moved, still.expand(-1, -1, frames)).to(mean.device)
    return mean[:, :, None] + deviation[:, :, None] * noise
