"""The networks of spectra: magnitudes of a note to z, z and control to the magnitudes of a moment.

    magnitudes ─ convolutions ─ pooled ─ z [Z] ─┐
                              pitch, age ───────┴─ residuals ─ 512 log magnitudes ─ (SPSI in the engine)

The idea is vschaos2's (Chemla-Romeu-Santos, ACIDS). Here magnitudes lie on an axis of harmonics
(``axis.py``), so that no pitch needs to be learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.models.blocks import SLOPE, CausalConv, Residual, pooled, reader
from train.models.spectra.shape import AGES_S, CONTROLS, HOP_S, LOWEST_LOG, PITCH_HZ, SpectraShape
from train.models.spectra.spsi import BINS

FINE, COARSE = 256, 4
"""Bins that the encoder sees one by one; those above, in fours."""
SEEN = FINE + (BINS - FINE) // COARSE + 1
SEEN_SCALE = 0.2


def control_of(hz: Tensor, hops: Tensor) -> Tensor:
    """The control ``[N, C, T]`` of moments of notes.

    Parameters
    ----------
    hz : Tensor, shape (N,)
    hops : Tensor, shape (T,)
        Age of each moment; may be a fraction.
    """
    octaves = torch.log2(hz / PITCH_HZ)[:, None, None].expand(-1, 1, len(hops))
    age = torch.exp(-(hops.float() * HOP_S) / torch.tensor(AGES_S)[:, None])
    return torch.cat([octaves, age[None].expand(len(hz), -1, -1)], 1)


def seen_of(logs: Tensor, hz: Tensor) -> Tensor:
    """What the encoder reads of notes, ``[N, SEEN, T]`` from log magnitudes ``[N, T, BINS]``."""
    rows = (logs.transpose(1, 2) - LOWEST_LOG) * SEEN_SCALE
    coarse = rows[:, FINE:].unflatten(1, (-1, COARSE)).mean(2)
    octaves = torch.log2(hz / PITCH_HZ)[:, None, None].expand(-1, 1, rows.shape[2])
    return torch.cat([rows[:, :FINE], coarse, octaves], 1)


class SpectraEncoder(nn.Module):
    """What is seen ``[N, SEEN, MOMENTS]`` to the posterior's ``(mean, log-variance)``, each ``[N, Z]``."""

    def __init__(self, shape: SpectraShape):
        super().__init__()
        width = shape.encoder
        self.layers = reader(SEEN, width)
        self.inner = nn.Sequential(nn.Linear(3 * width, width), nn.LeakyReLU(SLOPE))
        self.mean = nn.Linear(width, shape.latents)
        self.log_variance = nn.Linear(width, shape.latents)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Read the whole note, its strongest moments and its beginning."""
        read = self.inner(pooled(self.layers(seen)))
        return self.mean(read), self.log_variance(read).clamp(-8.0, 3.0)


class SpectraDecoder(nn.Module):
    """``z [N, Z, T]`` and control ``[N, C, T]`` to log magnitudes ``[N, 512, T]``; each moment by itself."""

    def __init__(self, shape: SpectraShape):
        super().__init__()
        self.inlet = CausalConv(shape.latents + len(CONTROLS), shape.width, 1)
        self.layers = nn.Sequential(
            *(Residual(shape.width, 1, 1) for _ in range(shape.layers)), nn.LeakyReLU(SLOPE)
        )
        self.outlet = nn.Conv1d(shape.width, BINS, 1)
        with torch.no_grad():
            assert self.outlet.bias is not None
            self.outlet.bias.copy_(torch.linspace(-4.0, LOWEST_LOG, BINS))

    def forward(self, z: Tensor, control: Tensor) -> Tensor:
        """Say the magnitudes."""
        return self.outlet(self.layers(self.inlet(torch.cat([z, control], 1))))


class SpectraVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: SpectraShape):
        super().__init__()
        self.shape = shape
        self.encoder = SpectraEncoder(shape)
        self.decoder = SpectraDecoder(shape)
