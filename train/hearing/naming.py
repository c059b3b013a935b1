"""Which drum is this? A classifier that learnt the classes from real drums names other hits."""

from __future__ import annotations

import numpy as np

COMPONENTS = 60


class Namer:
    """A classifier of drum classes by log-mel pictures.

    Parameters
    ----------
    features : ndarray, shape (N, D)
        Of real drums.
    classes : ndarray, shape (N,)
        Their classes.

    Raises
    ------
    ValueError
        When there are fewer than two classes.
    """

    def __init__(self, features: np.ndarray, classes: np.ndarray):
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        if len(set(classes.tolist())) < 2:
            raise ValueError("there is nothing to tell apart in one class")
        components = min(COMPONENTS, len(features) - 1, features.shape[1])
        classifier = SVC(C=10, class_weight="balanced")
        self._fitted = make_pipeline(StandardScaler(), PCA(components, random_state=0), classifier)
        self._fitted.fit(features, classes)

    def right(self, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Whether each of ``features [N, D]`` is named as ``classes [N]`` say, bool [N]."""
        return np.asarray(self._fitted.predict(features) == classes)
