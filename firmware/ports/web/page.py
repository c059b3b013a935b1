"""One self-contained page of an instrument: its firmware, its panel, its demonstration."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from common.page import template
from firmware.build import Built
from firmware.instruments import kinds
from firmware.instruments.latents.tables import latents_hash
from firmware.instruments.spec import load_instrument
from firmware.midi import pitched
from firmware.play.render import has_sound
from firmware.play.struck import Hit, kit, one_hit_each
from firmware.ports.web.bundle import bundle
from firmware.ports.web.describe import ScriptAbout, describe, describe_script
from firmware.ports.web.link import WEB, link
from firmware.tables.put import TableFiles, table_number
from hardware.board import Board
from hardware.panel import panel_of, svg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PADS = "zxcvbnm"
"""Keys that press the pads, as in ``main.js``."""
STRUCK_S, STRUCK_ENDS_AT, FADE_TICKS = 0.5, 0.01, 960
"""Longest drum that a gate strikes, its quietest sample that is kept, and the fade at its end."""
PHRASE_SMALLER = 0.95
"""Of an MP3: the strongest compression, about 40 kbit/s."""


class DemoAbout(TypedDict):
    """The instrument's demonstration: what one hears, its script, the jacks into which its phrase goes."""

    about: str
    script: ScriptAbout
    sounds: list[str]


@dataclass(frozen=True)
class Pair:
    """An original sound and the model's own; addresses of both."""

    title: str
    original: str
    made: str


@dataclass(frozen=True)
class Extras:
    """What a page may hold besides the instrument.

    Attributes
    ----------
    demo : DemoAbout, optional
    phrase : array, shape (ticks,), float32, optional
        A sound for an instrument that works on one; at the board's rate.
    phrase_name : str
    originals : list of Pair
        To compare the model with, by ear.
    index : str
        Address of the gallery.
    tables : TableFiles
        Tables of latents that the instrument holds from the start.
    """

    demo: DemoAbout | None = None
    phrase: NDArray[np.float32] | None = None
    phrase_name: str = ""
    originals: list[Pair] = field(default_factory=list)
    index: str = ""
    tables: TableFiles = field(default_factory=TableFiles)


class TableAbout(TypedDict):
    """A table that `engine.js` fills: the samples of its frames, one behind the other."""

    which: int
    hash: int
    samples: list[int]


def tables_about(built: Built, tables: TableFiles) -> list[TableAbout]:
    """Read the tables of an instrument.

    Raises
    ------
    Refusal
        As of `TableFiles.put`.
    """
    assignment = built.assignment
    layer = assignment.loaded.spec.latents
    model = kinds.named(assignment.kind).model_behind(assignment, "latent.1")
    own = latents_hash(model) if layer is not None and layer.tables and model is not None else None
    return [
        TableAbout(
            which=table_number(name),
            hash=own or 0,
            samples=tables.read(name, own, built.name).frames.ravel().tolist(),
        )
        for name in tables.files
    ]


def page_html(built: Built, block: int, extras: Extras) -> str:
    """Write the page of what `firmware.build.generate` made with ``target="wasm"``.

    Raises
    ------
    Refusal
        The compiler's complaint.
    """
    panel = svg(panel_of(built.board))
    about = describe(built, block)
    about["listens"] = extras.demo["sounds"] if extras.demo else []
    module = link(built, built.folder).read_bytes()
    data: dict[str, object] = {"about": {**about, "tables": tables_about(built, extras.tables)}}
    if extras.demo:
        data["demo"] = extras.demo
    if extras.phrase is not None:
        sound = mp3(extras.phrase, int(about["rateHz"]))
        data["phrase"] = {"name": extras.phrase_name, "sound": base64.b64encode(sound).decode()}
    played_by = ""
    if not has_sound(built):
        if voices := pitched.voices_of(built):
            data["notes"] = notes_about(voices)
            played_by = pitched.PLAYED_BY
        elif hits := one_hit_each(built, STRUCK_S):
            data["hits"] = [_hit(one) for one in hits]
            played_by = f"the {load_instrument(kit().instrument).spec.title}"
    pads = len({gate["moves"] for gate in about["gates"] if gate["moves"]})
    from markupsafe import Markup

    return template(WEB / "page.html").render(
        about=about,
        css=Markup((WEB / "page.css").read_text(encoding="utf-8")),
        panel=Markup(panel),
        data=Markup(_inside_script(json.dumps(data, separators=(",", ":")))),
        wasm=_packed(module),
        worklet=_packed(bundle(WEB / "worklet.js").encode()),
        script=_packed(bundle(WEB / "main.js").encode()),
        unpack=Markup((WEB / "unpack.js").read_text(encoding="utf-8")),
        demo=extras.demo,
        played_by=played_by,
        originals=extras.originals,
        index=extras.index,
        keys=" ".join(PADS[:pads].upper()),
    )


def demo_about(about: str, script: Path, sounds: Mapping[str, object]) -> DemoAbout:
    """Write a demonstration down."""
    from firmware.script.cv_script import read_script

    return DemoAbout(about=about, script=describe_script(read_script(script)), sounds=list(sounds))


class HitAbout(TypedDict):
    """A stroke for an instrument without a sound of its own: 16-bit samples, and what strikes it."""

    gate: int
    cv: int
    pan: float
    sound: str


def _hit(one: Hit) -> HitAbout:
    import numpy as np

    loud = np.flatnonzero(np.abs(one.sound) > STRUCK_ENDS_AT)
    sound = one.sound[: (loud[-1] if len(loud) else 0) + FADE_TICKS]
    faded = sound * np.minimum(1.0, np.arange(len(sound), 0, -1) / FADE_TICKS)
    codes = np.round(np.clip(faded, -1, 1) * 32767).astype("<i2")
    return HitAbout(gate=one.gate, cv=one.cv, pan=one.pan, sound=base64.b64encode(codes.tobytes()).decode())


class VoiceAbout(TypedDict):
    """Numbers of the gate and CV outputs that say notes."""

    gate: int
    cv: int
    untilNext: bool


class NotesAbout(TypedDict):
    """The gates and volts of an instrument without a sound of its own, and how its notes sound."""

    voices: list[VoiceAbout]
    lowestHz: float
    harmonics: int
    level: float
    attackS: float
    decayPerS: float
    releaseS: float
    longestS: float


def notes_about(voices: Iterable[pitched.Voice]) -> NotesAbout:
    """Say what ``notes.js`` must know, so that a page sounds as `firmware.midi.pitched.sound_notes` does."""
    return NotesAbout(
        voices=[VoiceAbout(gate=one.gate, cv=one.cv, untilNext=one.until_next) for one in voices],
        lowestHz=pitched.hz_of(pitched.LOWEST_KEY),
        harmonics=pitched.HARMONICS,
        level=pitched.LEVEL,
        attackS=pitched.ATTACK_S,
        decayPerS=pitched.DECAY_PER_S,
        releaseS=pitched.RELEASE_S,
        longestS=pitched.LONGEST_S,
    )


def mp3(mono: NDArray[np.float32], rate_hz: int) -> bytes:
    """Compress a phrase: every browser reads MP3."""
    import numpy as np
    import soundfile

    out = io.BytesIO()
    soundfile.write(
        out,
        np.clip(mono, -1, 1),
        rate_hz,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=PHRASE_SMALLER,
    )
    return out.getvalue()


def _packed(content: bytes) -> str:
    """Compress what ``unpack.js`` unpacks; the same bytes for the same content."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _inside_script(text: str) -> str:
    """Keep a text from ending the element that holds it."""
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


@dataclass(frozen=True)
class Card:
    """An instrument in the gallery: its page, and what it is."""

    file: str
    title: str
    about: str
    moves: str


def gallery_html(board: Board, cards: list[Card], version: str) -> str:
    """Write the first page of a gallery."""
    from markupsafe import Markup

    return template(WEB / "gallery.html").render(
        css=Markup((WEB / "page.css").read_text(encoding="utf-8")),
        panel=Markup(svg(panel_of(board))),
        instruments=cards,
        version=version,
    )
