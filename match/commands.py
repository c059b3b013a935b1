"""The command of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from match.preset import Preset
    from match.search import Found

MOST_SOUNDS = 64


def register(app: typer.Typer) -> None:
    """Add this room's command to the command line."""
    app.command(
        epilog="Example: vaectrol match firmware/models/drum.int8.onnx kick.wav snare.wav -o matched"
    )(match)


def match(
    model: Annotated[Path, typer.Argument(metavar="RUN|MODEL", help="A drum's run folder or .onnx file.")],
    sounds: Annotated[list[Path], typer.Argument(metavar="SOUND...", help="Recordings of one stroke each.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of presets, sounds and page.")] = Path(
        "matched"
    ),
    drum_class: Annotated[
        str | None, typer.Option("--class", help="What all of them are; found by trying all when omitted.")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, max=10_000, help="Steps of gradient descent.")] = 200,
    data_dir: Annotated[
        Path | None, typer.Option("--data", help="A data set, to show the nearest training sound beside.")
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Save the presets on a connected module.")] = False,
    port: Annotated[
        str | None, typer.Option("--port", "-p", help="Serial port of the module; found when omitted.")
    ] = None,
    preset: Annotated[int, typer.Option(min=1, help="Place of the first preset on the module.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Find the knobs that make a drum like a recorded one: a preset each, and a groove of several."""
    import json
    from statistics import median

    from common.drums import CLASSES
    from common.outputs import check_folder
    from common.refusal import Refusal
    from match.preset import preset_of
    from match.search import match as search
    from match.search import open_matcher
    from match.target import read_target
    from train.data.store import DataSet

    if drum_class is not None and drum_class not in CLASSES:
        raise Refusal(f"there is no class {drum_class}; there are {', '.join(CLASSES)}")
    if len(sounds) > MOST_SOUNDS:
        raise Refusal(f"{len(sounds)} sounds are too many at once; match at most {MOST_SOUNDS}")
    check_folder(out)
    targets = [read_target(path) for path in sounds]
    data = DataSet.open(data_dir) if data_dir else None
    matcher = open_matcher(model)
    label = CLASSES.index(drum_class) if drum_class else None
    by_target = {id(one.target): one for one in search(matcher, targets, [label] * len(targets), steps)}
    found = [by_target[id(target)] for target in targets]
    presets = [preset_of(matcher, one) for one in found]
    _write(out, model, found, presets, data)
    places = _send(presets, port, preset) if send else []
    if as_json:
        rows = [
            {
                "sound": one.target.name,
                "class": CLASSES[one.label],
                "guess_mr_stft": one.guess_mr_stft,
                "mr_stft": one.mr_stft,
                "preset": made.model_dump(),
            }
            for one, made in zip(found, presets, strict=True)
        ]
        typer.echo(json.dumps({"out": str(out), "matches": rows, "places": places}, indent=1))
        return
    for one in found:
        typer.echo(
            f"{one.target.name}: {CLASSES[one.label]}, distance {one.mr_stft:.2f} "
            f"(the encoder's guess {one.guess_mr_stft:.2f})"
        )
    if len(found) > 1:
        ratio = median(one.mr_stft / one.guess_mr_stft for one in found)
        typer.echo(f"match beside guess, median: {100 * (ratio - 1):+.1f} %")
    for place, made in zip(places, presets, strict=False):
        typer.echo(f"preset {place} on the module: {made.name}")
    typer.echo(f"presets, sounds and page: {out / 'match.html'}")


def _write(out: Path, model: Path, found: list[Found], presets: list[Preset], data: object) -> None:
    """Write a preset and a WAV for each sound, a groove of several, and the page."""
    import numpy as np
    import soundfile

    from common.audio import SAMPLE_RATE_HZ
    from common.files import write_text
    from match.groove import MOST_PARTS, groove_of
    from match.nearest import nearest
    from match.preset import write_preset
    from match.report import write_report
    from train.data.store import DataSet

    out.mkdir(parents=True, exist_ok=True)
    neighbours = nearest(data, found) if isinstance(data, DataSet) else []
    names = _names([one.target.name for one in found])
    for name, one, made in zip(names, found, presets, strict=True):
        write_preset(made, out / f"{name}.preset.json")
        sound = np.clip(one.matched, -1, 1)
        soundfile.write(out / f"{name}.match.wav", sound, SAMPLE_RATE_HZ, subtype="FLOAT")
    if 1 < len(found) <= MOST_PARTS:
        file = model if model.suffix == ".onnx" else None
        write_text(out / "groove.toml", groove_of(found, presets, file))
    write_text(out / "match.html", write_report(model.name, found, presets, neighbours))


def _names(wanted: list[str]) -> list[str]:
    """File names that are all different."""
    names: list[str] = []
    for name in wanted:
        count = sum(other == name or other.startswith(f"{name} ") for other in names)
        names.append(f"{name} {count + 1}" if count else name)
    return names


def _send(presets: list[Preset], port: str | None, first: int) -> list[int]:
    from hardware.protocol import Link, choose_port
    from match.preset import send

    with Link(choose_port(port)) as link:
        return send(link, presets, first)
