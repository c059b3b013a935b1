"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hardware.calibrate import Outcome

PORT = typer.Option("--port", "-p", help="Serial port of the module; unix:PATH for the Pi program's socket.")
JSON = typer.Option("--json", help="Print JSON for a machine instead of text.")


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.command("doctor")(doctor)
    app.command("monitor")(monitor)
    app.command("calibrate")(calibrate)
    app.command("flash")(flash)
    board_app = typer.Typer(
        help="What the boards are: list them, their wiring, their ports.", no_args_is_help=True
    )
    board_app.command("list")(board_list)
    board_app.command("show")(board_show)
    board_app.command("ports")(board_ports)
    board_app.command("panel")(board_panel)
    board_app.command("schematic")(board_schematic)
    board_app.command("bom")(board_bom)
    app.add_typer(board_app, name="board")


def doctor(as_json: Annotated[bool, JSON] = False) -> None:
    """Say what is here and what is missing: versions, tools, libDaisy, USB permissions, modules, disk.

    Exit status 1: something without which nothing works. What is only absent says what it would add.

    Example: vaectrol doctor
    """
    from dataclasses import asdict

    from hardware.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(_json([asdict(finding) for finding in findings]))
    else:
        typer.echo("\n".join(finding.line() for finding in findings))
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(1)


def monitor(
    port: Annotated[str | None, PORT] = None,
    hz: Annotated[float, typer.Option(min=0.5, max=50, help="Reports a second.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Print one report and stop.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Watch a module: CPU mean and worst, each input as volts and position, latents, gates.

    Example: vaectrol monitor --port /dev/ttyACM0
    """
    from hardware import monitor as view
    from hardware.protocol import Link, choose_port

    with Link(choose_port(port)) as link:
        if not (once or as_json):
            view.watch(link, hz)
            return
        module, report = view.connect(link), link.report()
        if as_json:
            typer.echo(_json({"hello": module.hello.model_dump(), "report": report.model_dump()}))
        else:
            from rich.console import Console

            Console().print(view.render(module, report, link.garbage_lines))


def calibrate(
    jacks: Annotated[list[str], typer.Argument(help="CV jacks, as on the board: cv_1 or CV_1.")],
    port: Annotated[str | None, PORT] = None,
    through: Annotated[
        str | None, typer.Option(help="A calibrated input that measures the CV outputs named.")
    ] = None,
    at: Annotated[
        str,
        typer.Option(help="Voltages to patch, in volts, by commas; 'octaves': one per volt of the range."),
    ] = "1,3",
    meter: Annotated[
        bool, typer.Option("--meter", help="Ask for the voltage that your meter shows at each point.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Calibrate CV inputs: patch known voltages one at a time, see the cents before and after.

    With --through, CV outputs: a cable leads from each to a calibrated input; the module plays the voltages.
    A board of `vaectrol simulate` patches itself what is asked for: a rehearsal.

    Example: vaectrol calibrate cv_1 cv_2 --at=-1,0,1,2,3,4 · vaectrol calibrate cv_out_1 --through cv_1
    """
    from rich.console import Console

    from common.refusal import Refusal
    from hardware import calibrate as calibration
    from hardware.board import Adc, Dac, load_board
    from hardware.protocol import Link, choose_port
    from hardware.simulated import patch_simulated

    console = Console(stderr=as_json)

    def show(outcome: Outcome) -> None:
        if as_json:
            typer.echo(_json(asdict(outcome)))
        else:
            _print_outcome(console, outcome)

    with Link(choose_port(port)) as link:
        hello = link.hello()
        board = load_board(hello.board)

        def connect(dac: Dac, adc: Adc) -> None:
            question = f"Patch {dac.silk} ({dac.name}) into {adc.silk} ({adc.name}), then press Enter"
            typer.prompt(question, default="", show_default=False, prompt_suffix=" ", err=as_json)
            if patch_simulated(link, board.adcs.index(adc), output=board.dacs.index(dac)):
                console.print("A rehearsal: the simulated board has that cable now.")

        if through is not None:
            for name in jacks:
                show(calibration.calibrate_output(link, board, name, through, connect))
            return
        for name in jacks:
            if calibration.output_index(board, hello.cv_outs, name) is not None:
                raise Refusal(f"{name} is an output; say which input measures it: --through cv_1.")
            calibration.input_index(board, hello.inputs, name)  # all names before the first cable
        console.print("Unplug every cable from the module's CV inputs, and let it warm up for ten minutes.")

        def patch(adc: Adc, volts: float) -> float:
            question = f"Patch {volts:+.3f} V into {adc.silk} ({adc.name}), alone, then press Enter"
            if meter:
                volts = float(
                    typer.prompt(f"{question}, or type what the meter shows", default=volts, err=as_json)
                )
            else:
                typer.prompt(question, default="", show_default=False, prompt_suffix=" ", err=as_json)
            if patch_simulated(link, board.adcs.index(adc), volts=volts):
                console.print(f"A rehearsal: the simulated board has {volts:+.3f} V there now.")
            return volts

        for name in jacks:
            index = calibration.input_index(board, hello.inputs, name)
            voltages = _voltages(at, calibration.octave_points(board.adcs[index]))
            show(
                calibration.calibrate(
                    link, board, name, voltages, patch, lambda why: console.print(f"Not taken: {why}")
                )
            )


def _voltages(text: str, octaves: tuple[float, ...]) -> tuple[float, ...]:
    from common.refusal import Refusal

    if text == "octaves":
        return octaves
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise Refusal(
            f"--at {text!r} is not a list of volts; write for example --at=1,3 or --at=octaves."
        ) from None


def _print_outcome(console: Console, outcome: Outcome) -> None:
    from rich.table import Table

    table = Table(title=f"{outcome.jack}: error in cents of 1 V/octave", title_justify="left")
    for column in ("volts", "code", "before", "after"):
        table.add_column(column, justify="right")
    for point, before, after in zip(outcome.points, outcome.before_cents, outcome.after_cents, strict=True):
        table.add_row(f"{point.volts:+.3f}", f"{point.code:.5f}", f"{before:+.1f}", f"{after:+.2f}")
    console.print(table)
    if outcome.between_cents is not None:
        console.print(
            f"Between the points: at most {outcome.between_cents:.1f} cents (each point left out in turn)."
        )
    console.print(
        "Stored in the module."
        if outcome.stored
        else f"In use, but NOT stored ({outcome.why_not}); it is lost when the power goes."
    )


def flash(
    image: Annotated[
        Path | None, typer.Argument(help="The .bin that `vaectrol build` made; --rehearse needs none.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="Refuse an image for any other board.")] = None,
    port: Annotated[str | None, PORT] = None,
    path: Annotated[
        str | None, typer.Option(help="USB path of the bootloader (dfu-util -l), with several.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the module and read its version back.")] = True,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Play the whole of it with a module that is not there.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write an image into a Daisy, and check that it runs.

    A module that runs restarts into its bootloader by itself; else tap RESET and run this within two seconds.

    Example: vaectrol flash build/drum-patch_sm.bin --board patch_sm · vaectrol flash --rehearse
    """
    from rich.console import Console
    from rich.progress import Progress

    from common.refusal import Refusal
    from hardware import flash as flashing
    from hardware.image import read_image

    console = Console(stderr=as_json)
    if rehearse:
        _rehearse(image, board, console, as_json)
        return
    if image is None:
        raise Refusal(
            "name the image: the .bin that `vaectrol build` made; `vaectrol flash --rehearse` needs none."
        )
    checked = read_image(image, board)
    with Progress(console=console, transient=True) as progress:
        tasks = {stage: progress.add_task(stage, total=100) for stage in ("Erase", "Download")}
        done = flashing.flash(
            checked,
            port=port,
            path=path,
            wait=wait,
            progress=lambda stage, percent: progress.update(tasks[stage], completed=percent),
        )
    hello = done.hello
    if as_json:
        typer.echo(
            _json({"bytes": done.bytes, "usb_path": done.device.path, "hello": hello and hello.model_dump()})
        )
        return
    console.print(
        f"Wrote {done.bytes:,} of {checked.boot.bytes:,} bytes at 0x{checked.boot.address:08X} "
        f"through {done.device.bootloader.value if done.device.bootloader else 'a bootloader'}."
    )
    if hello is not None:
        console.print(
            f"The module answers: {hello.instrument} {hello.version}, model {hello.model}, {hello.board}."
        )


def _rehearse(image: Path | None, board: str | None, console: Console, as_json: bool) -> None:
    import tempfile

    from hardware.board import load_board
    from hardware.image import read_image
    from hardware.rehearsal import Rehearsal, stand_in

    with tempfile.TemporaryDirectory(prefix="vaectrol-rehearsal-") as place:
        folder = Path(place)
        checked = read_image(image, board) if image else stand_in(load_board(board or "patch_sm"), folder)
        with Rehearsal(checked.board, folder) as played:
            done = played.play(checked)
    assert done.hello is not None
    if as_json:
        typer.echo(_json({"rehearsed": True, "bytes": done.bytes, "hello": done.hello.model_dump()}))
        return
    name = image.name if image else "a stand-in for an image"
    console.print(
        f"Rehearsed, nothing was written to a module: {name}, {done.bytes:,} of {checked.boot.bytes:,} bytes "
        f"for {checked.board.name}.\n"
        "1. The running module was asked to restart into its bootloader, and did.\n"
        f"2. dfu-util erased and wrote 0x{checked.boot.address:08X}; what it holds is the image, byte for "
        "byte.\n"
        f"3. The module started and answered: {done.hello.instrument} {done.hello.version}, model "
        f"{done.hello.model}, {done.hello.board}."
    )


def board_list(as_json: Annotated[bool, JSON] = False) -> None:
    """List the boards.

    Example: vaectrol board list
    """
    from hardware.board import available_boards, load_board

    boards = [load_board(name) for name in available_boards()]
    if as_json:
        typer.echo(
            _json([{"name": board.name, "title": board.title, "port": board.port} for board in boards])
        )
        return
    for board in boards:
        core = f"{board.processor.core} at {board.processor.clock_hz / 1e6:.0f} MHz"
        jacks = f"{len(board.adcs)} inputs, {len(board.gates_in)} gates in, {len(board.gates_out)} out"
        typer.echo(f"{board.name:<11} {board.title:<15} {core}, {jacks}")


def board_show(
    name: Annotated[
        str, typer.Argument(help="patch_sm, patch_init, seed, disting_nt, rpi4, rpi5, host, or a .toml.")
    ],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show one board: memory, and every jack with its silk-screen name and pin.

    Example: vaectrol board show patch_sm
    """
    from hardware.board import load_board
    from hardware.wiring import memory_table, wiring_table

    board = load_board(name)
    if as_json:
        typer.echo(_json(board.model_dump()))
        return
    typer.echo(f"# {board.title} ({board.name})\n\n{memory_table(board)}\n{wiring_table(board)}")


def board_ports(as_json: Annotated[bool, JSON] = False) -> None:
    """List the serial ports of connected modules.

    Example: vaectrol board ports
    """
    from hardware.protocol import candidate_ports

    ports = candidate_ports()
    if as_json:
        typer.echo(_json([port.device for port in ports]))
    for port in ports if not as_json else []:
        typer.echo(f"{port.device}  {port.description}")
    if not ports and not as_json:
        typer.echo("No module found (USB serial 0483:5740).")


def board_panel(
    name: Annotated[str, typer.Argument(help="patch_sm, rpi, or a panel's .toml file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for NAME.svg and NAME.dxf.")] = Path("."),
) -> None:
    """Draw a front panel: SVG to look at, DXF to cut.

    Example: vaectrol board panel patch_sm -o build
    """
    from common.outputs import check_folder
    from hardware.panel import load_panel, svg, write_dxf

    check_folder(out)
    panel = load_panel(name)
    out.mkdir(parents=True, exist_ok=True)
    stem = Path(name).stem
    part = out / f"{stem}.svg.part"
    part.write_text(svg(panel), encoding="utf-8")
    part.replace(out / f"{stem}.svg")
    write_dxf(panel, out / f"{stem}.dxf")
    size = f"{panel.hp} HP, {panel.width_mm:g} mm wide, {len(panel.parts)} parts"
    typer.echo(f"{out / stem}.svg and .dxf: {size}.")


def board_schematic(
    name: Annotated[str, typer.Argument(help="patch_sm or rpi: the carrier.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for its files.")] = Path("."),
) -> None:
    """Write a carrier's schematic and netlist for KiCad, and drawings of it for the build guide.

    Example: vaectrol board schematic patch_sm -o build
    """
    from common.files import write_text
    from common.outputs import check_folder
    from common.refusal import Refusal
    from hardware.schematic import drawing, kicad
    from hardware.schematic.carriers import circuit_of
    from hardware.schematic.circuit import faults

    circuit = circuit_of(name)
    check_folder(out)
    wrong = faults(circuit)
    if wrong:
        raise Refusal(f"{name}: {wrong[0]} ({len(wrong)} in all); nothing was written.")
    out.mkdir(parents=True, exist_ok=True)
    made = {
        "kicad_sch": kicad.schematic(circuit),
        "net": kicad.netlist(circuit),
        "svg": drawing.svg(circuit),
    }
    files = {f"{name}.{suffix}": text for suffix, text in made.items()}
    files |= {f"{name}-{figure}.svg": text for figure, text in drawing.figures(circuit).items()}
    for file, text in files.items():
        write_text(out / file, text)
    typer.echo(
        f"{out / name}.kicad_sch, .net, .svg and figures of the build guide: {len(circuit.parts)} parts, "
        f"{len(circuit.nets())} nets, no fault by the electrical rules"
    )


def board_bom(
    name: Annotated[str, typer.Argument(help="patch_sm or rpi: the carrier.")],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Print a carrier's bill of materials, with the reason for every value.

    Example: vaectrol board bom rpi
    """
    from hardware.bom import load_bom

    lines = list(dict.fromkeys(load_bom(name).values()))
    if as_json:
        typer.echo(_json([line.model_dump() for line in lines]))
        return
    for line in lines:
        typer.echo(
            f"{line.reference:<9} {line.quantity:>2} × {line.value:<24} {line.part:<34} "
            f"{line.price_euro:<9} € {line.source:<18} {line.why}"
        )


def _json(value: object) -> str:
    import json

    return json.dumps(value, indent=2)
