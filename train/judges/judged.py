"""What a judge hands over: figures for machines, and what its page shows beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.measures import measure
from common.page import Page, Section, Sound, Value
from train.judges.reports import Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Judgement:
    """A model judged.

    Attributes
    ----------
    report : Judged
        What ``report.json`` holds.
    write_page : callable
        Writes the page's sections.
    groups : list of list of Sound
        Players that are compared with each other: one group an item or device.
    drawings : list of (str, Figure)
        Pictures, each with what it shows.
    """

    report: Judged
    write_page: Callable[[Page, Judgement], None]
    groups: list[list[Sound]] = field(default_factory=list)
    drawings: list[tuple[str, Figure]] = field(default_factory=list)


def write_measures(
    section: Section,
    whose: dict[str, dict[str, float]],
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
        [measure(key).title, *(measure(key).write(whose[who][key]) for who in shown)] for key in keys
    ]
    section.table(["measure", *(titles[who] for who in shown)], rows, note)


def share(value: float) -> str:
    """Write a share in percent."""
    return f"{100 * value:.0f} %"


def peak(dbfs: float) -> str:
    """Write the loudest sample of what should be silent."""
    return "silence" if dbfs <= -199.0 else f"{dbfs:.0f} dBFS".replace("-", "−")


def rank(value: float) -> str:
    """Write a correlation of ranks."""
    return f"{value:+.2f}".replace("-", "−")
