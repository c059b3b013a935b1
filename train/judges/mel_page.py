"""What is told of a judged mel model, and its page."""

from __future__ import annotations

from typing import TypedDict

from common.measures import measure
from common.page import Page
from common.spectrogram import RANGE
from train.judges.judged import Judgement, share
from train.judges.reports import Judged

WHO = {
    "model": "the model",
    "principal_components": "as many principal components",
    "nearest": "oracle nearest neighbour",
    "mean": "mean picture",
}


class MelRow(TypedDict):
    """A clip and how far each is from it, dB."""

    name: str
    sound: str
    effect: str
    model: float
    principal_components: float
    nearest: float
    mean: float


class MelReport(Judged):
    """What is told of a mel VAE."""

    latents: int
    compression: float
    mel_distance_db: dict[str, float]
    better_than_nearest: float
    better_than_components: float
    vocoder: dict[str, float]
    by_class: dict[str, dict[str, float]]
    rows: list[MelRow]


def write_page(page: Page, judged: Judgement[MelReport]) -> None:
    """Write the sections for mel pictures."""
    report = judged.report
    distance, stft = measure("mel_distance_db"), measure("mr_stft")
    found, vocoder = report["mel_distance_db"], report["vocoder"]
    page.opening.figures(
        {
            f"{distance.name}, the model": f"{distance.write(found['model'])} dB",
            "the same, principal components": f"{distance.write(found['principal_components'])} dB",
            "nearer than the components": share(report["better_than_components"]),
            "nearer than the oracle nearest neighbour": share(report["better_than_nearest"]),
            "latents": report["latents"],
            "compression": f"{report['compression']:.0f}×",
        }
    )
    section = page.section(
        "To hear", f"Heard, its picture through the vocoder, and through the model too. {RANGE}"
    )
    for group in judged.groups:
        section.sounds(group, columns=3)
    section = page.section("Reconstruction")
    section.table(
        ["who", distance.title], [[WHO[who], distance.write(found[who])] for who in WHO if who in found]
    )
    section.table(
        ["sound made by", stft.title],
        [
            ["the vocoder alone", stft.write(vocoder["mr_stft_vocoder_alone"])],
            ["model and vocoder", stft.write(vocoder["mr_stft_model_and_vocoder"])],
        ],
    )
    page.section("By class").table(
        ["class", *(f"{distance.name}, dB, {words}" for words in WHO.values())],
        [
            [kind.replace("_", " "), *(distance.write(one[who]) for who in WHO)]
            for kind, one in report["by_class"].items()
        ],
    )
    section = page.section("Pictures")
    for says, drawing in judged.drawings:
        section.picture(drawing, says)
