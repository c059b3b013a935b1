"""The page of a judged mel model."""

from __future__ import annotations

from typing import Any

from common.measures import measure
from common.page import Page
from common.spectrogram import RANGE
from train.judges.judged import Judgement, share

WHO = {
    "model": "the model",
    "principal_components": "as many principal components",
    "nearest": "oracle nearest neighbour",
    "mean": "mean picture",
}


def write_page(page: Page, judged: Judgement) -> None:
    """Write the sections for mel pictures."""
    report: Any = judged.report
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
