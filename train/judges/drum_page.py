"""What is told of a judged drum model, and its page."""

from __future__ import annotations

from typing import TypedDict

from common.measures import measure
from common.page import Page
from common.spectrogram import RANGE
from train.judges.judged import Judgement, peak, rank, share, write_measures
from train.judges.reports import Judged

WHO = {"model": "the model", "nearest": "oracle nearest neighbour", "first": "nearest neighbour"}
KEYS = ("mr_stft", "lsd_db", "onset_ms_median", "onset_within_1ms", "loudness_db_median")


class Distances(TypedDict):
    """How far a sound is from the recording."""

    mr_stft: float
    lsd_db: float
    onset_ms: float
    loudness_db: float


DrumRow = TypedDict(
    "DrumRow",
    {"name": str, "class": str, "model": Distances, "nearest": Distances, "first": Distances},
)


class DrumSummary(TypedDict):
    """Distances over many sounds: means, medians of magnitudes, and the part whose onset is within 1 ms."""

    mr_stft: float
    lsd_db: float
    onset_ms_median: float
    onset_within_1ms: float
    loudness_db_median: float


class KnobFollowed(TypedDict):
    """Spearman of a knob's travel and what is measured: median, and of each sound."""

    spearman_median: float
    spearman: list[float]


class DrumReport(Judged):
    """What is told of a drum model."""

    figures: dict[str, DrumSummary]
    better_than_nearest: float
    better_than_first: float
    by_class: dict[str, dict[str, float]]
    control: dict[str, KnobFollowed]
    silence_dbfs: float
    rows: list[DrumRow]


def write_page(page: Page, judged: Judgement[DrumReport]) -> None:
    """Write the sections for drums."""
    report = judged.report
    figures = report["figures"]
    distance = measure("mr_stft")
    page.opening.figures(
        {
            f"{distance.name}, the model": distance.write(figures["model"]["mr_stft"]),
            "the same, oracle nearest neighbour": distance.write(figures["nearest"]["mr_stft"]),
            "sounds nearer than the oracle's": share(report["better_than_nearest"]),
            "sounds nearer than the nearest neighbour": share(report["better_than_first"]),
            "peak without a trigger": peak(report["silence_dbfs"]),
        }
    )
    section = page.section("To hear", f"Heard, made from it, and the oracle nearest neighbour. {RANGE}")
    for group in judged.groups:
        section.sounds(group, columns=3)
    write_measures(
        page.section("Reconstruction"),
        figures,
        WHO,
        KEYS,
        "Means over all judged sounds. The nearest neighbour is the training sound of the class nearest by "
        "log-mel distance; the oracle takes the best of the five nearest, chosen using the target.",
    )
    page.section("By class").table(
        ["class", f"{distance.name}, the model", "oracle nearest neighbour"],
        [
            [name.replace("_", " "), distance.write(one["model"]), distance.write(one["nearest"])]
            for name, one in report["by_class"].items()
        ],
    )
    page.section(
        "Knobs",
        "Each knob is turned through its travel on test sounds; 1 is a knob that always does what it says.",
    ).table(
        ["knob", "Spearman of knob and sound, median"],
        [[name.replace("_", " "), rank(one["spearman_median"])] for name, one in report["control"].items()],
    )
