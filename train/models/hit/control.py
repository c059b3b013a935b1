"""The network of the per-hit drum: from latents and knobs to everything that a hit is made of.

    z, knobs → trunk → modes, glide
                     → noise_rank → noise gains
                     → transient_rank → transient

All layers are 1 × 1 convolutions over one event, so that an evaluation can be cut anywhere. Nothing is
clamped or bent here: ``shape.py`` says what the numbers mean.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from train.models.blocks import SLOPE
from train.models.hit.shape import FRAME, GRID_MS, WINDOW_S, HitShape


class Hit(NamedTuple):
    """What the network says of a hit, raw; each ``[N, channels, 1]``.

    Attributes
    ----------
    modes : Tensor
        5 · modes: rows of frequency, decay, level, cosine and sine of the start phase.
    glide : Tensor
        2: amount and time.
    noise : Tensor
        grid · bands log gains, band by band within a point of the grid.
    transient : Tensor
        Samples, before the fade that the sound holds them to.
    """

    modes: Tensor
    glide: Tensor
    noise: Tensor
    transient: Tensor


class HitControl(nn.Module):
    """``z [N, Z, 1]`` and ``knobs [N, K, 1]`` to a :class:`Hit`.

    Parameters
    ----------
    shape : HitShape
        Sizes.
    """

    def __init__(self, shape: HitShape):
        super().__init__()
        self.shape = shape
        first, *more = shape.trunk
        self.inlet = nn.Conv1d(shape.latents + len(shape.knobs), first, 1)
        sizes = zip(shape.trunk, more, strict=False)
        self.trunk = nn.ModuleList(nn.Conv1d(a, b, 1) for a, b in sizes)
        self.activation = nn.LeakyReLU(SLOPE)
        last = shape.trunk[-1]
        self.modes = nn.Conv1d(last, 5 * shape.modes, 1)
        self.glide = nn.Conv1d(last, 2, 1)
        self.noise_inlet = nn.Conv1d(last, shape.noise_rank, 1)
        self.noise = nn.Conv1d(shape.noise_rank, len(shape.grid_ms) * shape.bands, 1)
        self.transient_inlet = nn.Conv1d(last, shape.transient_rank, 1)
        self.transient = nn.Conv1d(shape.transient_rank, shape.transient, 1, bias=False)
        self._begin_quietly()

    def in_order(self) -> list[nn.Module]:
        """Its layers, as an evaluation takes them."""
        heads = [self.modes, self.glide, self.transient_inlet, self.transient]
        return [self.inlet, *self.trunk, self.noise_inlet, self.noise, *heads]

    def _begin_quietly(self) -> None:
        """Start with quiet modes, noise that falls by itself, and next to no transient."""
        shape = self.shape
        count = shape.modes
        with torch.no_grad():
            for layer in (self.modes, self.noise):
                layer.weight.mul_(0.5)
            assert self.modes.bias is not None and self.noise.bias is not None
            self.modes.bias.zero_()
            self.modes.bias[2 * count : 3 * count] = -4.0
            seconds = torch.tensor(GRID_MS) / 1000
            falling = -5.0 - 2.5 * seconds / WINDOW_S
            self.noise.bias.copy_(falling.repeat_interleave(shape.bands))
            samples = torch.arange(shape.transient)
            early = 0.01 * torch.exp(-samples / (4.0 * FRAME))[:, None, None]
            self.transient.weight.copy_(torch.randn(shape.transient, shape.transient_rank, 1) * early)

    def forward(self, z: Tensor, knobs: Tensor) -> Hit:
        """Say what the hit is made of."""
        h = self.activation(self.inlet(torch.cat([z, knobs], 1)))
        for layer in self.trunk:
            h = self.activation(layer(h))
        noise = self.noise(self.activation(self.noise_inlet(h)))
        return Hit(self.modes(h), self.glide(h), noise, self.transient(self.transient_inlet(h)))
