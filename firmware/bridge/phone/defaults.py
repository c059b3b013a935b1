"""What a phone moves where no mapping says: the first parameters by faders and tilt, the gates by pads."""

from __future__ import annotations

from collections.abc import Iterable

from firmware.bridge.mapping import Mapping, Rule
from firmware.bridge.targets import Targets
from firmware.script.cv_script import EVENTS

FADERS = ("fader_1", "fader_2", "fader_3")
MOTION = ("tilt_x", "tilt_y", "turn", "energy")
PADS = ("pad_1", "pad_2", "pad_3", "pad_4")
SMOOTHING_S = 0.03
"""Of what is moved by hand: a network delivers in bursts."""
STRIKES = ("trigger", "clock")
"""Gate functions that a shake may be, the best first."""


def with_defaults(mapping: Mapping, targets: Targets) -> Mapping:
    """Add rules for the phone, unless the mapping has some."""
    if any(rule.source.startswith("phone/") for rule in mapping.rules):
        return mapping
    return Mapping((*mapping.rules, *_rules(targets)), mapping.through)


def shown(mapping: Mapping) -> dict[str, str]:
    """What each thing on the phone's page moves, in words; what moves nothing is not there."""
    found: dict[str, list[str]] = {}
    for rule in mapping.rules:
        if rule.source.startswith("phone/"):
            found.setdefault(rule.source.removeprefix("phone/"), []).append(in_words(rule.target))
    return {name: ", ".join(words) for name, words in found.items()}


def in_words(target: str) -> str:
    """Write a target for people: ``latent/1`` is "latent 1"."""
    kind, _, rest = target.partition("@")[0].partition("/")
    if kind in ("osc", "midi"):
        return f"{kind.upper()} {rest.replace('/', ' ')}"
    words = rest if kind in ("gate", "attribute") else f"{kind} {rest}"
    return words.replace("/", " ").replace("_", " ").strip()


def _rules(targets: Targets) -> Iterable[Rule]:
    for names in (FADERS, MOTION):
        for name, parameter in zip(names, targets.parameters, strict=False):
            yield Rule(f"phone/{name}", parameter, "level", smoothing_s=SMOOTHING_S)
    for pad, gate in zip(PADS, targets.gates, strict=False):
        yield _rule(f"phone/{pad}", gate, targets)
    for gate in STRIKES:
        if gate in targets.gates:
            yield _rule("phone/shake", gate, targets)
            return


def _rule(source: str, gate: str, targets: Targets) -> Rule:
    """Let a source be a gate function: those that a remote strikes are struck, the others held."""
    column = f"gate/{gate}" if gate not in EVENTS else f"{gate}/1" if gate == "trigger" else gate
    manner = targets.manner(column)
    assert manner is not None
    return Rule(source, column, manner)
