"""What the report says about what an ear learns from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal, TypedDict

import numpy as np

from common.drums import CLASSES, PARTS
from common.page import Cell, Finding, Page, Sound
from train.data.kinds.ear import OTHER, PATTERN, STROKE, EarFacts, EarItem, EarNotes
from train.data.manifest import Manifest
from train.data.report.players import Players, item_player
from train.data.report.splits import split_bars

LEAST_MINUTES = 5.0
"""Of what is no drum: with less, strings and breaths are taken for strokes."""
FEW_INSTRUMENTS = 5


class EarSummary(TypedDict):
    """What ``report.json`` says of it alone: one-shots by class, minutes by folder, strokes by part."""

    classes: dict[str, int]
    strokes: dict[str, int]
    minutes: dict[str, float]


def hear(items: list[EarItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the player of an item; a performance has none."""
    audio, borders = arrays["audio"], arrays["offsets"]

    def of(index: int) -> list[Sound]:
        item = items[index]
        if not item["samples"]:
            return []
        sound = audio[borders[index] : borders[index + 1]].astype(np.float32) / 32767
        return [item_player(item["name"], sound, item["label"].replace("_", " "))]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[EarItem, EarNotes],
    facts: list[EarFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], EarSummary]:
    """Write the sections; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    shots = [item for item in items if item["sort"] == STROKE]
    page.section("One-shots", "An instrument is on one side whole, with what sounds like it.").picture(
        split_bars([item["label"] for item in shots], [item["split"] for item in shots]),
        "One-shots per class and split",
    )
    struck = np.bincount(np.asarray(arrays["strokes"])[:, 1].astype(int), minlength=len(PARTS))
    page.section("Performances", "A drummer is on one side whole.").table(
        ["part", "strokes"], [[name, f"{int(struck[at]):,}"] for at, name in enumerate(PARTS)]
    )
    minutes: dict[str, float] = {}
    for item in items:
        if item["sort"] == OTHER:
            minutes[item["label"]] = minutes.get(item["label"], 0.0) + item["seconds"] / 60
    page.section("What is no drum", "A folder is on one side whole.").table(
        ["folder", "minutes"], [[Cell(name, code=True), f"{told:.1f}"] for name, told in minutes.items()]
    )
    return _findings(items, facts, minutes), {
        "classes": dict(Counter(item["label"] for item in shots)),
        "strokes": {name: int(struck[at]) for at, name in enumerate(PARTS)},
        "minutes": minutes,
    }


def _findings(items: list[EarItem], facts: list[EarFacts], minutes: dict[str, float]) -> list[Finding]:
    found: list[Finding] = []

    def note(level: Literal["fix", "look", "fine"], text: str, files: list[str] | None = None) -> None:
        found.append(Finding(level, text, files or []))

    for label in CLASSES:
        instruments = {i["group"] for i in items if i["sort"] == STROKE and i["label"] == label}
        if len(instruments) < FEW_INSTRUMENTS:
            note("look", f"{len(instruments)} instruments of the class {label}: it will miss unknown ones.")
    total = sum(minutes.values())
    note(
        "fine" if total >= LEAST_MINUTES else "look",
        f"{total:.1f} minutes of what is no drum; with less than {LEAST_MINUTES:.0f}, other sounds are taken "
        "for strokes.",
    )
    drummers = {item["group"] for item in items if item["sort"] == PATTERN}
    if len(drummers) < 3:
        note("look", f"{len(drummers)} drummers; with three, one is left to choose by and one to test on.")
    clipped = [fact["file"] for fact in facts if fact["clipped"] > 100]
    if clipped:
        note("look", f"{len(clipped)} files are clipped.", clipped)
    return found
