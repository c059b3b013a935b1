"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from train.data.commands import data

Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.add_typer(data, name="data")
    app.command(epilog="Example: vaectrol train drum_quick --data /tmp/kits -o runs/kit --time 10m")(train)
    app.command(epilog="Example: vaectrol budget drum --board patch_sm")(budget)
    app.command(epilog="Example: vaectrol evaluate runs/kit --data /tmp/kits")(evaluate)
    app.command(epilog="Example: vaectrol place runs/drive di.wav pedal.wav -o placed.wav")(place)
    app.command(epilog="Example: vaectrol probe runs/mel4 runs/mel32 --data /tmp/drive -o probes")(probe)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A name (drum, rhythm …) or a .toml file.")],
    data_dir: Annotated[Path | None, typer.Option("--data", help="A prepared data set.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; runs/NAME if omitted.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: fit.steps=500.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="A run or a decoder to start from; a prior learns what follows in its latents."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Remove the run that is in the folder.")] = False,
    time: Annotated[
        str | None,
        typer.Option(help="Wall-clock budget of the steps: 90s, 10m, 2h; model files and pictures follow."),
    ] = None,
    anyway: Annotated[bool, typer.Option(help="Train even what cannot fit the board.")] = False,
    sweep: Annotated[
        str | None,
        typer.Option(help="Search instead: a .toml of settings and values, or a name (drum_quick …)."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="Where machines share a search: a database URL, or journal:FILE on a shared disk."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe; Ctrl-C leaves a usable run, --resume continues it.

    Without --time, drum takes about half an hour on a free core, rhythm a quarter, drive more than an hour.

    With --sweep, search for better recipes: vaectrol train drum_quick --data /tmp/kits --sweep drum_quick -o
    studies/kit. The same command goes on with a search, also on several machines at once with one --storage.
    """
    import json

    from common.outputs import check_folder
    from train.data.store import DataSet
    from train.kinds import load_recipe, task_class

    limit = seconds(time) if time else None
    read = load_recipe(recipe, settings)
    if start is not None:
        started = f"{task_class(read.kind).start_setting}={json.dumps(start)}"
        read = load_recipe(recipe, [*(settings or []), started])
    opened = DataSet.open(data_dir) if data_dir else None
    if sweep is not None:
        folder = out or Path("studies") / read.name
        check_folder(folder)
        _search(read, opened, sweep, folder, storage, limit, anyway, as_json)
        return
    from train.fit import fit
    from train.progress import Bar, drawn
    from train.run import check_place

    folder = out or Path("runs") / read.name
    check_place(folder, resume=resume, overwrite=overwrite)
    if not anyway and task_class(read.kind).on_board:
        from train.budget import refuse_what_cannot_fit

        found = refuse_what_cannot_fit(read)
        typer.echo(
            f"{read.name} on {read.budget.board}: {found.parameters:,} parameters, "
            f"{found.macs}, {found.cpu_worst:.1%} CPU in the worst callback (predicted)",
            err=True,
        )
    with drawn("training") as display:
        watch = Bar(display, display.console.print)
        fit(read, opened, folder, resume=resume, overwrite=overwrite, time_limit_s=limit, watch=watch)
    card = json.loads((folder / "card.json").read_text())
    if as_json:
        typer.echo(json.dumps({"run": str(folder), "metrics": card["metrics"], "spent": card["spent"]}))
    else:
        typer.echo(f"{folder}: score {card['metrics']['score']:.4g} after {card['spent']['wall_s']:.0f} s")
        typer.echo(f"model: {folder / (read.name + '.onnx')}")


def _search(
    recipe: Any,
    data: Any,
    sweep: str,
    folder: Path,
    storage: str | None,
    limit: float | None,
    anyway: bool,
    as_json: bool,
) -> None:
    """Work on a study, and print its front."""
    import json

    from rich.progress import MofNCompleteColumn

    from train.progress import Count, drawn
    from train.search.study import search
    from train.search.sweep import load_sweep

    found = load_sweep(sweep, recipe)
    with drawn("searching", MofNCompleteColumn()) as display:
        bar = Count(display)
        report = search(
            recipe, data, found, folder, storage=storage, time_limit_s=limit, anyway=anyway, watch=bar.count
        )
    if as_json:
        typer.echo(json.dumps(report, indent=1))
        return
    elsewhere = f", {report['under_way']} under way elsewhere" if report["under_way"] else ""
    typer.echo(f"{report['finished']} of {report['wanted']} trials{elsewhere}; none is better in both than:")
    for row in report["front"]:
        words = " ".join(f"--set {path}={value}" for path, value in row["settings"].items())
        typer.echo(f"  trial {row['trial']:<3} score {row['score']:.4g}, {row['cpu_worst']:.1%} CPU: {words}")
    typer.echo(f"report: {folder / 'study.html'}, pareto.md, pareto.png, study.json")


def budget(
    what: Annotated[str, typer.Argument(metavar="RECIPE|MODEL", help="A recipe, or an .onnx file.")],
    board: Annotated[str | None, typer.Option(help="Board; the recipe's own if omitted.")] = None,
    block: Annotated[int, typer.Option(help="Samples per audio block.")] = 48,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a recipe's setting.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a model costs on a board: parameters, MAC, CPU, memory; all predicted."""
    import json

    if what.endswith(".onnx"):
        from common.refusal import Refusal
        from firmware.compiler import budget as ask

        if not Path(what).exists():
            raise Refusal(f"there is no model file {what}; check the path")
        found = ask(what, board=board or "patch_sm", block=block)
    else:
        from train.budget import recipe_budget
        from train.kinds import load_recipe

        found = recipe_budget(load_recipe(what, [*(settings or []), f"budget.block={block}"]), board)
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=1))
        return
    typer.echo(f"parameters        {found.parameters:,}")
    typer.echo(f"work              {found.macs}")
    typer.echo(f"CPU (predicted)   {found.cpu_mean:.1%} mean, {found.cpu_worst:.1%} worst block")
    typer.echo(f"weights, state    {found.weight_bytes:,} and {found.state_bytes:,} bytes")
    for name, region in found.regions.items():
        left = "" if region["left"] is None else f", {region['left']:,} left"
        typer.echo(f"  {name:<15} {region['used']:,} bytes used{left}")
    typer.echo(f"latency           {found.latency_samples} samples")
    typer.echo("fits" if found.fits else "does not fit: " + "; ".join(found.reasons))


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="RUN|MODEL", help="A run folder or an .onnx file.")],
    data_dir: Annotated[Path, typer.Option("--data", help="A prepared data set.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the report.")] = None,
    split: Annotated[str, typer.Option(help="test or validation.")] = "test",
    limit: Annotated[int, typer.Option(help="At most so many items; 0 takes all.")] = 0,
    as_json: Json = False,
) -> None:
    """Judge a model on sounds and players it never met, beside trivial opponents."""
    import json

    from common.outputs import check_folder
    from train.data.store import DataSet
    from train.judges.evaluate import evaluate as run
    from train.judges.evaluate import headline

    folder = out or (model / "evaluation" if model.is_dir() else model.with_suffix(".evaluation"))
    check_folder(folder)
    report = run(model, DataSet.open(data_dir), folder, split=split, limit=limit)
    if as_json:
        typer.echo(json.dumps({k: v for k, v in report.items() if k != "rows"}, indent=1))
        return
    for name, value in headline(report):
        typer.echo(f"{name:<60} {value}")
    typer.echo(f"report: {folder / 'report.html'}")


def probe(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders to compare.")],
    data_dir: Annotated[Path, typer.Option("--data", help="A prepared data set.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of figures; RUN/probes if omitted.")
    ] = None,
    split: Annotated[str, typer.Option(help="test or validation.")] = "test",
    as_json: Json = False,
) -> None:
    """Look into latents: a t-SNE map, linear probes of effect parameters, neighbours of one kind."""
    import json

    from common.outputs import check_folder
    from train.analysis.probe import probe_runs
    from train.analysis.probe_report import WAYS
    from train.data.store import DataSet

    folder = out or runs[0] / "probes"
    check_folder(folder)
    opened = DataSet.open(data_dir)
    report = probe_runs(runs, opened, folder, split=split, watch=lambda words: typer.echo(words, err=True))
    if as_json:
        typer.echo(json.dumps(report, indent=1))
        return
    for row in report["runs"]:
        typer.echo(f"{row['run']}: {row['latents']} latents, score {row['score']:.3g}")
        for what, found in row["neighbours"].items():
            words = f"{what} by {found['names']} names"
            typer.echo(
                f"  {words:<45} {found['accuracy']:.0%} right, {found['commonest']:.0%} by the commonest"
            )
        for one in row["probes"]:
            told = "  ".join(
                f"{words} {one[kind]['r2']:+.2f} (chance {one[kind]['chance']:+.2f})"
                for kind, words in WAYS
                if kind in one
            )
            words = f"{one['effect']}: {one['parameter']}"
            typer.echo(f"  {words:<45} {told}")
    typer.echo(f"figures: {folder}")


def place(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A drive run.")],
    dry: Annotated[Path, typer.Argument(metavar="DRY", help="What went into the pedal.")],
    wet: Annotated[Path, typer.Argument(metavar="WET", help="What came out of it.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The rendering; WET.placed.wav here if omitted.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where a recorded pedal lies in a drive run's space, and render that point."""
    import json

    from common.outputs import check_file
    from train.analysis.locate_device import place as locate
    from train.analysis.locate_device import write

    path = out or Path(f"{wet.stem}.placed.wav")
    check_file(path, ".wav", [dry, wet])
    found = locate(run, dry, wet)
    write(found, path)
    if as_json:
        typer.echo(json.dumps({**found.as_json(), "rendering": str(path)}))
        return
    for name, value in found.latents.items():
        typer.echo(f"{name:<12} {value:+.3f}   {found.travel[name]:.0%} of its travel")
    nearest = sorted(found.others.items(), key=lambda one: -one[1])[1:3]
    beside = ", ".join(f"{name} {chance:.0%}" for name, chance in nearest)
    typer.echo(f"type         {found.effect} {found.probability:.0%}{f' ({beside})' if beside else ''}")
    if found.amount is not None:
        typer.echo(f"amount       {found.amount:.0%} of what {found.effect} has")
    for name, value in found.parameters.items():
        typer.echo(f"{name:<32} {value:.4g}")
    typer.echo(f"rendering    {path}, ESR {found.esr:.4f}")


def seconds(text: str) -> float:
    """Read a wall-clock budget: a number with s, m or h behind it."""
    from common.refusal import Refusal

    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        value = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        raise Refusal(f"--time {text} is not a length of time; write it as 90s, 10m or 2h") from None
    if value <= 0:
        raise Refusal(f"--time {text} must be more than nothing; write it as 90s, 10m or 2h")
    return value


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries, for JSON."""
    import dataclasses

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
