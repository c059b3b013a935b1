"""What the report says about one-shots."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from common.figure import COLOURS, INK, new_figure
from common.page import Finding, Page, Sound
from common.spectrogram import RELATIVE_RANGE
from train.data.features import BANDS, FLOOR_DB, HOP, TIME_EDGES, band_of, spectral_distance
from train.data.kinds.drum import DrumFacts, DrumItem, DrumNotes
from train.data.manifest import Manifest
from train.data.report.levels import INTEGER_SCALE, INTEGER_SCALE_DB
from train.data.report.modes import MODE_COLUMNS, Landscape, landscape, words_for
from train.data.report.players import Players, item_player
from train.data.report.splits import split_bars
from train.data.report.summary import Percentiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUTLIER_FACTOR = 2.0
EXACT_DUPLICATE_DB = 0.5
TICKS = (0, 3, 6, 8)  # time cells at whose beginning a time stands


class ModeSummary(TypedDict):
    """A cluster of sounds, as :class:`~train.data.report.modes.Mode` has it."""

    size: int
    share: float
    density: float
    overlap: float
    labels: list[tuple[str, int]]


class FormatSummary(TypedDict):
    """How many files came in one format."""

    format: str
    subtype: str
    rate_hz: int
    channels: int
    files: int


class Modes(TypedDict, total=False):
    """The clusters; absent where there are too few sounds to tell."""

    modes: list[ModeSummary]


class DrumSummary(Modes):
    """What ``report.json`` says of one-shots alone; counts by class and by what told the class."""

    formats: list[FormatSummary]
    classes: dict[str, int]
    class_from: dict[str, int]
    loudness_lufs: Percentiles
    peak_db: Percentiles
    seconds: float


def hear(items: list[DrumItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the player of an item: the sound as the model will hear it."""
    audio, offsets = arrays["audio"], arrays["offsets"]

    def of(index: int) -> list[Sound]:
        item = items[index]
        note = f"{_words(item['class'])}, peak {item['peak_db']:.1f} dBFS"
        return [item_player(item["file"], audio[offsets[index] : offsets[index + 1]], note)]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[DrumItem, DrumNotes],
    facts: list[DrumFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], DrumSummary]:
    """Write the sections for drums; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    labels = [item["class"] for item in items]
    names = [item["file"] for item in items]
    pictures = np.asarray(arrays["pictures"])
    seen = landscape(pictures, labels)
    findings = _technical(facts) + _balance(items, manifest) + _alike(pictures, items)
    section = page.section(
        "Classes and splits", "Whole instruments are on one side; near-duplicates stay together."
    )
    section.picture(split_bars(labels, [item["split"] for item in items]), "Items per class and split")
    guessed = Counter(item["class_from"].split(" ")[0] for item in items)
    section.table(["class decided by", "items"], [[name, count] for name, count in guessed.most_common()])
    if seen is not None:
        findings += _outliers(seen, names)
        page.section(
            "The sounds from above",
            "Each dot is a sound, near ones sound alike (t-SNE of the log-mel pictures). Rings are outliers.",
        ).picture(_map(seen, labels), "Map of all sounds, coloured by class")
        section = page.section(
            "Modes",
            "Clusters of sounds, however they are named. Where two modes blend, sounds lie between them.",
        )
        section.table(MODE_COLUMNS, [words_for(mode, _words, names[mode.example]) for mode in seen.modes])
        section.note(f"The typical sound of each mode. {RELATIVE_RANGE}")
        section.sounds(
            dataclasses.replace(sound, title=f"mode {mode.number}: {sound.title}")
            for mode in seen.modes
            for sound in players.hear(mode.example)
        )
        findings += _modes(seen)
    page.section(
        "What each class sounds like", "Mean log-mel picture; time runs right on a logarithmic clock."
    ).picture(_portraits(pictures, labels), "Mean log-mel picture of each class")
    page.section("Level, length, loudness").picture(
        _levels(items, facts), "Histograms of peak level, loudness and length"
    )
    formats = Counter((f["format"], f["subtype"], f["rate_hz"], f["channels"]) for f in facts)
    page.section("Formats found").table(
        ["format", "encoding", "sample rate, Hz", "channels", "files"],
        [[*key, n] for key, n in formats.most_common()],
    )
    loud = np.array([item["loudness_lufs"] for item in items])
    peaks = np.array([item["peak_db"] for item in items])
    modes: list[ModeSummary] = [
        {"size": m.size, "share": m.share, "density": m.density, "overlap": m.overlap, "labels": m.labels}
        for m in (seen.modes if seen is not None else [])
    ]
    return findings, {
        **(Modes(modes=modes) if seen is not None else Modes()),
        "formats": [
            {"format": k[0], "subtype": k[1], "rate_hz": k[2], "channels": k[3], "files": n}
            for k, n in formats.most_common()
        ],
        "classes": dict(Counter(labels)),
        "class_from": dict(guessed),
        "loudness_lufs": _percentiles(loud),
        "peak_db": _percentiles(peaks),
        "seconds": float(sum(item["seconds"] for item in items)),
    }


def _percentiles(values: np.ndarray) -> Percentiles:
    low, median, high = np.percentile(values, [5, 50, 95]).tolist()
    return {"p5": low, "median": median, "p95": high}


def _technical(facts: list[DrumFacts]) -> list[Finding]:
    found = []
    clipped = [f["file"] for f in facts if f["clipped"] >= 6]
    if clipped:
        found.append(
            Finding(
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
            Finding(
                "fine",
                f"{len(offset)} files had a DC offset above 0.5 % of full scale; it was removed.",
                offset,
            )
        )
    phase = [f["file"] for f in facts if f["mono"].startswith("channel")]
    if phase:
        found.append(
            Finding(
                "look",
                f"{len(phase)} stereo files cancel when mixed to mono (a channel is turned); the louder "
                "channel was taken.",
                phase,
            )
        )
    late = [f["file"] for f in facts if f["onset_seconds"] > 0.1]
    if late:
        found.append(
            Finding(
                "fine", f"{len(late)} files began with more than 100 ms of silence; it was cut off.", late
            )
        )
    long = [f["file"] for f in facts if f["cut_at_limit"]]
    if long:
        found.append(
            Finding(
                "fine",
                f"{len(long)} sounds were still going at two seconds; they were faded out there.",
                long,
            )
        )
    loud = [f["file"] for f in facts if f["peak_db"] > INTEGER_SCALE_DB]
    if loud:
        found.append(Finding("fix", INTEGER_SCALE.format(count=len(loud)), loud))
    quiet = [f["file"] for f in facts if f["peak_db"] < -40]
    if quiet:
        found.append(
            Finding(
                "look",
                f"{len(quiet)} files peak below -40 dBFS; at 16 bit that leaves fewer than ten bits of "
                "sound. Their noise comes up when they are normalised.",
                quiet,
            )
        )
    rates = Counter(f["rate_hz"] for f in facts)
    low = [f["file"] for f in facts if f["rate_hz"] < 44_100]
    if low:
        found.append(
            Finding(
                "look",
                f"{len(low)} files were recorded below 44,100 Hz: nothing stands above {min(rates) // 2:,} "
                "Hz in them, and a model will learn that they are dull.",
                low,
            )
        )
    return found


def _balance(items: list[DrumItem], manifest: Manifest[DrumItem, DrumNotes]) -> list[Finding]:
    found = []
    count = Counter(item["class"] for item in items)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        groups[item["class"]][item["group"]] += 1
    missing = [name for name in CLASSES if not count[name]]
    if missing:
        found.append(
            Finding(
                "look", f"There is no {' and no '.join(missing)} in the set; the model will not make any."
            )
        )
    most, least = count.most_common()[0], count.most_common()[-1]
    if most[1] > 4 * least[1]:
        found.append(
            Finding(
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
                Finding(
                    "look",
                    f"{size} of the {count[name]} {name} sounds are takes of one instrument ({biggest}): "
                    "its sound will dominate the class. Drop some takes or add other instruments.",
                )
            )
        if len(members) < 3:
            found.append(
                Finding(
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
            Finding(
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
            Finding(
                "fine",
                f"{merged} instruments that names keep apart hold near-duplicates of each other and were "
                "joined, so that no split hears the other's sounds.",
            )
        )
    return found


def items_class(items: list[DrumItem], files: list[str]) -> str:
    """Class of the first of these files."""
    return next(item["class"] for item in items if item["file"] == files[0])


def _alike(pictures: np.ndarray, items: list[DrumItem]) -> list[Finding]:
    """Find sounds that are one and the same twice."""
    twins: list[str] = []
    for start in range(0, len(items), 1024):
        distance = spectral_distance(pictures[start : start + 1024], pictures[start:])
        for i, j in zip(*np.nonzero(distance < EXACT_DUPLICATE_DB), strict=True):
            if i < j:
                twins.append(f"{items[start + i]['file']} = {items[start + j]['file']}")
    if not twins:
        return []
    return [Finding("look", f"{len(twins)} pairs of files are the same sound; one of each is enough.", twins)]


def _outliers(seen: Landscape, names: list[str]) -> list[Finding]:
    order = np.argsort(-seen.outlier)
    far = [names[i] for i in order if seen.outlier[i] > OUTLIER_FACTOR][:25]
    if not far:
        return []
    return [
        Finding(
            "look",
            f"{len(far)} sounds are like no others (local outlier factor above {OUTLIER_FACTOR:.0f}). "
            "Listen to them: each is a mistake to drop or a colour to have more of.",
            far,
        )
    ]


def _modes(seen: Landscape) -> list[Finding]:
    largest = seen.modes[0]
    apart = sum(mode.overlap < 0.03 for mode in seen.modes)
    text = (
        f"The sounds form {len(seen.modes)} modes; the largest "
        f"({', '.join(_words(label) for label, _ in largest.labels)}) holds "
        f"{100 * largest.share:.0f} %."
    )
    if apart:
        text += (
            f" {apart} overlap no other: between them the model has heard nothing. Add sounds that lie there."
        )
    return [Finding("look" if largest.share > 0.5 else "fine", text)]


def _map(seen: Landscape, labels: list[str]) -> Figure:
    figure, axes = new_figure(width=7.5, height=5)
    axis = axes[0, 0]
    shown = np.array(labels)[seen.mapped]
    for number, name in enumerate(CLASSES):
        here = shown == name
        if here.any():
            axis.scatter(
                *seen.position[here].T,
                s=9,
                color=COLOURS[number],
                label=_words(name),
                alpha=0.75,
                linewidths=0,
            )
    odd = seen.outlier[seen.mapped] > OUTLIER_FACTOR
    axis.scatter(*seen.position[odd].T, s=60, facecolors="none", edgecolors=INK, linewidths=0.8)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.01), markerscale=2)
    return figure


def _portraits(pictures: np.ndarray, labels: list[str]) -> Figure:
    present = [name for name in CLASSES if name in labels]
    columns = min(4, len(present))
    rows = -(-len(present) // columns)
    figure, axes = new_figure(rows, columns, 2.4 * columns + 0.5, 2.1 * rows + 0.2)
    cells = len(TIME_EDGES) - 1
    for axis in axes.flat[len(present) :]:
        axis.remove()
    for place, (axis, name) in enumerate(zip(axes.flat, present, strict=False)):
        chosen = pictures[[label == name for label in labels]].mean(axis=0).reshape(cells, BANDS) + FLOOR_DB
        image = axis.imshow(chosen.T, origin="lower", aspect="auto", cmap="magma", vmin=FLOOR_DB, vmax=0)
        axis.set_title(_words(name), loc="left")
        axis.set_xticks(
            [edge - 0.5 for edge in TICKS], [f"{TIME_EDGES[edge] * HOP / SAMPLE_RATE_HZ:g}" for edge in TICKS]
        )
        axis.set_yticks(band_of(np.array([200, 1000, 4000, 16_000])), ["0.2", "1", "4", "16"])
        if place % columns == 0:
            axis.set_ylabel("frequency, kHz")
        if place + columns >= len(present):
            axis.set_xlabel("time, s")
    bar = figure.colorbar(image, ax=list(axes.flat[: len(present)]), fraction=0.04, pad=0.015)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_label("level, dB")
    return figure


def _levels(items: list[DrumItem], facts: list[DrumFacts]) -> Figure:
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


def _words(name: str) -> str:
    """A class as people write it."""
    return name.replace("_", " ")
