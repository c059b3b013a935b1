"""What is told of a judged drum model, and its page."""

from __future__ import annotations

from typing import TypedDict

from common.measures import measure
from common.page import Page, Section, Sound, Value, number, picture
from common.spectrogram import RANGE
from train.hearing.crowds import Crowds
from train.hearing.figures import Figure
from train.hearing.hear import Hearing
from train.judges.judged import Gallery, Judgement, peak, rank, share, write_measures
from train.judges.reports import Judged

WHO = {"model": "the model", "nearest": "oracle nearest neighbour", "first": "nearest neighbour"}
EARS = {"log_mel": "log-mel picture", "embedding": "embedding"}
HEARD: dict[Figure, str] = {
    "line_db": "line at 1 kHz in the envelope above 4 kHz, dB",
    "below_80_hz_db": "energy below 80 Hz, dB of all",
    "time_to_peak_ms": "time to peak, ms",
    "tonal_share": "tonal share above 1.5 kHz",
    "centroid_octaves": "centroid, octaves above 20 Hz",
}
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
    beside_first: float
    by_class: dict[str, dict[str, float]]
    control: dict[str, KnobFollowed]
    silence_dbfs: float
    hearing: Hearing
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
            "distance as a part of the nearest neighbour's": number(report["beside_first"]),
            "sounds nearer than the oracle's": share(report["better_than_nearest"]),
            "sounds nearer than the nearest neighbour": share(report["better_than_first"]),
            "peak of what should be silent": peak(report["silence_dbfs"]),
        }
    )
    _write_opening_of_hearing(page.opening, report["hearing"])
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
    _write_hearing(page, report["hearing"])
    _write_galleries(page, judged.galleries)
    page.section("Reconstruction by class").table(
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


def _write_opening_of_hearing(section: Section, hearing: Hearing) -> None:
    log_mel = hearing["crowds"]["log_mel"]
    section.figures(
        {
            "made from recordings, told from real": share(log_mel["told_made"]),
            "those recordings, told from other real ones": share(log_mel["told_recordings"]),
            "hits at noon named rightly": share(hearing["named_noon"]),
            "hits at random latents named rightly": share(hearing["named_random"]),
            "loudness bias": f"{number(hearing['loudness_bias_db'])} dB",
        }
    )
    for note in hearing["notes"]:
        section.note(f"{note[0].upper()}{note[1:]}.")


def _write_hearing(page: Page, hearing: Hearing) -> None:
    section = page.section(
        "Told from real",
        "A classifier learns to tell sounds from real training sounds. It is asked about instruments that it "
        "never met; 50 % is guessing. Real kits beside the other real kits are the chance level. "
        "Distances are Fréchet distances of crowds of one size.",
    )
    rows: list[list[Value]] = []
    for ear, crowds in hearing["crowds"].items():
        rows += _rows_of_crowds(EARS[ear], crowds)
    section.table(["crowd", "by", "told from real", "distance from real"], rows)
    section = page.section(
        "What the ear finds, by class",
        "Medians over hits. Made and recordings belong together one by one; random hits took brightness and "
        "decay of training sounds.",
    )
    classes = hearing["classes"]
    for key, title in HEARD.items():
        section.table(
            ["class", "recordings", "made from them", "training sounds", "at random latents"],
            [
                [
                    name.replace("_", " "),
                    *(number(one[whose][key]) for whose in ("recordings", "made", "training", "random")),
                ]
                for name, one in classes.items()
            ],
            note=title[0].upper() + title[1:] + ".",
            says=title,
        )
    section = page.section(
        "Classes",
        "A classifier that learnt the classes from real training drums names hits. At noon all knobs but the "
        "class are in the middle, within a twentieth of their travel.",
    )
    section.table(
        [
            "class",
            "named rightly at noon",
            "at random latents",
            "unseen recordings",
            "centroid at noon beside real, octaves",
            "loudness bias, dB",
            "hiss after the hit",
        ],
        [
            [
                name.replace("_", " "),
                share(one["named_noon"]),
                share(one["named_random"]),
                share(one["named_recordings"]),
                rank(one["noon_octaves"]),
                rank(one["loudness_bias_db"]),
                peak(one["hiss_dbfs"]),
            ]
            for name, one in classes.items()
        ],
    )


def _rows_of_crowds(ear: str, crowds: Crowds) -> list[list[Value]]:
    whole: list[list[Value]] = [
        ["made from unseen recordings", ear, share(crowds["told_made"]), number(crowds["distance_made"])],
        ["at random latents", ear, share(crowds["told_random"]), number(crowds["distance_random"])],
        [
            "the unseen recordings",
            ear,
            share(crowds["told_recordings"]),
            number(crowds["distance_recordings"]),
        ],
    ]
    kits: list[list[Value]] = [
        [f"real kit {one['kit']}, {one['sounds']} hits", ear, share(one["told"]), number(one["distance"])]
        for one in crowds["kits"]
    ]
    return whole + kits


def _write_galleries(page: Page, galleries: list[Gallery]) -> None:
    if not galleries:
        return
    section = page.section(
        "Made beside real", f"Hits at random latents, then real training sounds, half a second each. {RANGE}"
    )
    for gallery in galleries:
        name = gallery.name.replace("_", " ")
        says = f"Spectrograms of made and real sounds: {name}"
        section.parts.append(picture(gallery.picture, says, name.capitalize()))
        section.sounds(
            [Sound(f"{name}, made", gallery.made), Sound(f"{name}, real", gallery.real)], columns=2
        )
