"""What is told of a judged expression, and its page."""

from __future__ import annotations

from typing import TypedDict

from common.page import Page
from train.judges.judged import Judgement, share
from train.judges.reports import Judged


class CurveFigures(TypedDict):
    """Means over notes: what is made without chance beside the note, in dB and cents; and by habits.

    Of a shape, the level of the note is left out: its hand may have played louder or softer.
    """

    curve_db: float
    curve_db_habits: float
    shape_db: float
    shape_db_habits: float
    curve_cents: float
    curve_cents_flat: float


class ExpressionRow(TypedDict):
    """One note: errors of its loudness, dB."""

    name: str
    label: str
    curve_db: float
    curve_db_habits: float


class ExpressionReport(Judged):
    """What is told of an expression.

    Attributes
    ----------
    figures : CurveFigures
        On the split, whose instruments were kept whole where it is the test split.
    learnt : CurveFigures
        On notes that validate, of instruments that were learnt.
    told_notes, told_habits : float
        Part of whole notes that a critic, trained afterwards, tells rightly: real from made by chance, and
        real from made by habits.
    told_notes_learnt : float
        The first on notes that validate.
    """

    figures: CurveFigures
    learnt: CurveFigures
    told_notes: float
    told_notes_learnt: float
    told_habits: float
    latents_alive: int
    by_label: dict[str, float]
    rows: list[ExpressionRow]


def write_page(page: Page, judged: Judgement[ExpressionReport]) -> None:
    """Write the sections for expressions."""
    report = judged.report
    found, learnt = report["figures"], report["learnt"]
    page.opening.figures(
        {
            "loudness of unseen instruments, off by": f"{found['curve_db']:.1f} dB",
            "the same, by habits": f"{found['curve_db_habits']:.1f} dB",
            "loudness of unseen notes, off by": f"{learnt['curve_db']:.1f} dB",
            "the same, by habits ": f"{learnt['curve_db_habits']:.1f} dB",
            "made by chance, told from real": share(report["told_notes"]),
            "made by habits, told from real": share(report["told_habits"]),
        }
    )
    section = page.section(
        "Curves",
        "Loudness of notes that were never learnt, with the timbre of another note of the same instrument: "
        "real, made without chance, made by chance, and made by habits.",
    )
    for title, figure in judged.drawings:
        section.picture(figure, title)
    page.section(
        "Errors",
        "Habits are five numbers a note, each a sum of latents, pitch and 1. They are fitted to the same "
        "training notes. A flat pitch is that of the note.",
    ).table(
        ["mean absolute error (lower is better)", "this split", "notes that validate"],
        [
            ["loudness, dB", f"{found['curve_db']:.2f}", f"{learnt['curve_db']:.2f}"],
            ["loudness by habits, dB", f"{found['curve_db_habits']:.2f}", f"{learnt['curve_db_habits']:.2f}"],
            ["its shape, dB", f"{found['shape_db']:.2f}", f"{learnt['shape_db']:.2f}"],
            ["shape by habits, dB", f"{found['shape_db_habits']:.2f}", f"{learnt['shape_db_habits']:.2f}"],
            ["pitch, cents", f"{found['curve_cents']:.1f}", f"{learnt['curve_cents']:.1f}"],
            ["flat pitch, cents", f"{found['curve_cents_flat']:.1f}", f"{learnt['curve_cents_flat']:.1f}"],
        ],
    )
    page.section("By instrument").table(
        ["instrument", "loudness, off by, dB"],
        [[name, f"{value:.2f}"] for name, value in report["by_label"].items()],
    )
