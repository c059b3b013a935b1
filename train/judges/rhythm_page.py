"""What is told of a judged rhythm model, and its page."""

from __future__ import annotations

from typing import TypedDict

from common.measures import measure
from common.page import Page, number
from train.judges.judged import Judgement, rank, share, write_measures
from train.judges.reports import Judged

WHO = {
    "model": "the model",
    "stepped": "twenty gradient steps",
    "refined": "optimised latents",
    "nearest": "oracle nearest neighbour",
    "mean": "mean pattern",
}
KEYS = ("onset_f1", "velocity_mae", "timing_mae_steps")


class Reconstructed(TypedDict):
    """Onset F1, overall and by part; velocity and timing errors where both have an onset."""

    onset_f1: float
    velocity_mae: float
    timing_mae_steps: float
    f1_by_part: dict[str, float]


class KnobFollowed(TypedDict):
    """How an attribute follows its knob.

    Spearman's coefficient over the knob's travel: median over patterns, and of all together; and what moved
    between the ends of the travel over what was asked, median over patterns.
    """

    spearman_median: float
    spearman_pooled: float
    span_median: float


class Leak(TypedDict):
    """How often an attribute's bin is told right, and by whom."""

    commonest: float
    even: float
    linear: float
    mlp: float


class PriorReport(TypedDict):
    """Patterns at random knob positions; see :func:`prior`."""

    valid: float
    unique: float
    not_in_training: float
    difference: float
    difference_of_training: float


class RhythmReport(Judged):
    """What is told of a rhythm model."""

    figures: dict[str, Reconstructed]
    control: dict[str, KnobFollowed]
    anywhere: dict[str, KnobFollowed]
    motion: dict[str, float]
    leakage: dict[str, Leak]
    drawn: PriorReport


def write_page(page: Page, judged: Judgement[RhythmReport]) -> None:
    """Write the sections for rhythms."""
    report = judged.report
    figures, prior = report["figures"], report["drawn"]
    page.opening.figures(
        {
            f"{measure('onset_f1').name}, the model": measure("onset_f1").write(figures["model"]["onset_f1"]),
            "the same, mean pattern": measure("onset_f1").write(figures["mean"]["onset_f1"]),
            "valid patterns at random knobs": share(prior["valid"]),
        }
    )
    section = page.section(
        "To hear", "Played by drummers, and made from it, on plain drums. Shade is velocity."
    )
    for group in judged.groups:
        section.sounds(group, columns=2)
    section = page.section("Reconstruction")
    write_measures(
        section,
        figures,
        WHO,
        KEYS,
        "Latents are moved by gradient from where the encoder put them: by twenty steps, as a desktop has "
        "time for, and by many, which is what the decoder could do with a better encoder. The oracle nearest "
        "neighbour is chosen using the target.",
    )
    shown = [who for who in WHO if who in figures]
    parts = list(dict.fromkeys(part for who in shown for part in figures[who]["f1_by_part"]))
    section.table(
        ["part", *(f"F1 of onsets, {WHO[who]}" for who in shown)],
        [
            [part.replace("_", " "), *(figures[who]["f1_by_part"].get(part) for who in shown)]
            for part in parts
        ],
    )
    page.section(
        "Knobs",
        "Spearman of a knob and of what is measured of the pattern; 1 is a knob that does what it says. The "
        "span is what moved between the ends of a knob's travel over what it asks for, median.",
    ).table(
        [
            "knob",
            "at test patterns, median",
            "pooled",
            "span",
            "anywhere, median",
            "pooled",
            "span",
            "turned by an LFO",
        ],
        [
            [
                name.replace("_", " "),
                rank(one["spearman_median"]),
                rank(one["spearman_pooled"]),
                number(one["span_median"]),
                rank(report["anywhere"][name]["spearman_median"]),
                rank(report["anywhere"][name]["spearman_pooled"]),
                number(report["anywhere"][name]["span_median"]),
                rank(report["motion"][name]),
            ]
            for name, one in report["control"].items()
        ],
    )
    page.section(
        "What the latents still know",
        "How often fresh classifiers tell an attribute's eighth from the latents; near chance is good.",
    ).table(
        ["attribute", "chance", "always the commonest", "linear classifier", "neural classifier"],
        [
            [name.replace("_", " "), *(share(one[key]) for key in ("even", "commonest", "linear", "mlp"))]
            for name, one in report["leakage"].items()
        ],
    )
    page.section("At random knobs").table(
        ["figure", "value"],
        [
            ["valid: a kick or snare, and as many onsets as training patterns have", share(prior["valid"])],
            ["different from each other", share(prior["unique"])],
            ["not in the training data", share(prior["not_in_training"])],
            ["onsets in which two differ", share(prior["difference"])],
            ["the same of training patterns", share(prior["difference_of_training"])],
        ],
    )
    section = page.section(
        "What moves what", "Each column is an attribute; the line of its own knob is thick."
    )
    for says, drawing in judged.drawings:
        section.picture(drawing, says)
