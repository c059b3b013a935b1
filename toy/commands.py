"""The commands of this room, for ``vaectrol.py`` to wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from common.kinds import check_kind

Out = Annotated[Path, typer.Argument(help="Folder to make.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")]


class Kinds(TyperGroup):
    """Commands that are called what their kind is called."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a kind; any other name is refused."""
        return super().get_command(ctx, check_kind(cmd_name, self.list_commands(ctx)))


toy = typer.Typer(
    cls=Kinds,
    help="Make a procedural data set whose true parameters are known.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.add_typer(toy, name="toy")


@toy.command(epilog="Example: vaectrol toy drum /tmp/drum --items 64 --seed 1")
def drum(
    out: Out,
    items: Annotated[int, typer.Option(help="How many hits.")] = 2000,
    seed: Seed = 0,
) -> None:
    """Synthesised drum one-shots in eight classes, 24-bit WAV at 48 kHz."""
    from toy.make import make_drums

    _say(out, make_drums(out, items, seed, _watch("drums")))


@toy.command(epilog="Example: vaectrol toy rhythm /tmp/rhythm --items 256")
def rhythm(
    out: Out,
    items: Annotated[int, typer.Option(help="How many two-bar patterns.")] = 5000,
    seed: Seed = 0,
) -> None:
    """Two-bar drum patterns in eleven styles, as MIDI and as one array."""
    from toy.make import make_rhythms

    _say(out, make_rhythms(out, items, seed, _watch("rhythms")))


@toy.command(epilog="Example: vaectrol toy ear /tmp/ear --items 400")
def ear(
    out: Out,
    items: Annotated[
        int, typer.Option(help="How many hits; rhythms and phrases are an eighth as many.")
    ] = 800,
    seed: Seed = 0,
) -> None:
    """What an ear learns from: drum one-shots, rhythms as MIDI, and phrases that are no drums."""
    from toy.make import make_ear

    _say(out, make_ear(out, items, seed, _watch("sounds")))


@toy.command(epilog="Example: vaectrol toy chords /tmp/chords --items 100")
def chords(
    out: Out,
    items: Annotated[int, typer.Option(help="How many songs of 32 bars.")] = 400,
    seed: Seed = 0,
) -> None:
    """Songs as chord text, from a written grammar whose cadences have known rates."""
    from toy.make import make_chords

    _say(out, make_chords(out, items, seed, _watch("songs")))


@toy.command(epilog="Example: vaectrol toy notes /tmp/notes --items 96")
def notes(
    out: Out,
    items: Annotated[int, typer.Option(help="How many notes, a dozen of each instrument.")] = 480,
    seed: Seed = 0,
) -> None:
    """Notes whose partials, vibrato, attack and noise are known, 24-bit WAV at 48 kHz."""
    from toy.make import make_notes

    _say(out, make_notes(out, items, seed, _watch("notes")))


@toy.command(epilog="Example: vaectrol toy drive /tmp/drive --items 24 --chain toy/chains/tube.toml")
def drive(
    out: Out,
    items: Annotated[int, typer.Option(help="How many dry/wet pairs (three share a dry phrase).")] = 240,
    seed: Seed = 0,
    seconds: Annotated[float, typer.Option(help="Length of each phrase.")] = 3.0,
    chain: Annotated[
        list[Path] | None,
        typer.Option(help="A chain in TOML; repeat for several. All of toy/chains when omitted."),
    ] = None,
) -> None:
    """Dry phrases and their distorted versions, 32-bit float WAV at 48 kHz."""
    from toy.make import make_drive

    _say(out, make_drive(out, items, seed, seconds, chain or [], _watch("pairs")))


@toy.command(epilog="Example: vaectrol toy digits /tmp/digits")
def digits(out: Out) -> None:
    """The 8x8 handwritten digits of scikit-learn: the sanity set for the VAE itself."""
    from toy.make import make_digits

    _say(out, make_digits(out))


@toy.command(epilog="Example: vaectrol toy phrase guitar guitar.wav")
def phrase(
    name: Annotated[str, typer.Argument(help="drums or guitar.")],
    out: Annotated[Path, typer.Argument(help="WAV to write.")],
) -> None:
    """A dry phrase, 32-bit float WAV at 48 kHz: what `vaectrol play drive --demo` sends through a drive."""
    from common.audio import SAMPLE_RATE_HZ
    from common.files import whole
    from common.outputs import check_file
    from toy.demo_phrases import play_phrase

    check_file(out, ".wav")
    from scipy.io import wavfile

    audio = play_phrase(name)
    with whole(out) as part:
        wavfile.write(part, SAMPLE_RATE_HZ, audio)
    typer.echo(f"{out} made, {len(audio) / SAMPLE_RATE_HZ:.1f} s")


def _watch(label: str) -> Callable[[Iterable, int], Iterable]:
    def watch(things: Iterable, count: int) -> Iterable:
        from rich.console import Console
        from rich.progress import track

        return track(things, description=label, total=count, console=Console(stderr=True))

    return watch


def _say(out: Path, made: bool) -> None:
    typer.echo(f"{out} made" if made else f"{out} already holds this very set; nothing to do")
