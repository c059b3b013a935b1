"""How the power of a hit, moment by moment, is seen through windows that reach over many of them.

A moment is a millisecond at first and longer later. Nothing is before the stroke: a window around its
first sample is half empty.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from common.audio import SAMPLE_RATE_HZ

MS = SAMPLE_RATE_HZ // 1000
HANN_POWER = 0.375
EVEN_MS, GROWING = 64, 1.04  # moments of a millisecond until then, and their ratio afterwards


def moments_ms(last_ms: int) -> np.ndarray:
    """Edges of the moments up to a last one, ms."""
    even = min(EVEN_MS, last_ms)
    count = int(np.ceil(np.log(last_ms / even) / np.log(GROWING)))
    growing = np.round(even * GROWING ** np.arange(1, max(count, 1)))
    return np.unique(np.concatenate([np.arange(even + 1), growing, [last_ms]])).astype(int)


@cache
def seen(size: int, centres: tuple[tuple[int, ...], ...], last_ms: int) -> np.ndarray:
    """What part of each moment's power groups of Hann windows see, [groups, moments].

    Parameters
    ----------
    size : int
        Of the windows, samples.
    centres : tuple of tuple of int
        Middles, in samples after the stroke, of the windows of each group, whose mean counts.
    last_ms : int
        Where the last moment ends.
    """
    edges = moments_ms(last_ms)
    taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)) ** 2 / (HANN_POWER * size)
    table = np.zeros((len(centres), len(edges) - 1))
    for row, group in enumerate(centres):
        for centre in group:
            at = np.arange(size) - size // 2 + centre
            inside = (at >= 0) & (at < last_ms * MS)
            moment = np.searchsorted(edges, at[inside] / MS, side="right") - 1
            table[row] += np.bincount(moment, taper[inside], len(edges) - 1) / len(group)
    return table


@cache
def between(grid_ms: tuple[int, ...]) -> np.ndarray:
    """What the log gains at a grid's points say of the middles of moments, [moments, grid]."""
    edges, grid = moments_ms(grid_ms[-1]), np.array(grid_ms)
    middles = 0.5 * (edges[1:] + edges[:-1])
    left = np.clip(np.searchsorted(grid, middles, side="right") - 1, 0, len(grid) - 2)
    part = (middles - grid[left]) / (grid[left + 1] - grid[left])
    table = np.zeros((len(middles), len(grid)))
    table[np.arange(len(middles)), left] = 1 - part
    table[np.arange(len(middles)), left + 1] += part
    return table
