"""The opponent of a drive model: the best static curve and linear filter, in either order.

Hammerstein (curve, then filter) is fitted by alternating least squares, Wiener (filter, then curve) by the
linear least-squares filter and then the curve; the one with the smaller error on what it was fitted to is
kept. The curve is a broken line through 0 with 33 knots, denser where the sound is; the filter has 256 taps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TAPS = 256
SIDE = 16  # knots on either side of 0
ROUNDS = 3
MOST = 480_000  # samples that are fitted to, at most
RIDGE = 1e-6


@dataclass(frozen=True)
class StaticCurve:
    """A fitted curve and filter.

    Attributes
    ----------
    knots, values : ndarray
        The broken line; beyond its ends the end values hold.
    taps : ndarray
        Of the filter.
    curve_first : bool
        Whether the curve comes before the filter.
    """

    knots: np.ndarray
    values: np.ndarray
    taps: np.ndarray
    curve_first: bool

    def __call__(self, dry: np.ndarray) -> np.ndarray:
        """Distort ``dry [n]``, from rest."""
        from scipy.signal import fftconvolve

        if self.curve_first:
            return fftconvolve(np.interp(dry, self.knots, self.values), self.taps)[: len(dry)]
        return np.interp(fftconvolve(dry, self.taps)[: len(dry)], self.knots, self.values)


def fit_static_curve(pieces: list[tuple[np.ndarray, np.ndarray]]) -> StaticCurve:
    """Fit to pieces of dry and wet ``[n]`` that know nothing of each other.

    Raises
    ------
    ValueError
        Without any sound.
    """
    gap = np.zeros(TAPS)
    dry = np.concatenate([part for piece, _ in pieces for part in (piece, gap)]).astype(float)[:MOST]
    wet = np.concatenate([part for _, piece in pieces for part in (piece, gap)]).astype(float)[:MOST]
    if not dry.any() or not wet.any():
        raise ValueError("nothing sounds in the pieces")
    fitted = [_hammerstein(dry, wet), _wiener(dry, wet)]
    return min(fitted, key=lambda one: float(((one(dry) - wet) ** 2).sum()))


def _knots(x: np.ndarray) -> np.ndarray:
    """Knots on either side of 0, at quantiles of the amplitude and evenly, half of each."""
    level = np.abs(x[x != 0])
    top = float(level.max())
    places = np.concatenate(
        [
            np.quantile(level, np.linspace(0, 1, SIDE // 2 + 1)[1:]),
            top * np.arange(1, SIDE // 2 + 1) / (SIDE // 2),
        ]
    )
    side = np.unique(np.maximum(places, 1e-4 * top))
    return np.concatenate([-side[::-1], [0.0], side])


def _hats(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Values of the hat functions, ``[knots − 1, n]``; without the one at 0, so that silence is silent."""
    rows = np.eye(len(knots))
    return np.stack([np.interp(x, knots, row) for row, knot in zip(rows, knots, strict=True) if knot != 0.0])


def _line(coefficients: np.ndarray, knots: np.ndarray) -> np.ndarray:
    values = np.zeros(len(knots))
    values[knots != 0.0] = coefficients
    return values


def _filter_between(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares taps from ``x`` to ``y``."""
    from scipy.fft import irfft, next_fast_len, rfft
    from scipy.linalg import solve_toeplitz

    size = next_fast_len(len(x) + TAPS, real=True)
    spectrum = rfft(x, size)
    own = irfft(np.abs(spectrum) ** 2, size)[:TAPS]
    across = irfft(np.conj(spectrum) * rfft(y, size), size)[:TAPS]
    own[0] *= 1 + RIDGE
    return solve_toeplitz(own, across)


def _combine(columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares weights of rows ``[k, n]`` that sum to ``y``."""
    among = columns @ columns.T
    among += RIDGE * np.trace(among) / len(among) * np.eye(len(among))
    return np.linalg.solve(among, columns @ y)


def _hammerstein(dry: np.ndarray, wet: np.ndarray) -> StaticCurve:
    from scipy.signal import fftconvolve

    knots = _knots(dry)
    hats = _hats(dry, knots)
    taps = np.zeros(TAPS)
    taps[0] = 1.0
    values = knots
    for _ in range(ROUNDS):
        heard = fftconvolve(hats, taps[None], axes=1)[:, : len(dry)]
        values = _line(_combine(heard, wet), knots)
        taps = _filter_between(np.interp(dry, knots, values), wet)
    return StaticCurve(knots, values, taps, curve_first=True)


def _wiener(dry: np.ndarray, wet: np.ndarray) -> StaticCurve:
    from scipy.signal import fftconvolve

    taps = _filter_between(dry, wet)
    inside = fftconvolve(dry, taps)[: len(dry)]
    knots = _knots(inside)
    return StaticCurve(knots, _line(_combine(_hats(inside, knots), wet), knots), taps, curve_first=False)
