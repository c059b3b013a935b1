"""What is told of a judged drive model, and its page."""

from __future__ import annotations

from typing import NotRequired, TypedDict, cast

from common.measures import measure
from common.page import Page, Value
from common.spectrogram import RANGE
from train.judges.judged import Judgement, peak, rank, share
from train.judges.reports import Judged

WAYS = {"knob": "its own latent", "line": "a straight line", "flow": "the flow"}
TELLERS = {
    "knn": "nearest neighbours, all latents",
    "knn_type_latents": "nearest neighbours, type latents",
    "flow": "the flow",
}


class Error(TypedDict):
    """Error-to-signal ratio, and the distance of spectra where it is taken."""

    esr: float
    mr_stft: NotRequired[float]


class DriveRow(TypedDict):
    """A phrase through a device: the model and its opponents."""

    name: str
    effect: str
    device: str
    model: Error
    static: Error
    static_own: Error
    device_point: NotRequired[Error]


class DriveFigures(TypedDict):
    """Medians over rows, and how often the model is nearer than the curve and filter."""

    items: int
    esr: float
    esr_static: float
    esr_static_own: float
    mr_stft: float
    mr_stft_static: float
    better_than_static: float
    esr_device_point: NotRequired[float]


class AmountFollowed(TypedDict):
    """Spearman of the amount and the distortion, and the distortion at each position."""

    spearman: float
    distortion: list[float]


class ReadBy(TypedDict):
    """R² of parameters as regression and flow read them."""

    regression: float
    flow: float


class ParametersRead(TypedDict):
    """R² of all parameters together, of the amounts, and of each."""

    pooled: ReadBy
    amounts: ReadBy
    each: dict[str, ReadBy]


class Safety(TypedDict):
    """Peaks under square, DC and long noise, and whether all was finite."""

    square_peak: float
    dc_peak: float
    noise_minutes: float
    noise_peak: float
    noise_peak_late_over_early: float
    finite: bool


class DriveReport(Judged):
    """What is told of a drive model."""

    figures: DriveFigures
    by_effect: dict[str, DriveFigures]
    amount: dict[str, dict[str, float]]
    types: dict[str, float]
    parameters: ParametersRead
    silence_dbfs: float
    safety: Safety
    rows: list[DriveRow]
    curves: dict[str, dict[str, AmountFollowed]]


def write_page(page: Page, judged: Judgement[DriveReport]) -> None:
    """Write the sections for drive."""
    report = judged.report
    figures = report["figures"]
    ratio = measure("esr")
    page.opening.figures(
        {
            f"{ratio.name}, the model": ratio.write(figures["esr"]),
            "the same, static curve and filter": ratio.write(figures["esr_static"]),
            "items nearer than curve and filter": share(figures["better_than_static"]),
            "silence in, peak out": peak(report["silence_dbfs"]),
        }
    )
    section = page.section("To hear", f"Dry, wet, made by the model, and by curve and filter. {RANGE}")
    for group in judged.groups:
        section.sounds(group)
    devices = {"all": figures, **report["by_effect"]}
    page.section(
        "Reconstruction",
        "Medians. The static curve and linear filter are fitted to the training pairs of the same device and "
        "setting, or of the same effect where the setting is new. The oracle is fitted to the window that "
        "the encoder hears. The device's point is heard from the training pairs.",
    ).table(
        [
            *("device", "items", f"{ratio.name}, the model", "from the device's point", "curve and filter"),
            *("oracle curve and filter", f"{measure('mr_stft').name}, the model", "curve and filter"),
            "nearer than curve and filter",
        ],
        [[name, *_row(one)] for name, one in devices.items()],
    )
    effects = list(dict.fromkeys(effect for one in report["amount"].values() for effect in one))
    ways = [way for way in WAYS if way in report["amount"]]
    if effects:
        section = page.section(
            "Amount",
            "The amount is turned while a sine goes through: Spearman of its position and of the distortion.",
        )
        section.table(
            ["effect", *(f"turned by {WAYS[way]}" for way in ways)],
            [
                [
                    effect,
                    *(
                        rank(v) if (v := report["amount"][way].get(effect)) is not None else None
                        for way in ways
                    ),
                ]
                for effect in effects
            ],
        )
    page.section("Types told apart").table(
        ["told by", "right, by item", "right, by type"],
        [
            [words, share(report["types"][key]), share(report["types"][f"{key}_by_type"])]
            for key, words in TELLERS.items()
            if key in report["types"]
        ],
    )
    read = report["parameters"]
    rows = {"all together": read["pooled"], "amounts alone": read["amounts"], **read["each"]}
    page.section(
        "Parameters read",
        "R² of a parameter read from the latents, of items whose type is known; 1 is exact.",
    ).table(
        ["parameter", "by regression", "by the flow"],
        [[_words(name), one["regression"], one["flow"]] for name, one in rows.items()],
    )
    safety = report["safety"]
    page.section("Safety", "Loudest sample at random places of the latents' travel; 1 is full scale.").table(
        ["signal in, full scale", "peak out"],
        [
            ["square wave", safety["square_peak"]],
            ["direct current", safety["dc_peak"]],
            [f"{safety['noise_minutes']:.0f} minutes of noise", safety["noise_peak"]],
            ["the same, second half over first", safety["noise_peak_late_over_early"]],
            ["always finite", bool(safety["finite"])],
        ],
    )
    section = page.section("Pictures")
    for says, drawing in judged.drawings:
        section.picture(drawing, says, says + ".")


def _row(one: DriveFigures) -> list[Value]:
    keys = ("esr", "esr_device_point", "esr_static", "esr_static_own", "mr_stft", "mr_stft_static")
    return [
        one["items"],
        *(cast(float | None, one.get(key)) for key in keys),
        share(one["better_than_static"]),
    ]


def _words(name: str) -> str:
    """``fuzz.Gain.gain_db`` as people read it: "fuzz: Gain gain db"."""
    effect, _, parameter = name.partition(".")
    return f"{effect}: {parameter.replace('.', ' ').replace('_', ' ')}" if parameter else name
