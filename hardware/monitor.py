"""A live view of a module: load, every input as volts and position, latents, gates.

The picture is made by `render`, a plain function of what the module said, so that it can be tested and
printed once; `watch` only repeats it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from common.refusal import ModuleGone, Refusal
from hardware.board import Board, load_board
from hardware.protocol import Hello, Link, Parameter, Report

BAR_CELLS = 20
BUSY = 0.8
"""A worst callback above this share of the block is shown in yellow, above 1 in red."""


@dataclass(frozen=True)
class Module:
    """What does not change while one watches."""

    device: str
    hello: Hello
    board: Board
    parameters: tuple[Parameter, ...]


def connect(link: Link) -> Module:
    """Ask a module once for everything that the view needs."""
    hello = link.hello()
    return Module(link.device, hello, load_board(hello.board), tuple(link.parameters()))


def reports(link: Link, hz: float) -> Iterator[Report]:
    """Yield reports as they come, until the caller stops or the module goes away."""
    link.ask("stream", hz=hz)
    last = time.monotonic()
    patience_s = max(2.0, 4.0 / hz)
    try:
        while True:
            for event in link.events(1.0 / hz):
                if event.get("event") == "report":
                    last = time.monotonic()
                    yield Report.model_validate(
                        {key: value for key, value in event.items() if key != "event"}
                    )
            if time.monotonic() - last > patience_s:
                raise ModuleGone(f"{link.device} stopped sending; its program may have stopped: tap RESET.")
    finally:
        with contextlib.suppress(Refusal):  # where it is gone, so is its stream
            link.ask("stream", hz=0, timeout_s=0.5)


def bar(part: float | None, cells: int = BAR_CELLS) -> str:
    """Draw a bar of `part` (0 to 1) in eighths of a cell."""
    if part is None:
        return "·" * cells
    eighths = round(min(1.0, max(0.0, part)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(cells)


def _load(report: Report) -> Text:
    if report.cpu_mean is None or report.cpu_worst is None:
        return Text("this port does not measure its load")
    colour = "red" if report.cpu_worst >= 1.0 else "yellow" if report.cpu_worst >= BUSY else "green"
    text = Text.assemble(
        ("CPU mean ", "bold"),
        f"{report.cpu_mean * 100:5.1f} %  {bar(report.cpu_mean)}  ",
        ("worst ", "bold"),
        (f"{report.cpu_worst * 100:5.1f} %", colour),
    )
    if report.late:
        text.append(f"  {report.late} late blocks", "bold red")
    return text


def _table(title: str, *columns: str) -> Table:
    """A plain table whose last column is a number."""
    table = Table(title=title, title_justify="left", expand=True, pad_edge=False, box=box.SIMPLE_HEAD)
    for column in columns[:-1]:
        table.add_column(column)
    table.add_column(columns[-1], justify="right")
    return table


def _inputs(module: Module, report: Report) -> Table:
    table = _table("inputs", "jack", "silk", "travel", "volts")
    for adc, volts in zip(module.board.adcs, report.volts, strict=False):
        span = adc.travel_high_volts - adc.travel_low_volts
        part = None if volts is None else (volts - adc.travel_low_volts) / span
        table.add_row(adc.name, adc.silk, bar(part), "—" if volts is None else f"{volts:+8.3f}")
    return table


def _parameters(module: Module, report: Report) -> Table:
    table = _table("latents and settings", "name", "moved by", "position", "value")
    names = [adc.name for adc in module.board.adcs]
    for parameter, position, value in zip(module.parameters, report.position, report.value, strict=False):
        movers = [names[n] for n in (parameter.knob, parameter.cv) if 0 <= n < len(names)]
        shown = "—" if value is None else f"{value:+9.4f}"
        table.add_row(parameter.name, " + ".join(movers) or "fixed", bar(position), shown)
    return table


def _gates(module: Module, report: Report) -> Text:
    text = Text()
    names = [gate.name for gate in (*module.board.gates_in, *module.board.buttons)]
    for index, count in enumerate(report.triggers):
        name = names[index] if index < len(names) else f"gate {index}"
        high = bool(report.gates_in >> index & 1)
        text.append(f"{name} {'●' if high else '○'} {count}   ", "bold green" if high else "")
    for index, gate in enumerate(module.board.gates_out[: module.hello.gates_out]):
        high = bool(report.gates_out >> index & 1)
        text.append(f"{gate.name} {'●' if high else '○'}   ", "bold cyan" if high else "")
    return text


def render(module: Module, report: Report, garbage_lines: int = 0) -> Panel:
    """Draw the whole view of one report."""
    hello = module.hello
    foot = Text(f"block {report.blocks}")
    if report.preset != 255:
        foot.append(f"   preset {report.preset + 1}{' (not saved yet)' if report.unsaved else ''}")
        if report.preset_note:
            foot.append(f": model slot {report.preset_slot} does not play: {report.preset_note}", "yellow")
    if garbage_lines or report.dropped:
        foot.append(
            f"   noise on the line: {garbage_lines} lines, {report.dropped} answers dropped", "yellow"
        )
    if hello.storage:
        foot.append(f"   storage: {hello.storage}", "yellow")
    title = (
        f"{hello.instrument} {hello.version} on {module.board.title} · model {hello.model} · "
        f"{hello.rate_hz:,.0f} Hz, block {hello.block}"
    )
    body = Group(
        _load(report), _inputs(module, report), _parameters(module, report), _gates(module, report), foot
    )
    return Panel(body, title=title, subtitle=module.device)


def watch(link: Link, hz: float) -> None:
    """Show the view until interrupted."""
    from rich.console import Console
    from rich.live import Live

    module = connect(link)
    console = Console()
    with Live(console=console, refresh_per_second=max(4.0, hz), transient=False) as live:
        for report in reports(link, hz):
            live.update(render(module, report, link.garbage_lines))
