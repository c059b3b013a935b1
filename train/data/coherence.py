"""How much of a wet recording its dry one explains, whatever curve and filter lie between.

The ordinary coherence of a rectified or folded sound with its source is near nothing. Here the dry signal
enters as several: eight hat functions of its amplitude, of which any static curve is nearly a sum. The
multiple coherence of the wet signal with all of them (Bendat and Piersol, Random Data, ch. 7) is the part of
its power that curves followed by filters could have made.
"""

from __future__ import annotations

import numpy as np

SIZE = 2048  # samples per frame; filters and delays that are short against it are allowed for
FRAMES = 400  # at most so many are looked at, evenly spaced
KNOTS = (0.5, 0.75, 0.9, 1.0)  # quantiles of the dry amplitude where the hats stand, on either side of 0


def coherence(dry: np.ndarray, wet: np.ndarray) -> float:
    """Part of the wet power that static curves and filters of the dry signal explain.

    Parameters
    ----------
    dry, wet : ndarray, shape (n,)
        Aligned to within a few milliseconds.

    Returns
    -------
    float
        1 for a device without memory beyond a frame and without noise; about 0 for strangers (a little
        below, by chance: what so many inputs explain of anything has been taken off); 0 for what is too
        short to tell (under 24 frames of 128 samples).
    """
    n = min(len(dry), len(wet))
    size = SIZE
    while size > 128 and n < 12 * size:
        size //= 2
    if n < 12 * size:
        return 0.0
    starts = np.unique(np.linspace(0, n - size, min(FRAMES, 2 * n // size - 1)).astype(int))
    window = np.hanning(size)
    shapes = _hats(np.abs(dry[:n]))

    def spectra(signal: np.ndarray) -> np.ndarray:
        frames = np.stack([signal[start : start + size] for start in starts])
        return np.fft.rfft((frames - frames.mean()) * window, axis=1)

    inputs = np.stack([spectra(np.interp(dry[:n], *shape)) for shape in shapes], -1)
    output = spectra(wet[:n])
    among = np.einsum("sfk,sfl->fkl", inputs.conj(), inputs)
    across = np.einsum("sfk,sf->fk", inputs.conj(), output)
    power = np.trace(among, axis1=1, axis2=2).real
    floor = 1e-6 * power + 1e-12 * power.max() + 1e-20
    among = among + floor[:, None, None] * np.eye(len(shapes))
    weights = np.linalg.solve(among, across[..., None])[..., 0]
    explained = float(np.einsum("fk,fk->", across.conj(), weights).real)
    share = explained / max(float((np.abs(output) ** 2).sum()), 1e-20)
    # Frames that half overlap under a Hann window count as 0.6 of independent ones, about.
    by_chance = min(0.95, len(shapes) / (0.6 * len(starts)))
    return (share - by_chance) / (1 - by_chance)


def _hats(level: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Knots and values of hat functions that are 0 at 0, for ``np.interp``."""
    knots = np.quantile(level, KNOTS)
    knots = np.maximum(knots, float(level.max()) * 1e-3 * np.arange(1, len(KNOTS) + 1))
    knots = np.concatenate([-knots[::-1], [0.0], knots])
    if np.any(np.diff(knots) <= 0):
        knots = np.linspace(-1, 1, len(knots)) * float(level.max())
    return [(knots, row) for i, row in enumerate(np.eye(len(knots))) if i != len(KNOTS)]
