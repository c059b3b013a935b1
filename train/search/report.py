"""What a study found: the Pareto front as picture, table and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, cast

from common.figure import COLOURS, GRID, INK, new_figure
from common.files import write_picture, write_text
from common.page import PREDICTED, Page
from train.recipe import Recipe
from train.search.sweep import Sweep

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial

    from firmware.compiler import Budget


class Cost(TypedDict):
    """The numbers of a prediction that a study keeps."""

    cpu_worst: float
    cpu_mean: float
    parameters: int
    macs_per_sample: float
    weight_bytes: int


Setting = bool | int | float | str | None
"""What a sweep may try; optuna keeps no other."""


class TrialRow(TypedDict):
    """One trial: what it was, what it cost, how good it was, and why it was left."""

    trial: int
    state: Literal["complete", "left", "under way", "died"]
    front: bool
    score: float | None
    cpu_worst: float | None
    settings: dict[str, Setting]
    cpu_mean: NotRequired[float]
    parameters: NotRequired[int]
    macs_per_sample: NotRequired[float]
    weight_bytes: NotRequired[int]
    reason: NotRequired[str]
    same_as: NotRequired[int]
    retry_of: NotRequired[int]
    baseline: NotRequired[bool]
    folder: NotRequired[str]
    curve: NotRequired[list[list[float]]]


class StudyReport(TypedDict):
    """What ``study.json`` holds."""

    recipe: str
    board: str
    objectives: dict[str, str]
    wanted: int
    finished: int
    under_way: int
    front: list[TrialRow]
    trials: list[TrialRow]


def describe(budget: Budget) -> Cost:
    """The numbers of a prediction that a study keeps."""
    return {
        "cpu_worst": float(budget.cpu_worst),
        "cpu_mean": float(budget.cpu_mean),
        "parameters": int(budget.parameters),
        "macs_per_sample": float(budget.macs_per_sample),
        "weight_bytes": int(budget.weight_bytes),
    }


def pareto(points: list[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other is better than in one thing and as good as in the other, by cost.

    Parameters
    ----------
    points : list of (score, cost)
        Lower is better; of equal points the first stands.
    """
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], points[i][0], i)):
        if not front or points[i][0] < points[front[-1]][0]:
            front.append(i)
    return front


def write_report(study: optuna.Study, recipe: Recipe, sweep: Sweep, folder: Path) -> StudyReport:
    """Write ``study.json`` and ``pareto.md``; return what the first holds."""
    from optuna.trial import TrialState

    trials = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
    rows = [_row(t) for t in trials]
    complete = [row for row in rows if row["state"] == "complete"]
    for i in pareto([(score_of(row), percent(row)) for row in complete]):
        complete[i]["front"] = True
    report: StudyReport = {
        "recipe": recipe.name,
        "board": recipe.budget.board,
        "objectives": {
            "score": "best validation score",
            "cpu_worst": "predicted part of the CPU, worst block",
        },
        "wanted": sweep.trials,
        "finished": sum(row["state"] in ("complete", "left") for row in rows),
        "under_way": sum(row["state"] == "under way" for row in rows),
        "front": sorted((row for row in complete if row["front"]), key=percent),
        "trials": rows,
    }
    for name, text in (("study.json", json.dumps(report, indent=1)), ("pareto.md", table(report))):
        write_text(folder / name, text)
    return report


def _row(trial: FrozenTrial) -> TrialRow:
    known = trial.user_attrs
    curve = known.get("curve", [])
    states = {"COMPLETE": "complete", "PRUNED": "left", "RUNNING": "under way", "FAIL": "died"}
    cost = known.get("cost", {})
    score = min((s for _, s in curve), default=None)
    if trial.values is not None:
        score = trial.values[0]
    row = {
        "trial": trial.number,
        "state": states[trial.state.name],
        "front": False,
        "score": score,
        "cpu_worst": None,
        **cost,
        "settings": trial.params,
    }
    told = ("reason", "same_as", "retry_of", "baseline", "folder", "curve")
    return cast(TrialRow, {**row, **{name: known[name] for name in told if name in known}})


def percent(row: TrialRow) -> float:
    """Predicted CPU of the worst block of a trial that was priced, percent."""
    assert row["cpu_worst"] is not None
    return 100 * row["cpu_worst"]


def score_of(row: TrialRow) -> float:
    """Best score of a trial that was validated."""
    assert row["score"] is not None
    return row["score"]


def listed(report: StudyReport) -> list[TrialRow]:
    """Trials as they are shown: the front first, then by cost; those that died are left out."""
    return sorted(
        (row for row in report["trials"] if row["state"] != "died"),
        key=lambda row: (not row["front"], row["cpu_worst"] or 0.0, row["trial"]),
    )


def table(report: StudyReport) -> str:
    """All trials as a Markdown table, the front first and marked."""
    rows = listed(report)
    paths = sorted({path for row in rows for path in row["settings"]})
    lines = [
        "| trial | " + " | ".join(paths) + f" | CPU of {report['board']}, worst block | score | |",
        "|" + "---|" * (len(paths) + 4),
    ]
    for row in rows:
        cells = [_short(row["settings"].get(path, "")) for path in paths]
        cost = "" if row["cpu_worst"] is None else f"{row['cpu_worst']:.1%}"
        score = "" if row["score"] is None else f"{row['score']:.4g}"
        note = _note(row).replace("front", "**front**", 1) if row["front"] else _note(row)
        lines.append(f"| {row['trial']} | " + " | ".join([*cells, cost, score, note]) + " |")
    return "\n".join(lines) + "\n"


def _note(row: TrialRow) -> str:
    """What became of a trial."""
    note = "front" if row["front"] else row.get("reason", "")
    if row["state"] == "under way":
        note = "under way"
    if row.get("baseline"):
        note = f"{note} (the recipe itself)".strip()
    if "same_as" in row:
        note = f"{note} (as trial {row['same_as']})".strip()
    return note


def _short(value: Setting) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def draw(report: StudyReport, recipe: Recipe, folder: Path) -> None:
    """Write ``pareto.png`` and the page, ``study.html``."""
    figure = pareto_figure(report, recipe)
    page = Page(
        f"{recipe.name}: {report['finished']} of {report['wanted']} trials",
        "What every trial costs on the board and how well it learnt; the front is best at its cost.",
        "The same figures are in study.json.",
    )
    page.opening.picture(
        figure, "Score of every trial over its predicted CPU, and the Pareto front", PREDICTED
    )
    rows = listed(report)
    paths = sorted({path for row in rows for path in row["settings"]})
    page.section("Trials", "The front first. Score: the best of a trial on the validation split.").table(
        [
            "trial",
            "score (lower is better)",
            f"CPU, worst block of {report['board']}",
            "what became of it",
            *paths,
        ],
        [
            [
                str(row["trial"]),
                row["score"],
                None if row["cpu_worst"] is None else f"{100 * row['cpu_worst']:.1f} %",
                _note(row),
                *(row["settings"].get(path) for path in paths),
            ]
            for row in rows
        ],
        note=PREDICTED,
    )
    write_text(folder / "study.html", page.html())
    write_picture(folder / "pareto.png", figure)


def pareto_figure(report: StudyReport, recipe: Recipe) -> Figure:
    """Draw score against cost: the front, what was trained, stopped and refused, the recipe itself."""
    figure, grid = new_figure(width=7, height=4.6)
    axes = grid[0, 0]
    priced = [row for row in report["trials"] if row["cpu_worst"] is not None and row["state"] != "died"]
    for state, marker, colour, words in (
        ("left", "x", COLOURS[8], "stopped early (best so far)"),
        ("complete", "o", COLOURS[0], "trained"),
    ):
        some = [row for row in priced if row["state"] == state and row["score"] is not None]
        if some:
            x, y = [percent(row) for row in some], [score_of(row) for row in some]
            axes.scatter(x, y, marker=marker, color=colour, s=26, label=words, zorder=2)
    refused = [row for row in priced if row["state"] == "left" and row["score"] is None]
    for number, row in enumerate(refused):
        axes.axvline(percent(row), color=COLOURS[1], lw=0.6, label="" if number else "refused")
    front = report["front"]
    x, y = [percent(row) for row in front], [score_of(row) for row in front]
    axes.step(x, y, where="post", color=COLOURS[4], lw=1.5, label="Pareto front", zorder=1)
    axes.scatter(x, y, s=70, facecolors="none", edgecolors=COLOURS[4], zorder=3)
    for row in front:
        at = (percent(row), score_of(row))
        axes.annotate(str(row["trial"]), at, textcoords="offset points", xytext=(6, 5), fontsize=8)
    own = [row for row in priced if row.get("baseline") and row["score"] is not None]
    if own:
        at = (percent(own[0]), score_of(own[0]))
        axes.scatter(*at, marker="*", s=130, color=INK, label="the recipe", zorder=4)
    axes.set(
        xlabel=f"predicted CPU of {report['board']}, worst block, %",
        ylabel="best validation score (lower is better)",
    )
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    return figure
