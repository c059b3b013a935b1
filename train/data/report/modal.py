"""What the report says about patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.figure import COLOURS, new_figure
from common.page import Finding, Page, Sound
from train.data.kinds.modal import PatchFacts, PatchItem
from train.data.manifest import Manifest, Notes
from train.data.report.players import Players, item_player
from train.data.report.splits import split_bars
from train.models.modal.parameters import NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12
QUIET = 0.05
FEW = 2_000


class PatchSummary(TypedDict):
    """What ``report.json`` says of patches alone: how many were silent, and how loud the others are."""

    silent: int
    quiet: int
    median_peak: float


def hear(items: list[PatchItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the player of a patch: its stroke, rendered again."""

    def of(index: int) -> list[Sound]:
        import torch

        from train.models.modal.sound import stroke

        item = items[index]
        with torch.no_grad():
            sound = stroke(torch.from_numpy(np.array(arrays["positions"][index : index + 1])))[0].numpy()
        return [
            item_player(item["name"], sound[:SAMPLE_RATE_HZ], f"{item['label']}, peak {item['peak']:.2f}")
        ]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[PatchItem, Notes],
    facts: list[PatchFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], PatchSummary]:
    """Write the sections for patches; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    labels = [item["label"] for item in items]
    page.section("Exciters and splits", "Every patch is on a side by itself.").picture(
        split_bars(labels, [item["split"] for item in items]), "Patches per exciter and split"
    )
    page.section("Positions", "How often each knob stands where.").picture(
        _positions(np.asarray(arrays["positions"])), "A histogram of each parameter's positions"
    )
    section = page.section("Some patches")
    for index in np.linspace(0, len(items) - 1, min(SHOWN, len(items))).astype(int):
        section.sounds(players.hear(int(index)))
    peaks = np.array([item["peak"] for item in items])
    silent = sum(fact["silent"] for fact in facts)
    summary: PatchSummary = {
        "silent": silent,
        "quiet": int((peaks < QUIET).sum()),
        "median_peak": round(float(np.median(peaks)), 3),
    }
    return _findings(len(items), summary), summary


def _findings(count: int, summary: PatchSummary) -> list[Finding]:
    found = [
        Finding(
            "fine",
            f"{summary['silent']} patches are silent and left out; {summary['quiet']} of {count:,} are "
            f"quieter than {QUIET:g} of full scale, and all are brought there before they are seen.",
        )
    ]
    if count < FEW:
        found.append(
            Finding("look", f"There are {count:,} patches; an encoder needs thousands to tell sixteen knobs.")
        )
    return found


def _positions(positions: np.ndarray) -> Figure:
    figure, axes = new_figure(4, 4, 11, 6)
    for at, (name, place) in enumerate(zip(NAMES, axes.flat, strict=True)):
        place.hist(positions[:, at], bins=20, range=(0, 1), color=COLOURS[0])
        place.set_title(name)
        place.set_yticks([])
    return figure
