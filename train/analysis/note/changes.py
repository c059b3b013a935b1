"""Versions of notes in their analysed levels: another body, half another instrument, fewer even harmonics.

A change is made alike to what the encoder reads of a note and to what the network is to say, and
:meth:`Levels.as_loud_as` keeps the loudness of every frame. Levels here are natural logs less the loudness;
what is silent stays silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from train.analysis.note.harmonics import NOISE_POWER
from train.analysis.note.loudness import weighting
from train.models.hit.bands import band_filters, centres_hz
from train.models.voice.shape import BANDS, HARMONICS, LOG_PER_DB, TAPS

KNOTS = 9
LOWEST_HZ, HIGHEST_HZ = 60.0, 18_000.0
"""Where the response of a body bends: at so many places between these."""
EVEN_DB, BREATH_DB = 18.0, 6.0
NEAR_OCTAVES = 0.5
"""Notes no further apart than this in pitch are mixed."""
SILENT = -11.5


@dataclass(frozen=True)
class Levels:
    """Of notes at some frames: harmonics ``[N, H, T]``, noise ``[N, B, T]``, pitch in Hz ``[N, 1, T]``."""

    harmonics: Tensor
    noise: Tensor
    hz: Tensor

    @cached_property
    def weight(self) -> Tensor:
        """Power that A-weighting leaves of every harmonic, ``[N, H, T]``."""
        return _weight(torch.arange(1, HARMONICS + 1, dtype=torch.float32)[:, None] * self.hz)

    def loudness(self, weight: Tensor) -> Tensor:
        """Natural log of the A-weighted level, ``[N, 1, T]``."""
        heard = torch.exp(2 * self.harmonics).mul_(weight).sum(1, keepdim=True) / 2
        hissed = torch.einsum("nbt,b->nt", torch.exp(2 * self.noise), _noise_power())[:, None]
        return 0.5 * torch.log(heard + hissed + 1e-12)

    def as_loud_as(self, other: Levels) -> Levels:
        """The same, every frame as loud as that of another of the same pitch; what is silent stays so."""
        moved = other.loudness(other.weight) - self.loudness(other.weight)
        return Levels(_moved(self.harmonics, moved), _moved(self.noise, moved), self.hz)


def _weight(hz: Tensor) -> Tensor:
    return weighting(hz.clamp(1.0, 24_000.0) ** 2) ** 2


@cache
def _noise_power() -> Tensor:
    """A-weighted power of every band at a gain of one."""
    energy = torch.from_numpy((band_filters(BANDS, TAPS).astype(np.float64) ** 2).sum(1)).float()
    return energy * NOISE_POWER * _weight(torch.from_numpy(centres_hz(BANDS)).float())


def _moved(levels: Tensor, by: Tensor) -> Tensor:
    return torch.where(levels > SILENT, levels + by, levels)


@dataclass(frozen=True)
class Change:
    """One version of every note of a batch, ``[N, …]``; drawn by :func:`drawn`."""

    body: Tensor
    """Natural log of the response at every knot, ``[N, KNOTS]``."""
    even: Tensor
    """What even harmonics lose, ``[N]``."""
    breath: Tensor
    """What the noise gains, ``[N]``."""

    def of(self, levels: Levels) -> Levels:
        """The version."""
        order = torch.arange(1, HARMONICS + 1, dtype=torch.float32)[:, None]
        even = -self.even[:, None, None] * (order % 2 == 0)
        harmonics = _moved(levels.harmonics, self._response(order * levels.hz) + even)
        centres = torch.from_numpy(centres_hz(BANDS)).float()[:, None].expand(*levels.noise.shape)
        noise = _moved(levels.noise, self._response(centres) + self.breath[:, None, None])
        return Levels(harmonics, noise, levels.hz)

    def _response(self, hz: Tensor) -> Tensor:
        place = torch.log(hz.clamp(LOWEST_HZ, HIGHEST_HZ) / LOWEST_HZ) / np.log(HIGHEST_HZ / LOWEST_HZ)
        at = (place * (KNOTS - 1)).clamp(0, KNOTS - 1.001)
        left, part = at.long(), at - at.long()
        part = part * part * (3 - 2 * part)
        knots = self.body[:, :, None].expand(-1, -1, hz.shape[2])
        return knots.gather(1, left) * (1 - part) + knots.gather(1, left + 1) * part


def drawn(rng: np.random.Generator, notes: int, share: float, decibels: float) -> Change:
    """Draw a version of a share of so many notes; the others stay as they are.

    Parameters
    ----------
    decibels : float
        Standard deviation of the body's response at each knot.
    """
    chosen = rng.random(notes) < share
    body = rng.normal(0, decibels * LOG_PER_DB, (notes, KNOTS)) * chosen[:, None]
    even = rng.uniform(0, EVEN_DB * LOG_PER_DB, notes) * (chosen & (rng.random(notes) < 0.25))
    breath = rng.uniform(-BREATH_DB, BREATH_DB, notes) * LOG_PER_DB * chosen
    return Change(*(torch.from_numpy(values.astype(np.float32)) for values in (body, even, breath)))


def mixed(levels: Levels, others: Levels, share: Tensor) -> Levels:
    """Between two notes, ``share [N]`` of the other; what one of them lacks is not mixed."""
    part = share[:, None, None]

    def between(a: Tensor, b: Tensor) -> Tensor:
        return torch.where((a > SILENT) & (b > SILENT), a + (b - a) * part, a)

    harmonics = between(levels.harmonics, others.harmonics)
    return Levels(harmonics, between(levels.noise, others.noise), levels.hz)
