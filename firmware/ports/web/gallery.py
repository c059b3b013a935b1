"""`vaectrol web`: pages in which instruments play, one of each, or a gallery of all that ship."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.files import write_text
from common.outputs import check_folder
from common.refusal import Refusal
from firmware.build import generate, version
from firmware.instruments.demo import Demo, Phrase, find_demo
from firmware.instruments.spec import load_instrument
from firmware.play.render import read_sound
from firmware.ports.web.page import Card, Extras, demo_about, gallery_html, page_html
from hardware.board import Board, load_board

STAMP = ".vaectrol-web"
"""Marks a folder as a gallery, which may be written again."""


def check_board(board: str | Path | Board, what: str = "a page") -> Board:
    """Return a board whose instruments a page, or something else that sounds, can hold.

    Raises
    ------
    Refusal
        No such board, or one without audio outputs.
    """
    found = board if isinstance(board, Board) else load_board(board)
    if found.audio.outputs == 0:
        raise Refusal(
            f"{found.name} has no audio output, so {what} has nothing to play; choose another board."
        )
    return found


def instrument_page(
    instrument: str | Path,
    board: str | Path | Board,
    *,
    models: Mapping[str, Path] | None = None,
    block: int | None = None,
    phrase: Phrase | None = None,
    extras: Extras | None = None,
) -> str:
    """Write one instrument's page.

    Parameters
    ----------
    models : mapping of role to ONNX file, in place of the instrument's own.
    block : int, optional
        Samples per callback; the board's when omitted.
    phrase : callable, optional
        Plays the phrases that a demonstration names.
    extras : Extras, optional
        Originals and the gallery's address; the demonstration is found here.

    Raises
    ------
    Refusal
        What `firmware.build.generate` and `check_board` refuse.
    """
    chosen = check_board(board)
    used = chosen.audio.block if block is None else block
    with tempfile.TemporaryDirectory(prefix="vaectrol-web-") as folder:
        built = generate(instrument, chosen, Path(folder), models=models, block=used, target="wasm")
        return page_html(
            built, used, _with_demo(extras or Extras(), instrument, bool(models), phrase, chosen)
        )


@dataclass(frozen=True)
class Wanted:
    """What `vaectrol web` was asked for.

    Attributes
    ----------
    board : Board
    block : int, optional
        Samples per callback; the board's when omitted.
    phrase : callable, optional
        Plays the phrases that demonstrations name.
    """

    board: Board
    block: int | None = None
    phrase: Phrase | None = None


def write_gallery(
    folder: Path, instruments: Sequence[str], wanted: Wanted, tell: Callable[[Path], None] = lambda path: None
) -> Path:
    """Write a page of every instrument, and the page that leads to them.

    Parameters
    ----------
    folder : Path
        Made where it is missing; one that holds something else is refused.
    tell : callable
        Told of every page that is written.

    Returns
    -------
    Path
        The first page.

    Raises
    ------
    Refusal
        What `instrument_page` refuses, or a folder that holds something else.
    """
    check_folder(folder, ours=STAMP)
    cards = []
    for name in instruments:
        spec = load_instrument(name).spec
        page = instrument_page(
            name,
            wanted.board,
            block=wanted.block,
            phrase=wanted.phrase,
            extras=Extras(index="index.html"),
        )
        path = folder / f"{Path(name).stem}.html"
        write_text(path, page)
        tell(path)
        moves = ", ".join(_short(control.to) for control in spec.control)
        cards.append(Card(path.name, spec.title, spec.demo.about if spec.demo else spec.about, moves))
    write_text(folder / STAMP, "")
    index = folder / "index.html"
    write_text(index, gallery_html(wanted.board, cards, version()))
    return index


def _short(name: str) -> str:
    return name.removeprefix("attribute.").replace(".", " ").replace("_", " ")


def _with_demo(
    extras: Extras, instrument: str | Path, other_models: bool, phrase: Phrase | None, board: Board
) -> Extras:
    try:
        demo = find_demo(instrument, other_models=other_models)
    except Refusal:
        return extras
    sounds = demo.inputs(phrase) if demo.sounds else {}
    about = demo_about(demo.about, demo.script, sounds)
    if not sounds:
        return replace(extras, demo=about)
    sound = next(iter(sounds.values()))
    rate_hz = board.audio.sample_rate_hz
    mono = read_sound(sound, rate_hz) if isinstance(sound, Path) else np.asarray(sound, np.float32)
    return replace(extras, demo=about, phrase=mono, phrase_name=_phrase_name(demo))


def _phrase_name(demo: Demo) -> str:
    sound = next(iter(demo.sounds.values()))
    return sound.stem if isinstance(sound, Path) else sound
