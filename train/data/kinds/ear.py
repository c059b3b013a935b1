"""What an ear learns from: one-shots of drums, performances that strike them, and what is no drum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NotRequired

import numpy as np

from common.reading.recording import read_recording
from common.refusal import LeftOut, Refusal
from train.data import audio as sound
from train.data import features, names, patterns, splits
from train.data.kinds.base import Batch, Held, Options, Preparation, Unit, Watch, held_out, offsets
from train.data.kinds.drum import NEAR_DUPLICATE_DB
from train.data.manifest import FileFacts, Item, Notes
from train.data.source import AUDIO, MIDI, SourceFile
from train.data.store import Joined
from train.data.workshop import Result, Workshop

STROKE, PATTERN, OTHER = "stroke", "pattern", "other"
SORTS = (STROKE, PATTERN, OTHER)
OTHERS = "others"
"""The folder, at any depth, of what is no drum."""
LONGEST_S = 600.0
NO_PICTURE = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class EarOptions(Held):
    """What can be said of such a folder; what is held out is so among its own sort."""


class EarItem(Item):
    """A one-shot, a performance or another sound: its ``sort``.

    ``label`` is the class of a one-shot, and the folder of the rest. ``samples`` are of its sound,
    ``strokes`` of a performance. ``peak_db`` is the peak of a one-shot's file, kept with its peak at 1.
    """

    sort: str
    label: str
    samples: int
    strokes: int
    seconds: float
    peak_db: float
    licence: NotRequired[str]


class EarFacts(FileFacts):
    """What was found in a file."""

    sort: str
    seconds: float
    clipped: int


class EarNotes(Notes):
    """How many there are of each sort."""

    sorts: dict[str, int]


class EarSounds(Preparation[EarItem, EarFacts]):
    """Drum one-shots, MIDI performances, and under others/ what is no drum."""

    options_type: ClassVar[type[Options]] = EarOptions
    endings: ClassVar[frozenset[str]] = AUDIO | MIDI
    what: ClassVar[str] = "audio or MIDI files"
    wanted: EarOptions

    def options(self) -> dict[str, Any]:
        """What was held out."""
        return {**held_out(self.wanted)}

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """One a file."""
        table, notes = names.read_table(), patterns.read_map()
        found = []
        for file in self.source.files:
            if file.path.suffix.lower().lstrip(".") in MIDI:
                run = partial(_pattern, file, notes)
            elif OTHERS in file.folders:
                run = partial(_other, file)
            else:
                run = partial(_stroke, file, table)
            found.append(Unit(file.relative, self.key(file), run))
        return found

    def finish(self, batch: Batch[EarItem, EarFacts]) -> EarNotes:
        """Split each sort for itself: instruments, drummers and folders are kept whole.

        Raises
        ------
        Refusal
            When there are no one-shots, all are of one class, or there is nothing to strike them by.
        """
        count = {sort: sum(item["sort"] == sort for item in batch.items) for sort in SORTS}
        classes = {item["label"] for item in batch.items if item["sort"] == STROKE}
        if len(classes) < 2:
            found = f"all one-shots are of the class {classes.pop()}" if classes else "there are no one-shots"
            raise Refusal(
                f"{self.source.root}: {found}; an ear tells classes apart, so add one-shots in folders that "
                "are called what they hold (kick, snare, hat_closed …)"
            )
        if not count[PATTERN]:
            raise Refusal(
                f"{self.source.root} holds no MIDI performance to strike the one-shots by; add some, as "
                "`vaectrol toy rhythm` makes them"
            )
        pictures = list(batch.pieces("picture"))
        shots = [at for at, item in enumerate(batch.items) if item["sort"] == STROKE]
        near = features.close_pairs(np.stack([pictures[at] for at in shots]), NEAR_DUPLICATE_DB)
        same = [
            (shots[i], shots[j])
            for i, j, _ in near
            if batch.items[shots[i]]["label"] == batch.items[shots[j]]["label"]
        ]
        groups = splits.joined([item["group"] for item in batch.items], same)
        for item, group in zip(batch.items, groups, strict=True):
            item["group"] = group
        for sort in SORTS:
            self._split_sort(batch, [at for at, item in enumerate(batch.items) if item["sort"] == sort])
        return {"groups": len(set(groups)), "sorts": count}

    def _split_sort(self, batch: Batch[EarItem, EarFacts], at: Sequence[int]) -> None:
        """Choose the splits of one sort; a pattern that takes none of its files leaves it as it is."""
        part: Batch[EarItem, EarFacts] = Batch(batch.shop, batch.units, [batch.items[i] for i in at])
        if not part.items:
            return
        wanted = EarOptions(
            **{
                side: pattern
                for side, pattern in held_out(self.wanted).items()
                if any(self._takes(pattern, item) for item in part.items)
            }
        )
        labels = [item["label"] if item["sort"] == STROKE else item["sort"] for item in part.items]
        self.split(part, [item["group"] for item in part.items], labels, wanted)

    @staticmethod
    def _takes(pattern: str, item: EarItem) -> bool:
        from fnmatch import fnmatchcase

        return any(fnmatchcase(item["file"], one) for one in pattern.split(","))

    def arrays(self, batch: Batch[EarItem, EarFacts]) -> dict[str, np.ndarray | Joined]:
        """Sounds end to end; strokes end to end, as seconds, part and velocity."""
        lengths, counts = batch.lengths(), [item["strokes"] for item in batch.items]
        return {
            "audio": Joined((sum(lengths),), np.int16, batch.pieces("audio")),
            "offsets": offsets(lengths),
            "strokes": Joined((sum(counts), 3), np.float32, batch.pieces("strokes")),
            "stroke_offsets": offsets(counts),
        }


def _item(file: SourceFile, sort: str, label: str, group: str, **more: Any) -> EarItem:
    row = file.row
    entry: EarItem = {
        "name": file.relative.rsplit(".", 1)[0],
        "file": file.relative,
        "group": f"{sort} {row.get('group') or group}",
        "sort": sort,
        "label": label,
        "samples": 0,
        "strokes": 0,
        "seconds": 0.0,
        "peak_db": 0.0,
        **more,  # type: ignore[typeddict-item]
    }
    if row.get("licence"):
        entry["licence"] = str(row["licence"])
    if row.get("split"):
        entry["given_split"] = str(row["split"])
    return entry


def _codes(audio: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(audio * 32767.0), -32768, 32767).astype(np.int16)


def _stroke(file: SourceFile, table: names.NameTable) -> Result:
    label, why = names.guess_class(file, table)
    if label is None or why == "nothing":
        raise LeftOut(f"has no class in its name, and is not under {OTHERS}/; put it where it belongs")
    audio, shot, facts = sound.one_shot(file.path)
    group = names.instrument_of(file, label, table)
    seconds = len(audio) / sound.SAMPLE_RATE_HZ
    entry = _item(
        file, STROKE, label, group, samples=len(audio), seconds=seconds, peak_db=round(shot["peak_db"], 2)
    )
    result = Result(facts={"sort": STROKE, "seconds": seconds, "clipped": facts["clipped"]})
    loud = audio / np.abs(audio).max()
    picture = features.picture(features.spectrogram(audio))
    result.add(entry, audio=_codes(loud), strokes=np.zeros((0, 3), np.float32), picture=picture)
    return result


def _pattern(file: SourceFile, table: dict[int, int]) -> Result:
    played = patterns.read_performance(file.path, table)
    second = 60.0 / (played.bpm * played.ticks_per_beat)
    strokes = np.array(
        [(tick * second, table[note], velocity / 127) for tick, note, velocity in played.notes], np.float32
    )
    label = file.folders[0] if file.folders else PATTERN
    drummer = str(file.row.get("drummer") or "/".join(file.folders[:-1]) or file.stem)
    seconds = float(strokes[-1, 0])
    entry = _item(file, PATTERN, label, drummer, strokes=len(strokes), seconds=seconds)
    result = Result(facts={"sort": PATTERN, "seconds": seconds, "clipped": 0})
    result.add(entry, audio=np.zeros(0, np.int16), strokes=strokes, picture=NO_PICTURE)
    return result


def _other(file: SourceFile) -> Result:
    recording = read_recording(file.path, LONGEST_S)
    mono, _ = sound.to_mono(recording.audio)
    mono = mono - sound.offset(mono, recording.rate_hz)
    peak = float(np.abs(mono).max()) if len(mono) else 0.0
    if sound.decibels(peak) < sound.SILENCE_DB:
        raise LeftOut("is silent")
    audio = sound.resample(mono, recording.rate_hz) / max(1.0, peak)
    seconds = len(audio) / sound.SAMPLE_RATE_HZ
    entry = _item(
        *(file, OTHER, "/".join(file.folders), "/".join(file.folders)),
        samples=len(audio),
        seconds=seconds,
        peak_db=round(sound.decibels(peak), 2),
    )
    facts = {"sort": OTHER, "seconds": seconds, "clipped": sound.clipped_samples(mono)}
    result = Result(facts=facts)
    result.add(entry, audio=_codes(audio), strokes=np.zeros((0, 3), np.float32), picture=NO_PICTURE)
    return result
