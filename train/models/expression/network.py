"""The networks of an expression, and its critic.

    curves of a note ─ convolutions ─ pooled ─ w [W] ─┐
    timbre, pitch, velocity, gate, ages, event, noise ─┴─ causal convolutions ─ loudness, pitch, breath

w is how the note was played, as far as nothing that is told says it. What moves within it by chance, the
noise says: the network shapes it, so that a critic can't tell a curve from a real one (Goodfellow et al.
2014, with the hinge of Lim and Ye 2017).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from train.models.blocks import SLOPE, CausalConv, Residual, pooled, reader
from train.models.expression.shape import (
    AGES_S,
    CURVES,
    NOISE_S,
    NOTE,
    SEEN,
    SINCE_S,
    ExpressionShape,
)
from train.models.voice.shape import FRAMES_PER_S

SETTLES = 600
"""Frames after which slow noise has forgotten that it began."""


def clocks(first: Tensor, held: Tensor, frames: int) -> Tensor:
    """Gate, ages and what is left of the time since it fell, ``[N, 10, T]``.

    Parameters
    ----------
    first, held : Tensor, shape (N,)
        Which frame of its note a stretch begins at; how many frames the note is held.
    frames : int
        T.
    """
    frame = first[:, None] + torch.arange(frames)
    gate = (frame < held[:, None]).float()
    age = torch.exp(-(frame[:, None] / FRAMES_PER_S) / torch.tensor(AGES_S)[:, None])
    after = ((frame - held[:, None]).clamp(min=0) / FRAMES_PER_S)[:, None]
    since = torch.exp(-after / torch.tensor(SINCE_S)[:, None]) * (1 - gate[:, None])
    return torch.cat([gate[:, None], age, since], 1)


def noise_of(seed: int, count: int, frames: int) -> Tensor:
    """Noise of so many notes, ``[N, 3, T]``: of each channel the mean square is a third."""
    from scipy.signal import lfilter

    drawn = np.random.default_rng(seed).uniform(-1, 1, (count, len(NOISE_S), SETTLES + frames))
    rows = []
    for channel, constant_s in enumerate(NOISE_S):
        kept = float(np.exp(-1 / (constant_s * FRAMES_PER_S)))
        taken = np.sqrt((1 - kept**2) ** 3 / (1 + kept**2))
        rows.append(lfilter([taken], [1, -2 * kept, kept**2], drawn[:, channel]))
    return torch.from_numpy(np.stack(rows, 1)[..., SETTLES:].astype(np.float32))


def told_of(note: Tensor, z: Tensor, event: Tensor, clock: Tensor, noise: Tensor) -> Tensor:
    """What an expression is told, ``[N, C, T]``.

    Parameters
    ----------
    note : Tensor, shape (N, 3)
        Octaves above 220 Hz, octaves from the last note, velocity from −1 to 1.
    z : Tensor, shape (N, Z)
        Timbre.
    event : Tensor, shape (N, 4)
        One of them 1, or none.
    clock : Tensor, shape (N, 10, T)
        See :func:`clocks`.
    noise : Tensor, shape (N, 3, T)
    """
    frames = clock.shape[2]

    def held(rows: Tensor) -> Tensor:
        return rows[..., None].expand(-1, -1, frames)

    return torch.cat([held(z), held(note), clock, held(event), noise], 1)


class ExpressionEncoder(nn.Module):
    """Curves ``[N, SEEN, SEEN_FRAMES]`` to the posterior's ``(mean, log-variance)``, each ``[N, W]``."""

    def __init__(self, shape: ExpressionShape):
        super().__init__()
        width = shape.encoder
        self.layers = reader(SEEN, width)
        self.mean = nn.Linear(3 * width, shape.latents)
        self.log_variance = nn.Linear(3 * width, shape.latents)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Read the whole note, its strongest moments and its beginning."""
        h = self.layers(seen)
        read = pooled(h)
        return self.mean(read), self.log_variance(read).clamp(-8.0, 3.0)


class ExpressionDecoder(nn.Module):
    """``latent [N, W, T]`` and what is told ``[N, C, T]`` to curves ``[N, 3, T]``; causal."""

    def __init__(self, shape: ExpressionShape):
        super().__init__()
        self.inlet = CausalConv(shape.latents + shape.told, shape.width, 1)
        self.layers = nn.Sequential(
            *(Residual(shape.width, k, 1) for k in shape.kernels), nn.LeakyReLU(SLOPE)
        )
        self.outlet = nn.Conv1d(shape.width, len(CURVES), 1)
        interval = shape.latents + shape.voice_latents + NOTE.index("interval")
        with torch.no_grad():
            self.inlet.conv.weight[:, interval] = 0.0  # says nothing until notes follow each other

    def forward(self, latent: Tensor, told: Tensor) -> Tensor:
        """Say the curves."""
        return self.outlet(self.layers(self.inlet(torch.cat([latent, told], 1))))


class ExpressionVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: ExpressionShape):
        super().__init__()
        self.shape = shape
        self.encoder = ExpressionEncoder(shape)
        self.decoder = ExpressionDecoder(shape)


class CurveCritic(nn.Module):
    """Curves ``[N, K, T]`` and what is known of them ``[N, C, T]`` to how real they look, ``[N, 1, T']``."""

    def __init__(self, curves: int, known: int, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(2 * curves + known, width, 5, padding=2), nn.LeakyReLU(0.2)]
        for _ in range(3):
            layers += [nn.Conv1d(width, width, 5, stride=2, padding=2), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv1d(width, 1, 3, padding=1))

    def forward(self, curves: Tensor, known: Tensor) -> Tensor:
        """Look at curves and at how they change."""
        change = torch.diff(curves, dim=2, prepend=curves[..., :1]) * 10
        return self.layers(torch.cat([curves, change, known], 1))
