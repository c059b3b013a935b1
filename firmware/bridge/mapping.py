"""The mapping file: which source moves which target, and how. TOML, one ``[[map]]`` a rule.

    through = true              # what no rule names passes as it is: OSC, MIDI by the instrument's table

    [[map]]
    from = "phone/tilt_x"
    to = "latent/1"
    range = [0.2, 0.8]          # positions at the source's ends
    law = "s"                   # linear, square, cube, root, s
    dead_zone = 0.1             # part of the travel around the middle that is the middle
    smoothing_s = 0.05          # time constant of the glide

    [[map]]
    from = "midi/cc/74"
    to = "trigger/1"
    above = 0.5                 # strikes when it rises past this

Sources are called ``osc/ADDRESS`` (``osc/ADDRESS:2`` for its second number), ``midi/cc/N``, ``midi/note/N``,
``midi/pitch_bend``, ``midi/pressure``, ``phone/…``, ``script/COLUMN`` and ``instrument/…``; targets as
`firmware.bridge.targets` has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from common.reading.toml_source import read_toml
from firmware.bridge.curve import Curve
from firmware.bridge.targets import Manner, Targets

PHONE = (
    *("phone/tilt_x", "phone/tilt_y", "phone/turn", "phone/energy", "phone/shake"),
    *("phone/fader_1", "phone/fader_2", "phone/fader_3"),
    *("phone/pad_1", "phone/pad_2", "phone/pad_3", "phone/pad_4"),
)
"""What the phone's page says: positions 0 to 1, pads and shakes as strokes."""
SOURCE = re.compile(
    r"osc(/[^\s/:]+)+(:[1-9][0-9]?)?|midi/((cc|note)/[0-9]{1,3}|pitch_bend|pressure|clock|start|stop)"
    r"|script/[^\s]+|instrument/[^\s]+"
)
MOVING = re.compile(
    r"phone/(tilt_[xy]|turn|energy|fader_\d)|midi/(cc/\d+|pitch_bend|pressure)"
    r"|instrument/(position|value|out|load)/.*"
)
"""Sources that say where they are, all the time; the others say that something happened."""


class RuleTable(BaseModel):
    """One ``[[map]]`` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(alias="from")
    to: str
    input: tuple[float, float] = (0.0, 1.0)
    range: tuple[float, float] = (0.0, 1.0)
    law: Literal["linear", "square", "cube", "root", "s"] = "linear"
    dead_zone: float = Field(0.0, ge=0.0, le=0.9)
    smoothing_s: float = Field(0.0, ge=0.0, le=60.0)
    above: float | None = None
    value: float | None = None
    channel: int = Field(1, ge=1, le=16)

    @field_validator("input")
    @classmethod
    def _two_ends(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] == ends[1]:
            raise ValueError("both ends are the same")
        return ends


class MapFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    through: bool = True
    rules: list[RuleTable] = Field([], alias="map")


PLAIN = Curve()


@dataclass(frozen=True)
class Rule:
    """A rule that was found sound, for the targets that are here.

    Attributes
    ----------
    source, target : str
    manner : Manner
        Of the target.
    curve : Curve
    smoothing_s : float
        Time constant of a level's glide; 0 for none.
    above : float or None
        What a source must rise past before an event happens; None: every value above 0 is one.
    value : float or None
        What is sent where an event happens, in place of what the source said.
    """

    source: str
    target: str
    manner: Manner = "level"
    curve: Curve = PLAIN
    smoothing_s: float = 0.0
    above: float | None = None
    value: float | None = None


@dataclass(frozen=True)
class Mapping:
    """All rules, and whether what none of them names passes as it is."""

    rules: tuple[Rule, ...] = ()
    through: bool = True


def read_mapping(path: Path, targets: Targets) -> Mapping:
    """Read a mapping file.

    Raises
    ------
    Refusal
        No such file, no TOML, a source or a target that is not here, a value that cannot be: with its line.
    """
    located = read_toml(path)
    file = located.validated(MapFile)
    rules = []
    for number, rule in enumerate(file.rules):
        if wrong := source_complaint(rule.source):
            raise located.refusal(("map", number, "from"), wrong)
        if wrong := targets.complaint(rule.to):
            raise located.refusal(("map", number, "to"), wrong)
        manner = targets.manner(rule.to)
        assert manner is not None
        if wrong := _event_complaint(rule, manner, targets):
            raise located.refusal(("map", number, "to"), wrong)
        if rule.to in targets.parameters and not all(0.0 <= end <= 1.0 for end in rule.range):
            raise located.refusal(("map", number, "range"), "positions of a parameter lie between 0 and 1")
        rules.append(
            Rule(
                rule.source,
                f"{rule.to}@{rule.channel}" if rule.to.startswith("midi/") else rule.to,
                manner,
                Curve(rule.input, rule.dead_zone, rule.law, rule.range),
                rule.smoothing_s,
                rule.above,
                rule.value,
            )
        )
    return Mapping(tuple(rules), file.through)


def source_complaint(source: str) -> str:
    """Say what is wrong with the name of a source; "" for nothing."""
    if source in PHONE or SOURCE.fullmatch(source):
        return ""
    if source.startswith("phone/"):
        return f"the phone says no {source!r}; it says {', '.join(PHONE)}"
    return (
        f"there is no source {source!r}; write osc/ADDRESS, midi/cc/N, midi/note/N, script/COLUMN, "
        f"instrument/… or one of {', '.join(PHONE)}"
    )


def _event_complaint(rule: RuleTable, manner: Manner, targets: Targets) -> str:
    if manner == "level":
        said = rule.above is not None or rule.value is not None
        return f"above and value are for what happens, and {rule.to} is a level" if said else ""
    if manner == "number" and not (
        rule.value is not None and rule.value == int(rule.value) and 1 <= rule.value <= targets.presets
    ):
        return f"say which preset, as value = 1; there are 1 to {targets.presets}"
    if rule.above is None and manner != "gate" and MOVING.fullmatch(rule.source):
        return f"{rule.source} moves all the time; say where {rule.to} happens, as above = 0.5"
    return ""
