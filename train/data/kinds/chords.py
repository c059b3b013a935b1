"""Chord annotations: every song gives the windows of eight bars that fit in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from common.chords import QUALITIES, SLOTS, SLOTS_PER_BAR
from common.refusal import LeftOut, Refusal
from train.data.harmony.songs import NO_CHORD, read_song, windows
from train.data.kinds.base import Batch, Held, Options, Preparation, Unit, Watch, held_out, says
from train.data.manifest import FileFacts, Item, Notes
from train.data.source import SourceFile
from train.data.store import Joined
from train.data.workshop import Result, Workshop


@dataclass(frozen=True)
class ChordsOptions(Held):
    """What can be said of a folder of songs."""

    hop_bars: int = field(default=2, metadata=says("Bars from one window to the next."))


class ChordsItem(Item):
    """A window of eight bars: ``bar`` is where it begins."""

    bar: int
    mode: str


class ChordsFacts(FileFacts):
    """What was found in a song."""

    title: str
    artist: str
    tonics: list[str]
    bars: int
    silent_bars: int
    windows: int
    bar_s: float


class ChordSongs(Preparation[ChordsItem, ChordsFacts]):
    """Songs as chord symbols in text or .lab files, in windows of eight bars."""

    options_type: ClassVar[type[Options]] = ChordsOptions
    endings: ClassVar[frozenset[str]] = frozenset({"txt", "lab"})
    what: ClassVar[str] = "chord files"
    wanted: ChordsOptions

    def __init__(self, source: Path, out: Path, wanted: ChordsOptions):
        super().__init__(source, out, wanted)
        if wanted.hop_bars < 1:
            raise Refusal(f"--hop-bars is {wanted.hop_bars}; windows move on by at least 1 bar")

    def options(self) -> dict[str, Any]:
        """Hop, what was held out."""
        return {"hop_bars": self.wanted.hop_bars, **held_out(self.wanted)}

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """One a file."""
        hop = self.wanted.hop_bars
        return [
            Unit(f.relative, self.key(f, hop_bars=hop), partial(self._read, f)) for f in self.source.files
        ]

    def _read(self, file: SourceFile) -> Result:
        song = read_song(file.path)
        starts = windows(song.slots, self.wanted.hop_bars)
        if not starts:
            raise LeftOut(
                f"has {len(song.slots) // SLOTS_PER_BAR} bars, and no eight of them with chords throughout"
            )
        row = file.row
        title = str(row.get("title") or song.title or file.stem)
        group = re.sub(r"[\W_]+", " ", title.casefold()).strip() or file.stem
        facts: ChordsFacts = {
            "file": file.relative,
            "title": title,
            "artist": str(row.get("artist") or song.artist),
            "tonics": song.tonics,
            "bars": len(song.slots) // SLOTS_PER_BAR,
            "silent_bars": song.slots[::SLOTS_PER_BAR].count(NO_CHORD),
            "windows": len(starts),
            "bar_s": song.bar_s,
        }
        result = Result(facts=facts)
        stem = file.relative.rsplit(".", 1)[0]
        slots = np.array(song.slots)
        qualities = list(QUALITIES)
        thirds = np.array([3 in QUALITIES[q] for q in qualities])
        mode = "minor" if thirds[slots[slots >= 0] % len(qualities)].mean() > 0.5 else "major"
        for start in starts:
            entry: ChordsItem = {
                "name": f"{stem}:{start // SLOTS_PER_BAR}",
                "file": file.relative,
                "bar": start // SLOTS_PER_BAR,
                "mode": mode,
                "group": group,
            }
            if row.get("split"):
                entry["given_split"] = row["split"]
            result.add(entry, chords=slots[start : start + SLOTS].astype(np.uint8))
        return result

    def finish(self, batch: Batch[ChordsItem, ChordsFacts]) -> Notes:
        """Choose the splits: all songs of one title on one side."""
        groups = [item["group"] for item in batch.items]
        self.split(batch, groups, [item["mode"] for item in batch.items], self.wanted)
        return {"groups": len(set(groups))}

    def arrays(self, batch: Batch[ChordsItem, ChordsFacts]) -> dict[str, np.ndarray | Joined]:
        """All windows in one array."""
        shape = (len(batch.items), SLOTS)
        return {"chords": Joined(shape, np.uint8, (piece[None] for piece in batch.pieces("chords")))}
