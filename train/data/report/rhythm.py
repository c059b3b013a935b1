"""What the report says about rhythms."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from common.drums import PARTS
from train.data.report.modes import MODE_COLUMNS, landscape, words_for
from train.data.report.page import COLOURS, Page, new_figure, split_bars


def describe(
    page: Page,
    summary: dict[str, Any],
    manifest: dict[str, Any],
    facts: list[dict[str, Any]],
    arrays: dict[str, np.ndarray],
) -> list[dict[str, Any]]:
    """Write the sections for rhythms; returns the findings."""
    items = manifest["items"]
    grids = np.asarray(arrays["patterns"])
    onsets = grids[:, :9] > 0
    styles = [item["style"] for item in items]
    splits = [item["split"] for item in items]
    page.heading("Styles and splits", "Windows of one performance are always on one side.")
    page.figure(split_bars(styles, splits), "Windows per style and split")
    page.heading(
        "What each style plays",
        "How often each voice sounds on each sixteenth, over all windows that are no fills.",
    )
    page.figure(_portraits(onsets, styles, items), "Mean onset grid of the most frequent styles")
    page.heading("Hands", "Where strokes fall against the grid, how hard, and how many there are.")
    page.figure(_hands(grids, onsets, items), "Histograms of microtiming, velocity, density and tempo")
    page.heading("Voices")
    page.table(
        ["voice", "strokes", "in windows", "mean velocity", "mean lateness, steps", "spread, steps"],
        [_voice(number, grids, onsets) for number in range(9)],
    )
    meters = Counter(item["meter"] for item in items)
    page.heading("Metres and files")
    page.table(["metre", "windows"], [[name, count] for name, count in meters.most_common()])
    ticks = Counter(f["ticks_per_beat"] for f in facts)
    page.table(["ticks per beat", "files"], [[name, count] for name, count in ticks.most_common()])
    seen = landscape(onsets.reshape(len(items), -1).astype(np.float32)[:6000], styles[:6000])
    if seen is not None:
        page.heading("Modes", "Clusters of patterns by their onsets.")
        page.table(MODE_COLUMNS, [words_for(mode, items[mode.example]["name"]) for mode in seen.modes])
    fills = sum(item["fill"] for item in items)
    summary["meters"], summary["styles"] = dict(meters), dict(Counter(styles))
    summary["fills"] = fills
    summary["strokes"] = {name: int(onsets[:, number].sum()) for number, name in enumerate(PARTS)}
    return _findings(summary, items, onsets, facts, meters)


def _findings(
    summary: dict[str, Any],
    items: list[dict[str, Any]],
    onsets: np.ndarray,
    facts: list[dict[str, Any]],
    meters: Counter[str],
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    shapes: dict[bytes, list[int]] = {}
    for index, grid in enumerate(np.packbits(onsets.reshape(len(items), -1), axis=1)):
        shapes.setdefault(grid.tobytes(), []).append(index)
    repeated = len(items) - len(shapes)
    crossing = [i for same in shapes.values() if len({items[k]["split"] for k in same}) > 1 for i in same]
    held_out = [i for i in crossing if items[i]["split"] != "train"]
    summary["distinct_onset_grids"], summary["held_out_also_in_train"] = len(shapes), len(held_out)
    if repeated:
        found.append(
            {
                "level": "fine",
                "text": f"{len(shapes):,} of {len(items):,} windows are distinct in their onsets; the rest "
                "repeat (velocity "
                "and timing still differ).",
                "files": [],
            }
        )
    if held_out:
        found.append(
            {
                "level": "look",
                "text": f"{len(held_out)} validation or test windows have onsets that another split has "
                "too: common "
                "beats. Scores on them measure memory; score on the others as well.",
                "files": [items[i]["name"] for i in held_out[:200]],
            }
        )
    fills = summary["fills"]
    if fills:
        found.append(
            {
                "level": "fine",
                "text": f"{fills:,} windows are fills; they are marked, and split('train', fill=False) "
                "leaves them out.",
                "files": [],
            }
        )
    other = {name: count for name, count in meters.items() if name != "4/4"}
    if other:
        told = ", ".join(f"{count} in {name}" for name, count in other.items())
        found.append(
            {
                "level": "fine",
                "text": f"Not everything is in 4/4: {told}. Their windows use fewer than 32 steps ('steps' "
                "says how many).",
                "files": sorted({item["file"] for item in items if item["meter"] != "4/4"}),
            }
        )
    strange: Counter[int] = Counter()
    for fact in facts:
        strange.update(fact.get("unmapped_notes", []))
    if strange:
        told = ", ".join(f"{note} (in {count} files)" for note, count in strange.most_common(8))
        found.append(
            {
                "level": "look",
                "text": f"Some MIDI notes have no place among the nine voices and were dropped: {told}. "
                "See --drum-map.",
                "files": [fact["file"] for fact in facts if fact.get("unmapped_notes")],
            }
        )
    moved = [fact["file"] for fact in facts if "channel" in fact]
    if moved:
        found.append(
            {
                "level": "look",
                "text": f"{len(moved)} files have no notes on channel 10; their only channel was taken for "
                "drums.",
                "files": moved,
            }
        )
    empty = sum(fact["empty_windows"] for fact in facts)
    if empty:
        found.append(
            {
                "level": "fine",
                "text": f"{empty:,} windows had fewer than four strokes and were not kept.",
                "files": [],
            }
        )
    silent = [PARTS[v] for v in range(9) if not onsets[:, v].any()]
    if silent:
        found.append(
            {
                "level": "look",
                "text": f"Nobody plays {', '.join(silent)}; the model will not either.",
                "files": [],
            }
        )
    return found


def _voice(number: int, grids: np.ndarray, onsets: np.ndarray) -> list[Any]:
    here = onsets[:, number]
    timing = grids[:, 18 + number][here]
    velocity = grids[:, 9 + number][here]
    if not len(timing):
        return [PARTS[number], 0, "0 %", None, None, None]
    share = f"{100 * here.any(axis=1).mean():.0f} %"
    return [
        PARTS[number],
        int(here.sum()),
        share,
        f"{velocity.mean():.2f}",
        f"{timing.mean():+.3f}",
        f"{timing.std():.3f}",
    ]


def _portraits(onsets: np.ndarray, styles: list[str], items: list[dict[str, Any]]) -> Any:
    beats = np.array([not item["fill"] for item in items])
    if not beats.any():
        beats[:] = True
    common = [name for name, _ in Counter(np.array(styles)[beats].tolist()).most_common(12)]
    columns = 3
    rows = -(-len(common) // columns)
    figure, axes = new_figure(rows, columns, 11, 1.75 * rows)
    for axis in axes.flat[len(common) :]:
        axis.remove()
    for number, (axis, name) in enumerate(zip(axes.flat, common, strict=False)):
        chosen = beats & (np.array(styles) == name)
        axis.imshow(onsets[chosen].mean(axis=0), origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=1)
        axis.set_title(f"{name} ({int(chosen.sum()):,})")
        axis.set_xticks([0, 8, 16, 24], ["1", "3", "1", "3"])
        axis.set_yticks(
            range(9), [v.replace("_", " ") for v in PARTS] if number % columns == 0 else [""] * 9, fontsize=7
        )
    return figure


def _hands(grids: np.ndarray, onsets: np.ndarray, items: list[dict[str, Any]]) -> Any:
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
