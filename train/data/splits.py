"""Who goes to train, validation and test: whole instruments, kits or phrases, never single files."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from train.data.store import SPLITS

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.1
# No split takes a group that alone is more than this share of its class, while there are others
LARGEST_HELD_OUT = 0.25


def joined(groups: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Merge groups that hold near-duplicates of each other.

    Parameters
    ----------
    groups : sequence of str
        Group of each item.
    pairs : iterable of (int, int)
        Items that are near-duplicates.

    Returns
    -------
    list of str
        Group of each item: the first name, in alphabet, of all that were merged.
    """
    parent = {name: name for name in groups}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for i, j in pairs:
        a, b = sorted((root(groups[i]), root(groups[j])))
        parent[b] = a
    return [root(name) for name in groups]


def assign(groups: Sequence[str], classes: Sequence[str], given: Sequence[str | None]) -> list[str]:
    """Choose a split for every item so that no group is cut and every class is on every side it can be.

    Parameters
    ----------
    groups, classes : sequence of str
        Of each item.
    given : sequence of str or None
        Split that the source's own manifest names. Used when it names at least two different ones.

    Returns
    -------
    list of str

    Notes
    -----
    Within a class, groups are taken in the order of the hash of their names: adding a kit does not reshuffle
    the others.
    """
    if len({split for split in given if split}) >= 2:
        return _given(groups, given)
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, classes, strict=True):
        count[group][label] += 1
    home = {group: labels.most_common(1)[0][0] for group, labels in count.items()}
    chosen: dict[str, str] = {}
    for label in sorted(set(home.values())):
        members = sorted(
            (group for group in home if home[group] == label),
            key=lambda group: hashlib.sha256(group.encode()).hexdigest(),
        )
        total = sum(count[group].total() for group in members)
        for split, share, needed in (("test", TEST_SHARE, 2), ("validation", VALIDATION_SHARE, 3)):
            if len(members) < needed:
                continue
            free = [group for group in members if group not in chosen]
            small = [group for group in free if count[group].total() <= LARGEST_HELD_OUT * total]
            # at least one group, the smallest when all are large; never the last one left to train on
            candidates = small or sorted(free, key=lambda group: count[group].total())[:1]
            taken = 0
            left = len(free)
            for group in candidates:
                size = count[group].total()
                if taken and taken + size > 1.25 * share * total:
                    continue
                if left == 1 or taken >= share * total:
                    break
                chosen[group] = split
                taken += size
                left -= 1
    return [chosen.get(group, "train") for group in groups]


def _given(groups: Sequence[str], given: Sequence[str | None]) -> list[str]:
    """Follow the manifest; a group that it cuts goes whole to where most of it is."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    names = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test"}
    for group, split in zip(groups, given, strict=True):
        name = names.get(str(split).lower(), str(split).lower())
        votes[group][name if name in SPLITS else "train"] += 1
    winner = {group: max(SPLITS, key=lambda split: vote[split]) for group, vote in votes.items()}
    return [winner[group] for group in groups]


def hold_out(groups: Sequence[str], chosen: Sequence[str], held: Sequence[bool]) -> list[str]:
    """Make the held items the test split, and train on what was to be tested on.

    Parameters
    ----------
    groups, chosen : sequence of str
        Group and split of each item.
    held : sequence of bool
        Whether it is held out; its whole group goes with it.

    Returns
    -------
    list of str
    """
    return _put(groups, chosen, held, "test")


def validate_on(groups: Sequence[str], chosen: Sequence[str], held: Sequence[bool]) -> list[str]:
    """Make the held items the validation split, and train on what was to be validated on.

    Parameters
    ----------
    groups, chosen : sequence of str
        Group and split of each item.
    held : sequence of bool
        Whether it is held; its whole group goes with it, unless the group is tested on.

    Returns
    -------
    list of str
    """
    tested = [split == "test" for split in chosen]
    return _put(groups, chosen, [h and not t for h, t in zip(held, tested, strict=True)], "validation")


def _put(groups: Sequence[str], chosen: Sequence[str], held: Sequence[bool], side: str) -> list[str]:
    """Fill one split with the groups that are held, and train on what was in it."""
    gone = {group for group, out in zip(groups, held, strict=True) if out}
    return [
        side if group in gone else "train" if split == side else split
        for group, split in zip(groups, chosen, strict=True)
    ]


def by_time(parts: int) -> list[str]:
    """Splits of consecutive pieces of one recording: first 80 % train, then validation, then test."""
    return [
        "train" if (index + 0.5) / parts < 0.8 else "validation" if (index + 0.5) / parts < 0.9 else "test"
        for index in range(parts)
    ]
