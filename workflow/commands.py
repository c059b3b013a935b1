"""The workflow's commands, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.kinds import check_kind
from train.data.kinds import data_kinds
from workflow import chapters
from workflow.page import headline, write_index
from workflow.stages import Stage, WorkflowStopped, run_stages


def register(app: typer.Typer) -> None:
    """Add the workflow's commands to the command line."""
    app.command("make", epilog="Example: vaectrol make ~/Samples/kits --kind drum --board patch_sm -o mykit")(
        make
    )
    app.command("demo", epilog="Example: vaectrol demo -o demo")(demo)


def make(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of sounds, patterns or pairs.")],
    kind: Annotated[str, typer.Option(help="drum, rhythm or drive.")] = "drum",
    board: Annotated[str, typer.Option(help="Board, by name or .toml file.")] = "patch_sm",
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything.")] = Path("made"),
    recipe: Annotated[str | None, typer.Option(help="Recipe; the kind's standard one if omitted.")] = None,
    time_limit: Annotated[str, typer.Option("--time", help="Wall-clock budget of the training.")] = "45m",
    cpu: Annotated[str, typer.Option(help="Worst share of the processor the model may take.")] = "45%",
    quick: Annotated[bool, typer.Option("--quick", help="Quick recipe, quick pruning: minutes.")] = False,
) -> None:
    """Run the whole workflow on your own sounds: prepare, train, quantize, compile, build, play, bench."""
    check_kind(kind, data_kinds())
    if not source.is_dir():
        raise WorkflowStopped(f"there is no folder {source}; name the folder that holds your sounds.")
    chosen = recipe or kind + ("_quick" if quick else "")
    stages = chapters.sounds_to_module(
        source, kind, board, out, recipe=chosen, train_time=time_limit, quick=quick, cpu=cpu
    )
    run_stages(stages, out)
    index = write_index(out, f"{source.name} on a {board}", stages)
    typer.echo("\n" + "\n".join(headline(out)))
    typer.echo(f"Everything is in {out}; begin with {index}")


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything.")] = Path("demo"),
    items: Annotated[int, typer.Option(help="Toy drums to train on.")] = 160,
    train_time: Annotated[str, typer.Option(help="Wall-clock budget of the training.")] = "75s",
    board: Annotated[str, typer.Option(help="Board with a Cortex-M7.")] = "patch_sm",
) -> None:
    """Run the whole workflow on toy drums, then play the factory instruments; a second run keeps it."""
    sounds = out / "sounds"
    toy = Stage(
        "toy",
        f"synthesise {items} drum sounds",
        ("toy", "drum", str(sounds), "--items", str(items)),
        (),
        (sounds / "manifest.json",),
    )
    stages = [
        toy,
        *chapters.sounds_to_module(
            sounds, "drum", board, out, recipe="drum_quick", train_time=train_time, quick=True, cpu="45%"
        ),
    ]
    for instrument, roles in chapters.factory_instruments().items():
        stages += chapters.played(instrument, board, out / "factory", reads=tuple(roles))
    run_stages(stages, out)
    index = write_index(out, "Vaectrol demo: toy drums on an emulated module", stages)
    typer.echo("\n" + "\n".join([*headline(out), *headline(out / "factory")]))
    typer.echo(
        f"\nSee and hear it: {index}\nThe board's report: {out / 'report' / 'report.html'}\n"
        f"How well it learnt: {out / 'run' / 'evaluation' / 'report.html'}\n\nTry next:\n"
        "  vaectrol make ~/Samples/my_kit --kind drum --board patch_sm -o mykit\n"
        f"  vaectrol play drum --model drum={out / 'drum.int8.onnx'} --cv {chapters.MOVES} -o out.wav\n"
        "  vaectrol bench raspberry --board patch_sm -o raspberry"
    )
