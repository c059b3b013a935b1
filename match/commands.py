"""The command of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from match.preset import Preset
    from match.report import Matched, Opponent
    from match.search import Found
    from match.target import Target
    from train.data.store import DataSet
    from train.judges.player import Player

MOST_SOUNDS = 64
MODELS = Path(__file__).resolve().parents[1] / "firmware" / "models"


def register(app: typer.Typer) -> None:
    """Add this room's command to the command line."""
    app.command(
        epilog="Example: vaectrol match firmware/models/drum.int8.onnx kick.wav snare.wav -o matched · "
        "vaectrol match modal kick.wav"
    )(match)


def match(
    model: Annotated[
        Path,
        typer.Argument(metavar="RUN|MODEL", help="A drum's or a modal body's run or .onnx file, or 'modal'."),
    ],
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
    random: Annotated[
        int, typer.Option(min=0, max=100_000, help="Of a modal body: random patches to compare with.")
    ] = 400,
    send: Annotated[bool, typer.Option("--send", help="Save the presets on a connected module.")] = False,
    port: Annotated[
        str | None, typer.Option("--port", "-p", help="Serial port of the module; found when omitted.")
    ] = None,
    preset: Annotated[int, typer.Option(min=1, help="Place of the first preset on the module.")] = 1,
    slot: Annotated[
        int | None,
        typer.Option(min=0, max=8, help="Model slot that holds this model, for the presets to name."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Find the knobs that make a sound like a recorded stroke: a preset each, and of drums a groove."""
    import json

    from common.drums import CLASSES
    from common.outputs import check_folder
    from common.refusal import Refusal
    from train.data.store import DataSet
    from train.judges.player import open_player

    if drum_class is not None and drum_class not in CLASSES:
        raise Refusal(f"there is no class {drum_class}; there are {', '.join(CLASSES)}")
    if len(sounds) > MOST_SOUNDS:
        raise Refusal(f"{len(sounds)} sounds are too many at once; match at most {MOST_SOUNDS}")
    check_folder(out)
    path = MODELS / "modal.onnx" if str(model) == "modal" and not model.exists() else model
    player = open_player(path)
    is_modal = player.task.recipe.kind == "modal"
    targets, left_out = _readable(sounds, is_modal)
    data = DataSet.open(data_dir) if data_dir else None
    if is_modal:
        rows, presets = _match_patches(player, path, targets, steps, data, random, out)
    else:
        rows, presets = _match_drums(player, path, targets, steps, data, drum_class, out)
    places = _send(presets, port, preset, slot) if send else []
    if as_json:
        told = [{**row, "preset": made.model_dump()} for row, made in zip(rows, presets, strict=True)]
        typer.echo(
            json.dumps({"out": str(out), "matches": told, "places": places, "left_out": left_out}, indent=1)
        )
    else:
        _say(rows)
        for place, made in zip(places, presets, strict=False):
            typer.echo(f"preset {place} on the module: {made.name}")
        typer.echo(f"presets, sounds and page: {out / 'match.html'}")
    for reason in left_out:
        typer.echo(f"vaectrol: left out: {reason}", err=True)
    if left_out:
        raise typer.Exit(1)


def _readable(sounds: Sequence[Path], unclipped: bool) -> tuple[list[Target], list[str]]:
    """Strokes that can be matched, and why others cannot.

    Raises
    ------
    Refusal
        Why the first cannot, when none can.
    """
    from common.refusal import Refusal
    from match.modal import check_unclipped
    from match.target import read_target

    targets: list[Target] = []
    refusals: list[Refusal] = []
    for path in sounds:
        try:
            target = read_target(path)
            if unclipped:
                check_unclipped(target)
        except Refusal as refusal:
            refusals.append(refusal)
        else:
            targets.append(target)
    if not targets:
        raise refusals[0]
    return targets, [str(refusal) for refusal in refusals]


def _say(rows: Sequence[dict[str, object]]) -> None:
    """Print a line for each match, and how much was gained as a rule."""
    from statistics import median

    for row in rows:
        of = f"{row['class']}, " if "class" in row else ""
        random = f", nearest random patch {row['random_mr_stft']:.2f}" if "random_mr_stft" in row else ""
        typer.echo(
            f"{row['sound']}: {of}distance {row['mr_stft']:.2f} "
            f"(the encoder's guess {row['guess_mr_stft']:.2f}{random})"
        )
    for key, words in (("guess_mr_stft", "guess"), ("random_mr_stft", "nearest random patch")):
        if len(rows) > 1 and key in rows[0]:
            ratio = median(float(str(row["mr_stft"])) / float(str(row[key])) for row in rows)
            typer.echo(f"match beside {words}, median: {100 * (ratio - 1):+.1f} %")


def _match_drums(
    player: Player,
    model: Path,
    targets: list[Target],
    steps: int,
    data: DataSet | None,
    drum_class: str | None,
    out: Path,
) -> tuple[list[dict[str, object]], list[Preset]]:
    """Match strokes by a drum, and write everything but what goes to the module."""
    from common.drums import CLASSES
    from match.nearest import nearest
    from match.preset import preset_of
    from match.search import match as search
    from match.search import matcher_of

    matcher = matcher_of(model, player)
    label = CLASSES.index(drum_class) if drum_class else None
    by_target = {id(one.target): one for one in search(matcher, targets, [label] * len(targets), steps)}
    found = [by_target[id(target)] for target in targets]
    presets = [preset_of(matcher, one) for one in found]
    _write(out, model, found, presets, nearest(data, found) if data else [], "nearest training sound")
    _write_groove(out, model, found, presets)
    return [{**_row(one), "class": CLASSES[one.label]} for one in found], presets


def _match_patches(
    player: Player,
    model: Path,
    targets: list[Target],
    steps: int,
    data: DataSet | None,
    random: int,
    out: Path,
) -> tuple[list[dict[str, object]], list[Preset]]:
    """Match strokes by a modal body, and write everything but what goes to the module."""
    from common import model_metadata
    from match.modal import match_patches, nearest_random, patch_preset
    from train.run import codec_of

    codec = codec_of(player.task.model) if player.own else model_metadata.read_file(model).codec
    others = nearest_random(targets, data, random) if data or random else []
    found = match_patches(player, targets, steps, others)
    presets = [patch_preset(player, one, codec) for one in found]
    _write(out, model, found, presets, others, "nearest random patch")
    rows = [_row(one) for one in found]
    for row, other in zip(rows, others, strict=False):
        row["random_mr_stft"] = other.mr_stft
    return rows, presets


def _row(one: Matched) -> dict[str, object]:
    return {"sound": one.target.name, "guess_mr_stft": one.guess_mr_stft, "mr_stft": one.mr_stft}


def _write(
    out: Path,
    model: Path,
    found: Sequence[Matched],
    presets: Sequence[Preset],
    neighbours: Sequence[Opponent],
    opponent: str,
) -> None:
    """Write a preset and a WAV for each sound, and the page."""
    import numpy as np
    import soundfile

    from common.audio import SAMPLE_RATE_HZ
    from common.files import write_text
    from match.preset import write_preset
    from match.report import write_report

    out.mkdir(parents=True, exist_ok=True)
    names = _names([one.target.name for one in found])
    for name, one, made in zip(names, found, presets, strict=True):
        write_preset(made, out / f"{name}.preset.json")
        sound = np.clip(one.matched, -1, 1)
        soundfile.write(out / f"{name}.match.wav", sound, SAMPLE_RATE_HZ, subtype="FLOAT")
    write_text(out / "match.html", write_report(model.name, found, presets, neighbours, opponent))


def _write_groove(out: Path, model: Path, found: list[Found], presets: list[Preset]) -> None:
    """Write a groove of several sounds."""
    from common.files import write_text
    from match.groove import MOST_PARTS, groove_of

    if 1 < len(found) <= MOST_PARTS:
        file = model if model.suffix == ".onnx" else None
        write_text(out / "groove.toml", groove_of(found, presets, file))


def _names(wanted: list[str]) -> list[str]:
    """File names that are all different."""
    names: list[str] = []
    for name in wanted:
        count = sum(other == name or other.startswith(f"{name} ") for other in names)
        names.append(f"{name} {count + 1}" if count else name)
    return names


def _send(presets: list[Preset], port: str | None, first: int, slot: int | None) -> list[int]:
    from hardware.protocol import Link, choose_port
    from match.preset import send

    with Link(choose_port(port)) as link:
        return send(link, presets, first, slot)
