"""Hear what ships: every factory instrument played on this computer, as sound and as a picture.

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
PICTURES = DOCS / "pictures"
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

    import vaectrol

    words = ["play", name, "--demo", "-o"]
    out = folder / f"{name}.wav"
    if vaectrol.main([*words, str(out)]) != 0:
        raise Refusal(f"`vaectrol {' '.join(words)} {out}` failed; run it alone to see why.")
    audio, rate_hz = soundfile.read(out, dtype="float32", always_2d=True)
    return Heard(name, audio, rate_hz, f"vaectrol {' '.join(words)} {name}.wav")


def play_all() -> list[Heard]:
    """Play every factory instrument, in the order of their names."""
    with TemporaryDirectory(prefix="vaectrol-gallery-") as folder:
        return [play_one(name, Path(folder)) for name in available_instruments()]


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
    """Write the pages in which the instruments play, by the command a reader would type.

    Raises
    ------
    Refusal
        When the command fails.
    """
    import vaectrol

    if vaectrol.main(["web", "-o", str(folder)]) != 0:
        raise Refusal(f"`vaectrol web -o {folder}` failed; run it alone to see why.")


def write_pictures(sounds: list[Heard], folder: Path = PICTURES) -> None:
    """Draw each sound alone, and all of them as one strip."""
    from common.figure import new_figure
    from common.spectrogram import draw_spectrogram, spectrogram_figure

    folder.mkdir(parents=True, exist_ok=True)
    shown = [
        (heard.name.replace("_", " "), heard.audio[: round(SHOWN_S * heard.rate_hz)].mean(axis=1))
        for heard in sounds
    ]
    rate_hz = sounds[0].rate_hz
    for heard, (_, audio) in zip(sounds, shown, strict=True):
        figure, axes = new_figure(1, 1, 3.1, 1.75)
        draw_spectrogram(axes[0, 0], audio, rate_hz, top_db=None)
        write_small(figure, folder / f"{heard.name}.png")
    write_small(
        spectrogram_figure(shown, rate_hz, columns=len(shown), top_db=None), folder / "instruments.png"
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
    write_pictures(play_all())
