"""`vaectrol table`: tables of latents out of a module and into one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

PORT = typer.Option("--port", "-p", help="Serial port of the module; unix:PATH for the Pi program's socket.")
TABLE = typer.Option("--table", "-t", help="Which of the module's tables: a or b.")
JSON = typer.Option("--json", help="Print JSON for a machine instead of text.")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(
        help="Tables of latents, as WAV files of 16 channels: out of a module and into one.",
        no_args_is_help=True,
    )
    group.command("read")(read)
    group.command("write")(write)
    group.command("encode")(encode)
    app.add_typer(group, name="table")


def read(
    out: Annotated[Path, typer.Option("--out", "-o", help="The WAV file.")] = Path("table.wav"),
    port: Annotated[str | None, PORT] = None,
    table: Annotated[str, TABLE] = "a",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Read a table that the module holds and write it as a WAV file.

    Example: vaectrol table read --table a -o walk.wav
    """
    from firmware.tables.module import fetch_table
    from firmware.tables.wav import write_table
    from hardware.protocol import Link, choose_port

    with Link(choose_port(port)) as link:
        found = fetch_table(link, table)
    write_table(out, found)
    _say(f"{len(found.frames)} frames, {found.seconds:.2f} s, of the model {found.model}: {out}", as_json)


def write(
    file: Annotated[Path, typer.Argument(help="A WAV file of 16 channels, a latent each.")],
    port: Annotated[str | None, PORT] = None,
    table: Annotated[str, TABLE] = "a",
    of_any_model: Annotated[
        bool,
        typer.Option("--of-any-model", help="Even where it was recorded on another model, or nobody knows."),
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write a WAV file into a table of the module, which plays it at once and keeps it.

    Example: vaectrol table write walk.wav --table b
    """
    from firmware.tables.module import send_table
    from firmware.tables.wav import read_table
    from hardware.protocol import Link, choose_port

    found = read_table(file)
    with Link(choose_port(port)) as link:
        send_table(link, table, found, of_any_model)
    _say(f"{len(found.frames)} frames, {found.seconds:.2f} s, are table {table} now.", as_json)


def encode(
    sound: Annotated[Path, typer.Argument(help="A sound file of up to 20 s.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="An encoder, such as texture.encoder.onnx.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The WAV file.")] = Path("table.wav"),
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write what an encoder hears in a sound as a table.

    Example: vaectrol table encode cello.wav --model firmware/models/texture.encoder.onnx -o cello.table.wav
    """
    from common.outputs import check_file
    from firmware.tables.encode import encode_table
    from firmware.tables.wav import write_table

    check_file(out, ".wav", [sound, model])
    found = encode_table(sound, model)
    write_table(out, found)
    _say(f"{len(found.frames)} frames, {found.seconds:.2f} s, of the model {found.model}: {out}", as_json)


def _say(text: str, as_json: bool) -> None:
    typer.echo(json.dumps({"done": text}) if as_json else text)
