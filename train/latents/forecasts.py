"""Trivial forecasts of latents, fitted to the training data: what a prior must beat.

Each gives the negative log-likelihood of what came, in nats a frame, as a prior is judged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

REMEMBERED = 2
"""Frames that every forecast is told before the first that counts."""
ROUNDS = 60
LOG_TAU = float(np.log(2 * np.pi))


def _gaussian(away: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Negative log-likelihood ``[N, Z]`` of distances under spreads ``[Z]``."""
    return 0.5 * (LOG_TAU + (away / spread) ** 2) + np.log(spread)


def _steps(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """From each frame to the next, the first that all are told left out, ``[N, Z]``."""
    return np.concatenate([np.diff(z[REMEMBERED - 1 :].astype(np.float64), axis=0) for z in sequences])


def last_frame(train: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> float:
    """The last frame plus noise: a normal step of the spread that steps have."""
    steps = _steps(train)
    return float(_gaussian(_steps(held_out), steps.std(0)).sum(1).mean())


def last_frame_two_ways(train: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> float:
    """The last frame plus noise of two spreads, a share each, found by expectation-maximisation."""
    steps = _steps(train)
    spread = steps.std(0) * np.array([[0.2], [2.0]])
    share = np.full((2, steps.shape[1]), 0.5)
    for _ in range(ROUNDS):
        likely = share[:, None] * np.exp(-np.stack([_gaussian(steps, one) for one in spread]))
        owned = likely / likely.sum(0)
        share = owned.mean(1)
        spread = np.sqrt((owned * steps**2).sum(1) / owned.sum(1)).clip(1e-4)
    judged = _steps(held_out)
    likely = share[:, None] * np.exp(-np.stack([_gaussian(judged, one) for one in spread]))
    return float(-np.log(likely.sum(0)).sum(1).mean())


def linear(train: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> float:
    """A linear model of the last two frames, every latent by all, plus noise."""
    told, came = _pairs(train)
    weights = np.linalg.lstsq(told, came, rcond=None)[0]
    spread = (came - told @ weights).std(0)
    told, came = _pairs(held_out)
    return float(_gaussian(came - told @ weights, spread).sum(1).mean())


def _pairs(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Two frames and a one ``[N, 2 Z + 1]``, and what came after them ``[N, Z]``."""
    told, came = [], []
    for z in sequences:
        rows = z.astype(np.float64)
        told.append(np.concatenate([rows[1:-1], rows[:-2], np.ones((len(rows) - 2, 1))], 1))
        came.append(rows[2:])
    return np.concatenate(told), np.concatenate(came)
