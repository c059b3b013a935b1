"""What is told of a judged texture codec, and its page."""

from __future__ import annotations

from typing import TypedDict

from common.measures import measure
from common.page import Page
from common.spectrogram import RANGE
from train.judges.judged import Judgement, peak, share
from train.judges.reports import Judged


class TextureRow(TypedDict):
    """One excerpt: distances of what was made, and of its opponents."""

    name: str
    label: str
    mr_stft: float
    nearest: float
    oracle: float
    phases: float
    mel_distance_db: float
    loudness_db: float
    attack_ms: float
    hop_line_db: float


class TextureFigures(TypedDict):
    """Over all excerpts."""

    mr_stft: float
    mr_stft_nearest: float
    mr_stft_oracle: float
    mr_stft_phases: float
    mel_distance_db: float
    loudness_db_median: float
    attack_ms_median: float
    hop_line_db: float


class TextureReport(Judged):
    """What is told of a texture codec."""

    figures: TextureFigures
    pitch_kept: float
    told_made: float
    better_than_nearest: float
    silence_dbfs: float
    by_label: dict[str, float]
    rows: list[TextureRow]


def write_page(page: Page, judged: Judgement[TextureReport]) -> None:
    """Write the sections for textures."""
    report = judged.report
    found = report["figures"]
    distance = measure("mr_stft")
    page.opening.figures(
        {
            f"{distance.name}, the codec": distance.write(found["mr_stft"]),
            "the same, oracle of 50": distance.write(found["mr_stft_oracle"]),
            "excerpts nearer than the oracle's": share(report["better_than_nearest"]),
            "pitch kept within 50 cents": share(report["pitch_kept"]),
            "loudness error, median, dB": f"{found['loudness_db_median']:.2f}",
            "peak of what should be silent": peak(report["silence_dbfs"]),
        }
    )
    section = page.section("To hear", f"Heard, made from it, and the oracle of 50. {RANGE}")
    for group in judged.groups:
        section.sounds(group, columns=3)
    page.section(
        "Reconstruction",
        "The oracle is the best of the 50 training windows nearest in their mel bands, chosen using the "
        "target. Random phases are the recording's own magnitudes with phases drawn at random.",
    ).table(
        ["measure", "value"],
        [
            [f"{distance.title}, the codec", distance.write(found["mr_stft"])],
            ["the same, nearest training window", distance.write(found["mr_stft_nearest"])],
            ["the same, oracle of 50", distance.write(found["mr_stft_oracle"])],
            ["the same, random phases", distance.write(found["mr_stft_phases"])],
            ["log-mel distance, dB", f"{found['mel_distance_db']:.2f}"],
            ["loudness error, median, dB", f"{found['loudness_db_median']:.2f}"],
            ["attacks off by, median, ms", f"{found['attack_ms_median']:.1f}"],
            ["line at the rate of hops beside the recording's, median, dB", f"{found['hop_line_db']:+.1f}"],
            ["pitch kept within 50 cents", share(report["pitch_kept"])],
            ["told from real", share(report["told_made"])],
        ],
    )
    page.section("By folder").table(
        ["folder", distance.title],
        [[name, distance.write(value)] for name, value in report["by_label"].items()],
    )
