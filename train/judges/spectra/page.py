"""What is told of judged spectra, and their page."""

from __future__ import annotations

from typing import TypedDict

from common.page import Page
from common.spectrogram import RANGE
from train.judges.judged import Judgement, share
from train.judges.reports import Judged


class SpectraRow(TypedDict):
    """One note: distances of what was told, and of its opponents, in dB."""

    name: str
    label: str
    distance: float
    nearest: float
    oracle: float
    convergence: float
    asked_hz: float
    cents: float
    inverted: float
    no_phase: float
    random_phase: float


class SpectraFigures(TypedDict):
    """Over all notes, dB and cents."""

    distance_db: float
    distance_nearest_db: float
    distance_oracle_db: float
    convergence_db: float
    inversion_db: float
    no_phase_db: float
    random_phase_db: float
    cents_median: float


class SpectraReport(Judged):
    """What is told of spectra."""

    figures: SpectraFigures
    better_than_oracle: float
    in_tune: float
    latents_alive: int
    by_label: dict[str, float]
    rows: list[SpectraRow]


def write_page(page: Page, judged: Judgement[SpectraReport]) -> None:
    """Write the sections for spectra."""
    report = judged.report
    found = report["figures"]
    page.opening.figures(
        {
            "distance of log magnitudes, dB": f"{found['distance_db']:.2f}",
            "the same, oracle of five": f"{found['distance_oracle_db']:.2f}",
            "notes nearer than the oracle's": share(report["better_than_oracle"]),
            "sounds within 10 cents": share(report["in_tune"]),
            "inversion of recordings, dB": f"{found['inversion_db']:.1f}",
            "latents that say something": str(report["latents_alive"]),
        }
    )
    section = page.section("To hear", f"The note, the same made, and made at another pitch. {RANGE}")
    for group in judged.groups:
        section.sounds(group, columns=3)
    page.section(
        "Reconstruction",
        "Distances are means over bins and moments, down to 60 dB below the note's loudest moment. "
        "The nearest training note lends its magnitudes; the oracle is the best of the five nearest.",
    ).table(
        ["measure", "dB"],
        [
            ["distance of log magnitudes", f"{found['distance_db']:.2f}"],
            ["the same, nearest training note", f"{found['distance_nearest_db']:.2f}"],
            ["the same, oracle of five", f"{found['distance_oracle_db']:.2f}"],
            ["spectral convergence", f"{found['convergence_db']:.1f}"],
        ],
    )
    page.section(
        "Phases",
        "The recordings' own magnitudes become sound: by the engine's single pass, without phases, and with "
        "random ones. The figure is the spectral convergence of what is made.",
    ).table(
        ["phases", "dB"],
        [
            ["a single pass", f"{found['inversion_db']:.1f}"],
            ["none", f"{found['no_phase_db']:.1f}"],
            ["random", f"{found['random_phase_db']:.1f}"],
        ],
    )
    page.section("By instrument").table(
        ["instrument", "distance, dB"],
        [[name, f"{value:.2f}"] for name, value in report["by_label"].items()],
    )
