"""One-shots: every file is one item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NotRequired, TypedDict

import numpy as np

from common.drums import CLASSES
from common.refusal import LeftOut
from train.data import audio as sound
from train.data import features, names, splits
from train.data.clips import Clip, fitted
from train.data.kinds.base import (
    Batch,
    Held,
    Options,
    Preparation,
    Unit,
    Watch,
    held_out,
    offsets,
    says,
)
from train.data.manifest import FileFacts, Item, Notes
from train.data.source import SourceFile
from train.data.store import DataSet, Joined
from train.data.workshop import Result, Workshop

# Two hits whose pictures differ by less (RMS over the cells) are takes of one sound; see README for how it
# was set
NEAR_DUPLICATE_DB = 3.0


@dataclass(frozen=True)
class DrumOptions(Held):
    """What can be said of a folder of one-shots."""

    names: Path | None = field(
        default=None, metadata=says("Your own table of class words; start from train/data/names.toml.")
    )
    near_duplicate_db: float = NEAR_DUPLICATE_DB


_Classed = TypedDict("_Classed", {"class": str})


class DrumItem(Item, _Classed):
    """One hit: its ``class`` and what named it, its level and length; below, what only a manifest can say."""

    class_from: str
    samples: int
    peak_db: float
    loudness_lufs: float
    seconds: float
    recipe: NotRequired[Any]
    factors: NotRequired[Any]
    parameters: NotRequired[Any]
    licence: NotRequired[str]
    license: NotRequired[str]


class DrumFacts(FileFacts, sound.OneShotFacts, features.Descriptors):
    """What was found in a file of one hit."""

    class_from: str


class DrumNotes(Notes):
    """How many groups the names told apart, and how many pairs of sounds joined some of them."""

    near_duplicate_pairs: int
    named_groups: int


FROM_THE_ROW: tuple[Literal["recipe", "factors", "parameters", "licence", "license"], ...] = (
    *("recipe", "factors", "parameters", "licence", "license"),
)


class Drums(Preparation[DrumItem, DrumFacts]):
    """Drum one-shots in any audio format, in classes by their names."""

    options_type: ClassVar[type[Options]] = DrumOptions
    hashed_as: ClassVar[str] = "drums"
    wanted: DrumOptions

    def __init__(self, source: Path, out: Path, wanted: DrumOptions):
        super().__init__(source, out, wanted)
        self.table = names.read_table(wanted.names)

    def options(self) -> dict[str, Any]:
        """Name table, how near a duplicate is, what was held out."""
        return {
            "names": self.table.text,
            "near_duplicate_db": self.wanted.near_duplicate_db,
            **held_out(self.wanted),
        }

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """One a file."""
        key = {"names": self.table.text}
        return [Unit(f.relative, self.key(f, **key), partial(self._read, f)) for f in self.source.files]

    def _read(self, file: SourceFile) -> Result:
        label, why = names.guess_class(file, self.table)
        if label is None:
            raise LeftOut("has no class in its name; add its words to the name table (--names) or a manifest")
        audio, item, facts = sound.one_shot(file.path)
        power = features.spectrogram(audio)
        result = Result(facts={**facts, "class_from": why, **features.describe(audio, power)})
        entry: DrumItem = {
            "name": file.relative.rsplit(".", 1)[0],
            "file": file.relative,
            "class": label,
            "class_from": why,
            "group": names.instrument_of(file, label, self.table),
            "samples": len(audio),
            **item,
        }
        for field_name in FROM_THE_ROW:
            if file.row.get(field_name):
                entry[field_name] = file.row[field_name]
        if file.row.get("split"):
            entry["given_split"] = file.row["split"]
        result.add(entry, audio=audio, picture=features.picture(power))
        return result

    def finish(self, batch: Batch[DrumItem, DrumFacts]) -> DrumNotes:
        """Merge groups that share a sound and choose the splits."""
        pictures = np.stack(list(batch.pieces("picture")))
        found = features.close_pairs(pictures, self.wanted.near_duplicate_db)
        # a hat that looks like a shaker is a likeness, not a duplicate
        same = [(i, j) for i, j, _ in found if batch.items[i]["class"] == batch.items[j]["class"]]
        groups = splits.joined([item["group"] for item in batch.items], same)
        self.split(batch, groups, [item["class"] for item in batch.items], self.wanted)
        named = len({item["group"] for item in batch.items})
        for item, group in zip(batch.items, groups, strict=True):
            item["group"] = group
        return {"near_duplicate_pairs": len(same), "named_groups": named, "groups": len(set(groups))}

    def arrays(self, batch: Batch[DrumItem, DrumFacts]) -> dict[str, np.ndarray | Joined]:
        """Sounds end to end, their pictures and their classes."""
        lengths = batch.lengths()
        return {
            "audio": Joined((sum(lengths),), np.float32, batch.pieces("audio")),
            "offsets": offsets(lengths),
            "pictures": np.stack(list(batch.pieces("picture"))),
            "classes": np.array([CLASSES.index(item["class"]) for item in batch.items], np.int64),
        }

    @staticmethod
    def clips(data: DataSet[DrumItem], split: str, samples: int) -> Iterator[tuple[Clip, np.ndarray]]:
        """A hit is one clip, its peak at 1."""
        for index in data.split(split).tolist():
            item = data.manifest[index]
            clip = Clip(item["name"], data.kind, item["class"], struck=True)
            yield clip, fitted(data.audio(index), samples)
