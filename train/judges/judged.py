"""What a judge hands over: figures for machines, and what its page shows beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from common.measures import measure
from common.page import Page, Section, Sound, Value
from train.judges.reports import Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ReportT = TypeVar("ReportT", bound=Judged)


@dataclass(frozen=True)
class Gallery:
    """Many made sounds above as many real ones.

    Attributes
    ----------
    name : str
        What they are of.
    picture : Path
        Their spectrograms.
    made, real : str
        Files beside the page with the sounds, one after the other.
    """

    name: str
    picture: Path
    made: str
    real: str


@dataclass
class Judgement(Generic[ReportT]):
    """A model judged.

    Attributes
    ----------
    report : dict
        What ``report.json`` holds.
    write_page : callable
        Writes the page's sections.
    groups : list of list of Sound
        Players that are compared with each other: one group an item or device.
    drawings : list of (str, Figure)
        Pictures, each with what it shows.
    galleries : list of Gallery
        Made beside real, by class.
    """

    report: ReportT
    write_page: Callable[[Page, Judgement[ReportT]], None]
    groups: list[list[Sound]] = field(default_factory=list)
    drawings: list[tuple[str, Figure]] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)


def write_measures(
    section: Section,
    whose: Mapping[str, Mapping[str, object]],
    titles: dict[str, str],
    keys: Sequence[str],
    note: str,
) -> None:
    """Put measures below each other, and who has them side by side.

    Parameters
    ----------
    whose : dict
        Key of the report → its figures by key.
    titles : dict
        Keys of `whose` → column titles; those that are there are shown, in this order.
    keys : sequence of str
        Measures to show.
    """
    shown = [who for who in titles if who in whose]
    rows: list[list[Value]] = [
        [measure(key).title, *(measure(key).write(cast(float, whose[who][key])) for who in shown)]
        for key in keys
    ]
    section.table(["measure", *(titles[who] for who in shown)], rows, note)


def share(value: float) -> str:
    """Write a share in percent; NaN is none."""
    return "–" if math.isnan(value) else f"{100 * value:.0f} %"


def peak(dbfs: float) -> str:
    """Write the loudest sample of what should be silent."""
    return "silence" if dbfs <= -199.0 else f"{dbfs:.0f} dBFS".replace("-", "−")


def rank(value: float) -> str:
    """Write a correlation of ranks."""
    return "–" if math.isnan(value) else f"{value:+.2f}".replace("-", "−")
