"""Patterns drawn as piano rolls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from common.drums import PARTS
from common.figure import GRID, new_figure, shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 32


def pattern_figure(
    patterns: Sequence[tuple[str, np.ndarray]], columns: int = 2, width: float = 4.2
) -> Figure:
    """Draw patterns ``[27, 32]`` with their titles: shade is velocity, shift is microtiming."""
    parts = len(PARTS)
    columns = min(columns, len(patterns))
    rows = -(-len(patterns) // columns)
    figure, axes = new_figure(rows, columns, width * columns, 1.9 * rows)
    for axis in axes.flat[len(patterns) :]:
        axis.remove()
    for axis, (title, pattern) in zip(axes.flat, patterns, strict=False):
        part, step = np.nonzero(pattern[:parts] >= 0.5)
        velocity = pattern[parts : 2 * parts][part, step]
        lateness = pattern[2 * parts :][part, step]
        axis.scatter(
            *(step + lateness, part),
            **{"c": velocity, "vmin": -0.2, "vmax": 1, "cmap": shades(), "marker": "s", "s": 16},
            linewidths=0,
        )
        for beat in range(0, STEPS + 1, 4):
            axis.axvline(beat - 0.5, color=GRID, lw=0.6 + 0.8 * (beat % 16 == 0), zorder=0)
        axis.set(xlim=(-0.8, STEPS - 0.2), ylim=(-0.7, parts - 0.3))
        axis.set_xticks(range(0, STEPS, 4), [str(beat % 4 + 1) for beat in range(STEPS // 4)], fontsize=7)
        axis.set_yticks(range(parts), [name.replace("_", " ") for name in PARTS], fontsize=7)
        if title:
            axis.set_title(title)
    for axis in axes[-1]:
        axis.set_xlabel("beat", fontsize=7.5)
    return figure
