"""From a builder's folder to a data set: one function per kind, the same road for all.

Read the source, work through its files one by one (each result is kept, so an interrupted run goes on where
it was), then group, split, write the arrays and the report, and put everything in place at once.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES, PARTS
from common.refusal import Refusal
from train.data import audio as sound
from train.data import features, names, pairs, patterns, splits
from train.data.audio import LeftOut
from train.data.pairing import PairFiles, find_pairs
from train.data.source import AUDIO, MIDI, Source, SourceFile, read_source
from train.data.store import FORMAT, Joined, write_arrays
from train.data.workshop import Result, Workshop

# Raised whenever the same file would give another result: kept results of older code are not taken up.
STEP_VERSION = 3
# Two hits whose pictures differ by less (RMS over the cells) are takes of one sound; see README for how it
# was set
NEAR_DUPLICATE_DB = 3.0
# A device with fewer dry phrases than this has them cut by time instead of going whole to one split
PHRASES_TO_SPLIT_WHOLE = 10

Watch = Callable[[Sequence[Any], str], Iterable[Any]]


def unwatched(things: Sequence[Any], label: str) -> Iterable[Any]:
    """Show no progress."""
    return things


@dataclass(frozen=True)
class Options:
    """What the command line may change; part of the data set's hash where it changes the outcome."""

    names: Path | None = None
    drum_map: Path | None = None
    hop_bars: int = 1
    segment_samples: int | None = None
    near_duplicate_db: float = NEAR_DUPLICATE_DB
    hold_out: str = ""


@dataclass
class Outcome:
    """What a run did."""

    manifest: dict[str, Any]
    already: bool
    recalled: int = 0

    @property
    def left_out(self) -> list[dict[str, str]]:
        """Sources without a place in the data set, with reasons."""
        return self.manifest["left_out"]


@dataclass
class _Unit:
    """One piece of work: its name, what decides its outcome, and how to do it."""

    name: str
    key: dict[str, Any]
    run: Callable[[], Result]


@dataclass
class _Batch:
    """The finished units of a run; arrays stay on disk until they are joined."""

    shop: Workshop
    units: list[_Unit]
    items: list[dict[str, Any]] = field(default_factory=list)
    owners: list[tuple[int, int]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    recalled: int = 0

    def pieces(self, array: str) -> Iterator[np.ndarray]:
        """One array of every item, in order, read back from the kept results."""
        current, result = -1, Result()
        for unit, index in self.owners:
            if unit != current:
                current = unit
                result = self._read(unit)
            yield result.arrays[index][array]

    def _read(self, unit: int) -> Result:
        result = self.shop.recall(self.units[unit].key)
        if result is None:
            raise Refusal(f"{self.shop.work} was changed while the run was at it; run the same command again")
        return result


def prepare(kind: str, source: Path, out: Path, options: Options, watch: Watch = unwatched) -> Outcome:
    """Make a data set of a folder.

    Parameters
    ----------
    kind : str
        ``drums``, ``rhythms`` or ``drive``.
    source, out : Path
        Where the files are and where the data set goes.
    options : Options
    watch : callable
        Wraps the work list to show progress.

    Raises
    ------
    Refusal
        When nothing usable is found or the output cannot be written.
    """
    source, out = Path(source), Path(out)
    road = {"drums": _Drums, "rhythms": _Rhythms, "drive": _Drive}[kind](source, out, options)
    listed = [[file.relative, file.sha256, file.row] for file in road.source.files]
    identity = {"step": STEP_VERSION, "kind": kind, "options": road.options(), "files": listed}
    with Workshop(out, source, identity) as shop:
        finished = shop.finished_manifest()
        if finished is not None and shop.is_complete():
            shop.clear()
            return Outcome(finished, already=True)
        batch = _work(shop, road.units(shop, watch), watch)
        batch.left_out += road.left_out()
        if not batch.items:
            reasons = "; ".join(f"{one['file']} {one['reason']}" for one in batch.left_out[:3])
            shop.clear()
            raise Refusal(f"nothing in {source} could be used: {reasons}")
        notes = road.finish(batch)
        lengths = [item["samples"] for item in batch.items] if kind != "rhythms" else []
        arrays = write_arrays(shop.work / "arrays", road.arrays(batch, lengths))
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "options": road.options(),
            "items": batch.items,
            "arrays": arrays,
            "left_out": sorted(batch.left_out, key=lambda one: one["file"]),
            "notes": notes,
        }
        from train.data.report import write_report

        report = write_report(manifest, batch.facts, shop.work / "arrays", road.source)
        manifest = shop.publish(manifest, report)
    return Outcome(manifest, already=False, recalled=batch.recalled)


def _work(shop: Workshop, units: list[_Unit], watch: Watch, label: str = "reading") -> _Batch:
    batch = _Batch(shop, units)
    for number, unit in enumerate(watch(units, label)):
        result = shop.recall(unit.key)
        if result is None:
            try:
                result = unit.run()
            except LeftOut as reason:
                result = Result(left_out=str(reason))
            shop.keep(unit.key, result)
        else:
            batch.recalled += 1
        if result.left_out is not None:
            batch.left_out.append({"file": unit.name, "reason": result.left_out})
            continue
        batch.facts.append({"file": unit.name, **result.facts})
        for index, item in enumerate(result.items):
            batch.items.append(item)
            batch.owners.append((number, index))
    return batch


def _refuse(reason: str) -> Result:
    raise LeftOut(reason)


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


def _offsets(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


class _Road:
    """What the three kinds have in common; each kind fills in the rest."""

    endings: frozenset[str] = AUDIO
    what = "audio"

    def __init__(self, source: Path, out: Path, options: Options):
        self.wanted = options
        self.source: Source = read_source(source, self.endings, self.what, out)

    def left_out(self) -> list[dict[str, str]]:
        """Files that never became work."""
        foreign = "is in a format that cannot be read here; convert it to WAV or FLAC"
        absent = "is in the manifest but not in the folder"
        return [{"file": name, "reason": foreign} for name in self.source.foreign] + [
            {"file": name, "reason": absent} for name in self.source.missing
        ]

    def options(self) -> dict[str, Any]:
        """What the command line changed, as far as it shapes the outcome."""
        raise NotImplementedError

    def held_out(self) -> dict[str, str]:
        """Say what was held out, if anything was."""
        return {"hold_out": self.wanted.hold_out} if self.wanted.hold_out else {}

    def units(self, shop: Workshop, watch: Watch) -> list[_Unit]:
        """List the work, one unit a file."""
        raise NotImplementedError

    def finish(self, batch: _Batch) -> dict[str, Any]:
        """Group and split the items; returns remarks for the report."""
        raise NotImplementedError

    def arrays(self, batch: _Batch, lengths: list[int]) -> dict[str, np.ndarray | Joined]:
        """Name the arrays of the data set."""
        raise NotImplementedError

    def split(self, batch: _Batch, groups: list[str], labels: list[str]) -> None:
        """Give every item its split."""
        chosen = splits.assign(groups, labels, [item.pop("given_split", None) for item in batch.items])
        if self.wanted.hold_out:
            held = [fnmatch.fnmatchcase(item["file"], self.wanted.hold_out) for item in batch.items]
            if not any(held) or all(held):
                raise Refusal(
                    f"--hold-out {self.wanted.hold_out} takes {'all' if any(held) else 'none'} of the files "
                    f"of {self.source.root}; give a pattern of their paths, as in 'drummer7/*'"
                )
            chosen = splits.hold_out(groups, chosen, held)
        for item, split in zip(batch.items, chosen, strict=True):
            item["split"] = split

    def key(self, file: SourceFile, **more: Any) -> dict[str, Any]:
        """Tell what decides one file's result."""
        return {"step": STEP_VERSION, "file": file.relative, "sha256": file.sha256, "row": file.row, **more}


class _Drums(_Road):
    """One-shots: every file is one item."""

    def __init__(self, source: Path, out: Path, options: Options):
        super().__init__(source, out, options)
        self.table = names.read_table(options.names)

    def options(self) -> dict[str, Any]:
        return {
            "names": self.table.text,
            "near_duplicate_db": self.wanted.near_duplicate_db,
            **self.held_out(),
        }

    def units(self, shop: Workshop, watch: Watch) -> list[_Unit]:
        key = {"names": self.table.text}
        return [_Unit(f.relative, self.key(f, **key), partial(self._read, f)) for f in self.source.files]

    def _read(self, file: SourceFile) -> Result:
        label, why = names.guess_class(file, self.table)
        if label is None:
            raise LeftOut("has no class in its name; add its words to the name table (--names) or a manifest")
        audio, item, facts = sound.one_shot(file.path)
        power = features.spectrogram(audio)
        result = Result(facts={**facts, "class_from": why, **features.describe(audio, power)})
        entry = {
            "name": file.relative.rsplit(".", 1)[0],
            "file": file.relative,
            "class": label,
            "class_from": why,
            "group": names.instrument_of(file, label, self.table),
            "samples": len(audio),
            **item,
        }
        for field_name in ("recipe", "factors", "parameters", "licence", "license"):
            if file.row.get(field_name):
                entry[field_name] = file.row[field_name]
        if file.row.get("split"):
            entry["given_split"] = file.row["split"]
        result.add(entry, audio=audio, picture=features.picture(power))
        return result

    def finish(self, batch: _Batch) -> dict[str, Any]:
        """Merge groups that share a sound and choose the splits."""
        pictures = np.stack(list(batch.pieces("picture")))
        found = features.close_pairs(pictures, self.wanted.near_duplicate_db)
        # a hat that looks like a shaker is a likeness, not a duplicate
        same = [(i, j) for i, j, _ in found if batch.items[i]["class"] == batch.items[j]["class"]]
        groups = splits.joined([item["group"] for item in batch.items], same)
        self.split(batch, groups, [item["class"] for item in batch.items])
        named = len({item["group"] for item in batch.items})
        for item, group in zip(batch.items, groups, strict=True):
            item["group"] = group
        return {"near_duplicate_pairs": len(same), "named_groups": named, "groups": len(set(groups))}

    def arrays(self, batch: _Batch, lengths: list[int]) -> dict[str, np.ndarray | Joined]:
        return {
            "audio": Joined((sum(lengths),), np.float32, batch.pieces("audio")),
            "offsets": _offsets(lengths),
            "pictures": np.stack(list(batch.pieces("picture"))),
            "classes": np.array([CLASSES.index(item["class"]) for item in batch.items], np.int64),
        }


class _Rhythms(_Road):
    """MIDI performances: every file gives the windows that fit in it."""

    endings = MIDI
    what = "MIDI files"

    def __init__(self, source: Path, out: Path, options: Options):
        super().__init__(source, out, options)
        if options.hop_bars < 1:
            raise Refusal(f"--hop-bars is {options.hop_bars}; windows move on by at least 1 bar")
        self.table = patterns.read_map(options.drum_map)

    def options(self) -> dict[str, Any]:
        return {**self._reading(), **self.held_out()}

    def _reading(self) -> dict[str, Any]:
        """What shapes a single file's outcome."""
        notes = {PARTS[voice]: [] for voice in range(len(PARTS))}  # type: dict[str, list[int]]
        for note, voice in sorted(self.table.items()):
            notes[PARTS[voice]].append(note)
        return {"drum_map": notes, "hop_bars": self.wanted.hop_bars}

    def units(self, shop: Workshop, watch: Watch) -> list[_Unit]:
        key = self._reading()
        return [_Unit(f.relative, self.key(f, **key), partial(self._read, f)) for f in self.source.files]

    def _read(self, file: SourceFile) -> Result:
        performance = patterns.read_performance(file.path, self.table)
        found, empty = patterns.windows(performance, self.table, self.wanted.hop_bars)
        row = file.row
        style = str(row.get("style") or (file.folders[-1] if file.folders else "unnamed")).split("/")[0]
        fill = row.get("beat_type") == "fill" or row.get("fill") is True or "fill" in names.words(file.stem)
        stem = file.relative.rsplit(".", 1)[0]
        result = Result(facts={**performance.facts, "windows": len(found), "empty_windows": empty})
        result.facts["notes"] = len(performance.notes)
        for window in found:
            entry = {
                "name": stem if len(found) == 1 else f"{stem}:{window.bar}",
                "file": file.relative,
                "bar": window.bar,
                "style": style,
                "bpm": float(row.get("bpm") or performance.bpm),
                "meter": window.meter,
                "steps": window.steps,
                "fill": bool(fill),
                "group": str(row.get("group") or row.get("id") or stem),
            }
            for field_name in ("drummer", "factors"):
                if row.get(field_name):
                    entry[field_name] = row[field_name]
            if row.get("split"):
                entry["given_split"] = row["split"]
            result.add(entry, pattern=window.grid)
        return result

    def finish(self, batch: _Batch) -> dict[str, Any]:
        """Choose the splits; fills count as a class of their own, so that every side has some."""
        labels = [f"{item['style']}{' fill' if item['fill'] else ''}" for item in batch.items]
        self.split(batch, [item["group"] for item in batch.items], labels)
        return {"groups": len({item["group"] for item in batch.items})}

    def arrays(self, batch: _Batch, lengths: list[int]) -> dict[str, np.ndarray | Joined]:
        shape = (len(batch.items), 27, patterns.STEPS)
        return {"patterns": Joined(shape, np.float32, (piece[None] for piece in batch.pieces("pattern")))}


class _Drive(_Road):
    """Dry and wet pairs: every segment is one item."""

    what = "audio pairs"

    def __init__(self, source: Path, out: Path, options: Options):
        super().__init__(source, out, options)
        if options.segment_samples is not None and options.segment_samples < 64:
            raise Refusal(f"--segment is {options.segment_samples}; segments have at least 64 samples")
        self.pairs, self.alone = find_pairs(self.source.files)
        if not self.pairs:
            raise Refusal(
                f"{source} holds no pairs: no wet file has a dry one of its name; see train/data/README.md "
                "for how "
                "files are paired"
            )
        self.by_time = scarce_phrases(self.pairs)

    def options(self) -> dict[str, Any]:
        phrases = {pair.dry.relative for pair in self.pairs}
        how = "phrase" if not self.by_time else "time" if self.by_time == phrases else "phrase and time"
        return {"segment_samples": self.wanted.segment_samples, "split": how}

    def left_out(self) -> list[dict[str, str]]:
        return super().left_out() + [{"file": name, "reason": why} for name, why in self.alone.items()]

    def units(self, shop: Workshop, watch: Watch) -> list[_Unit]:
        """Align every pair first: the pairs of one device share its delay."""
        looks = [
            _Unit(p.wet.relative, self._key(p, stage="align"), partial(self._align, p)) for p in self.pairs
        ]
        found = _work(shop, looks, watch, "aligning")
        facts = {fact["file"]: fact for fact in found.facts}
        reasons = {one["file"]: one["reason"] for one in found.left_out}
        delays = pairs.common_delays(list(facts.values()))
        units = []
        for pair in self.pairs:
            name = pair.wet.relative
            if name in reasons:
                units.append(_Unit(name, self._key(pair, stage="align"), partial(_refuse, reasons[name])))
                continue
            delay = delays[name]
            key = self._key(pair, stage="cut", delay=delay)
            units.append(_Unit(name, key, partial(self._read, pair, {**facts[name], "delay_samples": delay})))
        return units

    def _key(self, pair: PairFiles, **more: Any) -> dict[str, Any]:
        return self.key(
            pair.wet, dry=[pair.dry.relative, pair.dry.sha256], pair=pair.why, **self.options(), **more
        )

    def _align(self, pair: PairFiles) -> Result:
        return Result(facts=pairs.relate(pairs.read_pair(pair), pair, self.wanted.segment_samples))

    def _read(self, pair: PairFiles, facts: dict[str, Any]) -> Result:
        aligned = pairs.AlignedPair(
            pairs.read_pair(pair), facts["delay_samples"], facts["polarity"], facts["segment_samples"]
        )
        result = Result(facts={key: value for key, value in facts.items() if key != "file"})
        by_time = pair.dry.relative in self.by_time
        pieces = aligned.cut(into_thirds=by_time)
        stem = pair.wet.relative.rsplit(".", 1)[0]
        for number, (dry, wet, continues) in enumerate(pieces):
            entry = {
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
            for field_name in ("chain", "phrase"):
                if pair.wet.row.get(field_name):
                    entry[field_name] = pair.wet.row[field_name]
            if by_time:
                entry["given_split"] = (
                    splits.by_time(len(pieces))[number] if aligned.segment else splits.SPLITS[number]
                )
            result.add(entry, dry=dry, wet=wet)
        return result

    def finish(self, batch: _Batch) -> dict[str, Any]:
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

    def arrays(self, batch: _Batch, lengths: list[int]) -> dict[str, np.ndarray | Joined]:
        total = sum(lengths)
        return {
            "dry": Joined((total,), np.float32, batch.pieces("dry")),
            "wet": Joined((total,), np.float32, batch.pieces("wet")),
            "offsets": _offsets(lengths),
        }
