"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from common.reading.options import pairs

if TYPE_CHECKING:
    from firmware.compiler.report import Report
    from firmware.play.live.live import Inputs
    from firmware.play.render import Scribe, Sound
    from firmware.tables.put import TableFiles
    from hardware.board import Board


ModelOption = Annotated[
    list[str] | None, typer.Option("--model", help="ROLE=FILE.onnx, in place of the instrument's own model.")
]


TableOption = Annotated[
    list[str] | None, typer.Option("--table", help="a=FILE.wav or b=: a table of latents that it holds.")
]
AnyModelOption = Annotated[
    bool, typer.Option("--of-any-model", help="Take a --table of another model, or one that nobody knows.")
]


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    from firmware.bridge import commands as bridge
    from firmware.ports import commands as ports
    from firmware.slots import commands as slots
    from firmware.tables import commands as tables

    ports.register(app)
    bridge.register(app)
    slots.register(app)
    tables.register(app)
    app.command(
        "compile",
        epilog="Example: vaectrol compile kick.int8.onnx --target m7 --board patch_sm -o build/kick",
    )(compile_model)
    app.command("build", epilog="Example: vaectrol build drum --board patch_sm -o build/drum")(build)
    app.command(
        "play",
        epilog="Example: vaectrol play rhythm --demo · "
        "vaectrol play drum --cv moves.csv --model drum=kick.int8.onnx --board patch_sm -o drum.wav",
    )(play)
    app.command("manual", epilog="Example: vaectrol manual drum --board patch_sm -o manual")(manual)
    app.command(
        "web",
        epilog="Example: vaectrol web drum -o drum.html · vaectrol web -o pages · "
        "vaectrol web --flash build/drum-patch_sm/drum-patch_sm.bin",
    )(web)


def manual(
    instrument: Annotated[str, typer.Argument(help="An instrument's name or its .toml file.")],
    board: Annotated[str, typer.Option(help="Whose panel, jacks and processor.")] = "patch_sm",
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of page and card.")] = Path("manual"),
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Write an instrument's manual: a page (HTML, PDF) and a card for the panel (SVG, PDF)."""
    import json

    from common.outputs import check_folder
    from firmware.manual.write import write_manual

    check_folder(out)
    made = write_manual(instrument, board, out, pairs(model, "--model"))
    if as_json:
        files = [str(file) for file in made.files]
        typer.echo(json.dumps({"files": files, "pages": made.pages, "missing": made.missing}))
        return
    typer.echo("wrote " + ", ".join(str(file) for file in made.files))
    if made.missing:
        typer.echo(made.missing)


def compile_model(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="Float or QDQ ONNX, weights beside it if external.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for NAME.h, NAME.c and report.json.")],
    target: Annotated[str, typer.Option(help="host, m7, aarch64 or wasm: how weights are packed.")] = "host",
    board: Annotated[str | None, typer.Option(help="Plan memory and time for this board.")] = None,
    block: Annotated[int | None, typer.Option(help="Samples per callback; the board's, or 48.")] = None,
    name: Annotated[str | None, typer.Option(help="Prefix of the C names.")] = None,
    schedule: Annotated[
        str, typer.Option(help="flat spreads slow layers over callbacks, eager adds no latency.")
    ] = "flat",
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--event", help="Stream along axis 2 although its length is fixed, or not."),
    ] = None,
    dump: Annotated[
        bool, typer.Option("--dump", help="Print the graph after every pass, clocks and rings.")
    ] = False,
    proof: Annotated[
        bool, typer.Option("--proof", help="Print the overflow proof of every channel.")
    ] = False,
    witness: Annotated[
        bool,
        typer.Option(
            "--witness/--no-witness",
            help="Hold the reading of the file to onnxruntime first; without it a misreading passes unseen.",
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compile an ONNX model to streaming C, and say what it costs."""
    import json

    from common.outputs import check_folder
    from firmware.compiler.pipeline import compile_onnx

    check_folder(out)
    program = compile_onnx(
        model,
        target,
        board,
        block,
        name,
        schedule=schedule,
        streaming=stream,
        witness=witness,
        dump_to=typer.echo if dump else None,
    )
    if target == "m7":
        from firmware.compiler.plan.footprint import footprint

        program.report["m7"] = footprint(program.name, program.header, program.source).describe()
    program.write(out)
    if as_json:
        typer.echo(json.dumps(program.report, indent=1))
        return
    _print_report(program.report, out)
    if proof:
        for line in program.report["overflow_proofs"]:
            typer.echo(
                f"{line['layer']}: sums stay below {line['largest_sum']:,} of {line['limit']:,}, "
                f"{line['accumulator_bits']}-bit accumulator"
            )
            typer.echo("  per channel " + " ".join(f"{b}" for b in line["per_channel"]))


def _witness_line(report: Report) -> str:
    """Say who held the reading to its numbers, or what goes unseen."""
    heard = report.get("witness")
    if heard is None:
        return "read without a witness (--no-witness): a misreading of the file would pass unseen"
    if not heard["by"]:
        return f"read without a witness: {heard['unheard']}"
    lengths = ", ".join(str(n) for n in heard["frames"])
    return f"agrees with {heard['by']} on {lengths} frames, to {heard['largest_difference']:.1e} of the peak"


def _print_report(report: Report, out: Path) -> None:
    """Print what matters of a compiler report."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(
        f"{report['name']}: {report['parameters']:,} parameters, tables {report['weight_bytes']:,} bytes, "
        f"state {report['state_bytes']:,} bytes, no heap"
    )
    console.print(_witness_line(report))
    if report["event"]:
        steps = report["cycles_per_step"]
        console.print(
            f"{report['cycles_per_event']:,.0f} cycles per event in {steps['steps']} steps, the longest "
            f"{steps['worst']:,.0f} ({report['cost_model']})"
        )
    else:
        cycles = report["cycles_per_callback"]
        console.print(
            f"{report['macs_per_sample']:,.0f} MAC per sample, latency {report['latency_samples']:g} "
            "samples; "
            f"{cycles['mean']:,.0f} cycles per callback of {report['block']}, worst/mean "
            f"{cycles['worst_over_mean']:.3f} "
            f"({report['cost_model']})"
        )
    if report["cpu_mean"] is not None and not report["event"]:
        console.print(
            f"{report['board']}: {report['cpu_mean']:.1%} CPU on average, {report['cpu_worst']:.1%} at worst"
        )
    table = Table("layer", "kernel", "firings/s", "MMAC/s", "Mcycles/s", "bytes")
    if not report["event"]:
        for entry in report["layers"]:
            table.add_row(
                entry["what"],
                entry["kernel"],
                f"{entry['firings_per_second']:,.0f}",
                f"{entry['macs_per_second'] / 1e6:.2f}",
                f"{entry['cycles_per_second'] / 1e6:.2f}",
                f"{entry['weight_bytes']:,}",
            )
        console.print(table)
    if "m7" in report:
        console.print(
            f"Cortex-M7: {report['m7']['text_bytes']:,} bytes of code, the engine's kernels included; stack "
            f"at most {report['m7']['stack_bytes']:,} bytes, by {' > '.join(report['m7']['deepest'])}"
        )
    for region, size in report["regions"].items():
        left = "" if size["left"] is None else f", {size['left']:,} left"
        console.print(f"{region}: {size['used']:,} bytes used{left}")
    console.print(f"wrote {report['name']}.h, {report['name']}.c and report.json to {out}")


def build(
    instrument: Annotated[str, typer.Argument(help="An instrument's name or its .toml file.")],
    board: Annotated[str, typer.Option(help="Name of a board, or its .toml file.")] = "host",
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder; build/INSTRUMENT-BOARD. For a disting NT also NAME.o."),
    ] = None,
    model: ModelOption = None,
    block: Annotated[int | None, typer.Option(help="Samples per callback; the board's, as a rule.")] = None,
    objects_only: Annotated[
        bool, typer.Option("--objects-only", help="Everything but the image: no libDaisy, no linker.")
    ] = False,
    counters: Annotated[
        bool, typer.Option("--counters", help="disting NT: count cycles, on its display and as SysEx.")
    ] = False,
    bench: Annotated[
        bool, typer.Option("--bench", help="Daisy: a second image, that counts cycles per layer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make an instrument's image for a board: compile its models, its tables and the engine, and link."""
    import json

    from rich.console import Console

    from common.files import write_bytes
    from common.outputs import check_file, check_folder
    from firmware.build import PLUGIN_PORTS, build_instrument
    from hardware.board import load_board

    chosen = load_board(board)
    models = pairs(model, "--model")
    refuse_together(bench and objects_only, "--bench", "--objects-only: it is an image")
    file = out if out is not None and out.suffix == ".o" and chosen.port in PLUGIN_PORTS else None
    folder = (out if file is None else None) or Path("build") / f"{Path(instrument).stem}-{Path(board).stem}"
    if file is not None:
        check_file(file, ".o", models.values())
    check_folder(folder)
    with Console(stderr=True).status(f"building {instrument} for {board}"):
        built = build_instrument(
            instrument,
            chosen,
            folder,
            models=models,
            block=block,
            objects_only=objects_only,
            counters=counters,
        )
        if file is not None and built.image is not None:
            write_bytes(file, built.image.read_bytes())
            built.image = file
            built.report["image"] = str(file)
        if bench and built.image and built.board.port == "daisy":
            from firmware.ports.daisy.link import link_built

            built.report["bench_image"] = str(link_built(built, folder, bench=True).path)
    if as_json:
        typer.echo(json.dumps(built.report, indent=1))
        return
    report = built.report
    if built.board.processor.target != "host":
        of = f"{report['cost_model']}; engine and models" if report["cost_model"] else "the engine, no model"
        typer.echo(
            f"{report['instrument']} on {report['board']}, block {report['block']}: CPU "
            f"{report['cpu_mean']:.1%} "
            f"on average, {report['cpu_worst']:.1%} at worst ({of}, all voices sounding)"
        )
    voices, asked = report["voices"], report["voices_asked"]
    if voices is not None and asked is not None and voices < asked:
        typer.echo(f"time for {voices} of {asked} voices at once: the newest sound")
    typer.echo(f"latency {report['latency_samples']:g} samples and one block of {report['block']}")
    for name, use in report["regions"].items():
        typer.echo(f"{name}: {use['used']:,} bytes used, {use['left']:,} left")
    if report["not_on_this_board"]:
        typer.echo(f"not on this board: {', '.join(report['not_on_this_board'])}")
    if "bench_image" in report:
        typer.echo(f"counts cycles per layer: {report['bench_image']}")
    if "linked" in report:
        linked = report["linked"]
        uses = ", ".join(f"{name} {use['used']:,}" for name, use in linked["regions"].items() if use["used"])
        typer.echo(
            f"image {linked['bytes']:,} of {linked['of']:,} bytes ({linked['boot']}), with libDaisy and the "
            f"port: {uses}; stack {linked['stack_bytes']:,}"
        )
    if "plugin" in report:
        sections = ", ".join(f"{name} {size:,}" for name, size in report["plugin"]["sections"].items())
        typer.echo(
            f"plug-in of {report['plugin']['bytes']:,} bytes: {sections}; nothing undefined but the API's"
        )
    typer.echo(
        f"wrote {built.image}" if built.image else f"objects are in {folder}; no image: {built.image_missing}"
    )


AllowSilence = Annotated[
    bool, typer.Option("--allow-silence", help="Keep a rendering that is silent, not finite, or clips.")
]


def play(
    context: typer.Context,
    instrument: Annotated[str, typer.Argument(help="An instrument's name or its .toml file.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="WAV; CV and gate tracks go beside it. out.wav, or NAME.wav with --demo."
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Its own script and input; a picture beside the sound.")
    ] = False,
    board: Annotated[
        str, typer.Option(help="Whose jacks, levels and voices: what that board would play.")
    ] = "host",
    cv: Annotated[Path | None, typer.Option(help="CSV: time, then one column per jack or parameter.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="A factory preset by name: alone it is auditioned, or under --cv.")
    ] = None,
    slot: Annotated[
        list[str] | None,
        typer.Option(help="N=FILE.onnx: what model slot N holds, for a preset that names one."),
    ] = None,
    midi: Annotated[
        Path | None, typer.Option(help="MIDI file: what its notes, controllers and tempo do.")
    ] = None,
    midi_out: Annotated[
        Path | None, typer.Option("--midi-out", help="MIDI file of the notes that its gates play.")
    ] = None,
    midi_port: Annotated[
        str | None, typer.Option("--midi-port", help="With --live or --osc: follow this MIDI input.")
    ] = None,
    sound: Annotated[
        list[str] | None, typer.Option(help="JACK=FILE.wav: audio into audio_in_1, or as CV into cv_1.")
    ] = None,
    sound_volts: Annotated[float, typer.Option(help="Volts of a full-scale sound in a CV jack.")] = 5.0,
    model: ModelOption = None,
    table: TableOption = None,
    of_any_model: AnyModelOption = False,
    seconds: Annotated[
        float | None, typer.Option(help="Length; the script's and a second, as a rule.")
    ] = None,
    block: Annotated[
        int | None, typer.Option(min=1, max=256, help="Samples per callback; the board's, as a rule.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="PNG: spectrogram, gates, CV and controls over time.")
    ] = None,
    osc: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Play in real time under OSC on this UDP port, for --seconds."),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Through the sound card, in real time.")] = False,
    record: Annotated[
        Path | None, typer.Option(help="Write what came in by OSC or MIDI as a CV script.")
    ] = None,
    allow_silence: AllowSilence = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Render an instrument on this computer, as the module would sound."""
    import json

    from common.outputs import check_file
    from firmware.midi.notes_out import check_writes_notes
    from firmware.midi.song import read_song, song_script
    from firmware.play.audition import Audition, named_models
    from firmware.play.live.live import Inputs
    from firmware.tables.put import TableFiles
    from hardware.board import load_board

    chosen = load_board(board)
    models = pairs(model, "--model")
    tables = TableFiles(pairs(table, "--table"), of_any_model)
    path = out or Path(f"{Path(instrument).stem}.wav" if demo else "out.wav")
    if demo and picture is None:
        picture = path.with_suffix(".png")
    if live or osc is not None or midi_port is not None:
        given = demo or bool(sound) or any(one is not None for one in (cv, preset, midi, midi_out))
        refuse_together(
            given, "--demo, --cv, --sound, --preset, --midi and --midi-out", "--osc, --midi-port or --live"
        )
        _play_live(
            instrument,
            path,
            chosen,
            models,
            Inputs(osc, midi_port, live),
            seconds,
            block,
            record,
            tables,
            Ending(allow_silence, as_json),
        )
        return
    refuse_together(
        record is not None and midi is None,
        "--record",
        "a rendering that no OSC or MIDI moves",
    )
    refuse_together(midi is not None and (demo or cv is not None), "--midi", "--demo or --cv")
    refuse_together(preset is not None and (demo or midi is not None), "--preset", "--demo or --midi")
    refuse_together(bool(slot) and preset is None, "--slot", "a play without --preset")
    note = ""
    if preset is not None:
        named, note = named_models(instrument, preset, pairs(slot, "--slot"))
        models |= named
    script, sounds = demonstration(context, instrument, demo, cv, pairs(sound, "--sound"), models)
    given_files = (script, midi, *sounds.values(), *models.values(), *tables.files.values())
    read = [file for file in given_files if isinstance(file, Path)]
    check_file(path, ".wav", read)
    if picture is not None:
        check_file(picture, ".png", read)
    if record is not None:
        check_file(record, ".csv", read)
    if midi_out is not None:
        check_file(midi_out, ".mid", read)
        check_writes_notes(instrument)
    song = read_song(midi) if midi is not None else None
    played_script: Path | Scribe | None = script
    if song is not None and midi is not None:
        played_script = song_script(song, midi.name, record)
    elif preset is not None:
        played_script = Audition(preset, script)
        sounds = sounds or _phrases(context, instrument, models)
    from rich.progress import Progress

    from firmware.play import render as player
    from firmware.play.verdict import dbfs, require_audible

    with Progress(transient=True, disable=as_json) as progress:
        task = progress.add_task(f"playing {instrument}", total=None)
        played = player.play(
            instrument,
            board=chosen,
            script=played_script,
            sounds=sounds,
            models=models,
            seconds=seconds,
            block=block,
            tables=tables,
            sound_volts=sound_volts,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if not allow_silence:
        require_audible(played.rendered, player.has_sound(played.built), f"{instrument} on {chosen.name}")
    files = [str(file) for file in player.write_tracks(path, played.sound, played.rendered, played.built)]
    if picture is not None:
        from firmware.play.picture import draw

        draw(played, picture)
        files.append(str(picture))
    if record is not None:
        files.append(str(record))
    if midi_out is not None:
        from firmware.midi.notes_out import write_notes

        write_notes(played, midi_out, song.tempo if song else None)
        files.append(str(midi_out))
    volts = played.peak * chosen.audio.full_scale_volts_out
    if as_json:
        summary = {
            "files": files,
            "seconds": played.seconds,
            "took_s": played.took_s,
            "peak": played.peak,
            "peak_volts": None if played.struck else volts,
            "board": chosen.name,
            "struck": played.struck or None,
            **({"preset_note": note} if note else {}),
        }
        typer.echo(json.dumps(summary))
        return
    if played.struck:
        level = f"no sound of its own: its gates strike {played.struck}"
    else:
        level = f"peak {dbfs(played.peak):.1f} dBFS, {volts:.2f} V at the jack of {chosen.title}"
    typer.echo(
        f"{played.seconds:.2f} s in {played.took_s:.2f} s ({played.seconds / played.took_s:.0f} times real "
        f"time), block {block or chosen.audio.block}; {level}"
    )
    if note:
        typer.echo(f"{note}.")
    typer.echo("wrote " + ", ".join(files))


def refuse_together(given: bool, option: str, other: str) -> None:
    """Refuse an option beside another that it doesn't go with."""
    from common.refusal import Refusal

    if given:
        raise Refusal(f"{option} does not go with {other}; leave one of them out.")


def demonstration(
    context: typer.Context,
    instrument: str,
    demo: bool,
    cv: Path | None,
    sounds: dict[str, Path],
    models: dict[str, Path],
) -> tuple[Path | None, dict[str, Sound]]:
    """Return the script and the sounds to play: those given, or with ``--demo`` the instrument's own.

    Raises
    ------
    Refusal
        ``--demo`` beside a script or sound of one's own, or an instrument without a demonstration.
    """
    if not demo:
        return cv, dict(sounds)
    refuse_together(cv is not None or bool(sounds), "--demo", "--cv or --sound: it brings its own")
    from firmware.instruments.demo import find_demo

    found = find_demo(instrument, other_models=bool(models))
    return found.script, found.inputs((context.obj or {}).get("phrase"))


def _phrases(context: typer.Context, instrument: str, models: dict[str, Path]) -> dict[str, Sound]:
    """Return what the instrument's demonstration sends into its audio inputs; nothing where it has none."""
    from firmware.instruments.demo import find_demo
    from firmware.instruments.spec import load_instrument

    if load_instrument(instrument).spec.demo is None:
        return {}
    return dict(find_demo(instrument, other_models=bool(models)).inputs((context.obj or {}).get("phrase")))


class Ending(NamedTuple):
    """How a rendering is told of: silence may be kept, and a machine may read it."""

    allow_silence: bool
    as_json: bool


def _play_live(
    instrument: str,
    out: Path,
    board: Board,
    models: dict[str, Path],
    inputs: Inputs,
    seconds: float | None,
    block: int | None,
    record: Path | None,
    tables: TableFiles,
    ending: Ending,
) -> None:
    import json

    from common.outputs import check_file
    from firmware.play.live.live import play_live
    from firmware.play.verdict import BadRendering

    if not inputs.sound_card:
        check_file(out, ".wav", [*models.values(), *tables.files.values()])
    if record is not None:
        check_file(record, ".csv")
    made = play_live(
        instrument,
        out,
        models=models,
        inputs=inputs,
        seconds=seconds,
        block=block,
        record=record,
        board=board,
        tables=tables,
        tell=lambda line: typer.echo(line, err=ending.as_json),
    )
    typer.echo(json.dumps(made) if ending.as_json else made["says"])
    if made["complaint"] and not ending.allow_silence:
        raise BadRendering(f"{out} is written, but {made['complaint']}; --allow-silence accepts that.")


def _write_flash_page(image: Path, out: Path) -> None:
    from common.files import write_text
    from common.outputs import check_file
    from firmware.ports.web.flash_page import flash_page
    from hardware.image import read_image

    check_file(out, ".html", [image])
    read = read_image(image)
    write_text(out, flash_page(read))
    typer.echo(
        f"wrote {out}, {out.stat().st_size:,} bytes: open it in Chrome, Edge or Opera to flash "
        f"{read.identity.instrument} into a {read.board.title}"
    )


def web(
    context: typer.Context,
    instrument: Annotated[
        str | None, typer.Argument(help="An instrument's name or its .toml file; all that ship, if omitted.")
    ] = None,
    model: ModelOption = None,
    table: TableOption = None,
    of_any_model: AnyModelOption = False,
    board: Annotated[str, typer.Option(help="Whose panel, jacks, levels and voices.")] = "patch_sm",
    block: Annotated[
        int | None, typer.Option(min=1, max=256, help="Samples per callback; the board's, as a rule.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="FILE.html for one page, or a folder for a gallery; INSTRUMENT.html."
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option("--beside", help="heard.json of `vaectrol evaluate`: originals to compare by ear."),
    ] = None,
    flash: Annotated[
        Path | None,
        typer.Option(help="Instead: a page that flashes this .bin into a Daisy from the browser."),
    ] = None,
) -> None:
    """Write a page in which an instrument plays: its firmware as WebAssembly, under its own panel."""
    from common.files import write_text
    from common.outputs import check_file
    from common.refusal import Refusal
    from firmware.instruments.spec import available_instruments
    from firmware.ports.web.gallery import Wanted, check_board, instrument_page, write_gallery
    from firmware.ports.web.originals import read_originals
    from firmware.ports.web.page import Extras
    from firmware.tables.put import TableFiles

    if flash is not None:
        refuse_together(
            instrument is not None or bool(model) or bool(table), "--flash", "an instrument's page"
        )
        _write_flash_page(flash, out or flash.with_suffix(".html"))
        return
    models = pairs(model, "--model")
    tables = TableFiles(pairs(table, "--table"), of_any_model)
    path = out or Path(f"{Path(instrument).stem}.html" if instrument else "pages")
    chosen = check_board(board)
    phrase = (context.obj or {}).get("phrase")
    if path.suffix not in ("", ".html") and not path.is_dir():
        raise Refusal(f"{path} ends in {path.suffix}; name a page .html, or a folder for a gallery.")
    if path.suffix == ".html" and instrument is None:
        raise Refusal(f"{path} holds one instrument; say which, or name a folder for all of them.")
    if path.suffix == ".html" and instrument is not None:
        check_file(path, ".html", [*models.values(), *tables.files.values()])
        originals = [pair for file in beside or [] for pair in read_originals(file)]
        extras = Extras(originals=originals, tables=tables)
        page = instrument_page(instrument, chosen, models=models, block=block, phrase=phrase, extras=extras)
        write_text(path, page)
        typer.echo(f"wrote {path}, {path.stat().st_size:,} bytes: open it in a browser")
        return
    if models or tables.files:
        option = "--model" if models else "--table"
        raise Refusal(
            f"{path} is a gallery of what ships; with {option} name one page: -o {instrument or 'NAME'}.html."
        )
    names = [instrument] if instrument else available_instruments()
    index = write_gallery(
        path,
        names,
        Wanted(chosen, block, phrase),
        tell=lambda page: typer.echo(f"wrote {page}, {page.stat().st_size:,} bytes"),
    )
    typer.echo(f"begin with {index}")
