"""How many items of each label every split has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLIT_COLOURS = {"train": COLOURS[0], "validation": COLOURS[4], "test": COLOURS[1]}


def split_bars(labels: list[str], splits: list[str], width: float = 7.5) -> Figure:
    """Horizontal bars of how many items each label has in each split, the most frequent on top."""
    names = sorted(set(labels), key=lambda label: (labels.count(label), label))
    figure, axes = new_figure(width=width, height=0.7 + 0.27 * len(names))
    axis = axes[0, 0]
    left = [0] * len(names)
    shown = [name.replace("_", " ") for name in names]
    for split, colour in SPLIT_COLOURS.items():
        counts = [
            sum(a == name and b == split for a, b in zip(labels, splits, strict=True)) for name in names
        ]
        axis.barh(shown, counts, left=left, color=colour, label=split, height=0.7)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    for name, total in zip(shown, left, strict=True):
        axis.text(total, name, f" {total:,}", va="center", fontsize=8)
    axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    axis.set_xlabel("items")
    return figure
