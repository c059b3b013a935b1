"""The one page that shows what a workflow made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.files import write_text
from common.page import PREDICTED, Cell, Page, Sound, Value
from workflow.stages import STAMPS, Stage


def write_index(folder: Path, title: str, stages: Sequence[Stage]) -> Path:
    """Write the one page that shows what the workflow made: sounds and pictures first, then figures, links.

    Parameters
    ----------
    folder : Path
        Of the workflow; ``index.html`` goes there.
    stages : sequence of Stage
        All of them, done or not: what is not there yet is left out.
    """
    page = Page(title, "Sounds and pictures first, then figures, reports and every command.")
    pages = [stage.makes[0] for stage in stages if stage.argv[:1] == ("web",) and stage.makes[0].is_file()]
    if pages:
        section = page.section(
            "Play it", "Knobs, jacks and cables in this browser, and the module's own numbers."
        )
        section.points(Cell(_page_title(path), link=path.relative_to(folder).as_posix()) for path in pages)
    plays = [stage for stage in stages if stage.argv[:1] == ("play",) and stage.makes[0].is_file()]
    factory = [stage for stage in plays if "--model" not in stage.argv]
    own = [stage for stage in plays if "--model" in stage.argv]
    for chapter, heard in (("The factory instruments", factory), ("Made here", own)):
        if factory and heard:
            page.section(chapter)
        for stage in heard:
            _instrument(page, folder, stage, level=3 if factory else 2)
    folders = list(dict.fromkeys([*(stage.makes[0].parent for stage in plays), folder]))
    costs = [row for place in folders for row in cost_rows(place)]
    if costs:
        page.section("What it costs on the board").table(
            ["what", "CPU, mean", "CPU, worst callback", "samples a callback", "module and host"],
            costs,
            note=PREDICTED,
        )
    shown = (".html", ".json")
    made = [
        path for stage in stages for path in stage.makes if path.suffix in shown and path.name != "heard.json"
    ]
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


def _page_title(path: Path) -> str:
    return "The factory instruments" if path.name == "index.html" else f"The {path.stem} made here"


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


def _instrument(page: Page, folder: Path, stage: Stage, level: int) -> None:
    """One instrument: a sentence, the picture, a player for each machine, and what was compared."""
    from firmware.instruments.demo import find_demo
    from firmware.instruments.spec import load_instrument

    name, (wav, picture) = stage.argv[1], stage.makes
    stem = Path(name).stem  # the instrument's name, or its file's
    loaded = load_instrument(name)
    section = page.section(
        loaded.spec.title, find_demo(name, other_models="--model" in stage.argv).about, level=level
    )
    heard = [Sound("on this computer", wav.relative_to(folder).as_posix())]
    module = wav.with_name(f"{stem}.module.wav")
    figures = module.with_suffix(".json")
    found = json.loads(figures.read_text()) if figures.is_file() else None
    if found:
        first = f"its first {found['seconds']:.1f} s, emulated"
        heard.append(Sound(first, module.relative_to(folder).as_posix()))
    section.sounds(heard, columns=2)
    if found:
        section.text(_compared(found))
    section.picture(picture, f"{stem} played: spectrogram, gates, voltages and knobs")


def _compared(found: dict[str, Any]) -> str:
    """Say what was compared, and what came of it."""
    cpu = found["predicted_cpu"]
    differ = found["samples_that_differ"]
    same = "every sample, gate and voltage is the same" if not differ else f"{differ:,} samples differ"
    same = same if found["equals_host"] else f"THE TWO DIFFER ({differ:,} samples)"
    return (
        f"The first {found['seconds']:.1f} s also ran on an emulated {found['board']}, beside this "
        f"computer's rendering: {same}. "
        f"Processor: {cpu['mean']:.0%}, at worst {cpu['worst']:.0%} (predicted)."
    )


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
        for part in json.loads(report.read_text())["models"].values():
            cpu = part["predicted"]["cpu"]
            lines.append(
                f"{part['file']}: the network alone takes {cpu['mean']:.1%}, worst callback "
                f"{cpu['worst']:.1%} (predicted)."
            )
    return lines
