"""The command of the bridge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.reading.options import pairs

EXAMPLE = """Example mapping, FILE.toml:

\b
[\\[map]]
from = "phone/tilt_x"       # or osc/wii/pitch, midi/cc/74, script/lfo, instrument/out/pitch
to = "latent/1"             # or trigger/1, gate/freeze, preset, osc/max/x, midi/cc/20
range = [0.2, 0.8]
law = "s"
smoothing_s = 0.05

\b
[\\[map]]
from = "midi/cc/20"
to = "trigger/1"
above = 0.5                 # strikes when it rises past this

More: docs/manuals/bridge.md
"""


def register(app: typer.Typer) -> None:
    """Add the bridge to the command line."""
    app.command("bridge", epilog=EXAMPLE)(bridge)


def bridge(
    context: typer.Context,
    instrument: Annotated[
        str | None, typer.Argument(help="An instrument's name or its .toml file, to be played here.")
    ] = None,
    port: Annotated[
        str | None,
        typer.Option("--port", "-p", help="Play this module instead: serial port, or unix:PATH of a Pi."),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--map", help="TOML: which source moves which target, and how.")
    ] = None,
    osc: Annotated[
        int | None, typer.Option(min=0, max=65535, help="UDP port to listen for OSC on; 0: a free one.")
    ] = None,
    osc_out: Annotated[
        str | None, typer.Option(help="HOST:PORT that positions, values, gates and outputs go to.")
    ] = None,
    midi: Annotated[str | None, typer.Option(help="Beginning of a MIDI input's name.")] = None,
    midi_out: Annotated[str | None, typer.Option(help="Beginning of a MIDI output's name.")] = None,
    script: Annotated[Path | None, typer.Option("--cv", help="A CV script as a further source.")] = None,
    phone: Annotated[
        bool, typer.Option("--phone", help="Serve a page of faders, pads and motion; prints its QR code.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Serve the instrument's own page too; it follows every move.")
    ] = False,
    lan: Annotated[
        bool, typer.Option("--lan", help="Let others than this computer in; a phone needs that.")
    ] = False,
    phone_port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port of the pages.")] = 8443,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM with certificate and key, in place of one made on the spot.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="CSV: what was played, as a CV script that renders the same.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="WAV of the performance; needs --seconds.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Through the sound card.")] = False,
    sound: Annotated[
        list[str] | None, typer.Option(help="audio_in_1=FILE.wav: what comes in, without a sound card.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="ROLE=FILE.onnx, in place of the factory's.")
    ] = None,
    board: Annotated[str, typer.Option(help="Whose jacks and voices the instrument here has.")] = "host",
    block: Annotated[
        int | None, typer.Option(min=1, max=256, help="Samples per callback; the board's, as a rule.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="How long; until Ctrl-C when omitted.")] = None,
    hz: Annotated[
        float, typer.Option(min=1, max=200, help="How often the instrument says what changed.")
    ] = 50.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON.")] = False,
) -> None:
    """Play an instrument here, or a module, by OSC, MIDI, a phone and scripts; it tells by OSC and MIDI.

    Example: vaectrol bridge drum --osc 9000 --phone --lan --record take.csv
    """
    import json

    from common.outputs import check_file
    from common.refusal import Refusal
    from firmware.bridge.phone.server import Place
    from firmware.bridge.run import Wanted, Ways, run
    from firmware.bridge.sinks.host import HostWanted
    from firmware.play.render import check_seconds
    from firmware.play.verdict import BadRendering

    check_seconds(seconds)
    if instrument is None and port is None:
        raise Refusal("say what to play: an instrument, as `vaectrol bridge drum`, or a module by --port.")
    if port is not None and (out is not None or live or sound or model):
        raise Refusal("--out, --live, --sound and --model are for an instrument here; leave --port out.")
    if out is not None and (seconds is None or live):
        raise Refusal("a WAV of the performance needs its length, and no --live: --seconds 60 -o out.wav.")
    read = [path for path in (mapping, script) if path is not None]
    if out is not None:
        check_file(out, ".wav")
    if record is not None:
        check_file(record, ".csv", read)
    host = None
    if port is None and instrument is not None:
        host = HostWanted(
            instrument,
            board,
            pairs(model, "--model"),
            block,
            dict(pairs(sound, "--sound")),
            out,
            live,
        )
    if page and instrument is None:
        raise Refusal("--page needs the instrument's name beside --port.")
    place = Place(phone_port, lan, certificate) if phone or page else None
    html = _module_page(context, instrument, board, model, block) if page and instrument is not None else ""
    ways = Ways(osc, _address(osc_out), midi, midi_out, script, lan, place, html)
    wanted = Wanted(host, port, instrument, mapping, ways, seconds, record, hz)
    made = run(wanted, tell=lambda line: typer.echo(line, err=as_json))
    typer.echo(json.dumps(made) if as_json else made["says"])
    if made["complaint"] and out is not None:
        raise BadRendering(f"{out} is written, but {made['complaint']}.")


def _module_page(
    context: typer.Context, instrument: str, board: str, model: list[str] | None, block: int | None
) -> str:
    from firmware.ports.web.gallery import instrument_page

    shown_on = "patch_sm" if board == "host" else board
    phrase = (context.obj or {}).get("phrase")
    return instrument_page(instrument, shown_on, models=pairs(model, "--model"), block=block, phrase=phrase)


def _address(text: str | None) -> tuple[str, int] | None:
    from common.refusal import Refusal

    if text is None:
        return None
    to, _, number = text.rpartition(":")
    if not to or not number.isdigit() or not 0 < int(number) < 65536:
        raise Refusal(f"--osc-out {text!r}: write HOST:PORT, as 127.0.0.1:9001.")
    return to, int(number)
