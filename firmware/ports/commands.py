"""The ports' commands: a board played on this computer, plugins, and the control plane of a Pi."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hardware.board import Board


MOST_PPM = 300.0
"""The worst clock of a board: a ceramic resonator's tolerance is about that, a crystal's a tenth."""
MOST_VOLTS = 24.0


def register(app: typer.Typer) -> None:
    """Add the ports' commands to the command line."""
    app.command("simulate")(simulate)
    app.command("plugin")(plugin)
    app.command("control")(control)
    app.command("pc")(pc)


def plugin(
    instrument: Annotated[str, typer.Argument(help="An instrument's name or its .toml file.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder; each system's files go into a folder of its own there."),
    ] = Path("plugins"),
    system: Annotated[str, typer.Option(help="linux, windows, macos, or all.")] = "all",
    form: Annotated[
        str, typer.Option("--format", help="clap: a plugin; pd: an external for Pure Data.")
    ] = "clap",
    model: Annotated[
        list[str] | None, typer.Option(help="ROLE=FILE.onnx, in place of the factory's.")
    ] = None,
    board: Annotated[str, typer.Option(help="Whose jacks and voices it has.")] = "host",
    block: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Samples that are rendered at once; the board's, as a rule."),
    ] = None,
) -> None:
    """Make an instrument a plugin of a studio program: its own firmware, for three systems from this one.

    Example: vaectrol plugin drum --system all -o plugins
    """
    from rich.console import Console

    from common.outputs import check_folder
    from common.refusal import Refusal
    from firmware.models.model_file import named_file
    from firmware.ports.plugin.link import FORMATS, SYSTEMS, Wanted, build_plugin, place
    from firmware.ports.web.gallery import check_board

    if system not in (*SYSTEMS, "all"):
        raise Refusal(f"there are no plugins for {system}; choose {', '.join(SYSTEMS)} or all.")
    if form not in FORMATS:
        raise Refusal(f"there is no format {form!r}; choose {' or '.join(FORMATS)}.")
    models = dict(named_file(text) for text in model or [])
    wanted = Wanted(instrument, check_board(board, "a plugin"), models, block)
    check_folder(out)
    systems = list(SYSTEMS) if system == "all" else [system]
    if form == "pd" and system == "all":
        systems.remove("windows")
    for one in systems:
        place(wanted, form, one, out)
    for one in systems:
        with Console(stderr=True).status(f"making {instrument} for {one}"):
            path = build_plugin(wanted, form, one, out)
        typer.echo(
            f"wrote {path}" + ("" if one == "linux" else ", which was not run: there is no such system here")
        )


def simulate(
    instrument: Annotated[str, typer.Argument(help="An instrument's name or its .toml file.")],
    board: Annotated[str, typer.Option(help="Which board to play.")] = "patch_sm",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to build it.")] = Path("build/simulated"),
    model: Annotated[
        list[str] | None, typer.Option(help="ROLE=FILE.onnx, in place of the factory's.")
    ] = None,
    program: Annotated[
        Path | None, typer.Option(help="A board's program built before; nothing is built.")
    ] = None,
    volts: Annotated[list[str] | None, typer.Option(help="JACK=VOLTS patched in, as cv_1=1.0.")] = None,
    gain: Annotated[float, typer.Option(help="Gain error of every input, as 0.01.")] = 0.0,
    offset: Annotated[float, typer.Option(help="Offset of every input, in volts.")] = 0.0,
    bend: Annotated[float, typer.Option(help="Bend of every input at ±5 V, in volts.")] = 0.0,
    noise: Annotated[
        float | None,
        typer.Option(help="Noise of every input, volts rms, as 0.003; the board's when omitted."),
    ] = None,
    clock_ppm: Annotated[
        float, typer.Option(help=f"How fast its clock runs, in parts per million, within ±{MOST_PPM:g}.")
    ] = 0.0,
    pull_after: Annotated[
        float | None, typer.Option(help="Pull the cable in the middle of a line after so many seconds.")
    ] = None,
    storage: Annotated[
        Path | None, typer.Option(help="File that keeps its flash: settings, tables, models. Else forgotten.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0: when interrupted.")] = 0.0,
) -> None:
    """Play a module that is not there: its own program behind a serial port, for monitor, calibrate and OSC.

    `vaectrol calibrate` beside it is a rehearsal: the board patches itself what is asked for.

    Example: vaectrol simulate drum --board patch_sm --volts cv_1=1.0 --gain 0.01
    """
    import time

    from common.outputs import check_folder
    from firmware.models.model_file import named_file
    from firmware.ports.simulated.link import simulated_program
    from hardware.board import load_board
    from hardware.simulated import ConverterErrors, SimulatedBoard, kept_flash

    for option, value, most in (
        ("--gain", gain, 0.5),
        ("--offset", offset, MOST_VOLTS),
        ("--bend", bend, MOST_VOLTS),
        ("--clock-ppm", clock_ppm, MOST_PPM),
    ):
        _within(option, value, -most, most)
    _within("--noise", 0.0 if noise is None else noise, 0.0, 1.0)
    _within("--pull-after", 0.0 if pull_after is None else pull_after, 0.0, 3600.0)
    described = load_board(board)
    patched = dict(_assigned(text, described) for text in volts or [])
    models = dict(named_file(text) for text in model or [])
    if program is None:
        check_folder(out)
    library = program or simulated_program(instrument, described.name, out, models or None)
    errors = {
        adc.name: ConverterErrors(gain, offset, bend, adc.noise_volts_rms if noise is None else noise)
        for adc in described.adcs
        if adc.kind == "cv"
    }
    flash = kept_flash(storage) if storage is not None else None
    with SimulatedBoard(
        described, library, errors, flash=flash, clock_ppm=clock_ppm, pull_after_s=pull_after
    ) as played:
        played.jacks.volts.update(patched)
        typer.echo(f"{described.title} at {played.device}  (vaectrol monitor --port {played.device})")
        end = time.monotonic() + seconds if seconds > 0 else float("inf")
        while time.monotonic() < end and played.reboot_asked is None and not played.pulled:
            time.sleep(0.1)
        if played.pulled:
            typer.echo("The cable was pulled in the middle of a line.")


def _assigned(text: str, board: Board) -> tuple[str, float]:
    from common.refusal import Refusal

    name, _, value = text.partition("=")
    board.adc(name)
    try:
        level = float(value)
    except ValueError:
        raise Refusal(f"--volts {text!r}: write a jack and its volts, as cv_1=1.0.") from None
    _within(f"--volts {name}", level, -MOST_VOLTS, MOST_VOLTS)
    return name, level


def _within(option: str, value: float, low: float, high: float) -> None:
    from common.refusal import Refusal

    if not low <= value <= high:  # NaN too
        raise Refusal(f"{option} is {value:g}; give {low:g} to {high:g}.")


def pc(
    instrument: Annotated[str, typer.Argument(help="An instrument's name or its .toml file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the program.")] = Path("build/pc"),
    board: Annotated[str, typer.Option(help="rpi4 or rpi5: whose jacks it has.")] = "rpi4",
    model: Annotated[
        list[str] | None, typer.Option(help="ROLE=FILE.onnx, in place of the factory's.")
    ] = None,
) -> None:
    """Build the Raspberry Pi's program for this Linux PC: to play on its sound card, without a carrier.

    Example: vaectrol pc drum -o build/pc && build/pc/drum-pc --adc none --gpio none --socket /tmp/v.sock
    """
    from common.outputs import check_folder
    from firmware.models.model_file import named_file
    from firmware.ports.rpi.link import pc_program

    check_folder(out)
    models = dict(named_file(text) for text in model or [])
    typer.echo(f"wrote {pc_program(instrument, out, board, models or None)}")


def control(
    port: Annotated[
        str, typer.Option("--port", "-p", help="unix:PATH of the Pi program, or a module's serial port.")
    ] = "unix:/run/vaectrol/vaectrol.sock",
    osc: Annotated[int, typer.Option(help="UDP port to listen on.")] = 9000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")
    ] = "127.0.0.1",
    telemetry: Annotated[
        str | None, typer.Option(help="HOST:PORT that load, positions and gates go to.")
    ] = None,
    hz: Annotated[float, typer.Option(min=0.5, max=100, help="Telemetry frames a second.")] = 20.0,
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0: when interrupted.")] = 0.0,
) -> None:
    """Play a Pi or a module by OSC: parameters, triggers, clock and presets in, telemetry out.

    Example: vaectrol control --osc 9000 --telemetry 192.168.1.20:9001
    """
    from common.refusal import Refusal
    from firmware.ports.rpi.control_plane import serve

    target = None
    if telemetry is not None:
        to, _, number = telemetry.rpartition(":")
        if not to or not number.isdigit():
            raise Refusal(f"--telemetry {telemetry!r}: write HOST:PORT, as 192.168.1.20:9001.")
        target = (to, int(number))
    for line in serve(port, osc, host, target, hz, seconds):
        typer.echo(line)
