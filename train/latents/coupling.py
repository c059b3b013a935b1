"""What a prior says by itself at any temperature, tied to how often the data were where.

A cool prior stays near the middle and a hot one strays. So that the temperature changes how latents move and
not where they are, each is read at its place among what the prior says at that temperature, and played at the
same place among the training data: quantile by quantile, as optimal transport maps one line to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from train.models.prior import Prior

TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
POINTS = 33
CHAINS, FRAMES, LEFT_OUT = 40, 1800, 300
"""Walks side by side, frames of each, and how many pass before they have forgotten where they began."""
STRAY = 0.5
"""How far beyond the data a frame may be that is fed back, in what they cover."""


@dataclass(frozen=True)
class Walls:
    """Where frames that are fed back are stopped, ``[Z]`` each."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def about(cls, table: np.ndarray) -> Walls:
        """By the quantiles of the data, ``[Z, P]``."""
        reach = STRAY * (table[:, -1] - table[:, 0])
        return cls(table[:, 0] - reach, table[:, -1] + reach)


def quantiles(values: np.ndarray) -> np.ndarray:
    """Table ``[Z, 33]`` of ``values [N, Z]``, strictly rising: 1/400 lies beyond either end."""
    edge = 1 / 400
    table = np.quantile(values.astype(np.float64), np.linspace(edge, 1 - edge, POINTS), axis=0).T
    return np.maximum.accumulate(table + np.arange(POINTS) * 1e-6, axis=1)


def walk(prior: Prior, walls: Walls, temperatures: Sequence[float], frames: int, seed: int) -> np.ndarray:
    """Let a prior go on by itself from rest, once at each temperature: ``[temperatures, frames, Z]``."""
    random = torch.Generator().manual_seed(seed)
    low, high = (torch.tensor(wall, dtype=torch.float32) for wall in (walls.low, walls.high))
    chains = len(temperatures)
    heat = torch.tensor(temperatures, dtype=torch.float32)[:, None, None]
    z, state = torch.zeros(chains, prior.latents), torch.zeros(1, chains, prior.hidden)
    found = []
    with torch.no_grad():
        for _ in range(frames):
            said, state = prior(z[:, None], state)
            chance = torch.rand(z.shape, generator=random)
            noise = torch.randn(z.shape, generator=random)
            drawn = said.drawn(chance[:, None], noise[:, None], heat)[:, 0]
            z = torch.minimum(torch.maximum(drawn, low), high)
            found.append(z)
    return torch.stack(found, 1).numpy()


def between(walked: np.ndarray, pieces: int) -> np.ndarray:
    """Straight lines between the frames ``[…, T, Z]``, in so many pieces: what is heard of them."""
    shares = np.arange(pieces) / pieces
    before, after = walked[..., :-1, None, :], walked[..., 1:, None, :]
    lines = before + shares[:, None] * (after - before)
    return lines.reshape(*walked.shape[:-2], -1, walked.shape[-1])


def own_tables(prior: Prior, walls: Walls, pieces: int, seed: int) -> np.ndarray:
    """Quantiles ``[temperatures, Z, 33]`` of what a prior says by itself."""
    walked = walk(prior, walls, [one for one in TEMPERATURES for _ in range(CHAINS)], FRAMES, seed)
    heard = between(walked[:, LEFT_OUT:], pieces).reshape(len(TEMPERATURES), -1, prior.latents)
    return np.stack([quantiles(one) for one in heard])


def table_at(tables: np.ndarray, temperature: float) -> np.ndarray:
    """The table ``[Z, 33]`` of a temperature between those that were measured."""
    place = float(np.interp(temperature, TEMPERATURES, np.arange(len(TEMPERATURES))))
    lower = min(int(place), len(TEMPERATURES) - 2)
    return tables[lower] + (place - lower) * (tables[lower + 1] - tables[lower])


def coupled(walked: np.ndarray, own: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Move ``[…, Z]`` from their places in the tables ``own [Z, 33]`` to the same in ``data [Z, 33]``."""
    columns = [np.interp(walked[..., i], own[i], data[i]) for i in range(walked.shape[-1])]
    return np.stack(columns, -1)
