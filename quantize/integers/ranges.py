"""Range estimators: how large a value the integers must reach, from what calibration saw.

Each estimator takes a histogram of |x| and gives the magnitude that maps to the largest integer (clipping
what lies above). Minimum error: Nagel et al., "A white paper on neural network quantization", arXiv
2106.08295, §3.2; entropy: Migacz, "8-bit inference with TensorRT", GTC 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

ESTIMATORS = ("minmax", "percentile", "mse", "entropy")
BINS = 2048
PERCENTILE = 99.99


@dataclass
class Histogram:
    """Running histogram of |x| with a range that doubles as needed; counts are exact, bins are uniform.

    Attributes
    ----------
    top : float
        Upper edge of the last bin, in the tensor's unit.
    peak : float
        Largest |x| seen.
    counts : ndarray [BINS]
        How many values fell into each bin.
    """

    top: float = 0.0
    peak: float = 0.0
    total: int = 0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: np.ndarray) -> None:
        """Count the magnitudes of an array of any shape."""
        magnitude = np.abs(np.asarray(values, np.float64)).reshape(-1)
        if not magnitude.size:
            return
        peak = float(magnitude.max())
        self.peak = max(self.peak, peak)
        if self.top == 0.0 and peak > 0.0:
            self.top = peak
            self.counts[0] = self.total
        while peak > self.top > 0.0:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.top *= 2.0
        if self.top > 0.0:
            index = np.minimum((magnitude * (BINS / self.top)).astype(np.int64), BINS - 1)
            self.counts += np.bincount(index, minlength=BINS)
        self.total += magnitude.size

    @property
    def centres(self) -> np.ndarray:
        """Middle of every bin."""
        return (np.arange(BINS) + 0.5) * (self.top / BINS)


def estimate(histogram: Histogram, method: str, bits: int) -> float:
    """Choose the magnitude that the largest integer stands for.

    Parameters
    ----------
    histogram : Histogram
        Magnitudes seen on calibration data.
    method : {"minmax", "percentile", "mse", "entropy"}
        The estimator.
    bits : int
        Width of the integers, 8 or 16.

    Returns
    -------
    float
        Range in the tensor's unit; 0 when the tensor was always 0.
    """
    if histogram.peak == 0.0 or method == "minmax":
        return histogram.peak
    if method == "percentile":
        share = np.cumsum(histogram.counts) / max(histogram.total, 1)
        edge = int(np.searchsorted(share, PERCENTILE / 100.0)) + 1
        return min(histogram.peak, edge * histogram.top / BINS)
    if method == "mse":
        return _least_error(histogram, bits)
    if method == "entropy":
        return _least_divergence(histogram, bits)
    raise ValueError(f"no range estimator {method!r}; choose one of {', '.join(ESTIMATORS)}")


def _least_error(histogram: Histogram, bits: int) -> float:
    """Range with the least expected squared error: rounding noise below it, clipping above it."""
    centres, counts = histogram.centres, histogram.counts / histogram.total
    levels = (1 << (bits - 1)) - 1
    candidates = histogram.peak * np.linspace(0.05, 1.0, 96)
    errors = []
    for top in candidates:
        step = top / levels
        over = np.maximum(centres - top, 0.0)
        rounding = min(step, histogram.top / BINS * 1e9) ** 2 / 12.0
        errors.append(float((counts * np.where(over > 0, over**2, rounding)).sum()))
    return float(candidates[int(np.argmin(errors))])


def _least_divergence(histogram: Histogram, bits: int) -> float:
    """Range whose clipped, re-binned distribution is nearest (Kullback-Leibler) to the seen one."""
    levels = min(1 << (bits - 1), BINS // 2)
    counts = histogram.counts.astype(np.float64)
    counts[0] = counts[1]  # the bin at zero is padding and silence; it would drown the rest
    if counts.sum() == 0:
        return histogram.peak
    best, best_edge = np.inf, BINS
    for edge in range(levels, BINS + 1, max(1, BINS // 128)):
        seen = counts[:edge].copy()
        seen[-1] += counts[edge:].sum()
        groups = np.minimum(np.arange(edge) * levels // edge, levels - 1)
        alive = counts[:edge] > 0
        mass = np.bincount(groups, counts[:edge], levels)
        share = np.bincount(groups, alive, levels)
        coarse = np.where(alive, (mass / np.maximum(share, 1))[groups], 0.0)
        p = seen / seen.sum()
        q = coarse / max(coarse.sum(), 1e-300)
        mask = p > 0
        divergence = float((p[mask] * np.log(p[mask] / np.maximum(q[mask], 1e-12))).sum())
        if divergence < best:
            best, best_edge = divergence, edge
    return min(histogram.peak, best_edge * histogram.top / BINS)
