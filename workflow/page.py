"""The one page that shows what a workflow made."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

from common.files import write_text
from workflow.stages import STAMPS, Stage


def write_index(folder: Path, title: str, stages: Sequence[Stage]) -> Path:
    """Write the one page that shows what the workflow made: figures, pictures, sounds, links."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for line in headline(folder):
        parts.append(f"<p><b>{html.escape(line)}</b></p>")
    for picture in sorted(folder.glob("*.png")):
        parts.append(f'<h2>{picture.stem}</h2><img src="{picture.name}" alt="{picture.stem} played">')
    for sound in sorted(folder.glob("*.wav")):
        if ".gates" not in sound.suffixes and ".cv" not in sound.suffixes:
            parts.append(f'<p>{sound.name}<br><audio controls src="{sound.name}"></audio></p>')
    parts.append(
        "<h2>Stage by stage</h2><table><tr><th>stage</th><th>command</th><th>seconds</th>"
        "<th>of processor</th></tr>"
    )
    for stage in stages:
        stamp = folder / STAMPS / f"{stage.name}.json"
        record = json.loads(stamp.read_text()) if stamp.is_file() else {}
        links = "".join(
            f' <a href="{path.relative_to(folder)}">{path.name}</a>'
            for path in stage.makes
            if path.is_relative_to(folder) and path.suffix in (".html", ".json")
        )
        parts.append(
            f"<tr><td>{stage.name}{links}</td><td><code>{html.escape(stage.command())}</code></td>"
            f"<td>{record.get('seconds', '')}</td><td>{record.get('cpu_seconds', '')}</td></tr>"
        )
    parts.append("</table>")
    style = (
        "body{font:16px/1.5 system-ui;max-width:70em;margin:2em auto;padding:0 1em}img{max-width:100%}"
        "table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.3em .8em;text-align:left}"
        "code{font-size:.8em}"
    )
    page = f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{style}</style>"
    index = folder / "index.html"
    write_text(index, page + "\n".join(parts))
    return index


def headline(folder: Path) -> list[str]:
    """Sentences with the figures that matter, from the stages' JSON."""
    lines = []
    for file in sorted(folder.glob("*.module.json")):
        found = json.loads(file.read_text())
        cpu = found["predicted_cpu"]
        agrees = "equals" if found["equals_host"] else "DIFFERS from"
        lines.append(
            f"{found['instrument']}: the whole instrument takes {cpu['mean']:.1%} of a {found['board']} at "
            f"block {found['block']}, worst callback {cpu['worst']:.1%} (predicted); the emulated module "
            f"{agrees} the host's rendering."
        )
    report = folder / "report" / "report.json"
    if report.is_file():
        for role, part in json.loads(report.read_text())["models"].items():
            cpu = part["predicted"]["cpu"]
            lines.append(
                f"{role}: the network alone takes {cpu['mean']:.1%}, worst callback {cpu['worst']:.1%} "
                "(predicted)."
            )
    return lines
