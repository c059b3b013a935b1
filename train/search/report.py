"""What a study found: the Pareto front as picture, table and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.files import write_picture, write_text
from train.recipe import Recipe
from train.search.sweep import Sweep

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


def describe(budget: Any) -> dict[str, float]:
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


def write_report(study: optuna.Study, recipe: Recipe, sweep: Sweep, folder: Path) -> dict[str, Any]:
    """Write ``study.json`` and ``pareto.md``; return what the first holds."""
    from optuna.trial import TrialState

    trials = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
    rows = [_row(t) for t in trials]
    complete = [row for row in rows if row["state"] == "complete"]
    for i in pareto([(row["score"], row["cpu_worst"]) for row in complete]):
        complete[i]["front"] = True
    report: dict[str, Any] = {
        "recipe": recipe.name,
        "board": recipe.budget.board,
        "objectives": {
            "score": "best validation score",
            "cpu_worst": "predicted part of the CPU, worst block",
        },
        "wanted": sweep.trials,
        "finished": sum(row["state"] in ("complete", "left") for row in rows),
        "under_way": sum(row["state"] == "under way" for row in rows),
        "front": sorted((row for row in complete if row["front"]), key=lambda row: row["cpu_worst"]),
        "trials": rows,
    }
    for name, text in (("study.json", json.dumps(report, indent=1)), ("pareto.md", table(report))):
        write_text(folder / name, text)
    return report


def _row(trial: FrozenTrial) -> dict[str, Any]:
    known = trial.user_attrs
    curve = known.get("curve", [])
    states = {"COMPLETE": "complete", "PRUNED": "left", "RUNNING": "under way", "FAIL": "died"}
    cost = known.get("cost", {})
    score = min((s for _, s in curve), default=None)
    if trial.values is not None:
        score = trial.values[0]
    return {
        "trial": trial.number,
        "state": states[trial.state.name],
        "front": False,
        "score": score,
        "cpu_worst": None,
        **cost,
        "settings": trial.params,
        **{
            k: known[k]
            for k in ("reason", "same_as", "retry_of", "baseline", "folder", "curve")
            if k in known
        },
    }


def table(report: dict[str, Any]) -> str:
    """All trials as a Markdown table, the front first and marked."""
    rows = sorted(
        (row for row in report["trials"] if row["state"] != "died"),
        key=lambda row: (not row["front"], row["cpu_worst"] or 0.0, row["trial"]),
    )
    paths = sorted({path for row in rows for path in row["settings"]})
    lines = [
        "| trial | " + " | ".join(paths) + f" | CPU of {report['board']}, worst block | score | |",
        "|" + "---|" * (len(paths) + 4),
    ]
    for row in rows:
        cells = [_short(row["settings"].get(path, "")) for path in paths]
        cost = "" if row["cpu_worst"] is None else f"{row['cpu_worst']:.1%}"
        score = "" if row["score"] is None else f"{row['score']:.4g}"
        note = "**front**" if row["front"] else row.get("reason", "")
        if row["state"] == "under way":
            note = "under way"
        if row.get("baseline"):
            note = f"{note} (the recipe itself)".strip()
        if "same_as" in row:
            note = f"{note} (as trial {row['same_as']})".strip()
        lines.append(f"| {row['trial']} | " + " | ".join([*cells, cost, score, note]) + " |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def draw(report: dict[str, Any], recipe: Recipe, path: Path) -> None:
    """Draw score against cost: the front, what was trained, stopped and refused, the recipe itself."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.6))
    priced = [row for row in report["trials"] if row["cpu_worst"] is not None and row["state"] != "died"]
    for state, marker, colour, words in (
        ("left", "x", "0.6", "stopped early (best so far)"),
        ("complete", "o", "tab:blue", "trained"),
    ):
        some = [row for row in priced if row["state"] == state and row["score"] is not None]
        if some:
            x, y = [100 * row["cpu_worst"] for row in some], [row["score"] for row in some]
            axes.scatter(x, y, marker=marker, color=colour, s=26, label=words, zorder=2)
    refused = [row for row in priced if row["state"] == "left" and row["score"] is None]
    for number, row in enumerate(refused):
        axes.axvline(100 * row["cpu_worst"], color="tab:red", lw=0.6, label="" if number else "refused")
    front = report["front"]
    x, y = [100 * row["cpu_worst"] for row in front], [row["score"] for row in front]
    axes.step(x, y, where="post", color="tab:orange", lw=1.5, label="Pareto front", zorder=1)
    axes.scatter(x, y, s=70, facecolors="none", edgecolors="tab:orange", zorder=3)
    for row in front:
        axes.annotate(
            str(row["trial"]),
            (100 * row["cpu_worst"], row["score"]),
            textcoords="offset points",
            xytext=(6, 5),
            fontsize=8,
        )
    own = [row for row in priced if row.get("baseline") and row["score"] is not None]
    if own:
        axes.scatter(
            100 * own[0]["cpu_worst"],
            own[0]["score"],
            marker="*",
            s=130,
            color="k",
            label="the recipe",
            zorder=4,
        )
    axes.set(
        xlabel=f"predicted CPU of {report['board']}, worst block, %",
        ylabel="best validation score (lower is better)",
        title=f"{recipe.name}: {report['finished']} of {report['wanted']} trials",
    )
    axes.grid(color="0.93")
    axes.legend(fontsize=8)
    figure.tight_layout()
    write_picture(path, figure)
