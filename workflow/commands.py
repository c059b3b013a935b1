"""The workflow's commands, for ``vaectrol.py`` to wire."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from workflow import chapters
from workflow.capture import capture_stages, is_capture
from workflow.page import headline, write_index
from workflow.plan import Plan, make_plan
from workflow.stages import STAMPS, Stage, run_stages

DEMO = Path(__file__).with_name("demo.toml")


def register(app: typer.Typer) -> None:
    """Add the workflow's commands to the command line."""
    app.command(
        "make",
        epilog="Example: vaectrol make ~/Samples/kits --kind drum --board patch_sm -o mykit · "
        "vaectrol make ~/Samples/kits ~/MIDI/drums --kind groove -o mygroove · vaectrol make amp.nam -o amp",
    )(make)
    app.command("demo", epilog="Example: vaectrol demo -o demo")(demo)


def make(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SRC...",
            help="Folder of sounds, patterns or pairs, one for each model; or a capture file, as FILE.nam.",
        ),
    ],
    kind: Annotated[str, typer.Option(help="Kind of instrument; without it, all are listed.")] = "",
    board: Annotated[str, typer.Option(help="Board with a Cortex-M7, by name or .toml file.")] = "patch_sm",
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything.")] = Path("made"),
    recipe: Annotated[str | None, typer.Option(help="Recipe; the kind's standard one if omitted.")] = None,
    time_limit: Annotated[
        str, typer.Option("--time", help="Wall-clock budget of the training of each model.")
    ] = "45m",
    cpu: Annotated[
        str | None,
        typer.Option(
            help="Worst share of the processor a model may take; 45%, or 18% beside a second model."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Quick recipe, quick tuning: minutes.")] = False,
) -> None:
    """Run the whole workflow on your own sounds: prepare, train, quantize, compile, build, play, bench."""
    if is_capture(sources, kind):
        stages = capture_stages(sources, board, out)
    else:
        plan = make_plan(
            kind,
            sources,
            board=board,
            folder=out,
            recipe=recipe,
            train_time=time_limit,
            cpu=cpu,
            quick=quick,
        )
        stages = chapters.sounds_to_module(plan)
    title = f"{' and '.join(source.name for source in sources)} on a {board}"
    run_stages(stages, out, lambda stage: write_index_when_heard(out, title, stages, stage))
    index = write_index(out, title, stages)
    typer.echo("\n" + "\n".join(headline(out)))
    typer.echo(f"Everything is in {out}; begin with {index}")


def write_index_when_heard(folder: Path, title: str, stages: list[Stage], done: Stage) -> None:
    """Renew the page after a stage that made something to hear or to play."""
    if done.argv[:1] == ("web",) or any(path.suffix == ".wav" for path in done.makes):
        write_index(folder, title, stages)


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything.")] = Path("demo"),
    items: Annotated[int, typer.Option(min=48, help="Toy sounds to train on.")] = 160,
    train_time: Annotated[str, typer.Option(help="Wall-clock budget of the training.")] = "75s",
    board: Annotated[str, typer.Option(help="Board with a Cortex-M7.")] = "patch_sm",
) -> None:
    """Hear every factory instrument first, then make one from toy sounds; a second run keeps what is done."""
    from common.outputs import check_folder
    from workflow.plan import check_board, check_recipe, check_time

    check_folder(out, ours=STAMPS)
    shown = tomllib.loads(DEMO.read_text(encoding="utf-8"))
    kind, recipe, cpu = shown["kind"], shown["recipe"], shown["cpu"]
    check_board(board, cpu)
    check_recipe(kind, recipe)
    sounds = out / "sounds"
    toy = Stage(
        "toy",
        f"synthesise {items} {kind} sounds",
        ("toy", kind, str(sounds), "--items", str(items)),
        (),
        (sounds / "manifest.json",),
        takes_s=6,
    )
    plan = Plan(
        kind=kind,
        sources={kind: sounds},
        recipes={kind: recipe},
        board=board,
        folder=out,
        train_time=train_time,
        train_s=check_time(train_time),
        cpu=cpu,
        quick=True,
    )
    factory = chapters.factory_stages(board, out / "factory")
    stages = [*factory, toy, *chapters.sounds_to_module(plan)]
    title = "Vaectrol: what the factory instruments play, and one made here"
    heard = False

    def after(stage: Stage) -> None:
        nonlocal heard
        write_index_when_heard(out, title, stages, stage)
        if not heard:
            heard = True
            typer.echo(
                f"    first sound: {stage.makes[0]}; the page grows with every stage: {out / 'index.html'}"
            )

    run_stages(stages, out, after)
    index = write_index(out, title, stages)
    gallery = out / "factory" / "pages" / "index.html"
    typer.echo("\n" + "\n".join([*headline(out / "factory"), *headline(out)]))
    typer.echo(
        f"\nSee and hear it: {index}\nPlay it: {out / kind}.html, and the factory's: {gallery}\n"
        f"The board's report: {out / 'report' / 'report.html'}\n"
        f"How well it learnt: {out / 'run' / 'evaluation' / 'report.html'}\n\nTry next:\n"
        "  vaectrol play groove --demo\n"
        "  vaectrol make ~/Samples/my_kit --kind drum --board patch_sm -o mykit\n"
        "  vaectrol bench raspberry --board patch_sm -o raspberry"
    )
