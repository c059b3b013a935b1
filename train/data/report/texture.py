"""What the report says about recordings of any length."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Literal, TypedDict

import numpy as np

from common.page import Cell, Finding, Page, Sound
from common.spectrogram import RELATIVE_RANGE
from train.data.kinds.texture import TextureFacts, TextureItem
from train.data.manifest import Manifest, Notes
from train.data.report.levels import INTEGER_SCALE, INTEGER_SCALE_DB
from train.data.report.modes import MODE_COLUMNS, landscape, words_for
from train.data.report.players import Players, item_player
from train.data.report.splits import split_bars

ADVISED_HOURS = (1.0, 3.0)
"""Per mode, as teachers of RAVE advise (Caillon and Esling 2021 trained on 3 to 30 hours)."""
DULL_HZ = (4500.0, 8000.0)
"""An item that ends below one of these was recorded dull, or is."""
CLICK_CREST_DB = 30.0
MOST_SILENCE = 0.5
MANY_CLIPPED = 100
OFFSET = 0.005
MAX_FOLDERS = 40


class TextureSummary(TypedDict):
    """What ``report.json`` says of recordings alone: seconds by folder, and how many modes there are."""

    seconds: float
    silent_seconds: float
    folders: dict[str, float]
    modes: int


def hear(items: list[TextureItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the player of an item."""
    borders = arrays["offsets"]

    def of(index: int) -> list[Sound]:
        item = items[index]
        audio = arrays["audio"][borders[index] : borders[index + 1]].astype(np.float32) / 32768
        return [item_player(item["name"], audio, f"peak {item['peak_db']:.1f} dBFS")]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[TextureItem, Notes],
    facts: list[TextureFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], TextureSummary]:
    """Write the sections for recordings; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    folders: dict[str, float] = defaultdict(float)
    for item in items:
        folders[item["label"]] += item["seconds"]
    labels = [item["label"] for item in items]
    page.section("Folders and splits", "A file is on one side whole, with its other takes.").picture(
        split_bars(labels, [item["split"] for item in items]), "Items per folder and split"
    )
    page.section("How much of each").table(
        ["folder", "minutes"],
        [
            [Cell(name, code=True), f"{folders[name] / 60:.1f}"]
            for name in sorted(folders, key=lambda n: -folders[n])[:MAX_FOLDERS]
        ],
    )
    seen = landscape(np.asarray(arrays["pictures"])[:6000], labels[:6000])
    if seen is not None:
        section = page.section("Modes", f"Clusters of items by their mean spectrum. {RELATIVE_RANGE}")
        section.table(
            MODE_COLUMNS, [words_for(mode, str, items[mode.example]["name"]) for mode in seen.modes]
        )
        section.sounds(
            dataclasses.replace(one, title=f"mode {mode.number}: {one.title}")
            for mode in seen.modes
            for one in players.hear(mode.example)
        )
    modes = len(seen.modes) if seen is not None else 1
    seconds = sum(item["seconds"] for item in items)
    silent = sum(fact["silent_seconds"] for fact in facts)
    return _findings(items, facts, modes), {
        "seconds": seconds,
        "silent_seconds": silent,
        "folders": dict(folders),
        "modes": modes,
    }


def _findings(items: list[TextureItem], facts: list[TextureFacts], modes: int) -> list[Finding]:
    found: list[Finding] = []

    def note(level: Literal["fix", "look", "fine"], text: str, files: list[str]) -> None:
        found.append(Finding(level, text, list(dict.fromkeys(files))))

    hours = sum(item["seconds"] for item in items) / 3600
    least, most = ADVISED_HOURS
    note(
        "fine" if hours >= least * modes else "look",
        f"{60 * hours:.1f} minutes in {modes} {'mode' if modes == 1 else 'modes'}. {least:.0f} to {most:.0f} "
        "hours a mode are advised; with less, sounds that were never heard come out less like themselves.",
        [],
    )
    whole = sum(fact["seconds"] for fact in facts)
    silent = sum(fact["silent_seconds"] for fact in facts)
    note(
        "look" if silent > MOST_SILENCE * whole else "fine",
        f"{silent / 60:.1f} of {whole / 60:.1f} minutes were silence longer than a second and taken out; a "
        "second of each was kept, so that the model learns to be silent.",
        [fact["file"] for fact in facts if fact["silent_seconds"] > MOST_SILENCE * fact["seconds"]],
    )
    for low, high in pairwise((0.0, *DULL_HZ)):
        dull = [fact["file"] for fact in facts if low <= fact["highest_hz"] < high]
        if dull:
            note("look", f"{len(dull)} items have nothing above {high / 1000:.0f} kHz to learn.", dull)
    clicks = [fact["file"] for fact in facts if fact["crest_db"] > CLICK_CREST_DB]
    if clicks:
        note(
            "look",
            f"{len(clicks)} items are hardly more than clicks: their peak is over 30 dB above their mean.",
            clicks,
        )
    cancelled = [fact["file"] for fact in facts if fact["mono"].startswith("channel")]
    if cancelled:
        note(
            "look",
            f"The channels of {len(set(cancelled))} files cancel each other; the loudest one was taken.",
            cancelled,
        )
    loud = [fact["file"] for fact in facts if fact["peak_db"] > INTEGER_SCALE_DB]
    if loud:
        note("fix", INTEGER_SCALE.format(count=len(set(loud))), loud)
    clipped = [fact["file"] for fact in facts if fact["clipped"] > MANY_CLIPPED]
    if clipped:
        note("look", f"{len(set(clipped))} files are clipped.", clipped)
    offset = [fact["file"] for fact in facts if abs(fact["dc"]) > OFFSET]
    if offset:
        note("fine", f"{len(set(offset))} files had a DC offset; it was taken out.", offset)
    groups = {item["group"] for item in items}
    if len({item["file"] for item in items}) == 1:
        note(
            "fix",
            "All comes from one file, so nothing is held back to test on; add a second recording.",
            [next(iter(groups))],
        )
    return found
