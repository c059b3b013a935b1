"""The 8×8 handwritten digits that ship inside scikit-learn: the sanity set for the VAE itself.

If a VAE cannot lay 1,797 tiny digits out in a few dimensions, the fault is in the VAE and not in the sounds.
"""

from __future__ import annotations

import numpy as np

SIDE_PIXELS = 8


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Load the digits.

    Returns
    -------
    images : float32 ndarray [1797, 8, 8]
        Ink in 0..1.
    labels : int64 ndarray [1797]
        0 to 9.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images / 16.0).astype(np.float32), bunch.target.astype(np.int64)


def split_of(count: int) -> np.ndarray:
    """Split names [count]: the file's own order, last tenth test, the tenth before it validation.

    The order of the set is by writer (Alpaydin & Kaynak 1998), so neighbours share a hand and a random split
    would leak.
    """
    names = np.full(count, "train", dtype="<U10")
    names[int(0.8 * count) : int(0.9 * count)] = "validation"
    names[int(0.9 * count) :] = "test"
    return names
