"""What is told of a judged voice, and its page."""

from __future__ import annotations

import math
from typing import TypedDict

from common.page import Page
from common.spectrogram import RANGE
from train.judges.judged import Judgement, peak, share
from train.judges.reports import Judged


class VoiceRow(TypedDict):
    """One note: spectral losses of what was made, and of its opponents."""

    name: str
    label: str
    learnt: bool
    loss: float
    sought: float
    nearest: float
    oracle: float
    floor: float
    loudness_db: float
    noise_over_db: float


class VoiceFigures(TypedDict):
    """Over all notes; NaN where there are none."""

    spectral_loss: float
    spectral_loss_sought: float
    spectral_loss_of_those: float
    spectral_loss_nearest: float
    spectral_loss_oracle: float
    spectral_loss_floor: float
    loudness_db_median: float
    noise_over_db: float
    noise_within_3db: float


class VoiceReport(Judged):
    """What is told of a voice."""

    figures: VoiceFigures
    better_than_oracle: float
    learnt_instruments: float
    latents_alive: int
    silence_dbfs: float
    by_label: dict[str, float]
    rows: list[VoiceRow]


def _told(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def write_page(page: Page, judged: Judgement[VoiceReport]) -> None:
    """Write the sections for voices."""
    report = judged.report
    found = report["figures"]
    page.opening.figures(
        {
            "spectral loss, by the encoder": _told(found["spectral_loss"]),
            "the same, oracle of five": _told(found["spectral_loss_oracle"]),
            "notes nearer than the oracle's": share(report["better_than_oracle"]),
            "of instruments that were learnt": share(report["learnt_instruments"]),
            "latents that say something": str(report["latents_alive"]),
            "peak of what should be silent": peak(report["silence_dbfs"]),
        }
    )
    section = page.section("To hear", f"The note, what is made of it, and the oracle of five. {RANGE}")
    for group in judged.groups:
        section.sounds(group, columns=3)
    page.section(
        "Reconstruction",
        "Pitch and loudness are the note's own. The nearest training note lends its levels, at the pitch and "
        "loudness of the note. The oracle is the best of the five nearest, chosen using it. The floor "
        "is the note's own analysed levels. Sought latents are found by gradients, for some of the notes.",
    ).table(
        ["spectral loss (lower is better)", "value"],
        [
            ["by the encoder's latents", _told(found["spectral_loss"])],
            ["by sought latents, for some notes", _told(found["spectral_loss_sought"])],
            ["by the encoder's, for the same notes", _told(found["spectral_loss_of_those"])],
            ["nearest training note", _told(found["spectral_loss_nearest"])],
            ["oracle of five", _told(found["spectral_loss_oracle"])],
            ["floor: analysed and made again", _told(found["spectral_loss_floor"])],
            ["loudness error, median, dB", f"{found['loudness_db_median']:.2f}"],
            ["noise louder than the note's, median, dB", f"{found['noise_over_db']:.1f}"],
            ["notes whose noise is at most 3 dB louder", share(found["noise_within_3db"])],
        ],
    )
    page.section("By instrument").table(
        ["instrument", "spectral loss"],
        [[name, _told(value)] for name, value in report["by_label"].items()],
    )
