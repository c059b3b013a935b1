"""The ``data`` commands: prepare a folder of sounds, look at a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from common.refusal import Refusal

data = typer.Typer(help="Turn a folder of files into a data set.", no_args_is_help=True)


class Kind(StrEnum):
    """What can be prepared."""

    drums = "drums"
    rhythms = "rhythms"
    drive = "drive"


@data.command(epilog="Example: vaectrol data prepare drums ~/Samples/kits /tmp/kits")
def prepare(
    kind: Kind,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with the files.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the data set.")],
    names: Annotated[
        Path | None,
        typer.Option(help="Your own table of class words (drums); start from train/data/names.toml."),
    ] = None,
    drum_map: Annotated[
        Path | None,
        typer.Option(help="Your own table of MIDI notes (rhythms); start from train/data/drum_map.toml."),
    ] = None,
    hop_bars: Annotated[int, typer.Option(help="Bars from one window to the next (rhythms).")] = 1,
    segment: Annotated[
        int | None,
        typer.Option(
            help="Samples between the borders of a concatenated recording (drive); found when omitted."
        ),
    ] = None,
    hold_out: Annotated[
        str,
        typer.Option(
            help="Test on the files whose paths match this pattern, as 'drummer7/*', and on no others "
            "(drums, rhythms).",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Ingest a folder of real files and report what is wrong with it.

    Interrupted, the same command continues. Exit status: 0 all files are in; 1 the data set is made but some
    files were left out (the report names them and why); 2 refused, nothing was made.
    """
    import json

    from train.data.prepare import Options
    from train.data.prepare import prepare as run

    if hold_out and kind is Kind.drive:
        raise Refusal("--hold-out is for drums and rhythms; a drive data set is split by its phrases")
    options = Options(
        names=names, drum_map=drum_map, hop_bars=hop_bars, segment_samples=segment, hold_out=hold_out
    )
    outcome = run(kind.value, source, out, options, _watch)
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


def _say(out: Path, outcome: Any) -> None:
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
