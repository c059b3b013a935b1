"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firmware.commands import AllowSilence, AnyModelOption, TableOption

if TYPE_CHECKING:
    from bench.report.report import Benched


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.command(
        "bench",
        epilog="Example: vaectrol bench kick.int8.onnx --board patch_sm -o report --against old/report.json",
    )(bench)
    app.command(
        "emulate", epilog="Example: vaectrol emulate drum --demo --seconds 2 --board patch_sm -o module.wav"
    )(emulate)
    app.command(
        "latency", epilog="Example: vaectrol latency --device hw:1 --block 64 --repeats 50 -o latency.json"
    )(latency)
    app.command("bench-all", epilog="Example: vaectrol bench-all -o bench/results")(bench_all)


def bench(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="INSTRUMENT|RUN|MODEL",
            help="An instrument, a run folder, an .onnx file, or a reference: raspberry, nano, anomaly.",
        ),
    ] = None,
    board: Annotated[str, typer.Option(help="Board, by name or .toml file.")] = "patch_sm",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for report.json, report.html, WAVs.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="ROLE=FILE.onnx, in place of an instrument's own model.")
    ] = None,
    block: Annotated[int | None, typer.Option(help="Samples per callback; the board's by default.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="An earlier report.json: print what changed; status 1 on a regression."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="The prediction, and quality where test items lie beside the model; no sweep, no formats.",
        ),
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Measure this machine too, beside other runtimes.")
    ] = False,
    port: Annotated[
        str | None, typer.Option(help="Serial device of a module that runs its bench image.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the sounds that quality compares.")] = 2.0,
    from_module: Annotated[
        Path | None,
        typer.Option(
            "--from-module", help="What a disting NT's plug-in with --counters sent (.syx) or showed (text)."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Predict CPU, memory, latency and quality of a model or instrument on a board."""
    import json

    from bench.report.gate import against as compare
    from bench.report.report import Wanted, make_report
    from common.files import read_json
    from common.outputs import check_folder
    from common.reading.options import pairs
    from common.refusal import Refusal
    from hardware.board import load_board

    if from_module is not None:
        if target is not None:
            raise Refusal(f"--from-module reads what a module measured; leave {target!r} out.")
        _from_module(from_module, out, as_json)
        return
    if target is None:
        raise Refusal("say what to bench: an instrument, a run folder, an .onnx file, or --from-module FILE.")
    if out is not None:
        check_folder(out)
    chosen = load_board(board)
    models = pairs(model, "--model")
    if against is not None:
        read_json(against)
    if block is not None and not 1 <= block <= chosen.audio.max_block:
        raise Refusal(
            f"a block of {block} samples is not possible on {chosen.title}; choose 1 to "
            f"{chosen.audio.max_block}."
        )
    wanted = Wanted(
        block=block,
        sweep=not quick,
        formats=not quick,
        quality=not quick,
        live=live,
        serial=port,
        seconds=seconds,
        wavs=out / "wav" if out else None,
        to_tflite=(context.obj or {}).get("float_tflite"),
        phrase=(context.obj or {}).get("phrase"),
    )
    with _progress(as_json) as say:
        benched = make_report(target, chosen, wanted, models=models, progress=say)
    report = benched.report
    if out is not None:
        _write(benched, out, "report")
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        from bench.report.terminal import show

        show(report)
        if out is not None:
            typer.echo(f"Written: {out / 'report.html'} and {out / 'report.json'}")
    worse = False
    if against is not None:
        lines, worse = compare(report, against)
        typer.echo("\n".join(lines) if lines else "Nothing changed.", err=as_json)
    incomplete = report["device"].get("incomplete") if "device" in report else None
    if incomplete:
        raise Refusal(f"{incomplete} What was found before is in the report.")
    if worse:
        raise typer.Exit(1)


def _from_module(file: Path, out: Path | None, as_json: bool) -> None:
    """Read what a module measured of itself, and say it; a report of it is all that an owner would send."""
    import json

    from bench.disting_nt.measured import in_words, measured, read_counters
    from common.files import write_json

    report = measured(read_counters(file))
    if out is not None:
        write_json(out / "measured.json", report)
    typer.echo(json.dumps(report, indent=1) if as_json else "\n".join(in_words(report)))
    if out is not None and not as_json:
        typer.echo(f"Written: {out / 'measured.json'}, which holds these figures and nothing else")


def emulate(
    context: typer.Context,
    instrument: Annotated[str, typer.Argument(help="An instrument's name or its .toml file.")],
    cv: Annotated[
        Path | None,
        typer.Option(help="CV script (CSV) for the board's jacks and the instrument's parameters."),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The instrument's own script and input.")] = False,
    board: Annotated[str, typer.Option(help="Board with a Cortex-M7.")] = "patch_sm",
    out: Annotated[Path, typer.Option("-o", "--out", help="WAV; the figures go beside it as .json.")] = Path(
        "module.wav"
    ),
    sound: Annotated[list[str] | None, typer.Option(help="JACK=FILE.wav: audio into audio_in_1.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="ROLE=FILE.onnx, in place of the instrument's own model.")
    ] = None,
    table: TableOption = None,
    of_any_model: AnyModelOption = False,
    block: Annotated[int | None, typer.Option(help="Samples per callback; the board's by default.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="So much of the script; emulating takes 1 to 10 s a second.")
    ] = None,
    callbacks: Annotated[
        int, typer.Option(min=1, help="Callbacks whose cycles are counted; the slowest part.")
    ] = 400,
    allow_silence: AllowSilence = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Play a CV script on the emulated module, compare it with the host, predict the instrument's CPU.

    Exit status 1: the module's rendering differs from the host's.
    """
    import json

    from rich.progress import Progress

    from bench.emulated import emulate as run
    from common.files import write_json
    from common.outputs import check_file
    from common.reading.options import pairs
    from common.refusal import Refusal
    from firmware.commands import demonstration
    from firmware.play.render import has_sound, heard, write_tracks
    from firmware.play.verdict import require_audible
    from firmware.tables.put import TableFiles
    from hardware.board import load_board

    chosen = load_board(board)
    models = pairs(model, "--model")
    tables = TableFiles(pairs(table, "--table"), of_any_model)
    script, sounds = demonstration(context, instrument, demo, cv, pairs(sound, "--sound"), models)
    if script is None:
        raise Refusal("say what to play: --demo, or --cv FILE.csv.")
    given = (script, *sounds.values(), *models.values(), *tables.files.values())
    check_file(out, ".wav", [file for file in given if isinstance(file, Path)])
    with Progress(transient=True, disable=as_json) as bar:
        task = bar.add_task(f"emulating {instrument}", total=None)
        made = run(
            instrument,
            chosen,
            script,
            sounds=sounds,
            models=models,
            block=block,
            seconds=seconds,
            tables=tables,
            callbacks=callbacks,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if not allow_silence:
        require_audible(made.module, has_sound(made.built), f"{instrument} on the emulated {chosen.name}")
    files = write_tracks(out, heard(made.built, made.module)[0], made.module, made.built)
    write_json(out.with_suffix(".json"), made.report)
    if as_json:
        typer.echo(json.dumps(made.report, indent=1))
    else:
        cpu = made.report["predicted_cpu"]
        assert cpu is not None
        agrees = "equals" if made.report["equals_host"] else "DIFFERS from"
        typer.echo(
            f"{made.report['seconds']:.2f} s on the emulated {made.built.board.title}: predicted CPU "
            f"{cpu['mean']:.1%} mean, {cpu['worst']:.1%} worst callback; {agrees} the host's rendering "
            f"(largest difference {made.report['largest_difference_from_host']:.1e}).\n"
            f"Written: {', '.join(str(path) for path in files)}"
        )
    if not made.report["equals_host"]:
        raise typer.Exit(1)


def latency(
    device: Annotated[
        str, typer.Option(help="ALSA device with a cable from output 1 to input 1.")
    ] = "default",
    rate: Annotated[int, typer.Option(min=8000, max=192000, help="Samples per second.")] = 48000,
    block: Annotated[int, typer.Option(min=1, max=8192, help="Samples per period.")] = 64,
    periods: Annotated[int, typer.Option(min=2, max=16, help="Periods in the buffer.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, max=10000, help="Impulses; two a second.")] = 20,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="JSON file to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure round-trip latency through a loopback cable: impulses out, found again, median and spread."""
    import json

    from rich.progress import Progress

    from bench.live.loopback import measure
    from bench.report.terminal import show_latency
    from common.files import write_json
    from common.outputs import check_file

    if out is not None:
        check_file(out, ".json")
    with Progress(transient=True, disable=as_json) as bar:
        task = bar.add_task(f"listening on {device}", total=repeats)
        found = measure(device, rate, block, periods, repeats, lambda done: bar.update(task, completed=done))
    if out is not None:
        write_json(out, found)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        show_latency(found)
        if out is not None:
            typer.echo(f"Written: {out}")


def bench_all(
    context: typer.Context,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the result files.")] = Path(
        "bench/results"
    ),
    board: Annotated[str, typer.Option(help="Board, by name or .toml file.")] = "patch_sm",
) -> None:
    """Predict the kernel table, the reference decoders and every factory instrument into result files."""
    from bench import kernels
    from bench.reference_decoders import DECODERS
    from bench.report.report import Wanted, make_report
    from common.files import write_json
    from common.outputs import check_folder
    from common.refusal import Refusal
    from firmware.instruments.spec import available_instruments
    from hardware.board import load_board

    check_folder(out)
    chosen = load_board(board)
    with _progress(False) as say:
        say("kernel table")
        write_json(out / "kernels.json", kernels.run())
        for target in (*DECODERS, *available_instruments()):
            try:
                wanted = Wanted(phrase=(context.obj or {}).get("phrase"))
                benched = make_report(target, chosen, wanted, progress=say)
            except Refusal as refusal:
                typer.echo(f"{target}: left out: {refusal}")
                continue
            report = benched.report
            _write(benched, out, target, page=False)
            if "instrument" in report:
                cpu = report["instrument"]["cpu"]
                typer.echo(
                    f"{target}, the whole instrument: predicted {cpu['mean']:.1%} mean, "
                    f"{cpu['worst']:.1%} worst of {chosen.title}"
                )
            for role, part in report["models"].items():
                cpu = part["predicted"]["cpu"]
                typer.echo(
                    f"{target} {role}: predicted {cpu['mean']:.1%} mean, {cpu['worst']:.1%} "
                    f"worst of {chosen.title}"
                )


def _write(benched: Benched, out: Path, name: str, page: bool = True) -> None:
    from common.files import write_json, write_text

    write_json(out / f"{name}.json", benched.report)
    if page:
        from bench.report.page import render_page

        write_text(out / f"{name}.html", render_page(benched.report, benched.sounds))


def _progress(hidden: bool) -> Any:
    """Return a context that yields a function which shows what is being done."""
    from contextlib import contextmanager

    @contextmanager
    def shown() -> Iterator[Callable[[str], None]]:
        if hidden:
            yield lambda text: None
            return
        from rich.console import Console

        with Console(stderr=True).status("starting") as status:
            yield status.update

    return shown()
