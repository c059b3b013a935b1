"""Fréchet distance of two crowds (Heusel et al. 2017): how far two Gaussians around them are apart."""

from __future__ import annotations

import numpy as np

COMPONENTS = 24


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance of the Gaussians around ``a [N, D]`` and ``b [M, D]``.

    ``|μa − μb|² + tr(Ca + Cb − 2(Ca Cb)^½)``. A small crowd looks farther away than it is: compare distances
    of crowds of one size.
    """
    from scipy.linalg import eigvals

    between = ((a.mean(0) - b.mean(0)) ** 2).sum()
    ca, cb = (np.atleast_2d(np.cov(crowd.T)) for crowd in (a, b))
    # The trace of the root of a product of two covariances: its eigenvalues are real and not negative.
    root = np.sqrt(np.maximum(eigvals(ca @ cb).real, 0.0)).sum()
    return float(between + np.trace(ca) + np.trace(cb) - 2 * root)


def principal_axes(features: np.ndarray, components: int = COMPONENTS) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``[D]`` and first principal axes ``[D, C]`` of ``features [N, D]``: the plane to compare in."""
    mean = features.mean(0)
    _, _, axes = np.linalg.svd(features - mean, full_matrices=False)
    return mean, axes[:components].T
