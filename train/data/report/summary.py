"""What ``report.json`` holds of a data set; ``report/KIND.py`` adds what the kind alone says."""

from __future__ import annotations

from typing import Literal, TypedDict

from train.data.manifest import FileFacts, LeftOutFile, Notes


class Opening(TypedDict):
    """How much there is, and the version that prepared it; ``hash`` is the data set's."""

    version: str
    kind: str
    hash: str
    items: int
    files: int
    other_files_passed_over: int
    splits: dict[str, int]
    notes: Notes


class FoundFinding(TypedDict):
    """A finding as the page has it; how grave it is, and the files it names."""

    level: Literal["fix", "look", "fine"]
    text: str
    files: list[str]


class Ending(TypedDict):
    """What to look at, what is not in, and what was found in each file that is."""

    findings: list[FoundFinding]
    left_out: list[LeftOutFile]
    per_file: list[FileFacts]


class Percentiles(TypedDict):
    """How a figure is spread: its 5th, 50th and 95th percentile."""

    p5: float
    median: float
    p95: float
