"""``vaectrol evaluate``: quality on what was never trained on, beside trivial opponents; JSON and HTML."""

from __future__ import annotations

import base64
import html
import importlib
import json
from pathlib import Path
from typing import Any

from common.files import write_text
from common.refusal import Refusal
from train.judges.player import open_player

JUDGES = {kind: f"train.judges.{kind}" for kind in ("drum", "rhythm", "drive", "mel")}

# What the headline leaves to report.json
LONG = ("rows", "data", "model", "kind", "split", "by_class", "curves")


def evaluate(
    model: str | Path, data: Any, out: str | Path, *, split: str = "test", limit: int = 0
) -> dict[str, Any]:
    """Judge a run or a model file on a split and write ``report.json`` and ``report.html``.

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
    dict
        What ``report.json`` holds.

    Raises
    ------
    Refusal
        On a model without a judge, data of another kind or an empty split.
    """
    player = open_player(model)
    kind = player.task.recipe.kind
    if kind not in JUDGES:
        raise Refusal(
            f"{model} is of kind {kind}, which `evaluate` cannot judge; it can: {', '.join(JUDGES)}"
        )
    if not player.task.accepts(data.kind):
        raise Refusal(
            f"{data.directory} holds {data.kind}; a {kind} model is judged on "
            f"data of kind {player.task.data_kind}"
        )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    report = importlib.import_module(JUDGES[kind]).judge(player, data, split, folder, limit)
    report = {
        "model": str(model),
        "kind": kind,
        "data": {"path": str(data.directory), "hash": data.hash},
        **report,
    }
    for name, text in (
        ("report.json", json.dumps(report, indent=1)),
        ("report.html", _page(report, folder)),
    ):
        write_text(folder / name, text)
    return report


def headline(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The report's single numbers as (name, value) lines."""
    lines: list[tuple[str, str]] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix} · {key}" if prefix else key, inner)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            lines.append((prefix, f"{value:.4g}"))

    shown = {k: v for k, v in report.items() if k not in LONG}
    walk("", shown)
    return lines


def _page(report: dict[str, Any], folder: Path) -> str:
    """One self-contained page."""

    def embedded(path: Path, kind: str) -> str:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

    rows = "".join(f"<tr><td>{html.escape(a)}</td><td>{b}</td></tr>" for a, b in headline(report))
    pictures = "".join(
        f'<h2>{path.stem}</h2><img src="{embedded(path, "image/png")}" style="max-width:100%">'
        for path in sorted(folder.glob("*.png"))
    )
    sounds = "".join(
        f'<p>{path.stem}: <audio controls src="{embedded(path, "audio/wav")}"></audio></p>'
        for path in sorted(folder.glob("*.wav"))
    )
    title = (
        f"{report['kind']} model {html.escape(report['model'])} on {report['items']} {report['split']} items"
    )
    return (
        f'<!doctype html><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:15px/1.45 sans-serif;max-width:62em;margin:2em auto;padding:0 1em}"
        "td{padding:.15em 1.2em .15em 0;border-bottom:1px solid #ddd}</style>"
        f"<h1>{title}</h1><p>Data set {report['data']['hash'][:16]}.</p><table>{rows}</table>"
        f"{sounds}{pictures}"
    )
