"""``vaectrol evaluate``: quality on what was never trained on, beside trivial opponents; JSON and HTML."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from common.files import write_text
from common.measures import measure
from common.page import Page
from common.refusal import Refusal
from common.version import version
from train.judges.judged import Judgement
from train.judges.player import Player, open_player
from train.judges.reports import Evaluation, Judged
from train.kinds import task_class, training_kinds

if TYPE_CHECKING:
    from train.data.store import DataSet

# What the headline leaves to report.json, whatever was judged
LONG = ("rows", "data", "model", "kind", "split")


class Judge(Protocol):
    """A module that judges a kind of model.

    Attributes
    ----------
    DETAILS : tuple of str
        Keys, at any depth, that the headline leaves to ``report.json``.
    NOT_ON_CARD : tuple of str
        Keys, at any depth, that a model card leaves to the report's page.
    """

    DETAILS: tuple[str, ...]
    NOT_ON_CARD: tuple[str, ...]

    def judge(
        self, player: Player, data: DataSet, split: str, folder: Path, limit: int = 0
    ) -> Judgement[Any]:
        """Measure a model on a split; write sounds and pictures to ``folder``."""


def judge_of(kind: str) -> Judge | None:
    """Import the judge that a training kind names; None where it names none, or there is no such kind."""
    if kind not in training_kinds() or not task_class(kind).judge:
        return None
    return cast(Judge, importlib.import_module(task_class(kind).judge))


def evaluate(
    model: str | Path, data: DataSet, out: str | Path, *, split: str = "test", limit: int = 0
) -> Evaluation:
    """Judge a run or a model file on a split; write ``report.json``, ``report.html`` and ``heard.json``.

    The last holds the page's sounds, group by group: what was heard and what the model makes of it.

    Parameters
    ----------
    model : path
        A run folder, or a decoder's ONNX file with ``NAME.encoder.onnx`` beside it.
    data : DataSet
        Open data set.
    out : path
        Folder of the report.
    split : str
        ``test`` or ``validation``.
    limit : int
        At most so many items, evenly spaced; 0 takes all.

    Returns
    -------
    Evaluation
        What ``report.json`` holds.

    Raises
    ------
    Refusal
        On a model without a judge, data of another kind or an empty split.
    """
    player = open_player(model)
    kind = player.task.recipe.kind
    judge = judge_of(kind)
    if judge is None:
        others = ", ".join(other for other in training_kinds() if judge_of(other))
        raise Refusal(f"{model} is of kind {kind}, which `evaluate` cannot judge; it can: {others}")
    player.task.check_data(data, f"a {kind} model is judged on")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    judged = judge.judge(player, data, split, folder, limit)
    told: Judged = judged.report
    report: Evaluation = {
        "version": version(),
        "model": str(model),
        "kind": kind,
        "data": {"path": str(data.directory), "hash": data.hash},
        **told,
    }
    heard = [[{"title": one.title, "source": one.source} for one in group] for group in judged.groups]
    for name, text in (
        ("report.json", json.dumps(_without_nan(report), indent=1, allow_nan=False)),
        ("heard.json", json.dumps(heard)),
        ("report.html", _page(report, judged)),
    ):
        write_text(folder / name, text)
    return report


def _without_nan(value: object) -> object:
    """Put null where a figure is not there: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def headline(report: Evaluation) -> list[tuple[str, str]]:
    """The report's single numbers as lines: name and unit, value; details are left to the page."""
    lines: list[tuple[str, str]] = []

    judge = judge_of(report["kind"])
    left = (*LONG, *(judge.DETAILS if judge else ()))

    def walk(path: tuple[str, ...], value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key not in left:
                    walk((*path, key), inner)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            *within, last = path
            named = measure(last)
            unit = f", {named.unit}" if named.unit not in ("", "%") else ""
            name = " · ".join([*(words.replace("_", " ") for words in within), named.name + unit])
            lines.append((name, named.write(value)))

    walk((), report)
    return lines


def _page(report: Evaluation, judged: Judgement[Any]) -> str:
    """Write the page of what was judged."""
    page = Page(
        f"{Path(report['model']).name}: {report['kind']} model on unseen sounds",
        f"How near it comes on {report['items']} items of the {report['split']} split, beside opponents.",
        f"Model {report['model']}, data set {report['data']['hash'][:16]}; figures also in report.json.",
    )
    judged.write_page(page, judged)
    return page.html()
