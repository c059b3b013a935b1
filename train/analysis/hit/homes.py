"""Which sound of each class is its rest position: one in the middle, neither bright nor dull."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NEAR = {"brightness": 0.3, "decay": 0.15}  # octaves; log10 seconds
FEWEST = 3


def homes_of(classes: np.ndarray, measured: dict[str, np.ndarray], pictures: Tensor) -> list[int]:
    """One sound of every class that is there.

    Parameters
    ----------
    classes : ndarray of int, shape (N,)
        Of each sound.
    measured : dict of str to ndarray, shape (N,)
        Brightness and decay.
    pictures : Tensor, shape (N, bands, frames)
        By which sounds are compared.

    Returns
    -------
    list of int
        Of those near their class's median brightness and decay, the one whose picture is nearest to all.
    """
    homes = []
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        aside = np.stack(
            [np.abs(measured[n][members] - np.median(measured[n][members])) / far for n, far in NEAR.items()]
        ).max(0)
        near = np.flatnonzero(aside < 1)
        if len(near) < FEWEST:
            near = np.argsort(aside)[:FEWEST]
        flat = pictures[members].float().flatten(1)
        far = torch.cdist(flat[torch.from_numpy(near)], flat).mean(1)
        homes.append(int(members[near[int(far.argmin())]]))
    return homes
