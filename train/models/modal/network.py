"""From pictures of a stroke to the positions of sixteen knobs: an encoder, and a flow that it conditions.

    pictures ──── five convolutions ─┬─ z ─ condition ─┬─ middle, spread ─┐
    fine spectra ─ four along pitch ─┘  draw ~ N(0, 1) ┴──────────────────┴─ couplings, backwards ─ positions

Several settings can sound alike, so that one answer would be their mean, which may sound like none of them.
The flow says how likely each is (Esling et al., "Flow Synthesizer", 2019; RealNVP, Dinh et al. 2017).
A draw of nothing gives the middle answer, other draws give others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.models.flow import Coupling
from train.models.modal.parameters import SIZE
from train.models.modal.picture import FRAMES, MELS, MOMENTS, STEPS, VIEWS, standardised

SLOPE = 0.1
STRIDES = ((2, 2), (2, 2), (2, 2), (2, 2), (1, 2))
FINE_STRIDES, FINE_TAPS = (2, 4, 4, 2), 9
TIGHTEST, WIDEST = -4.0, 1.0
"""Logarithm of a middle answer's spread."""
SPREAD = math.sqrt(12.0)
"""By which positions, even over 0 … 1, are brought to unit spread."""


@dataclass(frozen=True)
class PatchShape:
    """Sizes: of what the encoder says, its widths over pictures and fine spectra, and of the flow."""

    latents: int = 64
    widths: tuple[int, ...] = (16, 32, 48, 64, 64)
    fine: tuple[int, ...] = (24, 48, 64, 64)
    joined: int = 256
    couplings: int = 6
    hidden: int = 64


class PatchEncoder(nn.Module):
    """Pictures ``[N, 240, 64]``, one plane above the other, to z: mean and log-variance ``[N, latents]``."""

    def __init__(self, shape: PatchShape):
        super().__init__()
        layers: list[nn.Module] = []
        channels, mels, frames = len(VIEWS), MELS, FRAMES
        for width, (down, along) in zip(shape.widths, STRIDES, strict=True):
            layers += [
                nn.Conv2d(channels, width, 3, stride=(down, along), padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(SLOPE),
            ]
            channels, mels, frames = width, -(-mels // down), -(-frames // along)
        self.body = nn.Sequential(*layers)
        along_pitch: list[nn.Module] = []
        entering, steps = len(MOMENTS), STEPS
        for width, stride in zip(shape.fine, FINE_STRIDES, strict=True):
            along_pitch += [
                nn.Conv1d(entering, width, FINE_TAPS, stride=stride, padding=FINE_TAPS // 2, bias=False),
                nn.BatchNorm1d(width),
                nn.LeakyReLU(SLOPE),
            ]
            entering, steps = width, -(-steps // stride)
        self.fine = nn.Sequential(*along_pitch)
        self.head = nn.Sequential(
            nn.Linear(channels * mels * frames + entering * steps, shape.joined, bias=False),
            nn.BatchNorm1d(shape.joined),
            nn.LeakyReLU(SLOPE),
            nn.Linear(shape.joined, shape.latents),
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder says; it has no doubt of its own, for the flow has it."""
        views, fine = standardised(pictures)
        z = self.head(torch.cat([self.body(views).flatten(1), self.fine(fine).flatten(1)], 1))
        return z, torch.full_like(z, -10.0)


class PatchFlow(nn.Module):
    """``z [N, latents, 1]`` and ``draw [N, 16, 1]`` to positions ``[N, 16, 1]``."""

    def __init__(self, shape: PatchShape):
        super().__init__()
        self.inlet = nn.Conv1d(shape.latents, shape.hidden, 1)
        self.middle = nn.Linear(shape.hidden, 2 * SIZE)
        self.couplings = nn.ModuleList(
            Coupling(SIZE, shape.hidden, shape.hidden, flipped=bool(i % 2)) for i in range(shape.couplings)
        )

    def _told(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Condition ``[N, hidden]``, middle and log spread ``[N, 16]``."""
        condition = nn.functional.silu(self.inlet(z)[..., 0])
        middle, spread = self.middle(condition).chunk(2, 1)
        return condition, middle, spread.clamp(TIGHTEST, WIDEST)

    def forward(self, z: Tensor, draw: Tensor) -> Tensor:
        """One answer for each draw; 0 … 1."""
        condition, middle, spread = self._told(z)
        u = middle + torch.exp(spread) * draw[..., 0]
        for coupling in reversed(self.couplings):
            u = coupling.inverse(u, condition)  # type: ignore[operator]
        return (0.5 + u / SPREAD).clamp(0.0, 1.0)[..., None]

    def log_likelihood(self, z: Tensor, positions: Tensor) -> Tensor:
        """Of positions ``[N, 16]`` by ``z [N, latents]``, in nats, ``[N]``."""
        condition, middle, spread = self._told(z[..., None])
        u = (positions - 0.5) * SPREAD
        volume = u.new_zeros(len(u))
        for coupling in self.couplings:
            u, change = coupling(u, condition)
            volume = volume + change
        each = -0.5 * ((u - middle) * torch.exp(-spread)) ** 2 - spread - 0.5 * math.log(2 * math.pi)
        return each.sum(1) + volume


class PatchModel(nn.Module):
    """Encoder and flow together."""

    def __init__(self, shape: PatchShape):
        super().__init__()
        self.encoder = PatchEncoder(shape)
        self.decoder = PatchFlow(shape)
