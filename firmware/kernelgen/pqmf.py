"""Tables of the fast PQMF (``engine/dsp/pqmf.c``): the prototype with its signs, twiddles of the DCT-IV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal


@dataclass(frozen=True)
class PqmfTables:
    """What ``vk_pqmf`` points to.

    Attributes
    ----------
    window : float32 [L + 2·bands], row i of `bands` numbers meets the frame that is i frames old; two spare.
    twiddle : float32, see ``engine/dsp/dct4.h``.
    folds : L / (2·bands).
    state_floats : floats of state, zero at reset.
    """

    window: np.ndarray
    twiddle: np.ndarray
    folds: int
    state_floats: int


def fits(taps: int, bands: int) -> bool:
    """Whether the fast form serves: `bands` a power of two from 2 to 64, `taps` a multiple of 2·bands."""
    return 2 <= bands <= 64 and bands & (bands - 1) == 0 and taps > 0 and taps % (2 * bands) == 0


def state_floats(bands: int, folds: int) -> int:
    """``VK_PQMF_STATE``: a ring of frames, each twice, a spare row, and the ring's position."""
    return bands * (4 * folds + 2) + 1


def twiddles(size: int) -> np.ndarray:
    """Return the pairs (cos, sin) that ``dct4`` reads: float32."""
    n = np.arange(size // 2)
    turns = np.concatenate(
        [-(8 * n + 1) * np.pi / (8 * size), -2 * np.pi * np.arange(size // 4) / (size // 2)]
    )
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).reshape(-1).astype(np.float32)


def tables(prototype: np.ndarray, bands: int, *, synthesis: bool) -> PqmfTables:
    """Fold a prototype for one direction.

    Parameters
    ----------
    prototype : [L], the p of ``bank_k[n] = 2·p[n]·cos((2k+1)·π/(2M)·(n − (L−1)/2) ± (−1)^k·π/4)``, + for the
        analysis, − for the synthesis, as impulse responses.
    bands : M.

    Raises
    ------
    Refusal
        Where `fits` says no; use the direct form.
    """
    prototype = np.asarray(prototype, np.float64).reshape(-1)
    taps = prototype.size
    if not fits(taps, bands):
        raise Refusal(
            f"A PQMF of {bands} bands and {taps} taps has no fast form: bands must be a power of two from 2 "
            f"to 64 and the taps a multiple of {2 * bands}."
        )
    folds = taps // (2 * bands)
    k = np.arange(bands)
    n = np.arange(taps)
    half, row, r = bands // 2, n // bands, n % bands
    even = (row + folds + (0 if synthesis else 1)) % 2 == 0
    index = np.where(
        even, np.where(r < half, half - 1 - r, r - half), np.where(r < half, r + half, bands + half - 1 - r)
    )
    phase = (-1.0) ** k * np.pi / 4 * (-1 if synthesis else 1)
    modulation = np.cos((2 * k + 1)[None] * np.pi / (2 * bands) * (n - (taps - 1) / 2)[:, None] + phase)
    sigma = np.where((k + 1) // 2 % 2 == 0, 1.0, -1.0)
    basis = sigma * np.cos((2 * k + 1)[None] * (2 * index + 1)[:, None] * np.pi / (4 * bands))
    sign = np.sign((modulation * basis).sum(1))
    assert np.allclose(modulation, sign[:, None] * basis, atol=1e-9)
    return PqmfTables(
        window=np.pad(2 * prototype * sign, (0, 2 * bands)).astype(np.float32),
        twiddle=twiddles(bands),
        folds=folds,
        state_floats=state_floats(bands, folds),
    )
