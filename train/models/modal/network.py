"""From pictures of a stroke to the positions of sixteen knobs: an encoder, and a flow that it conditions.

    pictures ─ five convolutions ─────────────┬─ z ─ condition ─┬─ middle, spread ─┐
    fine spectra ┬─ where is the first mode? ─┤ draw ~ N(0, 1) ─┴──────────────────┴─ couplings, backwards
                 └─ moved there ──────────────┘                                              └─ positions

Partials are read from the first mode on, wherever it lies: so their ratios, levels and decays stand at the
same places for every pitch.

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
from train.models.modal.parameters import C1_HZ, ENDS, SIZE
from train.models.modal.picture import FINE_HZ, FRAMES, MELS, MOMENTS, STEPS, VIEWS, standardised

SLOPE = 0.1
STRIDES = ((2, 2), (2, 2), (2, 2), (2, 2), (1, 2))
FINE_TAPS = 9
COARSE = 4
"""Steps of the fine spectrum in one of the finder's: 35 cents."""
FINDER_DILATIONS = (1, 4, 16)
BELOW, ABOVE = 64, 640
"""Steps of the fine spectrum that are seen below and above the first mode: half an octave, 4.7 octaves."""
TIGHTEST, WIDEST = -4.0, 1.0
"""Logarithm of a middle answer's spread."""
SPREAD = math.sqrt(12.0)
"""By which positions, even over 0 … 1, are brought to unit spread."""


@dataclass(frozen=True)
class PatchShape:
    """Sizes: of what the encoder says, its widths over pictures and partials, and of the flow."""

    latents: int = 64
    widths: tuple[int, ...] = (16, 24, 32, 48, 48)
    partials: tuple[int, ...] = (24, 32, 32, 32)
    finder: int = 16
    joined: int = 80
    dropout: float = 0.15
    couplings: int = 6
    hidden: int = 64


def _along_pitch(entering: int, width: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """One layer over a fine spectrum."""
    padding = FINE_TAPS // 2 * dilation
    return [
        nn.Conv1d(entering, width, FINE_TAPS, stride, padding, dilation, bias=False),
        nn.BatchNorm1d(width),
        nn.LeakyReLU(SLOPE),
    ]


class PitchFinder(nn.Module):
    """Fine spectra ``[N, 4, 1280]`` to where the first mode lies: logits ``[N, 320]``, equal steps of pitch.

    Convolutions along pitch whose reach grows: which of some partials is the first hangs on all of them.
    """

    def __init__(self, width: int):
        super().__init__()
        layers: list[nn.Module] = []
        entering = len(MOMENTS)
        for at, dilation in enumerate(FINDER_DILATIONS):
            layers += _along_pitch(entering, width, 1 if at else COARSE, dilation)
            entering = width
        self.body = nn.Sequential(*layers, nn.Conv1d(entering, 1, 1))

    def forward(self, fine: Tensor) -> Tensor:
        """Logits of every step."""
        return self.body(fine)[:, 0]


def step_of(position: Tensor) -> Tensor:
    """The finder's step ``[N]`` of the first mode when the pitch has settled, for positions of the pitch."""
    low, high = ENDS["pitch"]
    octaves = math.log2(C1_HZ / FINE_HZ[0]) + low + (high - low) * position
    step = octaves * (STEPS / math.log2(FINE_HZ[1] / FINE_HZ[0])) - 0.5
    return (step / COARSE).round().long().clamp(0, STEPS // COARSE - 1)


def first_mode(logits: Tensor) -> Tensor:
    """Where the first mode most likely lies, ``[N]``, in steps of the fine spectrum and between them."""
    steps = logits.shape[1]
    likely = torch.softmax(logits, 1)
    best = (likely.argmax(1)[:, None] + torch.arange(-1, 2)).clamp(0, steps - 1)
    near = likely.gather(1, best)
    return (near * best).sum(1) / near.sum(1) * COARSE


def aligned(fine: Tensor, first: Tensor) -> Tensor:
    """Fine spectra ``[N, 4, 1280]`` from a little below the first mode on, ``[N, 4, 704]``."""
    padded = nn.functional.pad(fine, (BELOW, ABOVE + 1), value=-1.0)
    at = first[:, None] + torch.arange(BELOW + ABOVE)
    whole = at.floor()
    rest = (at - whole)[:, None]
    index = whole.long()[:, None].expand(-1, fine.shape[1], -1)
    return padded.gather(2, index) * (1.0 - rest) + padded.gather(2, index + 1) * rest


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
        self.finder = PitchFinder(shape.finder)
        partials: list[nn.Module] = []
        entering, steps = len(MOMENTS), BELOW + ABOVE
        for width in shape.partials:
            partials += _along_pitch(entering, width, 2)
            entering, steps = width, -(-steps // 2)
        self.partials = nn.Sequential(*partials)
        self.dropout = shape.dropout
        self.head = nn.Sequential(
            nn.Linear(channels * mels * frames + entering * steps + 1, shape.joined, bias=False),
            nn.BatchNorm1d(shape.joined),
            nn.LeakyReLU(SLOPE),
            nn.Linear(shape.joined, shape.latents),
        )

    def seen(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder says, ``[N, latents]``, and logits of where the first mode lies, ``[N, 320]``."""
        views, fine = standardised(pictures)
        logits = self.finder(fine)
        first = first_mode(logits).detach()
        partials = self.partials(aligned(fine, first))
        told = (first * (2.0 / STEPS) - 1.0)[:, None]
        features = torch.cat([self.body(views).flatten(1), partials.flatten(1), told], 1)
        return self.head(nn.functional.dropout(features, self.dropout, self.training)), logits

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder says; it has no doubt of its own, for the flow has it."""
        z, _ = self.seen(pictures)
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
