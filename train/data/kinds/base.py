"""What every kind of data set has in common: its options, its work a file at a time, its splits."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, cast

import numpy as np

from common.refusal import LeftOut, Refusal
from train.data import splits
from train.data.clips import Clip
from train.data.manifest import FactsT, FileFacts, Item, ItemT, LeftOutFile, Manifest, Notes
from train.data.source import AUDIO, Source, SourceFile, read_source
from train.data.store import DataSet, Joined
from train.data.workshop import Result, Workshop

# Raised whenever the same file would give another result: kept results of older code are not taken up.
STEP_VERSION = 4

Watch = Callable[[Sequence[Any], str], Iterable[Any]]


def unwatched(things: Sequence[Any], label: str) -> Iterable[Any]:
    """Show no progress."""
    return things


@dataclass(frozen=True)
class Options:
    """What the command line may change; part of the data set's hash where it changes the outcome.

    A kind has its own; the command line offers those whose field has a help text, by :func:`says`.
    """


def says(text: str, flag: str = "") -> dict[str, str]:
    """Give a field of a kind's options its line of help, and its flag where that is not the field's name."""
    return {"says": text, "flag": flag}


HOLD_OUT = (
    "Test on the files whose paths match this pattern, as 'drummer7/*', and on no others; "
    "or one of several, with commas between."
)
VALIDATE_ON = (
    "Choose by the files whose paths match this pattern, and by no others; written as for --hold-out."
)


@dataclass(frozen=True)
class Held(Options):
    """What is kept from the training by the names of files."""

    hold_out: str = field(default="", metadata=says(HOLD_OUT))
    validate_on: str = field(default="", metadata=says(VALIDATE_ON))


@dataclass
class Outcome:
    """What a run did."""

    manifest: Manifest[Item, Notes]
    already: bool
    recalled: int = 0

    @property
    def left_out(self) -> list[LeftOutFile]:
        """Sources without a place in the data set, with reasons."""
        return self.manifest["left_out"]


@dataclass
class Unit:
    """One piece of work: its name, what decides its outcome, and how to do it."""

    name: str
    key: dict[str, Any]
    run: Callable[[], Result]


class Sounding(Item):
    """An item with a length, in samples at 48 kHz."""

    samples: int


@dataclass
class Batch(Generic[ItemT, FactsT]):
    """The finished units of a run; arrays stay on disk until they are joined."""

    shop: Workshop
    units: list[Unit]
    items: list[ItemT] = field(default_factory=list)
    owners: list[tuple[int, int]] = field(default_factory=list)
    facts: list[FactsT] = field(default_factory=list)
    left_out: list[LeftOutFile] = field(default_factory=list)
    recalled: int = 0

    def pieces(self, array: str) -> Iterator[np.ndarray]:
        """One array of every item, in order, read back from the kept results."""
        current, result = -1, Result()
        for unit, index in self.owners:
            if unit != current:
                current = unit
                result = self._read(unit)
            yield result.arrays[index][array]

    def lengths(self) -> list[int]:
        """Samples of every item, for kinds whose items have some."""
        return [cast(Sounding, item)["samples"] for item in self.items]

    def _read(self, unit: int) -> Result:
        result = self.shop.recall(self.units[unit].key)
        if result is None:
            raise Refusal(f"{self.shop.work} was changed while the run was at it; run the same command again")
        return result


def work(shop: Workshop, units: list[Unit], watch: Watch, label: str = "reading") -> Batch[Any, Any]:
    """Do the units one by one; what an earlier run kept is not done again."""
    batch: Batch[Item, FileFacts] = Batch(shop, units)
    for number, unit in enumerate(watch(units, label)):
        result = shop.recall(unit.key)
        if result is None:
            result, lasts = _do(unit)
            if lasts:
                shop.keep(unit.key, result)
        else:
            batch.recalled += 1
        if result.left_out is not None:
            batch.left_out.append({"file": unit.name, "reason": result.left_out})
            continue
        batch.facts.append(cast(FileFacts, {"file": unit.name, **result.facts}))
        for index, item in enumerate(result.items):
            batch.items.append(item)
            batch.owners.append((number, index))
    return batch


def _do(unit: Unit) -> tuple[Result, bool]:
    """Do a unit: whatever its file provokes, the set goes on. Also tells whether to keep the result."""
    try:
        return unit.run(), True
    except LeftOut as reason:
        return Result(left_out=str(reason)), True
    except Refusal:
        raise
    except MemoryError:
        return Result(left_out="needs more memory than there is; cut it into shorter files"), False
    except Exception as error:  # not foreseen: the next version may know better, so it is not kept
        said = " ".join(str(error).split())
        return Result(left_out=f"cannot be used ({type(error).__name__}{said and ': ' + said})"), False


def leave_out(reason: str) -> Result:
    """Be the work of a file that is known to have no place."""
    raise LeftOut(reason)


def offsets(lengths: list[int]) -> np.ndarray:
    """Where each of the joined pieces begins, and where the last one ends; int64 [items + 1]."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


class Preparation(Generic[ItemT, FactsT]):
    """How a folder becomes a data set of one kind, and what can be cut from it. A kind fills in the rest.

    The kind is called what its file is called. It says what its items and the facts of its files hold.

    Attributes
    ----------
    options_type : type
        The kind's own :class:`Options`.
    endings, what : frozenset of str, str
        Which files are read, and what they are in words.
    also_called : tuple of str
        Other words by which the command line knows the kind.
    hashed_as : str
        The word for the kind that the data hash is taken of, where it is not the kind's name: the data sets
        from before kinds were singular keep their hashes.
    """

    options_type: ClassVar[type[Options]] = Options
    endings: ClassVar[frozenset[str]] = AUDIO
    what: ClassVar[str] = "audio"
    also_called: ClassVar[tuple[str, ...]] = ()
    hashed_as: ClassVar[str] = ""

    def __init__(self, source: Path, out: Path, wanted: Options):
        self.wanted = wanted
        self.source: Source = read_source(source, self.endings, self.what, out)

    @classmethod
    def kind(cls) -> str:
        """Name of the kind."""
        return cls.__module__.rpartition(".")[2]

    def left_out(self) -> list[LeftOutFile]:
        """Files that never became work."""
        foreign = "is in a format that cannot be read here; convert it to WAV or FLAC"
        absent = "is in the manifest but not in the folder"
        reasons = [
            *((name, foreign) for name in self.source.foreign),
            *((name, absent) for name in self.source.missing),
            *self.source.unusable,
        ]
        return [{"file": name, "reason": reason} for name, reason in reasons]

    def options(self) -> dict[str, Any]:
        """What the command line changed, as far as it shapes the outcome."""
        raise NotImplementedError

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """List the work, one unit a file."""
        raise NotImplementedError

    def finish(self, batch: Batch[ItemT, FactsT]) -> Notes:
        """Group and split the items; returns remarks for the report, ``groups`` (their number) among them."""
        raise NotImplementedError

    def arrays(self, batch: Batch[ItemT, FactsT]) -> dict[str, np.ndarray | Joined]:
        """Name the arrays of the data set."""
        raise NotImplementedError

    @staticmethod
    def clips(data: DataSet, split: str, samples: int) -> Iterator[tuple[Clip, np.ndarray]]:
        """Cut a split into clips ``[samples]``, float32; short ones end in silence.

        Raises
        ------
        Refusal
            When the kind holds no sound.
        """
        raise Refusal(f"{data.directory} holds {data.kind}, which has no sound to cut clips from")

    def split(
        self,
        batch: Batch[ItemT, FactsT],
        groups: list[str],
        labels: list[str],
        wanted: Held | None = None,
    ) -> None:
        """Give every item its split.

        Parameters
        ----------
        batch : Batch
            Whose items get ``split``.
        groups, labels : list of str
            Of each item; no group is cut, every label is on every side it can be.
        wanted : Held, optional
            Whose files are the test split and the validation split; the others are chosen by hash.
        """
        items: list[Item] = [*batch.items]
        chosen = splits.assign(groups, labels, [item.pop("given_split", None) for item in items])
        if wanted and wanted.hold_out:
            held = self._matching(batch, wanted.hold_out, "--hold-out")
            chosen = splits.hold_out(groups, chosen, held)
        if wanted and wanted.validate_on:
            held = self._matching(batch, wanted.validate_on, "--validate-on")
            chosen = splits.validate_on(groups, chosen, held)
        for item, split in zip(items, chosen, strict=True):
            item["split"] = split

    def _matching(self, batch: Batch[ItemT, FactsT], wanted: str, flag: str) -> list[bool]:
        """Which items' files match one of the patterns."""
        patterns = wanted.split(",")
        held = [any(fnmatch.fnmatchcase(i["file"], p) for p in patterns) for i in batch.items]
        if not any(held) or all(held):
            raise Refusal(
                f"{flag} {wanted} takes {'all' if any(held) else 'none'} of the files "
                f"of {self.source.root}; give a pattern of their paths, as in 'drummer7/*'"
            )
        return held

    def key(self, file: SourceFile, **more: Any) -> dict[str, Any]:
        """Tell what decides one file's result."""
        return {"step": STEP_VERSION, "file": file.relative, "sha256": file.sha256, "row": file.row, **more}


def held_out(wanted: Held) -> dict[str, str]:
    """Say what was held out, if anything was."""
    said = {"hold_out": wanted.hold_out, "validate_on": wanted.validate_on}
    return {name: pattern for name, pattern in said.items() if pattern}


def flags(kind: type[Preparation[Any, Any]]) -> list[dataclasses.Field[Any]]:
    """The fields of a kind's options that the command line may set."""
    return [one for one in dataclasses.fields(kind.options_type) if "says" in one.metadata]
