"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from common.measures import measure
from quantize.bend import commands as bend_commands

if TYPE_CHECKING:
    from rich.console import Console

    from quantize.budget import Limits, Row
    from quantize.data.calibration_set import CalibrationSet
    from quantize.data.kept import Kept
    from quantize.data.lender import Lender
    from quantize.procedure import Outcome, Settings, Stage, Width
    from quantize.progress import Progress
    from quantize.report.curves import CurveRow

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
    bend_commands.register(app)
    app.command(epilog="Example: vaectrol export drum.int8.onnx --to tflite -o drum.tflite")(export)


def quantize(
    source: Source = None,
    out: Target = Path("model.int8.onnx"),
    prune: Annotated[float, typer.Option(min=0.0, max=0.99, help="Share of the cost to remove.")] = 0.0,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="magnitude, activation, taylor, or regression, which fits the weights anew and is taken "
            "with --against; taylor otherwise."
        ),
    ] = None,
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
    against: Annotated[
        Path | None,
        typer.Option(help="Float .onnx whose sound is the target, on the recordings of --calibration."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data set instead of the run's own.")] = None,
    curve: Annotated[
        Path | None, typer.Option(help="Write quality against cost (JSON and PNG) instead of one model.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder of the report; OUT.report when omitted.")
    ] = None,
    scales_of: Annotated[
        Path | None,
        typer.Option(help="Take the scales of this .int8.onnx of the same shape: both can be blended then."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Prune, fine-tune and quantize a model to int8 weights, and report what it cost in sound."""
    from rich.console import Console

    from common.files import files_below, write_bytes
    from common.outputs import check_file, check_folder
    from common.refusal import Refusal
    from quantize.budget import Limits, check_board, parse_bytes, parse_share
    from quantize.data.kept import Kept, key_of
    from quantize.data.lender import check_shape, read_lender
    from quantize.data.tune import Effort
    from quantize.integers.ranges import ESTIMATORS
    from quantize.procedure import Settings
    from quantize.progress import ConsoleProgress

    if ranges is not None and ranges not in ESTIMATORS:
        raise Refusal(f"--ranges {ranges} is none of {', '.join(ESTIMATORS)}.")
    if scales_of is not None and ptq is not None:
        raise Refusal("--scales-of does not go with --ptq, which asks onnxruntime; leave one of them out.")
    place = report or out.with_name(out.name + ".report")
    if curve is not None:
        check_file(curve, ".json")
    else:
        check_file(out, ".onnx", [one for one in (source, ptq, against, scales_of) if one is not None])
        if against is not None:
            check_file(_float_beside(out), ".onnx", [source, against] if source else [against])
        check_folder(place)
    if ptq is not None:
        _from_elsewhere(ptq, calibration, out, place, activations or "16", ranges, json)
        return
    if source is None:
        raise Refusal(
            "give a run folder, or --ptq FILE.onnx with --calibration DIR; see vaectrol quantize --help."
        )
    lender = None
    if scales_of is not None:
        others = {"--prune": prune > 0.0, "--board": board is not None, "--curve": curve is not None}
        others |= {"--activations": activations is not None, "--equalise": equalise}
        if given := [name for name, is_given in others.items() if is_given]:
            raise Refusal(f"--scales-of takes shape and widths from its model; leave out {given[0]}.")
        lender = read_lender(scales_of)
        activations = lender.activations
    effort = Effort(steps=steps) if steps is not None else Effort(QUICK_S if quick else 60.0 * minutes)
    settings = Settings(
        keep=1.0 - prune,
        criterion=criterion or ("taylor" if against is None else "regression"),
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
    batch = QUICK_BATCH if quick else None
    console = Console(stderr=json or curve is not None)
    with ConsoleProgress(console) as progress:
        progress.at("reading the model and its data")
        if limits is not None:
            check_board(source, limits.board)
        if against is not None:
            calibration_set = _lessons(source, against, calibration, seed)
        else:
            calibration_set = _calibration_set(source, calibration, data, seed, batch)
        progress.ended(f"read {calibration_set.source}")
        if lender is not None:
            check_shape(calibration_set.graph, lender)
        if curve is not None:
            rows = _curve(calibration_set, settings, curve, source.stem, progress)
        else:
            widths: list[Width] = [activations] if activations else ["16", "8"]
            kept = None
            if against is not None and calibration is not None:
                inputs = [source, against, *sorted(files_below(calibration))]
                inputs += [scales_of] if scales_of is not None else []
                decides = [settings, limits, widths, seed, *(file.read_bytes() for file in inputs)]
                kept = Kept(out.with_name(f"{out.name}.tuning"), key_of(decides))
                if kept.is_begun:
                    progress.ended(f"going on with what {kept.folder} holds of this command")
            made = _made(calibration_set, settings, limits, widths, progress, kept, lender)
            page = _written(made, calibration_set, Files(source, out, place), progress)
            if against is not None:
                write_bytes(_float_beside(out), made.outcome.graph.to_model().SerializeToString())
            if kept is not None:
                kept.remove()
    if curve is not None:
        _print_rows(rows, curve, json)
    elif json:
        _print_json(made, calibration_set)
    else:
        _print_stages(made, out, page, console)


def _float_beside(out: Path) -> Path:
    """Where the float model lies that the integers were rounded from, to go on learning with."""
    return out.with_name(f"{out.name.removesuffix('.onnx').removesuffix('.int8')}.float.onnx")


def _lessons(source: Path, against: Path, calibration: Path | None, seed: int) -> CalibrationSet:
    from common.refusal import Refusal
    from quantize.graph.load import load_graph
    from quantize.teacher import from_teacher

    if source.is_dir():
        raise Refusal("--against is for an .onnx without a run; a run has data of its own to learn from.")
    if calibration is None:
        raise Refusal("--against needs --calibration DIR with dry recordings (.wav) to listen to.")
    return from_teacher(load_graph(source), load_graph(against), calibration, seed)


@dataclass
class Files:
    """What is read and what is written: the model or run, the QDQ file, the folder of the report."""

    source: Path
    out: Path
    report: Path


@dataclass
class Made:
    """What came out: the quantized model, what it costs, and what was tried to make it fit."""

    outcome: Outcome
    sizes: dict[str, str]
    tried: list[Row]


def _curve(
    calibration_set: CalibrationSet, settings: Settings, out: Path, stem: str, progress: Progress
) -> list[CurveRow]:
    import hashlib
    import shlex
    import sys

    from quantize.report.curves import row_of, rows_so_far, trace, write_curve

    title = calibration_set.graph.about.name or stem
    command = shlex.join(["vaectrol", *sys.argv[1:]])
    model = hashlib.sha256(calibration_set.graph.to_model().SerializeToString()).hexdigest()[:16]
    rows = rows_so_far(out, command, model)
    for point in trace(calibration_set, settings, progress, known=rows):
        rows.append(row_of(point))
        write_curve(rows, out, title, command, model)
    return rows


def _print_rows(rows: list[CurveRow], out: Path, json: bool) -> None:
    import json as text

    if json:
        typer.echo(text.dumps(rows))
        return
    for row in rows:
        typer.echo(
            f"{row['macs']:.0%} of the MACs, W8A{row['activations']}, {row['weight_bytes']:,} bytes: "
            f"{measure(row['measure']).name} {row['pruned_loss_percent']:+.1f} % as float, "
            f"{row['int8_loss_percent']:+.1f} % as int8"
        )
    typer.echo(f"{out} and {out.with_suffix('.png')}")


def _calibration_set(
    source: Path, calibration: Path | None, data: Path | None, seed: int, batch: int | None
) -> CalibrationSet:
    from quantize.data.calibration_set import from_folder, from_metadata, from_run

    if source.is_dir():
        return from_run(source, data, seed, batch)
    from quantize.graph.load import load_graph

    graph = load_graph(source)
    return from_folder(graph, calibration, seed) if calibration else from_metadata(graph, seed)


def _made(
    calibration_set: CalibrationSet,
    settings: Settings,
    limits: Limits | None,
    widths: list[Width],
    progress: Progress,
    kept: Kept | None,
    lender: Lender | None,
) -> Made:
    from quantize import budget, cost
    from quantize.procedure import run_procedure

    tried: list[Row] = []
    if limits is not None:
        settings, tried = budget.choose(calibration_set, settings, limits, progress, widths)
    outcome = run_procedure(calibration_set, settings, progress, kept, lender)
    progress.at("predicting what it costs")
    return Made(outcome, cost.sizes(calibration_set.graph, outcome.model, settings.board), tried)


def _written(made: Made, calibration_set: CalibrationSet, files: Files, progress: Progress) -> Path:
    """Write the model and its report, and return the report's page."""
    from common.files import write_bytes
    from quantize.formats.encoder import write_encoder
    from quantize.report.bench_inputs import write_bench_inputs
    from quantize.report.report import write_report

    progress.at("writing the report")
    write_bytes(files.out, made.outcome.model.SerializeToString())
    write_encoder(files.source, files.out)
    example, title = calibration_set.test[0], str(files.source)
    page = write_report(files.report, made.outcome, example, made.sizes, title)
    write_bench_inputs(files.report, made.outcome, calibration_set)
    progress.ended("costs predicted, model and report written")
    return page


def _print_json(made: Made, calibration_set: CalibrationSet) -> None:
    import json as text

    from quantize.report.report import layer_noise, summary

    noise = layer_noise(made.outcome.network, calibration_set.test[0], made.outcome.graph)
    typer.echo(text.dumps(summary(made.outcome, noise, made.sizes), default=float))


def _print_stages(made: Made, out: Path, page: Path, console: Console) -> None:
    from common.outputs import encoder_beside
    from quantize.budget import table

    if made.tried:
        console.print(table(made.tried))
    console.print(_stages(made.outcome.stages))
    for note in made.outcome.notes:
        console.print(f"note: {note}", style="yellow")
    console.print(f"{out}, {out.stat().st_size:,} bytes; report: {page}")
    if (encoder := encoder_beside(out)).exists():
        console.print(f"{encoder}, {encoder.stat().st_size:,} bytes: the encoder, to judge and match with")


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


def _lines(figures: Mapping[str, object]) -> str:
    named = [(measure(key), value) for key, value in figures.items()]
    return "\n".join(
        f"{known.title}: {known.write(value) if isinstance(value, float) else value}"
        for known, value in named
    )


def _stages(stages: list[Stage]) -> Any:
    """Measures down, stages across."""
    from rich.table import Table

    table = Table("", *(s.name for s in stages))
    table.add_row("parameters", *(f"{s.parameters:,}" for s in stages))
    table.add_row("multiply-accumulates per tick", *(f"{s.macs_per_tick:,.0f}" for s in stages))
    for key in dict.fromkeys(k for s in stages for k in s.measures):
        named = measure(key)
        found = (s.measures.get(key) for s in stages)
        table.add_row(named.title, *("" if value is None else named.write(value) for value in found))
    return table


def export(
    model: Annotated[Path, typer.Argument(help="A float or QDQ model; for nn~ a run folder or a prior.")],
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

    from common.outputs import check_file
    from quantize.formats.export import SUFFIX, export_model

    if out is not None:
        check_file(out, Path(f"name{SUFFIX[to]}").suffix, [model])
    figures = export_model(model, to, out, int(bits) if bits else None, seconds)
    typer.echo(text.dumps(figures, default=float) if json else _lines(figures))
