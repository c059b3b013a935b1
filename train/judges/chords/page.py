"""What is told of a judged chord model, and its page."""

from __future__ import annotations

from typing import TypedDict, cast

from common.measures import measure
from common.page import Page, number
from train.judges.judged import Judgement, rank, share, write_measures
from train.judges.reports import Judged

WHO = {
    "model": "the model",
    "new": "the model, windows not in the training data",
    "sought": "sought latents",
    "nearest": "oracle nearest neighbour",
    "followed": "what mostly follows",
    "commonest": "commonest chord",
}
TELLERS = {"model": "the model", "bigram": "chord pairs"}
KEYS = ("slot_accuracy", "root_accuracy", "quality_accuracy", "whole")


class Read(TypedDict):
    """Parts of slots whose chord, root and quality are right, and of windows right throughout."""

    slot_accuracy: float
    root_accuracy: float
    quality_accuracy: float
    whole: float


class Nats(TypedDict):
    """What a bar costs: all together, and what the scores miss, the latents say and the knobs say."""

    nats_per_bar: float
    missed_per_bar: float
    latents_per_bar: float
    knobs_per_bar: float


class Followed(TypedDict):
    """How an attribute follows its knob.

    Spearman's coefficient over the knob's travel: median over windows, and of all together; and what moved
    between the ends of the travel over what was asked, median over windows.
    """

    spearman_median: float
    spearman_pooled: float
    span_median: float


class AtRandom(TypedDict):
    """Progressions at random knob positions; shares, and chord changes from slot to slot."""

    unique: float
    not_in_training: float
    known_steps: float
    changes: float
    changes_of_training: float
    roots: float


class ChordsReport(Judged):
    """What is told of a chord model."""

    figures: dict[str, Read]
    nats: dict[str, Nats]
    control: dict[str, Followed]
    anywhere: dict[str, Followed]
    random: AtRandom


def write_page(page: Page, judged: Judgement[ChordsReport]) -> None:
    """Write the sections for chords."""
    report = judged.report
    figures, random = report["figures"], report["random"]
    told = measure("slot_accuracy")
    page.opening.figures(
        {
            f"{told.name}, the model": told.write(figures["model"]["slot_accuracy"]),
            "the same, oracle nearest neighbour": told.write(figures["nearest"]["slot_accuracy"]),
            "steps known from songs at random knobs": share(random["known_steps"]),
        }
    )
    section = page.section("To hear", "Windows of unseen songs, and made from their latents, in C.")
    for group in judged.groups:
        section.sounds(group, columns=2)
    write_measures(
        page.section("Reconstruction"),
        figures,
        WHO,
        KEYS,
        "Sought latents are moved by gradient from where the encoder put them. The oracle nearest neighbour "
        "is chosen using the target; what mostly follows is told the chord before.",
    )
    page.section(
        "Cost in nats a bar",
        "The model's is a bound on both halves of every bar; the table of chord pairs has the first half "
        "only.",
    ).table(
        ["who", "all", "missed by the scores", "said by the latents", "said by the blurred knobs"],
        [
            [TELLERS[who], *(f"{value:.2f}" for value in cast(dict[str, float], one).values())]
            for who, one in report["nats"].items()
        ],
    )
    page.section(
        "Knobs",
        "Spearman of a knob and of what is measured; 1 is a knob that does what it says. The span is what "
        "moved between the ends of a knob's travel over what it asks for, median.",
    ).table(
        ["knob", "at test windows, median", "pooled", "span", "anywhere, median", "pooled", "span"],
        [
            [
                name,
                *(
                    text
                    for one in (report["control"][name], report["anywhere"][name])
                    for text in (
                        rank(one["spearman_median"]),
                        rank(one["spearman_pooled"]),
                        number(one["span_median"]),
                    )
                ),
            ]
            for name in report["control"]
        ],
    )
    page.section("At random knobs").table(
        ["figure", "value"],
        [
            ["different from each other", share(random["unique"])],
            ["not in the training data", share(random["not_in_training"])],
            ["steps from chord to chord that some training song takes", share(random["known_steps"])],
            ["slots that bring another chord", share(random["changes"])],
            ["the same of training windows", share(random["changes_of_training"])],
            ["roots in use", share(random["roots"])],
        ],
    )
