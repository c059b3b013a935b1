"""What ``vaectrol evaluate`` reports, as ``report.json`` has it; each judge adds the figures of its kind."""

from __future__ import annotations

from typing import TypedDict


class Judged(TypedDict):
    """What every judge tells.

    Attributes
    ----------
    items : int
        How many were judged.
    split : str
        Which they are of.
    """

    items: int
    split: str


class JudgedData(TypedDict):
    """Which data set it was."""

    path: str
    hash: str


class Evaluation(Judged):
    """A judge's report with what it is about, and the version that made it."""

    version: str
    model: str
    kind: str
    data: JudgedData
