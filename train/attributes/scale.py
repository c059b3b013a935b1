"""From a measured quantity to a knob: even steps of the knob are even parts of the training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.model_metadata import ModelMetadata

FEW = 8  # members of a group that are too few for a scale of its own


@dataclass(frozen=True)
class AttributeScale:
    """The law between a measured quantity and its knob: even steps of the knob are even parts of the data.

    Attributes
    ----------
    values : list of float
        The quantity at evenly spaced probabilities 0..1, rising.
    """

    values: list[float]

    @classmethod
    def fit(cls, measured: np.ndarray, points: int = 257) -> AttributeScale:
        """Take the quantiles of what was measured on the training data."""
        return cls([float(v) for v in np.quantile(measured, np.linspace(0, 1, points))])

    def knob(self, measured: np.ndarray) -> np.ndarray:
        """Knob position in [−1, 1] of measured values; the middle of a run of equal quantiles."""
        values = np.asarray(self.values)
        last = len(values) - 1
        grid = np.linspace(0, 1, len(values))
        unique, first, counts = np.unique(values, return_index=True, return_counts=True)
        middle = (grid[first] + grid[first + counts - 1]) / 2
        if len(unique) == 1 or last < 1:
            return np.zeros(np.shape(measured))
        return 2.0 * np.interp(measured, unique, middle) - 1.0

    def table(self, points: int = 33) -> list[float]:
        """The quantity at ``points`` even positions of the knob."""
        values = np.asarray(self.values)
        return [
            float(v) for v in np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(values)), values)
        ]


@dataclass(frozen=True)
class GroupedScale:
    """A law for each group: the knob's middle is the middle of the group, as each class of drums has its own.

    Attributes
    ----------
    values : dict of str to list of float
        :attr:`AttributeScale.values` by group.
    """

    values: Mapping[str, list[float]]

    @classmethod
    def fit(cls, measured: np.ndarray, groups: Sequence[str]) -> GroupedScale:
        """Take the quantiles of each group; one with fewer than ``FEW`` members takes those of all."""
        names = np.array(groups)
        return cls(
            {
                str(name): AttributeScale.fit(
                    some if len(some := measured[names == name]) >= FEW else measured
                ).values
                for name in np.unique(names)
            }
        )

    def knob(self, measured: np.ndarray, groups: Sequence[str]) -> np.ndarray:
        """Knob positions of measured values; 0 for a group that was not known."""
        names, out = np.array(groups), np.zeros(len(measured))
        for name, values in self.values.items():
            out[names == name] = AttributeScale(values).knob(measured[names == name])
        return out


def described(definitions: Mapping[str, str], scales: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Attributes as a model file lists them; those without a scale are not in it.

    Parameters
    ----------
    definitions : mapping of str to str
        What each one measures, in words.
    scales : mapping of str to list of float
        Values of their :class:`AttributeScale`.
    """
    return [
        {
            "name": name,
            "range": [-1.0, 1.0],
            "quantiles": np.linspace(-1, 1, 33).tolist(),
            "values": AttributeScale(scales[name]).table(),
            "default": 0.0,
            "definition": definition,
        }
        for name, definition in definitions.items()
        if name in scales
    ]


def scales_of(about: ModelMetadata) -> dict[str, list[float]]:
    """Read back the scales that :func:`described` wrote into a model file."""
    return {attribute.name: attribute.values for attribute in about.attributes if attribute.values}


def grouped_description(
    definitions: Mapping[str, str], scales: Mapping[str, GroupedScale]
) -> list[dict[str, Any]]:
    """Attributes as a model file lists them, with tables of their groups; ``values`` is the groups' mean."""
    rows = described(definitions, {name: _mean(scale) for name, scale in scales.items()})
    for row in rows:
        groups = scales[row["name"]].values
        row["group_values"] = {group: AttributeScale(values).table() for group, values in groups.items()}
    return rows


def _mean(scale: GroupedScale) -> list[float]:
    return [float(v) for v in np.mean(list(scale.values.values()), 0)]


def grouped_scales_of(about: ModelMetadata) -> dict[str, dict[str, list[float]]]:
    """Read back the scales that :func:`grouped_description` wrote into a model file."""
    return {attribute.name: dict(attribute.group_values) for attribute in about.attributes}
