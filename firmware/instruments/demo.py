"""What an instrument plays to show itself: a CV script, and the sound that goes into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.refusal import Refusal
from firmware.instruments.spec import (
    INSTRUMENTS_DIR,
    LoadedInstrument,
    available_instruments,
    load_instrument,
)


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


def find_demo(instrument: str | Path | LoadedInstrument) -> Demo:
    """Return an instrument's own demonstration, or that of a shipped instrument of its kind.

    Raises
    ------
    Refusal
        There is none, or a file of it is missing.
    """
    loaded = instrument if isinstance(instrument, LoadedInstrument) else load_instrument(instrument)
    owner = loaded if loaded.spec.demo is not None else _relative(loaded)
    written = owner.spec.demo
    assert written is not None
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
