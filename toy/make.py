"""Make a whole toy set on disk: the loop between a generator and its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from common.refusal import Refusal
from toy.folder import ToyFolder

OTHERS_S = 3.0

Watch = Callable[[Iterable, int], Iterable]


def _unwatched(things: Iterable, count: int) -> Iterable:
    return things


def _check(items: int) -> None:
    if items < 1:
        raise Refusal(f"--items is {items}; ask for at least 1")


def make_drums(out: Path, items: int, seed: int, watch: Watch = _unwatched) -> bool:
    """Write ``items`` drum hits as ``CLASS/NAME.wav``; False when the very set stood there already."""
    from toy import drums

    _check(items)
    folder = ToyFolder(out, "drum", {"seed": seed, "items": items})
    if folder.already_there():
        return False
    with folder:
        entries = []
        for hit in watch(drums.hits(seed, items), items):
            file = f"{hit.label}/{hit.name}.wav"
            folder.write_pcm(file, hit.audio)
            entries.append({"file": file, **drums.describe(hit)})
        folder.finish(entries)
    return True


def make_rhythms(out: Path, items: int, seed: int, watch: Watch = _unwatched) -> bool:
    """Write ``items`` patterns as ``midi/NAME.mid`` and, all together, ``patterns.npy`` [items, 27, 32]."""
    from toy import rhythms

    _check(items)
    folder = ToyFolder(out, "rhythm", {"seed": seed, "items": items})
    if folder.already_there():
        return False
    with folder:
        entries, grids = [], []
        for index, pattern in enumerate(watch(rhythms.patterns(seed, items), items)):
            file = f"midi/{pattern.name}.mid"
            rhythms.to_midi(pattern).save(folder.path(file))
            grids.append(pattern.grid)
            entries.append({"file": file, "row": index, **rhythms.describe(pattern)})
        folder.write_array("patterns.npy", np.stack(grids))
        folder.finish(entries)
    return True


def make_ear(out: Path, items: int, seed: int, watch: Watch = _unwatched) -> bool:
    """Write ``items`` drum hits, and an eighth as many rhythms and phrases that are no drums."""
    from toy import drums, phrases, rhythms

    _check(items)
    folder = ToyFolder(out, "ear", {"seed": seed, "items": items})
    if folder.already_there():
        return False
    with folder:
        entries = []
        for hit in watch(drums.hits(seed, items), items):
            file = f"strokes/{hit.label}/{hit.name}.wav"
            folder.write_pcm(file, hit.audio)
            entries.append({"file": file, **drums.describe(hit)})
        few = max(3, items // 8)
        for pattern in rhythms.patterns(seed, few):
            file = f"patterns/{pattern.name}.mid"
            rhythms.to_midi(pattern).save(folder.path(file))
            entries.append({"file": file, **rhythms.describe(pattern)})
        played = (phrases.phrase(seed, index, OTHERS_S) for index in range(3 * few))
        for one in (phrase for phrase in played if phrase.kind != "drums"):
            file = f"others/{one.kind}/{one.name}.wav"
            folder.write_pcm(file, one.audio)
            entries.append({"file": file, "group": one.name})
        folder.finish(entries)
    return True


def make_chords(out: Path, items: int, seed: int, watch: Watch = _unwatched) -> bool:
    """Write ``items`` songs as ``songs/NAME.txt``; False when the very set stood there already."""
    from toy.harmony import progressions

    _check(items)
    folder = ToyFolder(out, "chords", {"seed": seed, "items": items})
    if folder.already_there():
        return False
    with folder:
        entries = []
        for song in watch(progressions.songs(seed, items), items):
            file = f"songs/{song.name}.txt"
            folder.path(file).write_text(progressions.to_text(song))
            entries.append({"file": file, **progressions.describe(song)})
        folder.finish(entries)
    return True


def make_notes(out: Path, items: int, seed: int, watch: Watch = _unwatched) -> bool:
    """Write ``items`` notes as ``INSTRUMENT/NAME.wav``; False when the very set stood there already."""
    from toy.harmony import notes

    _check(items)
    folder = ToyFolder(out, "notes", {"seed": seed, "items": items})
    if folder.already_there():
        return False
    with folder:
        entries = []
        for note in watch(notes.notes(seed, items), items):
            file = f"{note.instrument}/{note.name}.wav"
            folder.write_pcm(file, note.audio)
            entries.append({"file": file, **notes.describe(note)})
        folder.finish(entries)
    return True


def make_drive(
    out: Path, items: int, seed: int, seconds: float, chain_files: list[Path], watch: Watch = _unwatched
) -> bool:
    """Write ``items`` pairs: ``dry/PHRASE.wav`` and ``wet/NAME.wav``, each ``seconds`` long."""
    from toy import drive
    from toy.chain import factory_chains, read_chain

    _check(items)
    if not 0.1 <= seconds <= 60:
        raise Refusal(f"--seconds is {seconds}; phrases last between 0.1 and 60 seconds")
    chains = [read_chain(path) for path in chain_files] or factory_chains()
    made_of: dict[str, Any] = {"seed": seed, "items": items, "seconds": seconds}
    made_of["chains"] = [{"name": chain.name, "effects": list(chain.effects)} for chain in chains]
    folder = ToyFolder(out, "drive", made_of)
    if folder.already_there():
        return False
    with folder:
        entries, written = [], set()
        for one in watch(drive.pairs(seed, items, chains, seconds), items):
            entry = drive.describe(one)
            if entry["dry"] not in written:
                folder.write_float(entry["dry"], one.phrase.audio)
                written.add(entry["dry"])
            folder.write_float(entry["wet"], one.wet)
            entries.append(entry)
        folder.finish(entries)
    return True


def make_digits(out: Path) -> bool:
    """Write the digits: ``images.npy`` [1797, 8, 8] and ``labels.npy`` [1797]."""
    from toy.digits import digits, split_of

    folder = ToyFolder(out, "digits", {})
    if folder.already_there():
        return False
    with folder:
        images, labels = digits()
        folder.write_array("images.npy", images)
        folder.write_array("labels.npy", labels)
        splits = split_of(len(labels))
        folder.finish(
            [
                {"row": row, "class": str(label), "split": str(split)}
                for row, (label, split) in enumerate(zip(labels, splits, strict=True))
            ]
        )
    return True
