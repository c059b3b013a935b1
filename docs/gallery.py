"""Hear what ships: factory instruments and examples played on this computer, as sound and as a picture.

``python -m docs.gallery`` renews the pictures of ``docs/pictures`` and of the README. ``docs.build_site``
calls :func:`play_all` and puts a player where ``docs/gallery.md`` says ``<!-- player: NAME -->``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from common.refusal import Refusal
from firmware.instruments.spec import available_instruments

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PICTURES = DOCS / "pictures"
MATERIAL = (
    "drum_sequenced",
    "drum_tables",
    "texture_answering",
    "drum_bent",
    "drum_macro",
    "drive_wandering",
)
"""Examples in which latents are material."""
EXAMPLES = (*MATERIAL, "voice_expressive", "atelier")
"""All that are heard in the gallery."""


@dataclass(frozen=True)
class Bent:
    """A factory model with parameters at sites that `vaectrol dissect` proposes, and its role."""

    model: str
    role: str
    sites: tuple[str, ...]


BENT = {
    "drum_bent": Bent("drum", "drum", ("cat_for_conv1d", "conv1d_2", "conv1d_4", "conv1d_5")),
    "atelier": Bent("texture", "decoder", ("conv1d_3:6", "conv1d_4:4", "conv1d_4:5", "conv1d_4:6")),
}
"""By the example that plays it."""
PLAYER = re.compile(r"<!-- player: (\w+) -->")
COLOURS_OF_A_PICTURE = 64
SHOWN_S = 6.0


@dataclass(frozen=True)
class Heard:
    """An instrument's sound.

    Attributes
    ----------
    name : str
        Of the instrument.
    audio : ndarray, shape (ticks, channels), float32
    rate_hz : int
    command : str
        What a reader types for the same sound.
    """

    name: str
    audio: np.ndarray
    rate_hz: int
    command: str


def play_one(name: str, folder: Path) -> Heard:
    """Play an instrument's own demonstration, by the command a reader would type.

    Raises
    ------
    Refusal
        When the command fails.
    """
    import soundfile

    out = folder / f"{name}.wav"
    run(["play", *named(name, ROOT, folder), "--demo", "-o", str(out)])
    audio, rate_hz = soundfile.read(out, dtype="float32", always_2d=True)
    told = " ".join(named(name, Path(), Path()))
    return Heard(name, audio, rate_hz, f"vaectrol play {told} --demo -o {name}.wav")


def run(words: list[str]) -> None:
    """Run a command; a `Refusal` when it fails."""
    import vaectrol

    if vaectrol.main(words) != 0:
        raise Refusal(f"`vaectrol {' '.join(words)}` failed; run it alone to see why.")


def named(name: str, root: Path, folder: Path) -> list[str]:
    """Words by which a command is told an instrument or an example of the repository at `root`.

    Bent models lie in `folder`.
    """
    if name not in EXAMPLES:
        return [name]
    model = BENT.get(name)
    bent = ["--model", f"{model.role}={folder / _file(name)}"] if model else []
    return [str(root / "examples" / f"{name}.toml"), *bent]


def play_all() -> list[Heard]:
    """Play every factory instrument, in the order of their names, then the examples."""
    with TemporaryDirectory(prefix="vaectrol-gallery-") as folder:
        bend_models(Path(folder))
        return [play_one(name, Path(folder)) for name in (*available_instruments(), *EXAMPLES)]


def _file(name: str) -> str:
    return f"{name}.onnx"


def bend_models(folder: Path) -> None:
    """Make the models that bent examples play."""
    for name, bent in BENT.items():
        model = ROOT / "firmware" / "models" / f"{bent.model}.int8.onnx"
        run(["bend", str(model), "--sites", "|".join(bent.sites), "-o", str(folder / _file(name))])


def write_player(heard: Heard, folder: Path) -> str:
    """Write the sound as WAV and OGG into ``folder``, and return the HTML of its player."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{heard.name}.wav", heard.audio, heard.rate_hz, subtype="PCM_16")
    soundfile.write(folder / f"{heard.name}.ogg", heard.audio, heard.rate_hz, format="OGG", subtype="VORBIS")
    title = html.escape(heard.name)
    return (
        f'<audio controls preload="none" aria-label="{title}">'
        f'<source src="sounds/{title}.ogg" type="audio/ogg">'
        f'<source src="sounds/{title}.wav" type="audio/wav"></audio>\n\n'
        f"`{heard.command}`\n\n"
        f'<a href="pages/{title}.html">Play it: knobs, jacks and cables in a page.</a>'
    )


def write_pages(folder: Path) -> None:
    """Write the pages in which instruments and examples play, by the commands a reader would type.

    Raises
    ------
    Refusal
        When a command fails.
    """
    run(["web", "-o", str(folder)])
    with TemporaryDirectory(prefix="vaectrol-gallery-") as made:
        bend_models(Path(made))
        for name in EXAMPLES:
            run(["web", *named(name, ROOT, Path(made)), "-o", str(folder / f"{name}.html")])


def write_pictures(sounds: list[Heard], folder: Path = PICTURES) -> None:
    """Draw each sound alone, and those of the factory instruments as one strip."""
    from common.figure import new_figure
    from common.spectrogram import draw_spectrogram, spectrogram_figure

    folder.mkdir(parents=True, exist_ok=True)
    shown = [
        (
            heard.name.replace("_", " "),
            heard.audio[: None if heard.name in EXAMPLES else round(SHOWN_S * heard.rate_hz)].mean(axis=1),
        )
        for heard in sounds
    ]
    rate_hz = sounds[0].rate_hz
    for heard, (_, audio) in zip(sounds, shown, strict=True):
        figure, axes = new_figure(1, 1, 3.1, 1.75)
        draw_spectrogram(axes[0, 0], audio, rate_hz, top_db=None)
        write_small(figure, folder / f"{heard.name}.png")
    strip = [one for heard, one in zip(sounds, shown, strict=True) if heard.name not in EXAMPLES]
    write_small(
        spectrogram_figure(strip, rate_hz, columns=len(strip), top_db=None), folder / "instruments.png"
    )


def write_small(figure: object, path: Path) -> None:
    """Write a figure as a PNG of few colours."""
    import io

    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)  # type: ignore[attr-defined]
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS_OF_A_PICTURE).save(path, "PNG", optimize=True)


if __name__ == "__main__":
    import argparse

    argparse.ArgumentParser(prog="python -m docs.gallery", description=__doc__.splitlines()[0]).parse_args()
    write_pictures(play_all())
