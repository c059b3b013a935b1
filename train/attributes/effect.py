"""The parameters of effects as the manifest of a data set tells them: which is the amount, how they scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

# Which parameter of an effect is its amount, looked for in this order, and whether more of it distorts more
AMOUNTS = (("drive_db", 1), ("gain", 1), ("folds", 1), ("threshold_db", -1), ("bit_depth", -1), ("amount", 1))


class Setting(TypedDict):
    """An effect and how it was set: that much of an item of drive."""

    effect: str
    parameters: dict[str, Any]


def amount_of(parameters: dict[str, float] | None) -> tuple[str, float] | None:
    """The parameter that says how much an effect distorts, and its value with "more" upwards."""
    for ending, direction in AMOUNTS:
        for name, value in (parameters or {}).items():
            if name.rpartition(".")[2] == ending:
                return name, direction * float(value)
    return None


@dataclass(frozen=True)
class Scale:
    """Mean and spread of a parameter over the training pairs of one effect."""

    name: str
    mean: float
    spread: float


@dataclass(frozen=True)
class ParameterTable:
    """What can be read of each effect, standardised.

    Attributes
    ----------
    latents : int
        Coordinates there are.
    effects : tuple of str
        In the order of their numbers.
    scales : tuple of tuple of Scale
        Of each effect the parameters that vary, the amount first, at most as many as coordinates.
    """

    latents: int
    effects: tuple[str, ...]
    scales: tuple[tuple[Scale, ...], ...]

    @classmethod
    def of(cls, items: Sequence[Setting], latents: int) -> ParameterTable:
        """Measure it on training items."""
        effects = tuple(sorted({item["effect"] for item in items}))
        scales = []
        for effect in effects:
            rows = [item["parameters"] or {} for item in items if item["effect"] == effect]
            found = []
            for name in sorted(set().union(*rows)):
                values = [float(row[name]) for row in rows if isinstance(row.get(name), (int, float))]
                if len(values) == len(rows) and np.std(values) > 1e-9:
                    found.append(Scale(name, float(np.mean(values)), float(np.std(values))))
            first = amount_of(rows[0])
            found.sort(key=lambda scale: (first is None or scale.name != first[0], scale.name))
            scales.append(tuple(found[:latents]))
        return cls(latents, effects, tuple(scales))

    def known(self) -> np.ndarray:
        """1 where a coordinate is a parameter, else 0, ``[effects, latents]``."""
        known = np.zeros((len(self.effects), self.latents), np.float32)
        for row, scales in zip(known, self.scales, strict=True):
            row[: len(scales)] = 1
        return known

    def standardised(self, items: Sequence[Setting]) -> np.ndarray:
        """Parameters of items as coordinates, NaN where there are none, ``[N, latents]`` float32."""
        out = np.full((len(items), self.latents), np.nan, np.float32)
        for row, item in zip(out, items, strict=True):
            if item["effect"] not in self.effects:
                continue
            for column, scale in enumerate(self.scales[self.effects.index(item["effect"])]):
                value = (item["parameters"] or {}).get(scale.name)
                if isinstance(value, (int, float)):
                    row[column] = (float(value) - scale.mean) / scale.spread
        return out

    def as_json(self) -> dict[str, Any]:
        """Plain lists and dictionaries."""
        return {
            "latents": self.latents,
            "effects": list(self.effects),
            "scales": [[[s.name, s.mean, s.spread] for s in scales] for scales in self.scales],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ParameterTable:
        """Back from :meth:`as_json`."""
        scales = tuple(tuple(Scale(*row) for row in rows) for rows in value["scales"])
        return cls(value["latents"], tuple(value["effects"]), scales)
