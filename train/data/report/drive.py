"""What the report says about dry and wet pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.figure import COLOURS, GRID, new_figure
from common.page import Cell, Finding, Page, Sound
from common.spectrogram import RELATIVE_RANGE
from train.data.kinds.drive import DriveFacts, DriveItem, DriveNotes
from train.data.manifest import Manifest
from train.data.report.levels import INTEGER_SCALE, INTEGER_SCALE_DB
from train.data.report.players import Players, item_player
from train.data.report.splits import split_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 9
FEW_SETTINGS = 4
LATE_MS = 2.0
LOOSE = 0.6
LONGEST_TITLE = 40
UNITS = {"hz": "Hz", "db": "dB", "ms": "ms", "s": "s"}


class PairSummary(TypedDict):
    """How a wet file lies to its dry one; ``segment_samples`` where it is many segments in a row."""

    file: str
    dry_file: str
    delay_samples: int
    polarity: int
    correlation: float
    coherence: float
    segment_samples: int | None


class DriveSummary(TypedDict):
    """What ``report.json`` says of pairs alone; segments by effect, or by setting where there are few."""

    seconds: float
    effects: dict[str, int]
    pairs: list[PairSummary]


def hear(items: list[DriveItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the players of an item: dry and wet, aligned."""
    offsets = arrays["offsets"]

    def of(index: int) -> list[Sound]:
        item, window = items[index], slice(offsets[index], offsets[index + 1])
        name = item["file"].rsplit("/", 1)[-1]
        return [
            item_player(f"{name}, {side}", arrays[side][window], note)
            for side, note in (
                ("dry", f"peak {item['dry_peak_db']:.1f} dBFS"),
                ("wet", f"{item['effect']}, peak {item['wet_peak_db']:.1f} dBFS"),
            )
        ]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[DriveItem, DriveNotes],
    facts: list[DriveFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], DriveSummary]:
    """Write the sections for pairs; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    members = _panels_of(items)
    page.section("Effects and splits", _how_split(manifest)).picture(
        split_bars([item["effect"] for item in items], [item["split"] for item in items]),
        "Segments per effect and split",
    )
    shown = list(members)[:MAX_PANELS]
    first = {item["effect"]: number for number, item in reversed(list(enumerate(items)))}
    section = page.section("Dry and wet to hear", f"The first pair of each effect. {RELATIVE_RANGE}")
    section.sounds(sound for number in sorted(first.values())[:MAX_PANELS] for sound in players.hear(number))
    page.section(
        "What goes in, what comes out", "Wet sample over dry sample: a line is a curve, a cloud has memory."
    ).picture(_curves(shown, members, arrays), "Wet against dry amplitude of each effect")
    page.section("Spectra", "Mean spectrum of the dry (grey) and the wet (colour).").picture(
        _spectra(shown, members, arrays), "Mean spectra of dry and wet"
    )
    parameters = {item["file"]: _parameters(item) for item in reversed(items)}
    page.section(
        "Pairs",
        "One row per wet file. The measured delay was taken out, turned polarity was turned back. Explained "
        "is the part of the wet power that curves and filters of the dry sound account for.",
    ).table(
        [
            *("wet", "dry", "effect", "parameters", "delay, samples", "delay, ms"),
            *("peak of response, samples", "polarity", "correlation", "explained", "aligned by"),
            "segment, samples",
        ],
        [
            [
                Cell(fact["file"], code=True),
                Cell(fact["dry_file"], code=True),
                fact["effect"],
                parameters[fact["file"]],
                fact["delay_samples"],
                f"{1000 * fact['delay_samples'] / fact['rate_hz']:.2f}",
                fact["response_peak_samples"],
                "turned" if fact["polarity"] < 0 else "upright",
                f"{fact['correlation']:+.2f}",
                f"{100 * fact['coherence']:.0f} %",
                fact["aligned_by"],
                f"{fact['segment_samples']:,}" if fact["segment_samples"] else "whole",
            ]
            for fact in facts
        ],
    )
    seconds = sum(item["samples"] for item in items) / SAMPLE_RATE_HZ
    return _findings(items, facts, seconds), {
        "seconds": seconds,
        "effects": {name: len(indices) for name, indices in members.items()},
        "pairs": [
            {
                "file": fact["file"],
                "dry_file": fact["dry_file"],
                "delay_samples": fact["delay_samples"],
                "polarity": fact["polarity"],
                "correlation": fact["correlation"],
                "coherence": fact["coherence"],
                "segment_samples": fact["segment_samples"],
            }
            for fact in facts
        ],
    }


def _how_split(manifest: Manifest[DriveItem, DriveNotes]) -> str:
    if manifest["notes"]["split_by"] == "time":
        return "There are few dry phrases, so each is split by time: 80 % train, then validation, then test."
    whole = "Whole dry phrases are on one side, with all their wet versions."
    if manifest["notes"]["split_by"] == "phrase and time":
        return f"{whole} Devices with few phrases have each split by time: 80 % train, validation, test."
    return whole


def _panels_of(items: list[DriveItem]) -> dict[str, list[int]]:
    """Item indices by effect, and by setting where an effect has only a few."""
    settings: dict[str, dict[str, int]] = defaultdict(dict)
    for item in items:
        known = settings[item["effect"]]
        known.setdefault(_parameters(item), len(known) + 1)
    members: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        known = settings[item["effect"]]
        words = f"{item['effect']}: {_parameters(item)}"
        if len(known) == 1 or len(known) > FEW_SETTINGS:
            words = item["effect"]
        elif len(words) > LONGEST_TITLE:
            words = f"{item['effect']}, setting {known[_parameters(item)]}"
        members[words].append(index)
    return dict(members)


def _parameters(item: DriveItem) -> str:
    """Write a setting as people do: ``HighShelfFilter.gain_db`` 3 becomes "gain 3 dB"."""
    words = []
    for key, value in item["parameters"].items():
        *name, last = key.rsplit(".", 1)[-1].split("_")
        unit = UNITS.get(last, "")
        said = f"{value:.4g}" if isinstance(value, int | float) else str(value)
        words.append(" ".join([*name, *([said, unit] if unit else [last, said])]))
    return ", ".join(words)


def _findings(items: list[DriveItem], facts: list[DriveFacts], seconds: float) -> list[Finding]:
    found: list[Finding] = []

    def note(level: Literal["fix", "look", "fine"], text: str, files: list[str]) -> None:
        found.append(Finding(level, text, files))

    note("fine", f"{seconds / 60:.1f} minutes in {len(items):,} segments from {len(facts)} pairs.", [])
    turned = [fact["file"] for fact in facts if fact["polarity"] < 0]
    if turned:
        note("fine", f"{len(turned)} wet files have their polarity turned; they were turned back.", turned)
    cut = [fact["file"] for fact in facts if fact["segment_samples"]]
    if cut:
        sizes = sorted({fact["segment_samples"] for fact in facts if fact["segment_samples"]})
        note(
            "fine",
            f"{len(cut)} pairs are concatenations of segments ({', '.join(f'{size:,}' for size in sizes)} "
            "samples). Each was cut out and resampled by itself; reset the state at each start.",
            cut,
        )
    late = [fact["file"] for fact in facts if fact["delay_samples"] > 0]
    if late:
        note("fine", f"{len(late)} wet files were late; the delay was taken out.", late)
    early = [fact["file"] for fact in facts if fact["delay_samples"] < 0]
    if early:
        note("look", f"{len(early)} wet files come before their dry ones. Was the right file paired?", early)
    long = [fact["file"] for fact in facts if 1000 * abs(fact["delay_samples"]) / fact["rate_hz"] > LATE_MS]
    if long:
        note(
            "look",
            f"{len(long)} delays are longer than {LATE_MS:.0f} ms: more than a device's own latency.",
            long,
        )
    drifting = [fact for fact in facts if fact["drift_ppm"]]
    if drifting:
        worst = max((fact["drift_ppm"] for fact in drifting), key=abs)
        note(
            "fix",
            f"{len(drifting)} wet files run away from their dry ones, by up to {worst:+.0f} parts per "
            "million: two clocks recorded them. One delay was taken out, which is right at one place only. "
            "Record both sides with one interface.",
            [fact["file"] for fact in drifting],
        )
    loud = [fact["file"] for fact in facts if fact["peak_db"] > INTEGER_SCALE_DB]
    if loud:
        note("fix", INTEGER_SCALE.format(count=len(loud)), loud)
    unsure = [fact["file"] for fact in facts if fact["aligned_by"] == "envelope"]
    if unsure:
        note(
            "look",
            f"{len(unsure)} pairs could not be aligned by their waves (too narrow a sound, or too much "
            "distortion); they were left where they are unless their loudness curves said otherwise.",
            unsure,
        )
    loose = [fact["file"] for fact in facts if fact["coherence"] < LOOSE]
    if loose:
        note(
            "look",
            f"Of {len(loose)} wet files curves and filters explain less than {LOOSE:.0%}: noise, a long "
            "echo, or something that moves by itself, which a drive model does not learn.",
            loose,
        )
    clipped = [fact["file"] for fact in facts if fact["wet_clipped"] > 100 and fact["wet_peak_at_full_scale"]]
    if clipped:
        note(
            "look",
            f"{len(clipped)} wet files touch full scale: the converter clipped, not only the pedal.",
            clipped,
        )
    offset = [fact["file"] for fact in facts if abs(fact["wet_dc"]) > 0.005]
    if offset:
        note(
            "look",
            f"{len(offset)} wet files have a DC offset; it is kept, since it may belong to the effect.",
            offset,
        )
    uneven = [fact["file"] for fact in facts if fact["length_difference"]]
    if uneven:
        note(
            "fine",
            f"{len(uneven)} wet files differ in length from their dry ones by up to a second; cropped.",
            uneven,
        )
    effects = {item["effect"] for item in items}
    thin = [
        name
        for name in effects
        if sum(i["samples"] for i in items if i["effect"] == name) < 60 * SAMPLE_RATE_HZ
    ]
    if thin:
        note("look", f"Less than a minute of {', '.join(sorted(thin))}: add phrases for a model of it.", [])
    return found


def _some(
    indices: list[int], arrays: dict[str, np.ndarray], limit: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Samples of up to ``limit`` segments, two seconds of each."""
    offsets = arrays["offsets"]
    step = max(1, len(indices) // limit)
    cuts = [
        (int(offsets[i]), min(int(offsets[i + 1]), int(offsets[i]) + 96_000)) for i in indices[::step][:limit]
    ]
    return tuple(np.concatenate([arrays[side][a:b] for a, b in cuts]) for side in ("dry", "wet"))  # type: ignore[return-value]


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(3, count)
    rows = -(-count // columns)
    figure, axes = new_figure(rows, columns, 3.4 * columns, height * rows)
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


def _curves(shown: list[str], members: dict[str, list[int]], arrays: dict[str, np.ndarray]) -> Figure:
    figure, axes = _panels(len(shown), 2.7)
    for number, (axis, name) in enumerate(zip(axes, shown, strict=True)):
        dry, wet = _some(members[name], arrays)
        step = max(1, len(dry) // 5000)
        axis.plot(
            dry[::step], wet[::step], ".", ms=1.2, alpha=0.35, color=COLOURS[number % 8], rasterized=True
        )
        axis.set_title(name, fontsize=8.5)
        axis.axhline(0, color=GRID, lw=0.6, zorder=0)
        axis.axvline(0, color=GRID, lw=0.6, zorder=0)
        axis.set_xlabel("dry, full scale = 1", fontsize=8)
        axis.set_ylabel("wet, full scale = 1", fontsize=8)
    return figure


def _spectra(shown: list[str], members: dict[str, list[int]], arrays: dict[str, np.ndarray]) -> Figure:
    from scipy.signal import welch

    figure, axes = _panels(len(shown), 2.2)
    for number, (axis, name) in enumerate(zip(axes, shown, strict=True)):
        for signal, colour in zip(
            _some(members[name], arrays), (COLOURS[8], COLOURS[number % 8]), strict=True
        ):
            hz, power = welch(signal, SAMPLE_RATE_HZ, nperseg=min(2048, len(signal)))
            axis.semilogx(hz[1:] / 1000, 10 * np.log10(power[1:] + 1e-14), color=colour, lw=1.1)
        axis.set_xlim(0.03, 24)
        axis.set_title(name, fontsize=8.5)
        axis.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
        axis.set_xlabel("frequency, kHz", fontsize=8)
        axis.set_ylabel("level, dB per Hz", fontsize=8)
    return figure
