"""Ears: what turns hits into features, so that crowds of them can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from train.hearing import embedding
from train.hearing.pictures import pictures


@dataclass(frozen=True)
class Ear:
    """One way to hear.

    Attributes
    ----------
    key : str
        In a report.
    hear : callable
        Sounds to features ``[N, D]``.
    """

    key: str
    hear: Callable[[Iterable[np.ndarray]], np.ndarray]


LOG_MEL = Ear("log_mel", pictures)
EMBEDDING = Ear("embedding", embedding.embeddings)


def ears() -> list[Ear]:
    """All that are here: the embedding where its package is installed."""
    return [LOG_MEL, *([EMBEDDING] if embedding.is_installed() else [])]
