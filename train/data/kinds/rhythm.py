"""MIDI performances: every file gives the windows that fit in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NotRequired

import numpy as np

from common.drums import PARTS
from common.reading.tables import number
from common.refusal import LeftOut, Refusal
from train.data import names, patterns
from train.data.kinds.base import Batch, Held, Options, Preparation, Unit, Watch, held_out, says
from train.data.manifest import FileFacts, Item, Notes
from train.data.source import MIDI, SourceFile
from train.data.store import Joined
from train.data.workshop import Result, Workshop


@dataclass(frozen=True)
class RhythmOptions(Held):
    """What can be said of a folder of performances."""

    drum_map: Path | None = field(
        default=None, metadata=says("Your own table of MIDI notes; start from train/data/drum_map.toml.")
    )
    hop_bars: int = field(default=1, metadata=says("Bars from one window to the next."))


class RhythmItem(Item):
    """A window of two bars: ``bar`` is where it begins, ``steps`` how many of its 32 are in use."""

    bar: int
    style: str
    bpm: float
    meter: str
    steps: int
    fill: bool
    drummer: NotRequired[str]
    factors: NotRequired[Any]


class RhythmFacts(FileFacts, patterns.PerformanceFacts):
    """What was found in a MIDI file."""

    windows: int
    empty_windows: int
    notes: int


class Rhythms(Preparation[RhythmItem, RhythmFacts]):
    """Drum performances as MIDI files, in windows of two bars."""

    options_type: ClassVar[type[Options]] = RhythmOptions
    endings: ClassVar[frozenset[str]] = MIDI
    what: ClassVar[str] = "MIDI files"
    hashed_as: ClassVar[str] = "rhythms"
    wanted: RhythmOptions

    def __init__(self, source: Path, out: Path, wanted: RhythmOptions):
        super().__init__(source, out, wanted)
        if wanted.hop_bars < 1:
            raise Refusal(f"--hop-bars is {wanted.hop_bars}; windows move on by at least 1 bar")
        self.table = patterns.read_map(wanted.drum_map)

    def options(self) -> dict[str, Any]:
        """Drum map, hop, what was held out."""
        return {**self._reading(), **held_out(self.wanted)}

    def _reading(self) -> dict[str, Any]:
        """What shapes a single file's outcome."""
        notes: dict[str, list[int]] = {part: [] for part in PARTS}
        for note, part in sorted(self.table.items()):
            notes[PARTS[part]].append(note)
        return {"drum_map": notes, "hop_bars": self.wanted.hop_bars}

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """One a file."""
        key = self._reading()
        return [Unit(f.relative, self.key(f, **key), partial(self._read, f)) for f in self.source.files]

    def _read(self, file: SourceFile) -> Result:
        performance = patterns.read_performance(file.path, self.table)
        found, empty = patterns.windows(performance, self.table, self.wanted.hop_bars)
        row = file.row
        style = str(row.get("style") or (file.folders[-1] if file.folders else "unnamed")).split("/")[0]
        fill = row.get("beat_type") == "fill" or row.get("fill") is True or "fill" in names.words(file.stem)
        try:
            bpm = number(str(row.get("bpm") or performance.bpm))
        except ValueError as error:
            raise LeftOut(f"has a bpm in the manifest that cannot be read: {error}") from error
        stem = file.relative.rsplit(".", 1)[0]
        facts: RhythmFacts = {
            "file": file.relative,
            **performance.facts,
            "windows": len(found),
            "empty_windows": empty,
            "notes": len(performance.notes),
        }
        result = Result(facts=facts)
        for window in found:
            entry: RhythmItem = {
                "name": stem if len(found) == 1 else f"{stem}:{window.bar}",
                "file": file.relative,
                "bar": window.bar,
                "style": style,
                "bpm": bpm,
                "meter": window.meter,
                "steps": window.steps,
                "fill": bool(fill),
                "group": str(row.get("group") or row.get("id") or stem),
            }
            if row.get("drummer"):
                entry["drummer"] = row["drummer"]
            if row.get("factors"):
                entry["factors"] = row["factors"]
            if row.get("split"):
                entry["given_split"] = row["split"]
            result.add(entry, pattern=window.grid)
        return result

    def finish(self, batch: Batch[RhythmItem, RhythmFacts]) -> Notes:
        """Choose the splits; fills count as a class of their own, so that every side has some."""
        labels = [f"{item['style']}{' fill' if item['fill'] else ''}" for item in batch.items]
        self.split(batch, [item["group"] for item in batch.items], labels, self.wanted)
        return {"groups": len({item["group"] for item in batch.items})}

    def arrays(self, batch: Batch[RhythmItem, RhythmFacts]) -> dict[str, np.ndarray | Joined]:
        """All patterns in one array."""
        shape = (len(batch.items), 27, patterns.STEPS)
        return {"patterns": Joined(shape, np.float32, (piece[None] for piece in batch.pieces("pattern")))}
