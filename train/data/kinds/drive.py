"""Dry and wet pairs: every segment is one item."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NotRequired

import numpy as np

from common.refusal import Refusal
from train.data import audio as sound
from train.data import pairs, splits
from train.data.clips import Clip, fitted
from train.data.kinds.base import (
    Batch,
    Options,
    Preparation,
    Unit,
    Watch,
    leave_out,
    offsets,
    says,
    work,
)
from train.data.manifest import Item, LeftOutFile, Notes
from train.data.pairing import PairFiles, find_pairs
from train.data.store import DataSet, Joined
from train.data.workshop import Result, Workshop

# A device with fewer dry phrases than this has them cut by time instead of going whole to one split
PHRASES_TO_SPLIT_WHOLE = 10


@dataclass(frozen=True)
class DriveOptions(Options):
    """What can be said of a folder of pairs."""

    segment_samples: int | None = field(
        default=None,
        metadata=says(
            "Samples between the borders of a concatenated recording; found when omitted.", "--segment"
        ),
    )


def scarce_phrases(found: Sequence[PairFiles]) -> set[str]:
    """Dry files to be cut by time: those of devices that were recorded over too few phrases.

    Devices that share a phrase belong together: what is cut for one must be cut for the other.
    """
    links = [(index, len(found) + index) for index in range(len(found))]
    names = [f"effect {pair.effect}" for pair in found] + [f"phrase {pair.dry.relative}" for pair in found]
    roots = splits.joined(names, links)[: len(found)]
    phrases: dict[str, set[str]] = {}
    for root, pair in zip(roots, found, strict=True):
        phrases.setdefault(root, set()).add(pair.dry.relative)
    return set().union(*(few for few in phrases.values() if len(few) < PHRASES_TO_SPLIT_WHOLE))


class DriveItem(Item):
    """A segment: where it is from, what made it, its peaks in dBFS; below, what only a manifest can say.

    ``delay_samples`` and ``polarity`` are what was taken out of the wet side. ``continues`` tells that the
    device was not at rest when it began.
    """

    dry_file: str
    segment: int
    continues: bool
    effect: str
    parameters: dict[str, Any]
    polarity: int
    delay_samples: int
    dry_peak_db: float
    wet_peak_db: float
    samples: int
    chain: NotRequired[Any]
    phrase: NotRequired[Any]


class DriveFacts(pairs.Found):
    """What was found in a pair; ``delay_samples`` is what its device has, not what this pair shows."""

    delay_samples: NotRequired[int]


class DriveNotes(Notes):
    """What the splits keep whole."""

    split_by: str


FROM_THE_ROW: tuple[Literal["chain", "phrase"], ...] = ("chain", "phrase")


class Drive(Preparation[DriveItem, DriveFacts]):
    """Dry recordings and what a device made of them, paired by name or by a manifest."""

    options_type: ClassVar[type[Options]] = DriveOptions
    what: ClassVar[str] = "audio pairs"
    wanted: DriveOptions

    def __init__(self, source: Path, out: Path, wanted: DriveOptions):
        super().__init__(source, out, wanted)
        if wanted.segment_samples is not None and wanted.segment_samples < 64:
            raise Refusal(f"--segment is {wanted.segment_samples}; segments have at least 64 samples")
        self.pairs, self.alone = find_pairs(self.source.files)
        if not self.pairs:
            raise Refusal(
                f"{source} holds no pairs: no wet file has a dry one of its name; see train/data/README.md "
                "for how files are paired"
            )
        self.by_time = scarce_phrases(self.pairs)

    def options(self) -> dict[str, Any]:
        """Where segments end and what splits keep whole."""
        phrases = {pair.dry.relative for pair in self.pairs}
        how = "phrase" if not self.by_time else "time" if self.by_time == phrases else "phrase and time"
        return {"segment_samples": self.wanted.segment_samples, "split": how}

    def left_out(self) -> list[LeftOutFile]:
        """Also what has no partner."""
        alone: list[LeftOutFile] = [{"file": name, "reason": why} for name, why in self.alone.items()]
        return super().left_out() + alone

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """Align every pair first: the pairs of one device share its delay."""
        looks = [
            Unit(p.wet.relative, self._key(p, stage="align"), partial(self._align, p)) for p in self.pairs
        ]
        found: Batch[DriveItem, DriveFacts] = work(shop, looks, watch, "aligning")
        facts = {fact["file"]: fact for fact in found.facts}
        reasons = {one["file"]: one["reason"] for one in found.left_out}
        delays = pairs.common_delays(list(facts.values()))
        units = []
        for pair in self.pairs:
            name = pair.wet.relative
            if name in reasons:
                units.append(Unit(name, self._key(pair, stage="align"), partial(leave_out, reasons[name])))
                continue
            delay = delays[name]
            key = self._key(pair, stage="cut", delay=delay)
            known: DriveFacts = {**facts[name], "delay_samples": delay}
            units.append(Unit(name, key, partial(self._read, pair, known)))
        return units

    def _key(self, pair: PairFiles, **more: Any) -> dict[str, Any]:
        return self.key(
            pair.wet, dry=[pair.dry.relative, pair.dry.sha256], pair=pair.why, **self.options(), **more
        )

    def _align(self, pair: PairFiles) -> Result:
        return Result(facts=pairs.relate(pairs.read_pair(pair), pair, self.wanted.segment_samples))

    def _read(self, pair: PairFiles, facts: DriveFacts) -> Result:
        aligned = pairs.AlignedPair(
            pairs.read_pair(pair), facts["delay_samples"], facts["polarity"], facts["segment_samples"]
        )
        result = Result(facts={key: value for key, value in facts.items() if key != "file"})
        by_time = pair.dry.relative in self.by_time
        pieces = aligned.cut(into_thirds=by_time)
        stem = pair.wet.relative.rsplit(".", 1)[0]
        for number, (dry, wet, continues) in enumerate(pieces):
            entry: DriveItem = {
                "name": stem if len(pieces) == 1 else f"{stem}:{number}",
                "file": pair.wet.relative,
                "dry_file": pair.dry.relative,
                "segment": number,
                "continues": continues,
                "effect": pair.effect,
                "parameters": pair.parameters,
                "group": str(pair.wet.row.get("group") or pair.dry.relative.rsplit(".", 1)[0]),
                "polarity": aligned.polarity,
                "delay_samples": aligned.delay,
                "dry_peak_db": sound.decibels(float(np.abs(dry).max())),
                "wet_peak_db": sound.decibels(float(np.abs(wet).max())),
                "samples": len(dry),
            }
            for field_name in FROM_THE_ROW:
                if pair.wet.row.get(field_name):
                    entry[field_name] = pair.wet.row[field_name]
            if by_time:
                entry["given_split"] = (
                    splits.by_time(len(pieces))[number] if aligned.segment else splits.SPLITS[number]
                )
            result.add(entry, dry=dry, wet=wet)
        return result

    def finish(self, batch: Batch[DriveItem, DriveFacts]) -> DriveNotes:
        """Whole phrases to one split; those of devices with few phrases each by time."""
        whole = [item for item in batch.items if "given_split" not in item]
        groups = [item["group"] for item in whole]
        chosen = splits.assign(groups, ["phrase"] * len(groups), [None] * len(groups))
        for item, split in zip(whole, chosen, strict=True):
            item["split"] = split
        for item in batch.items:
            if "given_split" in item:
                item["split"] = item.pop("given_split")
                item["group"] = f"{item['group']} {item['split']}"
        return {"groups": len({item["group"] for item in batch.items}), "split_by": self.options()["split"]}

    def arrays(self, batch: Batch[DriveItem, DriveFacts]) -> dict[str, np.ndarray | Joined]:
        """Both sides end to end."""
        lengths = batch.lengths()
        return {
            "dry": Joined((sum(lengths),), np.float32, batch.pieces("dry")),
            "wet": Joined((sum(lengths),), np.float32, batch.pieces("wet")),
            "offsets": offsets(lengths),
        }

    @staticmethod
    def clips(data: DataSet[DriveItem], split: str, samples: int) -> Iterator[tuple[Clip, np.ndarray]]:
        """Cut each recording end to end; a rest shorter than half a clip is left out.

        A dry side that several effects share comes once, before the first of them.
        """
        place = 0
        dry_places: dict[tuple[str, int, int], int] = {}
        for members in recordings(data, split):
            item = data.manifest[members[0]]
            sides = [data.pair(index) for index in members]
            dry, wet = (np.concatenate([side[i] for side in sides]) for i in (0, 1))
            played = re.sub(r"[-_\d]+$", "", Path(item["dry_file"]).stem)
            count = max(1, (len(dry) + samples // 2) // samples)
            for number in range(count):
                window = slice(number * samples, (number + 1) * samples)
                key = item["dry_file"], item["segment"], number
                if key not in dry_places:
                    dry_places[key] = place
                    place += 1
                    yield (
                        Clip(f"{item['dry_file']} {number}", data.kind, played),
                        fitted(dry[window], samples),
                    )
                known = {name: float(value) for name, value in (item["parameters"] or {}).items()}
                clip = Clip(
                    f"{item['name']} {number}", data.kind, played, item["effect"], known, dry_places[key]
                )
                place += 1
                yield clip, fitted(wet[window], samples)


def recordings(data: DataSet[DriveItem], split: str) -> Iterator[list[int]]:
    """Indices of a split's segments, those that follow each other in one recording together."""
    members: list[int] = []
    for index in data.split(split).tolist():
        if members:
            last, item = data.manifest[members[-1]], data.manifest[index]
            follows = item["continues"] and item["segment"] == last["segment"] + 1
            if not (follows and item["file"] == last["file"] and item["dry_file"] == last["dry_file"]):
                yield members
                members = []
        members.append(index)
    if members:
        yield members
