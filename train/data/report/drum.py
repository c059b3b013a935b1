"""What the report says about one-shots."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from common.drums import CLASSES
from train.data.features import BANDS, TIME_EDGES, spectral_distance
from train.data.report.modes import MODE_COLUMNS, Landscape, landscape, words_for
from train.data.report.page import COLOURS, Page, new_figure, split_bars

OUTLIER_FACTOR = 2.0
EXACT_DUPLICATE_DB = 0.5


def describe(
    page: Page,
    summary: dict[str, Any],
    manifest: dict[str, Any],
    facts: list[dict[str, Any]],
    arrays: dict[str, np.ndarray],
) -> list[dict[str, Any]]:
    """Write the sections for drums; returns the findings."""
    items = manifest["items"]
    labels = [item["class"] for item in items]
    names = [item["file"] for item in items]
    pictures = np.asarray(arrays["pictures"])
    seen = landscape(pictures, labels)
    findings = _technical(facts) + _balance(items, manifest) + _alike(pictures, items)
    page.heading("Classes and splits", "Whole instruments are on one side; near-duplicates stay together.")
    page.figure(split_bars(labels, [item["split"] for item in items]), "Items per class and split")
    guessed = Counter(item["class_from"].split(" ")[0] for item in items)
    page.table(["class decided by", "items"], [[name, count] for name, count in guessed.most_common()])
    if seen is not None:
        findings += _outliers(seen, names)
        page.heading(
            "The sounds from above",
            "Each dot is a sound, near ones sound alike (t-SNE of the log-mel pictures). Rings are outliers.",
        )
        page.figure(_map(seen, labels), "Map of all sounds, coloured by class")
        page.heading(
            "Modes",
            "Clusters of sounds, however they are named. A mode that blends is a road between sounds.",
        )
        page.table(MODE_COLUMNS, [words_for(mode, names[mode.example]) for mode in seen.modes])
        summary["modes"] = [
            {"size": m.size, "share": m.share, "density": m.density, "overlap": m.overlap, "labels": m.labels}
            for m in seen.modes
        ]
        findings += _modes(seen)
    page.heading(
        "What each class sounds like", "Mean log-mel picture; time runs right on a logarithmic clock."
    )
    page.figure(_portraits(pictures, labels), "Mean log-mel picture of each class")
    page.heading("Level, length, loudness")
    page.figure(_levels(items, facts), "Histograms of peak level, loudness and length")
    page.heading("Formats found")
    formats = Counter((f["format"], f["subtype"], f["rate_hz"], f["channels"]) for f in facts)
    page.table(
        ["format", "encoding", "Hz", "channels", "files"], [[*key, n] for key, n in formats.most_common()]
    )
    loud = np.array([item["loudness_lufs"] for item in items])
    peaks = np.array([item["peak_db"] for item in items])
    summary["formats"] = [
        {"format": k[0], "subtype": k[1], "rate_hz": k[2], "channels": k[3], "files": n}
        for k, n in formats.most_common()
    ]
    summary["classes"] = dict(Counter(labels))
    summary["class_from"] = dict(guessed)
    summary["loudness_lufs"] = dict(
        zip(("p5", "median", "p95"), np.percentile(loud, [5, 50, 95]).tolist(), strict=True)
    )
    summary["peak_db"] = dict(
        zip(("p5", "median", "p95"), np.percentile(peaks, [5, 50, 95]).tolist(), strict=True)
    )
    summary["seconds"] = float(sum(item["seconds"] for item in items))
    return findings


def _finding(level: str, text: str, files: list[str] | None = None) -> dict[str, Any]:
    return {"level": level, "text": text, "files": files or []}


def _technical(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    clipped = [f["file"] for f in facts if f["clipped"] >= 6]
    if clipped:
        found.append(
            _finding(
                "look",
                f"{len(clipped)} files have flat tops, three samples or more at their own extreme: clipped "
                "when they "
                "were recorded. Keep them if the grit is wanted; a cleaner take is better otherwise.",
                clipped,
            )
        )
    offset = [f["file"] for f in facts if abs(f["dc"]) > 0.005]
    if offset:
        found.append(
            _finding(
                "fine",
                f"{len(offset)} files had a DC offset above 0.5 % of full scale; it was removed.",
                offset,
            )
        )
    phase = [f["file"] for f in facts if f["mono"].startswith("channel")]
    if phase:
        found.append(
            _finding(
                "look",
                f"{len(phase)} stereo files cancel when mixed to mono (a channel is turned); the louder "
                "channel was "
                "taken.",
                phase,
            )
        )
    late = [f["file"] for f in facts if f["onset_seconds"] > 0.1]
    if late:
        found.append(
            _finding(
                "fine", f"{len(late)} files began with more than 100 ms of silence; it was cut off.", late
            )
        )
    long = [f["file"] for f in facts if f["cut_at_limit"]]
    if long:
        found.append(
            _finding(
                "fine",
                f"{len(long)} sounds were still going at two seconds; they were faded out there.",
                long,
            )
        )
    quiet = [f["file"] for f in facts if f["peak_db"] < -40]
    if quiet:
        found.append(
            _finding(
                "look",
                f"{len(quiet)} files peak below -40 dBFS; at 16 bit that leaves fewer than ten bits of "
                "sound. Their "
                "noise comes up when they are normalised.",
                quiet,
            )
        )
    rates = Counter(f["rate_hz"] for f in facts)
    low = [f["file"] for f in facts if f["rate_hz"] < 44_100]
    if low:
        found.append(
            _finding(
                "look",
                f"{len(low)} files were recorded below 44,100 Hz: nothing stands above {min(rates) // 2:,} "
                "Hz in them, "
                "and a model will learn that they are dull.",
                low,
            )
        )
    return found


def _balance(items: list[dict[str, Any]], manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    count = Counter(item["class"] for item in items)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        groups[item["class"]][item["group"]] += 1
    missing = [name for name in CLASSES if not count[name]]
    if missing:
        found.append(
            _finding(
                "look", f"There is no {' and no '.join(missing)} in the set; the model will not make any."
            )
        )
    most, least = count.most_common()[0], count.most_common()[-1]
    if most[1] > 4 * least[1]:
        found.append(
            _finding(
                "look",
                f"The classes are uneven: {most[1]} of {most[0]}, {least[1]} of {least[0]}. Add {least[0]} "
                "sounds; the "
                "training draws classes evenly, so that the few are heard often and learnt by heart.",
            )
        )
    for name, members in sorted(groups.items()):
        biggest, size = members.most_common(1)[0]
        if len(members) > 1 and size > 0.4 * count[name] and size > 20:
            found.append(
                _finding(
                    "look",
                    f"{size} of the {count[name]} {name} sounds are takes of one instrument ({biggest}): "
                    "its sound will "
                    "dominate the class. Drop some takes or add other instruments.",
                )
            )
        if len(members) < 3:
            found.append(
                _finding(
                    "fix",
                    f"All {name} sounds come from {len(members)} instrument{'s' * (len(members) > 1)}: the "
                    "class cannot "
                    "stand in train, validation and test at once. Add instruments, or name them in a "
                    "manifest.csv.",
                )
            )
    unknown = [item["file"] for item in items if item["class_from"] == "nothing"]
    if unknown:
        found.append(
            _finding(
                "fix",
                f"{len(unknown)} files say nothing of their class and went to "
                f"'{items_class(items, unknown)}'. Put their "
                "words into a name table (--names) or sort them into folders.",
                unknown,
            )
        )
    merged = manifest["notes"]["named_groups"] - manifest["notes"]["groups"]
    if merged > 0:
        found.append(
            _finding(
                "fine",
                f"{merged} instruments that names keep apart hold near-duplicates of each other and were "
                "joined, so that "
                "no split hears the other's sounds.",
            )
        )
    return found


def items_class(items: list[dict[str, Any]], files: list[str]) -> str:
    """Class of the first of these files."""
    return next(item["class"] for item in items if item["file"] == files[0])


def _alike(pictures: np.ndarray, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Find sounds that are one and the same twice."""
    twins: list[str] = []
    for start in range(0, len(items), 1024):
        distance = spectral_distance(pictures[start : start + 1024], pictures[start:])
        for i, j in zip(*np.nonzero(distance < EXACT_DUPLICATE_DB), strict=True):
            if i < j:
                twins.append(f"{items[start + i]['file']} = {items[start + j]['file']}")
    if not twins:
        return []
    return [
        _finding("look", f"{len(twins)} pairs of files are the same sound; one of each is enough.", twins)
    ]


def _outliers(seen: Landscape, names: list[str]) -> list[dict[str, Any]]:
    order = np.argsort(-seen.outlier)
    far = [names[i] for i in order if seen.outlier[i] > OUTLIER_FACTOR][:25]
    if not far:
        return []
    return [
        _finding(
            "look",
            f"{len(far)} sounds are like no others (local outlier factor above {OUTLIER_FACTOR:.0f}). "
            "Listen to them: "
            "each is a mistake to drop or a colour to have more of.",
            far,
        )
    ]


def _modes(seen: Landscape) -> list[dict[str, Any]]:
    largest = seen.modes[0]
    apart = sum(mode.overlap < 0.03 for mode in seen.modes)
    text = (
        f"The sounds form {len(seen.modes)} modes; the largest "
        f"({', '.join(label for label, _ in largest.labels)}) holds "
        f"{100 * largest.share:.0f} %."
    )
    if apart:
        text += f" {apart} stand apart: a path into them crosses a gap; sounds in between would fill it."
    return [_finding("look" if largest.share > 0.5 else "fine", text)]


def _map(seen: Landscape, labels: list[str]) -> Any:
    figure, axes = new_figure(width=10, height=6.2)
    axis = axes[0, 0]
    shown = np.array(labels)[seen.mapped]
    for number, name in enumerate(CLASSES):
        here = shown == name
        if here.any():
            axis.scatter(
                *seen.position[here].T, s=9, color=COLOURS[number], label=name, alpha=0.75, linewidths=0
            )
    odd = seen.outlier[seen.mapped] > OUTLIER_FACTOR
    axis.scatter(*seen.position[odd].T, s=60, facecolors="none", edgecolors="#22252b", linewidths=0.8)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.01), markerscale=2)
    return figure


def _portraits(pictures: np.ndarray, labels: list[str]) -> Any:
    present = [name for name in CLASSES if name in labels]
    columns = 4
    rows = -(-len(present) // columns)
    figure, axes = new_figure(rows, columns, 10, 2.1 * rows)
    cells = len(TIME_EDGES) - 1
    for axis in axes.flat[len(present) :]:
        axis.remove()
    for axis, name in zip(axes.flat, present, strict=False):
        chosen = pictures[[label == name for label in labels]].mean(axis=0).reshape(cells, BANDS)
        axis.imshow(chosen.T, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=55)
        axis.set_title(name)
        axis.set_xticks([0, 3, 6, 8], ["0", "20", "160", "640 ms"])
        axis.set_yticks([2, 16, 30], ["100", "2k", "16k Hz"])
    return figure


def _levels(items: list[dict[str, Any]], facts: list[dict[str, Any]]) -> Any:
    figure, axes = new_figure(1, 3, 10, 2.4)
    peaks = [f["peak_db"] for f in facts]
    axes[0, 0].hist(peaks, bins=np.arange(-60, 3, 2), color=COLOURS[0])
    axes[0, 0].set_title("peak in the file, dBFS")
    axes[0, 1].hist([item["loudness_lufs"] for item in items], bins=30, color=COLOURS[2])
    axes[0, 1].set_title("loudest 400 ms, LUFS")
    axes[0, 2].hist([item["seconds"] for item in items], bins=np.geomspace(0.01, 2.1, 30), color=COLOURS[1])
    axes[0, 2].set_xscale("log")
    axes[0, 2].set_title("length after trimming, s")
    return figure
