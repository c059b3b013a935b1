"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    from firmware.ports import commands as ports

    ports.register(app)
    app.command(
        "compile",
        epilog="Example: vaectrol compile kick.int8.onnx --target m7 --board patch_sm -o build/kick",
    )(compile_model)


def compile_model(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="Float or QDQ ONNX, weights beside it if external.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for NAME.h, NAME.c and report.json.")],
    target: Annotated[str, typer.Option(help="host, m7, aarch64 or wasm: how weights are packed.")] = "host",
    board: Annotated[str | None, typer.Option(help="Plan memory and time for this board.")] = None,
    block: Annotated[int | None, typer.Option(help="Samples per callback; the board's, or 48.")] = None,
    name: Annotated[str | None, typer.Option(help="Prefix of the C names.")] = None,
    schedule: Annotated[
        str, typer.Option(help="flat spreads slow layers over callbacks, eager adds no latency.")
    ] = "flat",
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--event", help="Stream along axis 2 although its length is fixed, or not."),
    ] = None,
    dump: Annotated[
        bool, typer.Option("--dump", help="Print the graph after every pass, clocks and rings.")
    ] = False,
    proof: Annotated[
        bool, typer.Option("--proof", help="Print the overflow proof of every channel.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compile an ONNX model to streaming C, and say what it costs."""
    import json

    from firmware.compiler.pipeline import compile_onnx

    program = compile_onnx(
        model,
        target,
        board,
        block,
        name,
        schedule=schedule,
        streaming=stream,
        dump_to=typer.echo if dump else None,
    )
    program.write(out)
    if as_json:
        typer.echo(json.dumps(program.report, indent=1))
        return
    _print_report(program.report, out)
    if proof:
        for line in program.report["overflow_proofs"]:
            typer.echo(
                f"{line['layer']}: sums stay below {line['largest_sum']:,} of {line['limit']:,}, "
                f"{line['accumulator_bits']}-bit accumulator"
            )
            typer.echo("  per channel " + " ".join(f"{b}" for b in line["per_channel"]))


def _print_report(report: dict[str, Any], out: Path) -> None:
    """Print what matters of a compiler report."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(
        f"{report['name']}: {report['parameters']:,} parameters, tables {report['weight_bytes']:,} bytes, "
        f"state {report['state_bytes']:,} bytes, no heap"
    )
    if report["event"]:
        steps = report["cycles_per_step"]
        console.print(
            f"{report['cycles_per_event']:,.0f} cycles per event in {steps['steps']} steps, the longest "
            f"{steps['worst']:,.0f} ({report['cost_model']})"
        )
    else:
        cycles = report["cycles_per_callback"]
        console.print(
            f"{report['macs_per_sample']:,.0f} MAC per sample, latency {report['latency_samples']:g} samples; "
            f"{cycles['mean']:,.0f} cycles per callback of {report['block']}, worst/mean {cycles['worst_over_mean']:.3f} "
            f"({report['cost_model']})"
        )
    if report["cpu_mean"] is not None and not report["event"]:
        console.print(
            f"{report['board']}: {report['cpu_mean']:.1%} CPU on average, {report['cpu_worst']:.1%} at worst"
        )
    table = Table("layer", "kernel", "firings/s", "MMAC/s", "Mcycles/s", "bytes")
    if not report["event"]:
        for entry in report["layers"]:
            table.add_row(
                entry["what"],
                entry["kernel"],
                f"{entry['firings_per_second']:,.0f}",
                f"{entry['macs_per_second'] / 1e6:.2f}",
                f"{entry['cycles_per_second'] / 1e6:.2f}",
                f"{entry['weight_bytes']:,}",
            )
        console.print(table)
    for region, size in report["regions"].items():
        left = "" if size["left"] is None else f", {size['left']:,} left"
        console.print(f"{region}: {size['used']:,} bytes used{left}")
    console.print(f"wrote {report['name']}.h, {report['name']}.c and report.json to {out}")
