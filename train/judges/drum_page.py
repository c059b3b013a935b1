"""The page of a judged drum model."""

from __future__ import annotations

from typing import Any

from common.measures import measure
from common.page import Page
from common.spectrogram import RANGE
from train.judges.judged import Judgement, peak, rank, share, write_measures

WHO = {"model": "the model", "nearest": "oracle nearest neighbour", "first": "nearest neighbour"}
KEYS = ("mr_stft", "lsd_db", "onset_ms_median", "onset_within_1ms", "loudness_db_median")


def write_page(page: Page, judged: Judgement) -> None:
    """Write the sections for drums."""
    report: Any = judged.report
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
