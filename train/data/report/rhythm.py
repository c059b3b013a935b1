"""What the report says about rhythms."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import PARTS
from common.figure import COLOURS, new_figure, shades
from common.page import Finding, Page, Sound, Value, picture, sound_source
from train.data.kinds.rhythm import RhythmFacts, RhythmItem
from train.data.manifest import Manifest, Notes
from train.data.report.modes import MODE_COLUMNS, landscape, words_for
from train.data.report.players import Players
from train.data.report.splits import split_bars
from train.piano_roll import pattern_figure
from train.sonify import sonify

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_STYLES = 12


class RhythmSummary(TypedDict):
    """What ``report.json`` says of rhythms alone: windows by metre and style, strokes by part."""

    meters: dict[str, int]
    styles: dict[str, int]
    fills: int
    strokes: dict[str, int]
    distinct_onset_grids: int
    held_out_also_in_train: int


@dataclasses.dataclass(frozen=True)
class Repeats:
    """How many grids of onsets are distinct, and the held-out items whose grid another split has too."""

    distinct: int
    held_out: list[int]


def hear(items: list[RhythmItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the player of an item: its pattern on plain drums, at its own tempo."""
    from scipy.signal import resample_poly

    patterns = arrays["patterns"]

    def of(index: int) -> list[Sound]:
        item = items[index]
        title = f"{item['name']}, bar {item['bar'] + 1}"
        drawn = picture(pattern_figure([("", patterns[index])], width=3.3), f"Piano roll of {title}")
        plain = resample_poly(sonify(patterns[index], item["bpm"]), 1, 2)  # half the size
        note = f"{item['style'].replace('_', ' ')}, {item['bpm']:.0f} beats per minute"
        return [Sound(title, sound_source(plain, SAMPLE_RATE_HZ // 2), drawn, note)]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[RhythmItem, Notes],
    facts: list[RhythmFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], RhythmSummary]:
    """Write the sections for rhythms; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    grids = np.asarray(arrays["patterns"])
    onsets = grids[:, :9] > 0
    styles = [item["style"] for item in items]
    splits = [item["split"] for item in items]
    page.section("Styles and splits", "Windows of one performance are always on one side.").picture(
        split_bars(styles, splits), "Windows per style and split"
    )
    page.section(
        "What each style plays",
        "How often each part sounds on each sixteenth of two bars, over all windows that are no fills.",
    ).picture(_portraits(onsets, styles, items), "Mean onset grid of the most frequent styles")
    page.section("Hands", "Where strokes fall against the grid, how hard, and how many there are.").picture(
        _hands(grids, onsets, items), "Histograms of microtiming, velocity, density and tempo"
    )
    page.section("Parts").table(
        ["part", "strokes", "in windows", "mean velocity", "mean lateness, steps", "spread, steps"],
        [_part(number, grids, onsets) for number in range(9)],
    )
    meters = Counter(item["meter"] for item in items)
    section = page.section("Metres and files")
    section.table(["metre", "windows"], [[name, count] for name, count in meters.most_common()])
    ticks = Counter(f["ticks_per_beat"] for f in facts)
    section.table(["ticks per beat", "files"], [[name, count] for name, count in ticks.most_common()])
    seen = landscape(onsets.reshape(len(items), -1).astype(np.float32)[:6000], styles[:6000])
    if seen is not None:
        section = page.section("Modes", "Clusters of patterns by their onsets.")
        section.table(
            MODE_COLUMNS, [words_for(mode, str, items[mode.example]["name"]) for mode in seen.modes]
        )
        section.note("The typical pattern of each mode, on plain drums. Shade is velocity.")
        section.sounds(
            dataclasses.replace(sound, title=f"mode {mode.number}: {sound.title}")
            for mode in seen.modes
            for sound in players.hear(mode.example)
        )
    fills = sum(item["fill"] for item in items)
    repeats = _repeats(items, onsets)
    return _findings(repeats, fills, items, onsets, facts, meters), {
        "meters": dict(meters),
        "styles": dict(Counter(styles)),
        "fills": fills,
        "strokes": {name: int(onsets[:, number].sum()) for number, name in enumerate(PARTS)},
        "distinct_onset_grids": repeats.distinct,
        "held_out_also_in_train": len(repeats.held_out),
    }


def _repeats(items: list[RhythmItem], onsets: np.ndarray) -> Repeats:
    shapes: dict[bytes, list[int]] = {}
    for index, grid in enumerate(np.packbits(onsets.reshape(len(items), -1), axis=1)):
        shapes.setdefault(grid.tobytes(), []).append(index)
    crossing = [i for same in shapes.values() if len({items[k]["split"] for k in same}) > 1 for i in same]
    return Repeats(len(shapes), [i for i in crossing if items[i]["split"] != "train"])


def _findings(
    repeats: Repeats,
    fills: int,
    items: list[RhythmItem],
    onsets: np.ndarray,
    facts: list[RhythmFacts],
    meters: Counter[str],
) -> list[Finding]:
    found: list[Finding] = []
    held_out = repeats.held_out
    if repeats.distinct < len(items):
        found.append(
            Finding(
                "fine",
                f"{repeats.distinct:,} of {len(items):,} windows are distinct in their onsets; the rest "
                "repeat (velocity and timing still differ).",
            )
        )
    if held_out:
        found.append(
            Finding(
                "look",
                f"{len(held_out)} validation or test windows have onsets that another split has "
                "too: common beats. Scores on them measure memory; score on the others as well.",
                [items[i]["name"] for i in held_out[:200]],
            )
        )
    if fills:
        found.append(
            Finding(
                "fine",
                f"{fills:,} windows are fills; they are marked, and split('train', fill=False) "
                "leaves them out.",
            )
        )
    other = {name: count for name, count in meters.items() if name != "4/4"}
    if other:
        told = ", ".join(f"{count} in {name}" for name, count in other.items())
        found.append(
            Finding(
                "fine",
                f"Not everything is in 4/4: {told}. Their windows use fewer than 32 steps ('steps' "
                "says how many).",
                sorted({item["file"] for item in items if item["meter"] != "4/4"}),
            )
        )
    strange: Counter[int] = Counter()
    for fact in facts:
        strange.update(fact.get("unmapped_notes", []))
    if strange:
        told = ", ".join(f"{note} (in {count} files)" for note, count in strange.most_common(8))
        found.append(
            Finding(
                "look",
                f"Some MIDI notes have no place among the nine parts and were dropped: {told}. "
                "See --drum-map.",
                [fact["file"] for fact in facts if fact.get("unmapped_notes")],
            )
        )
    moved = [fact["file"] for fact in facts if "channel" in fact]
    if moved:
        found.append(
            Finding(
                "look",
                f"{len(moved)} files have no notes on channel 10; their only channel was taken for drums.",
                moved,
            )
        )
    empty = sum(fact["empty_windows"] for fact in facts)
    if empty:
        found.append(Finding("fine", f"{empty:,} windows had fewer than four strokes and were not kept."))
    silent = [PARTS[v].replace("_", " ") for v in range(9) if not onsets[:, v].any()]
    if silent:
        found.append(Finding("look", f"Nobody plays {', '.join(silent)}; the model will not either."))
    return found


def _part(number: int, grids: np.ndarray, onsets: np.ndarray) -> list[Value]:
    here = onsets[:, number]
    timing = grids[:, 18 + number][here]
    velocity = grids[:, 9 + number][here]
    name = PARTS[number].replace("_", " ")
    if not len(timing):
        return [name, 0, "0 %", None, None, None]
    return [
        name,
        int(here.sum()),
        f"{100 * here.any(axis=1).mean():.0f} %",
        f"{velocity.mean():.2f}",
        f"{timing.mean():+.3f}",
        f"{timing.std():.3f}",
    ]


def _portraits(onsets: np.ndarray, styles: list[str], items: list[RhythmItem]) -> Figure:
    beats = np.array([not item["fill"] for item in items])
    if not beats.any():
        beats[:] = True
    common = [name for name, _ in Counter(np.array(styles)[beats].tolist()).most_common(SHOWN_STYLES)]
    columns = 3
    rows = -(-len(common) // columns)
    figure, axes = new_figure(rows, columns, 11, 1.75 * rows)
    for axis in axes.flat[len(common) :]:
        axis.remove()
    for number, (axis, name) in enumerate(zip(axes.flat, common, strict=False)):
        chosen = beats & (np.array(styles) == name)
        axis.imshow(onsets[chosen].mean(axis=0), origin="lower", aspect="auto", cmap=shades(), vmin=0, vmax=1)
        axis.set_title(f"{name.replace('_', ' ')} ({int(chosen.sum()):,})", loc="left")
        axis.set_xticks([0, 8, 16, 24], ["1", "3", "1", "3"])
        if number + columns >= len(common):
            axis.set_xlabel("beat of two bars")
        axis.set_yticks(
            range(9), [v.replace("_", " ") for v in PARTS] if number % columns == 0 else [""] * 9, fontsize=7
        )
    return figure


def _hands(grids: np.ndarray, onsets: np.ndarray, items: list[RhythmItem]) -> Figure:
    figure, axes = new_figure(1, 4, 11, 2.4)
    axes[0, 0].hist(grids[:, 18:][onsets], bins=np.linspace(-0.5, 0.5, 61), color=COLOURS[0])
    axes[0, 0].set_title("microtiming, steps (late is right)")
    axes[0, 1].hist(grids[:, 9:18][onsets], bins=np.linspace(0, 1, 41), color=COLOURS[2])
    axes[0, 1].set_title("velocity")
    axes[0, 2].hist(onsets.sum(axis=(1, 2)), bins=40, color=COLOURS[1])
    axes[0, 2].set_title("strokes in a window")
    axes[0, 3].hist([item["bpm"] for item in items], bins=40, color=COLOURS[3])
    axes[0, 3].set_title("tempo, bpm")
    return figure
