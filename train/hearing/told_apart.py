"""How often a classifier tells two crowds of sounds apart: 0.5 is guessing, 1.0 is always.

No take of an instrument is in both the sounds it learns from and those it is asked about, so what it knows is
how the crowds differ and not whose strokes these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

FOLDS = 5
COMPONENTS = 40


def told_apart(
    a: np.ndarray, b: np.ndarray, instruments_a: Sequence[str], instruments_b: Sequence[str]
) -> float:
    """Balanced accuracy of the better of two classifiers, over folds that keep instruments whole.

    Parameters
    ----------
    a, b : ndarray, shape (N, D) and (M, D)
        Features of the crowds.
    instruments_a, instruments_b : sequence of str
        What each sound is a take of; a made sound counts to the instrument it was made from.

    Returns
    -------
    float
        0 to 1; NaN where a crowd has fewer than two instruments.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold

    few = min(len(set(instruments_a)), len(set(instruments_b)))
    if few < 2:
        return float("nan")
    features = np.concatenate([a, b])
    whose = np.repeat([0, 1], [len(a), len(b)])
    # the same instrument may stand on both sides: what was made from it goes where it goes
    groups = np.array([*instruments_a, *instruments_b])
    folds = StratifiedGroupKFold(min(FOLDS, few), shuffle=True, random_state=0)
    best = 0.0
    for classifier in _classifiers():
        asked = np.full(len(whose), -1)
        for learnt, held in folds.split(features, whose, groups):
            if len(set(whose[learnt])) < 2:
                continue
            components = min(COMPONENTS, len(learnt) - 1, features.shape[1])
            fitted = _pipeline(components, classifier).fit(features[learnt], whose[learnt])
            asked[held] = fitted.predict(features[held])
        known = asked >= 0
        if len(set(whose[known])) == 2:
            best = max(best, float(balanced_accuracy_score(whose[known], asked[known])))
    return best if best else float("nan")


def _classifiers() -> list[Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    return [
        LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced"),
        SVC(C=3, class_weight="balanced"),
    ]


def _pipeline(components: int, classifier: Any) -> Pipeline:
    from sklearn.base import clone
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), PCA(components, random_state=0), clone(classifier))
