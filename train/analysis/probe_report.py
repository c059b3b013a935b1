"""What ``vaectrol probe`` reports, as it stands in ``probes.json``."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from train.judges.reports import JudgedData

From = Literal["from_point", "from_difference"]
WAYS: tuple[tuple[From, str], ...] = (("from_point", "R²"), ("from_difference", "of the difference"))


class LinearProbe(TypedDict):
    """What a probe explains, what chance does, and the unit vector of its weights."""

    r2: float
    chance: float
    direction: list[float]


class ProbeRow(TypedDict):
    """The probes of one parameter of one effect; a difference needs dry clips."""

    effect: str
    parameter: str
    clips: int
    tested_clips: int
    from_point: LinearProbe
    from_difference: NotRequired[LinearProbe]


class Neighbours(TypedDict):
    """How often neighbours name a clip rightly, and how often the commonest name is right."""

    accuracy: float
    commonest: float
    names: int


class ProbedRun(TypedDict):
    """One run's latents."""

    run: str
    name: str
    latents: int
    score: float
    neighbours: dict[str, Neighbours]
    probes: list[ProbeRow]


class ProbeReport(TypedDict):
    """What ``probes.json`` holds."""

    data: JudgedData
    split: str
    runs: list[ProbedRun]
