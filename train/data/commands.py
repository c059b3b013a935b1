"""The ``data`` commands: prepare a folder of sounds, one command a kind, with the kind's own options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup

from common.kinds import check_kind
from train.data.kinds import data_kinds

if TYPE_CHECKING:
    from train.data.kinds.base import Outcome, Preparation

EPILOG = (
    "Interrupted, the same command continues. Exit status: 0 all files are in; 1 the data set is made but "
    "some files were left out (the report names them and why); 2 refused, nothing was made."
)


class OneCommandAKind(TyperGroup):
    """Commands that are made from the files of ``kinds/`` when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All kinds."""
        return list(data_kinds())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a kind.

        Raises
        ------
        Refusal
            When there is no such kind.
        """
        from train.data.kinds import preparation

        known = data_kinds()
        also = (kind for kind in known if cmd_name in preparation(kind).also_called)
        kind = cmd_name if cmd_name in known else next(also, cmd_name)
        check_kind(kind, known)
        alone = typer.Typer(add_completion=False)
        example = f"Example: vaectrol data prepare {cmd_name} ~/Samples/{cmd_name} /tmp/{cmd_name}_data"
        alone.command(kind, epilog=f"{EPILOG}\n\n{example}")(_command(kind, preparation(kind)))
        return typer.main.get_command(alone)


data = typer.Typer(help="Turn a folder of files into a data set.", no_args_is_help=True)
data.add_typer(
    typer.Typer(cls=OneCommandAKind, no_args_is_help=True),
    name="prepare",
    help="Ingest a folder of real files and report what is wrong with it; one command a kind.",
)


@data.command(
    epilog="Example: vaectrol data soundfonts KITS /usr/share/sounds/sf2/FluidR3_GM.sf2 --beside MY_ONE_SHOTS"
)
def soundfonts(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to fill; not there yet.")],
    soundfont: Annotated[
        list[Path], typer.Argument(metavar="SOUNDFONT…", help="General MIDI soundfonts, .sf2 or .sf3.")
    ],
    beside: Annotated[
        Path | None, typer.Option(help="Folder of one-shots with a manifest to take along, as links.")
    ] = None,
) -> None:
    """Render the drum kits of soundfonts as one-shots, which `data prepare drum` reads; needs fluidsynth."""
    from train.data.soundfonts.render import render_kits

    counts = render_kits(soundfont, out, beside, _watch)
    for kit, count in counts.items():
        typer.echo(f"{kit}: {count} hits")
    typer.echo(f"{sum(counts.values())} hits in {out}")


@data.command(
    epilog="Example: vaectrol data phrases PHRASES /usr/share/sounds/sf2/FluidR3_GM.sf2 --minutes 1"
)
def phrases(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to fill; not there yet.")],
    soundfont: Annotated[
        list[Path], typer.Argument(metavar="SOUNDFONT…", help="General MIDI soundfonts, .sf2 or .sf3.")
    ],
    minutes: Annotated[float, typer.Option(help="Of every instrument and soundfont.", min=0.1, max=60)] = 1.0,
) -> None:
    """Render phrases of bowed, blown and plucked instruments, one note at a time, as a folder of sounds."""
    from train.data.soundfonts.phrases import render_phrases

    counts = render_phrases(soundfont, out, minutes, _watch)
    typer.echo(f"{sum(counts.values())} phrases of {len(counts)} instruments in {out}")


@data.command(epilog="Example: vaectrol data melodic NOTES /usr/share/sounds/sf2/FluidR3_GM.sf2")
def melodic(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to fill; not there yet.")],
    soundfont: Annotated[
        list[Path], typer.Argument(metavar="SOUNDFONT…", help="General MIDI soundfonts, .sf2 or .sf3.")
    ],
) -> None:
    """Render single notes of some forty melodic instruments, which `data prepare notes` reads."""
    from train.data.soundfonts.melodic import render_notes

    counts = render_notes(soundfont, out, _watch)
    typer.echo(f"{sum(counts.values())} notes of {len(counts)} instruments in {out}")


@data.command(epilog="Example: vaectrol data patches PATCHES --count 20000")
def patches(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to fill; not there yet.")],
    count: Annotated[int, typer.Option(help="How many patches.", min=1, max=1_000_000)] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed gives other patches.", min=0)] = 1,
) -> None:
    """Draw patches of the instrument `modal` at random, which `data prepare modal` renders."""
    from train.data.kinds.modal import write_patches

    write_patches(out, count, seed)
    typer.echo(f"{count} patches in {out}")


def _command(kind: str, found: type[Preparation]) -> Callable[..., None]:
    """Write the function that typer reads a kind's arguments from."""
    from train.data.kinds.base import flags

    hints = get_type_hints(found.options_type)
    parameters = [
        _parameter(
            "source",
            Path,
            inspect.Parameter.empty,
            typer.Argument(metavar="SRC", help="Folder with the files."),
        ),
        _parameter(
            "out",
            Path,
            inspect.Parameter.empty,
            typer.Argument(metavar="OUT", help="Folder of the data set."),
        ),
        *(
            _parameter(
                one.name, hints[one.name], one.default, typer.Option(*_flag(one), help=one.metadata["says"])
            )
            for one in flags(found)
        ),
        _parameter("as_json", bool, False, typer.Option("--json", help="Print the outcome as JSON.")),
    ]

    def prepare(source: Path, out: Path, as_json: bool, **chosen: Any) -> None:
        _prepare(kind, source, out, found.options_type(**chosen), as_json)

    prepare.__doc__ = inspect.getdoc(found)
    prepare.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    prepare.__annotations__ = {one.name: one.annotation for one in parameters}
    return prepare


def _parameter(name: str, kind: Any, default: Any, says: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, says]
    )


def _flag(option: Any) -> tuple[str, ...]:
    return (option.metadata["flag"],) if option.metadata["flag"] else ()


def _prepare(kind: str, source: Path, out: Path, options: Any, as_json: bool) -> None:
    import json

    from common.outputs import check_folder
    from train.data.prepare import prepare

    check_folder(out)
    outcome = prepare(kind, source, out, options, _watch)
    manifest = outcome.manifest
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "out": str(out),
                    "hash": manifest["hash"],
                    "items": len(manifest["items"]),
                    "left_out": manifest["left_out"],
                    "already": outcome.already,
                    "continued": outcome.recalled,
                }
            )
        )
    else:
        _say(out, outcome)
    if outcome.left_out:
        raise typer.Exit(1)


def _say(out: Path, outcome: Outcome) -> None:
    manifest = outcome.manifest
    if outcome.already:
        typer.echo(f"{out} already holds this data set")
    elif outcome.recalled:
        typer.echo(f"continued: {outcome.recalled} files were done before")
    typer.echo(f"{len(manifest['items'])} items, hash {manifest['hash']}")
    for one in outcome.left_out[:20]:
        typer.echo(f"left out: {one['file']} {one['reason']}")
    if len(outcome.left_out) > 20:
        typer.echo(f"… and {len(outcome.left_out) - 20} more, see the report")
    typer.echo(f"report: {out / 'report.html'}")


def _watch(things: Sequence[Any], label: str) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    return track(things, description=label, console=Console(stderr=True))
