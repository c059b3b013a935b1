"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from quantize.budget import Limits
    from quantize.data.calibration_set import Material
    from quantize.procedure import Settings, Width

QUICK_S = 24.0
QUICK_BATCH = 4

Source = Annotated[
    Path | None, typer.Argument(help="A run folder, or a float .onnx with Vaectrol's metadata.")
]
Target = Annotated[Path, typer.Option("-o", "--out", help="QDQ model to write.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.command(
        epilog="Example: vaectrol quantize runs/drum --prune 0.5 -o drum.int8.onnx · "
        "vaectrol quantize runs/drum --board patch_sm --cpu 40% --flash 200K -o drum.int8.onnx"
    )(quantize)
    app.command(epilog="Example: vaectrol export drum.int8.onnx --to tflite -o drum.tflite")(export)


def quantize(
    source: Source = None,
    out: Target = Path("model.int8.onnx"),
    prune: Annotated[float, typer.Option(min=0.0, max=0.99, help="Share of the cost to remove.")] = 0.0,
    criterion: Annotated[str, typer.Option(help="magnitude, activation or taylor.")] = "taylor",
    per_cycle: Annotated[bool, typer.Option(help="Weigh a channel's worth by the cycles it costs.")] = True,
    scope: Annotated[
        Literal["global", "local"], typer.Option(help="One ranking, or each layer alike.")
    ] = "global",
    rounds: Annotated[int, typer.Option(min=1, help="Prune in so many rounds, tuning between.")] = 1,
    rewind: Annotated[
        bool, typer.Option(help="Survivors restart from the trained weights each round.")
    ] = False,
    activations: Annotated[
        Literal["16", "8", "mixed"] | None,
        typer.Option(help="Bits of the activations; 16, or with --board 8 where only that fits, if omitted."),
    ] = None,
    loss: Annotated[
        str, typer.Option(help="What mixed may lose of the data's own measure (a run's), as 5%.")
    ] = "2%",
    snr: Annotated[
        float | None,
        typer.Option(help="Output SNR in dB that mixed keeps, instead; 35 where no data say what is right."),
    ] = None,
    ranges: Annotated[str | None, typer.Option(help="minmax, percentile, mse or entropy.")] = None,
    equalise: Annotated[bool, typer.Option(help="Cross-layer equalisation first.")] = False,
    minutes: Annotated[float, typer.Option("--time", min=0, help="Minutes of fine-tuning in all.")] = 6.0,
    steps: Annotated[
        int | None, typer.Option(min=0, help="Steps of fine-tuning in all, instead of --time.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Everything in about a minute.")] = False,
    board: Annotated[
        str | None, typer.Option(help="Choose the pruning so that the model fits this board.")
    ] = None,
    cpu: Annotated[str, typer.Option(help="Worst CPU share allowed there, as 40% or 0.4.")] = "100%",
    flash: Annotated[str | None, typer.Option(help="Bytes of weights allowed there, as 400K.")] = None,
    ptq: Annotated[
        Path | None, typer.Option(help="A float .onnx from elsewhere; needs --calibration.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="Folder of .npz, .npy or .wav examples.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data set instead of the run's own.")] = None,
    curve: Annotated[
        Path | None, typer.Option(help="Write quality against cost (JSON and PNG) instead of one model.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder of the report; OUT.report when omitted.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Prune, fine-tune and quantize a model to int8 weights, and report what it cost in sound."""
    from common.refusal import Refusal
    from quantize.budget import Limits, parse_bytes, parse_share
    from quantize.data.tune import Effort
    from quantize.integers.ranges import ESTIMATORS
    from quantize.procedure import Settings

    if ranges is not None and ranges not in ESTIMATORS:
        raise Refusal(f"--ranges {ranges} is none of {', '.join(ESTIMATORS)}.")
    place = report or out.with_name(out.name + ".report")
    if ptq is not None:
        _from_elsewhere(ptq, calibration, out, place, activations or "16", ranges, json)
        return
    if source is None:
        raise Refusal(
            "give a run folder, or --ptq FILE.onnx with --calibration DIR; see vaectrol quantize --help."
        )
    effort = Effort(steps=steps) if steps is not None else Effort(QUICK_S if quick else 60.0 * minutes)
    settings = Settings(
        keep=1.0 - prune,
        criterion=criterion,
        per_cycle=per_cycle,
        scope=scope,
        rounds=rounds,
        rewind=rewind,
        activations=activations or "16",
        estimator_16=ranges or "minmax",
        estimator_8=ranges or "mse",
        least_snr_db=snr,
        most_loss_percent=100.0 * parse_share(loss, "--loss", "the quality"),
        equalise=equalise,
        board=board or "patch_sm",
        effort=effort,
    )
    limits = None
    if board is not None:
        limits = Limits(board, parse_share(cpu), parse_bytes(flash) if flash else None)
    material = _material(source, calibration, data, seed, QUICK_BATCH if quick else None)
    if curve is not None:
        _curve(material, settings, curve, material.graph.about.name or source.stem, json)
        return
    widths: list[Width] = [activations] if activations else ["16", "8"]
    _walk(material, settings, source, out, place, limits, widths, json)


def _curve(material: Material, settings: Settings, out: Path, title: str, json: bool) -> None:
    import hashlib
    import json as text
    import shlex
    import sys

    from rich.console import Console

    from quantize.report.curves import row_of, rows_so_far, trace, write_curve

    command = shlex.join(["vaectrol", *sys.argv[1:]])
    model = hashlib.sha256(material.graph.to_model().SerializeToString()).hexdigest()[:16]
    rows = rows_so_far(out, command, model)
    with _progress(Console(stderr=True)) as tell:
        for point in trace(material, settings, tell, known=rows):
            rows.append(row_of(point))
            write_curve(rows, out, title, command, model)
    if json:
        typer.echo(text.dumps(rows))
        return
    for row in rows:
        typer.echo(
            f"{row['macs']:.0%} of the MACs, W8A{row['activations']}, {row['weight_bytes']:,} bytes: "
            f"{row['measure']} {row['pruned_loss_percent']:+.1f} % as float, "
            f"{row['int8_loss_percent']:+.1f} % as int8"
        )
    typer.echo(f"{out} and {out.with_suffix('.png')}")


def _material(
    source: Path, calibration: Path | None, data: Path | None, seed: int, batch: int | None
) -> Material:
    from quantize.data import calibration_set as material

    if source.is_dir():
        return material.from_run(source, data, seed, batch)
    from quantize.graph.load import load_graph

    graph = load_graph(source)
    return (
        material.from_folder(graph, calibration, seed) if calibration else material.from_metadata(graph, seed)
    )


def _walk(
    material: Material,
    settings: Settings,
    source: Path,
    out: Path,
    place: Path,
    limits: Limits | None,
    widths: list[Width],
    json: bool,
) -> None:
    from rich.console import Console

    from common.files import write_bytes
    from quantize import budget, cost
    from quantize.procedure import walk
    from quantize.report.bench_inputs import write_evidence
    from quantize.report.report import layer_noise, summary, write_report

    console = Console(stderr=json)
    with _progress(console) as tell:
        rows: list[budget.Row] = []
        if limits is not None:
            settings, rows = budget.choose(material, settings, limits, tell, widths)
        outcome = walk(material, settings, tell)
    write_bytes(out, outcome.model.SerializeToString())
    sizes = cost.sizes(material.graph, outcome.model, settings.board)
    if rows:
        console.print(budget.table(rows))
    page = write_report(place, outcome, material.test[0], sizes, str(source))
    write_evidence(place, outcome, material)
    if json:
        import json as text

        typer.echo(
            text.dumps(
                summary(outcome, layer_noise(outcome.network, material.test[0], outcome.graph), sizes),
                default=float,
            )
        )
    else:
        console.print(_stages(outcome.stages))
        for note in outcome.notes:
            console.print(f"note: {note}", style="yellow")
        console.print(f"{out}, {out.stat().st_size:,} bytes; report: {page}")


def _from_elsewhere(
    source: Path,
    calibration: Path | None,
    out: Path,
    place: Path,
    activations: str,
    ranges: str | None,
    json: bool,
) -> None:
    import json as text

    from common.refusal import Refusal
    from quantize.ptq import quantize_static

    if calibration is None:
        raise Refusal(
            "--ptq needs --calibration DIR with examples of the model's inputs (.npz, .npy or .wav)."
        )
    figures = quantize_static(
        source, calibration, out, place, 8 if activations == "8" else 16, ranges or "minmax"
    )
    typer.echo(text.dumps(figures, default=float) if json else _lines(figures))


def _lines(figures: dict[str, Any]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in figures.items())


def _stages(stages: list[Any]) -> Any:
    """Measures down, stages across."""
    from rich.table import Table

    table = Table("", *(s.name for s in stages))
    table.add_row("parameters", *(f"{s.parameters:,}" for s in stages))
    table.add_row("MAC per tick", *(f"{s.macs_per_tick:,.0f}" for s in stages))
    for key in dict.fromkeys(k for s in stages for k in s.measures):
        table.add_row(key, *(f"{s.measures[key]:.4g}" if key in s.measures else "" for s in stages))
    return table


class _progress:
    """A rich progress bar whose one task is renamed as the work moves on."""

    def __init__(self, console: Any) -> None:
        from rich.progress import Progress

        self.bar = Progress(console=console, transient=True)
        self.task = self.bar.add_task("reading", total=1.0)

    def __enter__(self) -> Any:
        self.bar.start()
        return self.tell

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def tell(self, name: str, share: float) -> None:
        """Show the step and how much of it is done."""
        self.bar.update(self.task, description=name, completed=share)


def export(
    model: Annotated[Path, typer.Argument(help="A float or QDQ model, or a run folder for nn~.")],
    to: Annotated[Literal["tflite", "torchscript", "onnx"], typer.Option(help="Format.")] = "tflite",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write.")] = None,
    bits: Annotated[
        Literal["8", "16"] | None, typer.Option(help="TFLite activations; as in the model if omitted.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.02, help="Length that a TFLite file is fixed to.")] = 0.1,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Write a model for another runtime, load it back there and compare."""
    import json as text

    from quantize.formats.export import export_model

    figures = export_model(model, to, out, int(bits) if bits else None, seconds)
    typer.echo(text.dumps(figures, default=float) if json else _lines(figures))
