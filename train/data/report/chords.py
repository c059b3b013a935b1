"""What the report says about songs as chords."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from common.chords import CHORDS, DEGREES, QUALITIES, SLOTS, name_of
from common.figure import COLOURS, new_figure
from common.page import Finding, Page, Sound, picture, sound_source
from train.chord_sound import SLOT_S, chords_figure, chords_sound
from train.data.kinds.chords import ChordsFacts, ChordsItem
from train.data.manifest import Manifest, Notes
from train.data.report.players import Players
from train.data.report.splits import split_bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE_HZ = 24_000
SHOWN_CHORDS = 24


class ChordsSummary(TypedDict):
    """What ``report.json`` says of chords alone: songs, titles, how many chords and windows are distinct."""

    songs: int
    titles: int
    chords: dict[str, int]
    distinct_windows: int
    held_out_also_in_train: int
    changes_per_bar: float


def hear(items: list[ChordsItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the player of an item: its chords, in C."""

    def of(index: int) -> list[Sound]:
        item, chords = items[index], np.asarray(arrays["chords"][index])
        title = f"{item['name']}, bar {item['bar'] + 1}"
        drawn = picture(chords_figure([("", chords)], width=4.0), f"Chords of {title}")
        source = sound_source(chords_sound(chords, RATE_HZ), RATE_HZ)
        return [Sound(title, source, drawn, f"{SLOT_S:g} s for each half of a bar")]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[ChordsItem, Notes],
    facts: list[ChordsFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], ChordsSummary]:
    """Write the sections for chords; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    windows = np.asarray(arrays["chords"])
    counts = np.bincount(windows.ravel(), minlength=CHORDS)
    page.section("Modes and splits", "Songs of one title are always on one side.").picture(
        split_bars([item["mode"] for item in items], [item["split"] for item in items]),
        "Windows per mode and split",
    )
    common = np.argsort(-counts)[:SHOWN_CHORDS]
    share = counts / counts.sum()
    page.section("Chords", "Roots are counted from the tonic.").table(
        ["chord", "share of all halves of bars"],
        [[name_of(int(n)), f"{100 * share[n]:.1f} %"] for n in common if counts[n]],
    )
    page.section("Roots and qualities").picture(_roots(counts), "How often each root and quality is heard")
    section = page.section("Some windows", "The first of the most distant songs.")
    for index in np.linspace(0, len(items) - 1, 3).astype(int):
        section.sounds(players.hear(int(index)))
    changed = windows[:, 1:] != windows[:, :-1]
    keys = [row.tobytes() for row in windows]
    train = {key for key, item in zip(keys, items, strict=True) if item["split"] == "train"}
    crossing = [
        item["name"]
        for key, item in zip(keys, items, strict=True)
        if item["split"] != "train" and key in train
    ]
    distinct = len(set(keys))
    titles = len({item["group"] for item in items})
    return _findings(items, facts, crossing, distinct, titles), {
        "songs": len(facts),
        "titles": titles,
        "chords": {name_of(int(n)): int(counts[n]) for n in np.argsort(-counts) if counts[n]},
        "distinct_windows": distinct,
        "held_out_also_in_train": len(crossing),
        "changes_per_bar": float(changed.mean() * (SLOTS - 1) / (SLOTS / 2)),
    }


def _findings(
    items: list[ChordsItem], facts: list[ChordsFacts], crossing: list[str], distinct: int, titles: int
) -> list[Finding]:
    found = [
        Finding("fine", f"{distinct:,} of {len(items):,} windows are distinct; songs repeat themselves.")
    ]
    if titles < len(facts):
        found.append(
            Finding(
                "fine",
                f"{len(facts):,} files are {titles:,} titles; files of one title are on one side.",
            )
        )
    if crossing:
        found.append(
            Finding(
                "look",
                f"{len(crossing):,} validation or test windows are in the training data too, note for "
                "note: common progressions. Scores on them measure memory.",
                crossing[:200],
            )
        )
    modulating = [fact["file"] for fact in facts if len(set(fact["tonics"])) > 1]
    if modulating:
        found.append(
            Finding(
                "fine",
                f"{len(modulating)} songs change their tonic; chords are counted from the one that holds.",
                modulating,
            )
        )
    guessed = [fact["file"] for fact in facts if fact["bar_s"]]
    if guessed:
        found.append(
            Finding(
                "look",
                f"{len(guessed)} files have times and no bars; a bar lasts as long as their middle chord, "
                "unless a line '# bar: 2.0' says how many seconds.",
                guessed,
            )
        )
    silent = sum(fact["silent_bars"] for fact in facts)
    if silent:
        bars = sum(fact["bars"] for fact in facts)
        found.append(Finding("fine", f"{silent:,} of {bars:,} bars hold no chord; no window has one."))
    if titles < 10:
        found.append(Finding("look", f"All comes from {titles} titles; a model would learn them by heart."))
    return found


def _roots(counts: np.ndarray) -> Figure:
    grid = counts.reshape(12, len(QUALITIES))
    figure, axes = new_figure(1, 2, 11, 2.6)
    axes[0, 0].bar(range(12), grid.sum(1), color=COLOURS[0])
    axes[0, 0].set_xticks(range(12), DEGREES)
    axes[0, 0].set_title("roots")
    axes[0, 1].bar(range(len(QUALITIES)), grid.sum(0), color=COLOURS[1])
    axes[0, 1].set_xticks(range(len(QUALITIES)), list(QUALITIES))
    axes[0, 1].set_title("qualities")
    return figure
