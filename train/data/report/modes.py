"""The modes of a set of sounds: how many clusters, how dense, how balanced, how much they overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.page import Cell, Value

MIN_ITEMS = 24
MAX_MODES = 12
LARGEST_MAPPED = 3000


@dataclass(frozen=True)
class Mode:
    """One cluster.

    Attributes
    ----------
    share : float
        Part of all items.
    density : float
        Median distance to the fifth neighbour over all items, divided by the same inside the mode: 1 is
        ordinary, 2 twice as dense.
    overlap : float
        Share of its items whose nearest neighbour belongs to another mode.
    labels : list of (str, int)
        The commonest labels in it.
    example : int
        Index of the item nearest to its middle.
    """

    number: int
    size: int
    share: float
    density: float
    overlap: float
    labels: list[tuple[str, int]]
    example: int


@dataclass(frozen=True)
class Landscape:
    """The items seen from above.

    Attributes
    ----------
    modes : list of Mode
        Largest first.
    member : int ndarray [items]
        Mode of each item.
    outlier : float ndarray [items]
        Local outlier factor (Breunig et al. 2000): about 1 inside a crowd, 2 and more far from it.
    position : float ndarray [mapped, 2]
        Places on a map where neighbours stay neighbours (t-SNE).
    mapped : int ndarray [mapped]
        Items that are on the map; all of them up to 3,000.
    """

    modes: list[Mode]
    member: np.ndarray
    outlier: np.ndarray
    position: np.ndarray
    mapped: np.ndarray


def landscape(features: np.ndarray, labels: list[str]) -> Landscape | None:
    """Find modes and outliers of feature vectors [items, features]; None below 24 items."""
    count = len(features)
    if count < MIN_ITEMS:
        return None
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

    rng = np.random.default_rng(0)
    reduced = PCA(min(16, count - 1, features.shape[1]), random_state=0).fit_transform(
        np.asarray(features, float)
    )
    # Modes are the components of the mixture of Gaussians that the Bayesian information criterion prefers, in
    # the first few principal axes: a silhouette would stop at two for anything with drums and cymbals in it.
    axes = reduced[:, : min(8, count // 8)]
    sample = axes[np.sort(rng.choice(count, min(count, LARGEST_MAPPED), replace=False))]
    scale = 1e-3 * float(axes.var(axis=0).max()) + 1e-9
    fits = [
        GaussianMixture(modes, reg_covar=scale, n_init=2, random_state=0).fit(sample)
        for modes in range(2, max(2, min(MAX_MODES, count // 12)) + 1)
    ]
    member = min(fits, key=lambda fit: fit.bic(sample)).predict(axes)
    neighbours = min(6, count - 1)
    distance, index = NearestNeighbors(n_neighbors=neighbours).fit(reduced).kneighbors(reduced)
    order = [number for number, _ in Counter(member.tolist()).most_common()]
    renamed = np.empty_like(member)
    modes_found = []
    everywhere = max(float(np.median(distance[:, -1])), 1e-9)
    for number, old in enumerate(order):
        inside = member == old
        renamed[inside] = number
        middle = reduced[inside].mean(axis=0)
        nearest = np.nonzero(inside)[0][int(((reduced[inside] - middle) ** 2).sum(axis=1).argmin())]
        own = max(float(np.median(distance[inside, -1])), 1e-9)
        modes_found.append(
            Mode(
                number + 1,
                int(inside.sum()),
                float(inside.mean()),
                everywhere / own,
                float((member[index[inside, 1]] != old).mean()),
                Counter(label for label, here in zip(labels, inside, strict=True) if here).most_common(3),
                int(nearest),
            )
        )
    outlier = -LocalOutlierFactor(n_neighbors=min(20, count - 1)).fit(reduced).negative_outlier_factor_
    mapped = np.sort(rng.choice(count, min(count, LARGEST_MAPPED), replace=False))
    perplexity = min(30.0, (len(mapped) - 1) / 4)
    position = TSNE(2, perplexity=perplexity, init="pca", random_state=0, max_iter=500).fit_transform(
        reduced[mapped]
    )
    return Landscape(modes_found, renamed, outlier, position, mapped)


def words_for(mode: Mode, say: Callable[[str], str], example: str) -> list[Value]:
    """One row of the table of modes, in plain words; `say` writes a label as people do."""
    labels = ", ".join(f"{say(label)} {count}" for label, count in mode.labels)
    dense = "dense" if mode.density > 1.5 else "thin" if mode.density < 0.67 else "ordinary"
    apart = (
        "stands apart"
        if mode.overlap < 0.03
        else "blends"
        if mode.overlap > 0.15
        else "touches its neighbours"
    )
    return [
        mode.number,
        mode.size,
        f"{100 * mode.share:.0f} %",
        labels,
        f"{dense} ({min(mode.density, 99):.1f}×)",
        f"{apart} ({100 * mode.overlap:.0f} %)",
        Cell(example, code=True),
    ]


MODE_COLUMNS = ["mode", "items", "share", "mostly", "density", "overlap", "typical item"]
