"""What an instrument plays to show itself: a CV script, and the sound that goes into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.refusal import Refusal
from firmware.instruments.spec import (
    INSTRUMENTS_DIR,
    LoadedInstrument,
    available_instruments,
    load_instrument,
)

Phrase = Callable[[str], Any]
"""Plays a phrase by name, float32 [n] at 48 kHz: `vaectrol.py` lends the one of ``toy/``."""


@dataclass(frozen=True)
class Demo:
    """An instrument's demonstration.

    Attributes
    ----------
    about : str
        One sentence: what one hears.
    script : Path
        CSV for jacks and parameters that every board has.
    sounds : dict
        Jack → an audio file (Path) or the name of a phrase of `vaectrol toy phrase` (str).
    """

    about: str
    script: Path
    sounds: dict[str, Path | str]

    def inputs(self, phrase: Phrase | None) -> dict[str, Any]:
        """Return the sounds as `firmware.play.render` takes them; `phrase` plays those that have a name.

        Raises
        ------
        Refusal
            A sound has a name, and nobody is here who can play it.
        """
        found: dict[str, Any] = {}
        for jack, sound in self.sounds.items():
            if isinstance(sound, str) and phrase is None:
                raise Refusal(f"nobody here can play the phrase {sound!r}; run this as `vaectrol`.")
            found[jack] = phrase(sound) if isinstance(sound, str) and phrase is not None else sound
        return found


def find_demo(instrument: str | Path | LoadedInstrument, *, other_models: bool = False) -> Demo:
    """Return an instrument's own demonstration, or that of a shipped instrument of its kind.

    Parameters
    ----------
    other_models : bool
        Whether models replace the instrument's own: a script that knows their latents would be wrong then.

    Raises
    ------
    Refusal
        There is none, or a file of it is missing.
    """
    loaded = instrument if isinstance(instrument, LoadedInstrument) else load_instrument(instrument)
    owner = loaded if loaded.spec.demo is not None else _relative(loaded)
    written = owner.spec.demo
    assert written is not None
    if (other_models or owner is not loaded) and written.other_model is not None:
        written = written.other_model
    folder = owner.located.path.parent
    script = folder / written.script
    sounds = {jack: folder / name if Path(name).suffix else name for jack, name in written.sounds.items()}
    for path in [script, *(sound for sound in sounds.values() if isinstance(sound, Path))]:
        if not path.is_file():
            raise owner.located.refusal(("demo",), f"there is no file {path}")
    return Demo(written.about, script, sounds)


def _relative(loaded: LoadedInstrument) -> LoadedInstrument:
    """Find a shipped instrument of the same kind that has a demonstration."""
    if loaded.located.path.parent != INSTRUMENTS_DIR:
        for name in available_instruments():
            other = load_instrument(name)
            if other.spec.kind == loaded.spec.kind and other.spec.demo is not None:
                return other
    raise Refusal(
        f"{loaded.located.path.name} has no [demo]; write one (about, script, sounds), or give --cv FILE."
    )
