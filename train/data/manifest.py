"""What a data set says of itself: the shape of ``manifest.json``; a kind's file adds what it alone says."""

from __future__ import annotations

from typing import Any, Generic, NotRequired, TypedDict, TypeVar


class Item(TypedDict):
    """An entry of ``manifest.json``: what every kind says of an item. A kind's own file adds the rest.

    ``given_split`` is what the source says; it becomes ``split`` when all items are known.
    """

    name: str
    file: str
    group: str
    split: NotRequired[str]
    given_split: NotRequired[str]


class FileFacts(TypedDict):
    """What was found in a source file that is in; a kind's own file adds the rest."""

    file: str


class LeftOutFile(TypedDict):
    """A source file without a place in the data set, and why."""

    file: str
    reason: str


class Notes(TypedDict):
    """What is to be said of all items together: the number of groups that are kept whole, at least."""

    groups: int


class ArrayEntry(TypedDict):
    """Where an array lies below the data set's folder, and what it is."""

    file: str
    dtype: str
    shape: list[int]
    sha256: str


class Origin(TypedDict):
    """The folder that a data set was made from, and the hash over what was read there.

    A manifest that says under what licence and by whom is passed on to the runs trained on it.
    """

    path: str
    fingerprint: str
    licence: NotRequired[str]
    credits: NotRequired[list[str]]
    title: NotRequired[str]


ItemT = TypeVar("ItemT", bound=Item)
FactsT = TypeVar("FactsT", bound=FileFacts)
NotesT = TypeVar("NotesT", bound=Notes)


class HashedAs(TypedDict, total=False):
    """The word that the hash has for the kind, where it is not the kind's name."""

    hashed_as: str


class Manifest(HashedAs, Generic[ItemT, NotesT]):
    """``manifest.json``; ``hash`` and ``source`` are there as soon as it is in place.

    ``options`` are the kind's own, as they are hashed.
    """

    format: int
    kind: str
    sample_rate_hz: int
    options: dict[str, Any]
    items: list[ItemT]
    arrays: dict[str, ArrayEntry]
    left_out: list[LeftOutFile]
    notes: NotesT
    hash: NotRequired[str]
    source: NotRequired[Origin]
