"""The command of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this room's command to the command line."""
    app.command("import", epilog="Example: vaectrol import dumble.nam -o dumble.onnx")(import_capture)


def import_capture(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A .nam, JSON of RTNeural, AIDA-X or Proteus, or a .ts that RAVE exported."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Model to write; FILE.onnx here when omitted.")
    ] = None,
    size: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Which of several sizes in one file, 0 to 1; the largest."),
    ] = None,
    instrument: Annotated[
        Path | None,
        typer.Option(help="Write an instrument file too, which plays OUT once it is quantized beside it."),
    ] = None,
    second: Annotated[
        Path | None,
        typer.Option(
            help="Quantized model of another capture, beside the --instrument, that the sound fades to."
        ),
    ] = None,
    latents: Annotated[
        int | None,
        typer.Option(min=1, help="Of a RAVE: keep so many, the first ones; as many as its export has."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was read as JSON.")] = False,
) -> None:
    """Read a capture of an amplifier or pedal, or a model of RAVE, from elsewhere into float model files."""
    import json

    from captures.capture import ASSUMED_RATE_HZ
    from captures.instrument import instrument_text
    from captures.rave.archive import is_archive
    from captures.read import model_of, read_capture
    from common.files import write_bytes, write_text
    from common.outputs import check_file
    from common.refusal import Refusal

    place = out or Path(f"{source.stem}.onnx")
    check_file(place, ".onnx", [source])
    if is_archive(source):
        if size is not None or instrument is not None or second is not None:
            raise Refusal(
                "--size, --instrument and --second are for captures, and this is an archive of torch."
            )
        _import_rave(source, place, latents, as_json)
        return
    if latents is not None:
        raise Refusal(f"--latents is for models of RAVE, and {source.name} is no archive of torch.")
    if instrument is not None:
        check_file(instrument, ".toml", [source])
    if second is not None and instrument is None:
        raise Refusal("--second is the other model of an instrument; say --instrument NAME.toml too.")
    capture = read_capture(source, size)
    write_bytes(place, model_of(capture, place.stem).SerializeToString())
    if instrument is not None:
        write_text(instrument, instrument_text(capture, place.stem, second.name if second else None))
    if as_json:
        found = {
            "file": str(place),
            "format": capture.format,
            "architecture": capture.architecture,
            "weights": capture.weights,
            "reach_samples": capture.reach,
            "sample_rate_hz": capture.rate_hz,
            **capture.facts,
        }
        typer.echo(json.dumps(found))
        return
    reach = f", reaches {capture.reach:,} samples back" if capture.reach else ""
    typer.echo(f"{source.name}: {capture.format}, {capture.architecture}, {capture.weights:,} weights{reach}")
    if capture.rate_hz is None:
        typer.echo(f"it does not say its sample rate; {ASSUMED_RATE_HZ:,.0f} Hz is taken")
    else:
        typer.echo(f"made at {capture.rate_hz:,.0f} Hz")
    for key, value in capture.facts.items():
        typer.echo(f"{key}: {value:g}" if isinstance(value, float) else f"{key}: {value}")
    typer.echo(f"wrote {place}; next: vaectrol quantize {place} --calibration DIR -o {place.stem}.int8.onnx")


def _import_rave(source: Path, place: Path, latents: int | None, as_json: bool) -> None:
    """Write the decoder, and the encoder beside it."""
    import json

    from captures.rave.graph import decoder_of, encoder_of
    from captures.rave.weights import read_rave
    from common.files import write_bytes
    from common.outputs import check_file, encoder_beside

    encoder = encoder_beside(place)
    check_file(encoder, ".onnx", [source])
    rave = read_rave(source, latents)
    name = place.stem
    decoder, hearing = decoder_of(rave, name), encoder_of(rave, name)
    write_bytes(place, decoder.SerializeToString())
    write_bytes(encoder, hearing.SerializeToString())
    if as_json:
        found = {
            "file": str(place),
            "encoder": str(encoder),
            "format": "RAVE v1",
            "weights": rave.numbers,
            "latents": len(rave.axes),
            "hop_samples": rave.hop,
            "sample_rate_hz": rave.rate_hz,
            "is_causal": rave.is_causal,
            "noise_left_out": rave.has_noise,
        }
        typer.echo(json.dumps(found))
        return
    typer.echo(
        f"{source.name}: RAVE v1, {len(rave.axes)} of {len(rave.middle)} latents, a frame each "
        f"{rave.hop:,} samples, {rave.numbers:,} weights, at {rave.rate_hz:,} Hz"
    )
    if rave.has_noise:
        typer.echo("its noise branch is left out: what that adds to the sound is not heard")
    if not rave.is_causal:
        typer.echo("it looks ahead, which becomes delay on a module; RAVE's config causal has less of it")
    typer.echo(
        f"wrote {place} and {encoder}; next: vaectrol quantize {place} -o {place.stem}.int8.onnx --board rpi4"
    )
