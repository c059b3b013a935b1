"""The one page that shows what a workflow made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from common.files import write_text
from common.page import PREDICTED, Cell, Page, Sound, Value
from workflow.stages import STAMPS, Stage


def write_index(folder: Path, title: str, stages: Sequence[Stage]) -> Path:
    """Write the one page that shows what the workflow made: figures, pictures, sounds, links."""
    page = Page(title, "What came out: sounds and pictures first, then figures, reports and every command.")
    for said in headline(folder):
        page.opening.text(said)
    for wav in sorted(folder.glob("*.wav")):
        if wav.with_suffix("").suffix:  # .module, .gates, .cv: what belongs to another
            continue
        name = wav.stem
        section = page.section(name.replace("_", " ").capitalize(), _script(name, stages))
        if wav.with_suffix(".png").is_file():
            section.picture(wav.with_suffix(".png"), f"{name} played: spectrogram, gates, voltages and knobs")
        module = folder / f"{name}.module.wav"
        heard = [Sound("on this computer", wav.name)]
        section.sounds(
            [*heard, *([Sound("on the emulated module", module.name)] if module.is_file() else [])]
        )
    costs = cost_rows(folder)
    if costs:
        page.section("What it costs on the board").table(
            ["what", "CPU, mean", "CPU, worst callback", "samples a callback", "module and host"],
            costs,
            note=PREDICTED,
        )
    made = [path for stage in stages for path in stage.makes if path.suffix in (".html", ".json")]
    inside = [path for path in made if path.is_relative_to(folder) and path.is_file()]
    if inside:
        names = [path.relative_to(folder).as_posix() for path in inside]
        page.section("Reports").points(Cell(name, link=name) for name in names)
    page.section("Stage by stage").table(
        ["stage", "what happens", "seconds", "CPU seconds", "command"],
        [_row(stage, folder) for stage in stages],
    )
    index = folder / "index.html"
    write_text(index, page.html())
    return index


def _row(stage: Stage, folder: Path) -> list[Value]:
    stamp = folder / STAMPS / f"{stage.name}.json"
    record = json.loads(stamp.read_text()) if stamp.is_file() else {}
    return [
        stage.name,
        stage.says,
        record.get("seconds"),
        record.get("cpu_seconds"),
        Cell(stage.command(), code=True),
    ]


def _script(name: str, stages: Sequence[Stage]) -> str:
    """What is played: the script of the stage that made it."""
    argv = next((stage.argv for stage in stages if stage.argv[:2] == ("play", name)), ())
    scripts = [Path(value).name for option, value in pairwise(argv) if option == "--cv"]
    return f"Plays {scripts[0]}." if scripts else ""


def cost_rows(folder: Path) -> list[list[Value]]:
    """Predicted figures of what is in a folder: whole instruments, then networks alone."""
    rows: list[list[Value]] = []
    for file in sorted(folder.glob("*.module.json")):
        found = json.loads(file.read_text())
        cpu = found["predicted_cpu"]
        agrees = Cell("alike") if found["equals_host"] else Cell("DIFFERENT", grave=True)
        rows.append([f"{found['instrument']}, the whole instrument", *_shares(cpu), found["block"], agrees])
    report = folder / "report" / "report.json"
    if report.is_file():
        for part in json.loads(report.read_text())["models"].values():
            predicted = part["predicted"]
            name = f"{part['file']}, the network alone"
            alike = "alike" if not predicted["bit_exact"]["differing"] else "DIFFERENT"
            rows.append([name, *_shares(predicted["cpu"]), predicted["block"], alike])
    return rows


def _shares(cpu: dict[str, float]) -> list[Value]:
    return [f"{100 * cpu['mean']:.1f} %", Cell(f"{100 * cpu['worst']:.1f} %", grave=cpu["worst"] > 1)]


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
