"""The command line: wires the rooms' commands together and holds no logic of its own.

Each room has a ``commands.py`` whose ``register(app)`` adds its commands. Those modules import only
typer at their top; torch, onnx, librosa and the like are imported inside the command that needs them,
so that ``vaectrol --help`` answers at once.

A room refuses bad input by raising its ``Refusal``: one plain sentence (what is wrong, where, what to
do), an ``exit_status`` of 2, and never a traceback.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

import factory
import match.commands
import workflow.commands
from common.version import version

ROOMS = ("toy", "train", "captures", "quantize", "firmware", "bench", "hardware")


def _float_tflite(model: Any) -> bytes:
    """Write a float ONNX model as TFLite: quantize can, the bench times it, and neither imports the other."""
    from quantize.formats.tflite import float_tflite

    return float_tflite(model)


def _phrase(name: str) -> Any:
    """Play a phrase by name: a toy can, `play --demo` sends it through an instrument."""
    from toy.demo_phrases import play_phrase

    return play_phrase(name)


BETWEEN_ROOMS: dict[str, Any] = {"float_tflite": _float_tflite, "phrase": _phrase}
"""What one room's command may need of a room that it doesn't import; typer's context carries it."""


def _print_version(asked: bool) -> None:
    """Print the version that images, model files and reports carry, and end."""
    if asked:
        typer.echo(f"vaectrol {version()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Neural latents on CV: from a folder of sounds to a Eurorack module."""


GROUPS = {
    "Every day": ("make", "play", "bridge", "web", "plugin", "manual", "demo", "doctor"),
    "Sounds": ("toy", "data"),
    "Training": ("train", "budget", "evaluate", "probe", "place", "match", "factory"),
    "Model": ("import", "quantize", "dissect", "bend", "export", "compile"),
    "Module": (
        *("build", "flash", "send", "models", "calibrate", "monitor"),
        *("table", "control", "board", "simulate", "pc"),
    ),
    "Bench": ("bench", "emulate", "latency", "bench-all"),
}
"""The commands along the workflow, in the order in which help lists them."""


class InOrder(TyperGroup):
    """Lists the commands as `GROUPS` does, what it does not name behind them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands."""
        order = [name for names in GROUPS.values() for name in names]
        there = super().list_commands(ctx)
        return [name for name in order if name in there] + [name for name in there if name not in order]


def build_app() -> typer.Typer:
    """Collect the commands of every room into one typer application."""
    app = typer.Typer(
        name="vaectrol",
        help="Neural latents on CV: from a folder of sounds to a Eurorack module.",
        cls=InOrder,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for room in ROOMS:
        importlib.import_module(f"{room}.commands").register(app)
    match.commands.register(app)
    workflow.commands.register(app)
    factory.register(app)
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        command.rich_help_panel = group_of.get(name)
    for sub in app.registered_groups:
        sub.rich_help_panel = group_of.get(str(sub.name))
    return app


@cache
def command() -> Any:
    """Return the command line as click runs it; built once, for a process may run many commands."""
    return typer.main.get_command(build_app())


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program name; ``sys.argv[1:]`` when omitted.

    Returns
    -------
    int
        0 on success, 2 on bad input, 130 when interrupted.
    """
    try:
        outcome = command()(argv, standalone_mode=False, obj=BETWEEN_ROOMS)
    except KeyboardInterrupt:
        print("vaectrol: interrupted; run the same command again to continue.", file=sys.stderr)
        return 130
    except OSError as error:
        return _report_disk(error)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):
            return _report_usage(error)
        status = getattr(error, "exit_status", None)
        if status is None:
            raise
        print(f"vaectrol: {error}", file=sys.stderr)
        return int(status)
    return outcome if isinstance(outcome, int) else 0


def _report_disk(error: OSError) -> int:
    """Say which file the system would not read or write; status 2."""
    if error.filename is None:
        raise error
    print(
        f"vaectrol: {error.filename}: {error.strerror}; check the path, its permissions and the disk.",
        file=sys.stderr,
    )
    return 2


def _report_usage(error: Exception) -> int:
    """Print what click found wrong with the arguments and return its exit status."""
    show = getattr(error, "show", None)
    if show is not None:
        show()
    return int(getattr(error, "exit_code", 1))


def entry() -> None:
    """Console-script entry point."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
