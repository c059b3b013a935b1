"""What the encoder's pictures would show of a hit, from what the network says of it and without a sound.

The noise's power in a band of a picture is that of its gains through the bands' filters, neighbours added
with their sign; a mode's is that of a windowed sine. Phases, the transient and beats of modes are left out.
So an encoder can look at what its draft would sound like, at the cost of a few products of matrices.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from common.audio import SAMPLE_RATE_HZ
from train.models.hit import shape as meaning
from train.models.hit.bands import amplitudes, band_filters
from train.models.hit.control import Hit
from train.models.hit.moments import HANN_POWER, between, moments_ms, seen
from train.models.hit.shape import HitShape
from train.models.hit.sound import HitSound

NOISE_POWER = 1 / 3  # of the engine's noise
SIDE_LOBE = 0.25  # of a sine's power in a Hann window's bins to either side


class SketchedPicture(nn.Module):
    """One picture, its frames averaged in groups that grow.

    Parameters
    ----------
    bank : ndarray, shape (rows, bins)
        What each row of the picture takes of each bin.
    size, hop : int
        Windows of the picture, samples.
    edges : tuple of int
        Between which frames groups begin and end.
    floor, scale : float
        The picture is ``log(power + floor) · scale``.
    shape : HitShape
        Of the hits.
    """

    def __init__(
        self,
        bank: np.ndarray,
        size: int,
        hop: int,
        edges: tuple[int, ...],
        floor: float,
        scale: float,
        shape: HitShape,
    ):
        super().__init__()
        self.rows, self.groups, self.size = len(bank), len(edges) - 1, size
        self.floor, self.scale, self.width_hz = floor, scale, SAMPLE_RATE_HZ / size
        centres = tuple(tuple(hop * n for n in range(a, b)) for a, b in pairwise(edges))
        pool = np.zeros((edges[-1], self.groups))
        for group, (a, b) in enumerate(pairwise(edges)):
            pool[a:b, group] = 1 / (b - a)
        hz = np.arange(bank.shape[1]) * self.width_hz
        response = amplitudes(band_filters(shape.bands, shape.taps), hz)
        products = np.concatenate([response**2, 2 * response[:-1] * response[1:]])
        last = int(np.flatnonzero(bank.any(0))[-1]) + 3
        spread = np.pad(bank, ((0, 0), (1, 4)))[:, : last + 3]
        leaked = spread[:, 1:-1] + SIDE_LOBE * (spread[:, :-2] + spread[:, 2:])
        tables = {
            "pool": pool,
            "sight": seen(size, centres, shape.grid_ms[-1]),
            "noise": products @ bank.T * (NOISE_POWER * HANN_POWER * size),
            "tones": leaked.T * (size**2 / 16),
            "seconds": np.array([np.mean(group) for group in centres]) / SAMPLE_RATE_HZ,
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table.astype(np.float32)), persistent=False)
        self.pool: Tensor
        self.sight: Tensor
        self.noise: Tensor
        self.tones: Tensor
        self.seconds: Tensor

    def heard(self, picture: Tensor) -> Tensor:
        """The picture of a sound ``[N, rows, frames]``, averaged alike: ``[N, rows, groups]``."""
        power = torch.exp(picture[..., : len(self.pool)] / self.scale) - self.floor
        return self._told(power @ self.pool)

    def forward(self, drawn: Drawn) -> Tensor:
        """What it would show of a hit, ``[N, rows, groups]``."""
        power = self.sight @ drawn.noise @ self.noise
        loud = self.sight @ drawn.modes
        split = drawn.gliding_hz.shape[-1]
        bend = 1 + drawn.amount[:, None] * torch.exp(-self.seconds[None, :, None] / drawn.time_s[:, None])
        moving = self._tone(drawn.gliding_hz[:, None] * bend)
        power = power + (loud[..., :split, None] * moving).sum(2)
        power = power + loud[..., split:] @ self._tone(drawn.static_hz)
        return self._told(power.transpose(1, 2))

    def _tone(self, hz: Tensor) -> Tensor:
        """Power of sines of amplitude 1 in every row, ``[..., rows]``."""
        place = (hz / self.width_hz).clamp(max=len(self.tones) - 1.01)
        left = place.detach().floor()
        part = (place - left)[..., None]
        at = left.long()
        return self.tones[at] * (1 - part) + self.tones[at + 1] * part

    def _told(self, power: Tensor) -> Tensor:
        return torch.log(power.clamp(min=0.0) + self.floor) * self.scale


class Drawn:
    """A hit's powers, moment by moment, and its frequencies.

    Attributes
    ----------
    noise : Tensor, shape (N, moments, 2 · bands − 1)
        Squares of the gains, then products of neighbours.
    modes : Tensor, shape (N, moments, modes)
        Squares of the amplitudes.
    gliding_hz, static_hz : Tensor, shape (N, gliding) and (N, static)
        Last frequencies.
    amount, time_s : Tensor, shape (N, 1)
        Of the glide.
    """

    def __init__(self, noise: Tensor, modes: Tensor, hz: Tensor, glide: tuple[Tensor, Tensor], split: int):
        self.noise, self.modes = noise, modes
        self.gliding_hz, self.static_hz = hz[:, :split], hz[:, split:]
        self.amount, self.time_s = glide


class Sketch(nn.Module):
    """Several pictures of one hit.

    Parameters
    ----------
    shape : HitShape
        Of the hits.
    pictures : list of SketchedPicture
        What is drawn.
    """

    def __init__(self, shape: HitShape, pictures: list[SketchedPicture]):
        super().__init__()
        self.shape = shape
        self.pictures = nn.ModuleList(pictures)
        edges = moments_ms(shape.grid_ms[-1])
        tables = {
            "anchors": shape.anchors_hz,
            "spreads": shape.spreads,
            "lerp": between(shape.grid_ms),
            "middles": 0.5 * (edges[1:] + edges[:-1]) / 1000,
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table.astype(np.float32)), persistent=False)
        self.anchors: Tensor
        self.spreads: Tensor
        self.lerp: Tensor
        self.middles: Tensor

    def forward(self, hit: Hit) -> list[Tensor]:
        """Each picture, ``[N, rows, groups]``."""
        drawn = self.drawn(hit)
        return [picture(drawn) for picture in self.pictures]

    def drawn(self, hit: Hit) -> Drawn:
        """The powers of a hit."""
        shape = self.shape
        rows = hit.modes[..., 0].unflatten(1, (5, shape.modes))
        hz = self.anchors * torch.exp(torch.tanh(rows[:, 0]) * self.spreads)
        decays, levels = HitSound.decays(rows[:, 1]), HitSound.levels(rows[:, 2])
        modes = levels[:, None] ** 2 * torch.exp(-2 * self.middles[None, :, None] / decays[:, None])
        logs = hit.noise[..., 0].unflatten(1, (len(shape.grid_ms), shape.bands))
        logs = logs.clamp(meaning.NOISE_LOWEST, meaning.NOISE_HIGHEST)
        gains = torch.exp(self.lerp @ logs)
        noise = torch.cat([gains**2, gains[..., 1:] * gains[..., :-1]], 2)
        return Drawn(noise, modes, hz, HitSound.glide(hit.glide[..., 0]), shape.gliding)
