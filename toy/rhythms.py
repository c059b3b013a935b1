"""Two-bar drum patterns from written rules: styles, swing, ghosts, fills and a human hand.

A pattern is ``[27, 32]``: nine voices of onset (0 or 1), nine of velocity (0..1), nine of microtiming
(-0.5..0.5 of a sixteenth, late is positive). The rules are in ``styles.toml``; the factors that shaped each
pattern are kept beside it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.drums import PARTS

if TYPE_CHECKING:
    import mido

GM_NOTES = (36, 38, 42, 46, 43, 47, 50, 49, 51)  # General MIDI 1 percussion key map
STEPS = 32
TICKS_PER_BEAT = 480
TICKS_PER_STEP = TICKS_PER_BEAT // 4
TAKES_PER_PHRASE = 2
_VELOCITY = {"X": 0.92, "x": 0.72, "o": 0.62, "-": 0.52, "g": 0.26}


@dataclass(frozen=True)
class Factors:
    """What shaped one pattern; all in 0..1 but swing (share of its unit) and looseness (steps)."""

    complexity: float
    ghosts: float
    swing: float
    looseness: float
    dynamics: float
    fill: float


@dataclass(frozen=True)
class Pattern:
    """One generated pattern and its truth."""

    name: str
    style: str
    group: str
    meter: str
    steps: int
    bpm: float
    fill: bool
    factors: Factors
    grid: np.ndarray  # float32 [27, 32]


@cache
def styles() -> dict[str, dict]:
    """The rules, by style name."""
    return tomllib.loads(Path(__file__).with_name("styles.toml").read_text())


def _chance(mark: str, factors: Factors) -> float:
    """Probability that a mark sounds."""
    if mark in "Xx":
        return 1.0
    if mark == "o":
        return min(1.0, 0.25 + 0.7 * factors.complexity)
    if mark == "-":
        return 0.4 * factors.complexity
    return 0.9 * factors.ghosts if mark == "g" else 0.0


def _played(
    rule: dict, steps: int, factors: Factors, phrase: np.random.Generator, take: np.random.Generator
) -> np.ndarray:
    """Velocity [9, steps] before the hand, 0 where silent. Takes of a phrase share most choices."""
    velocity = np.zeros((len(PARTS), steps))
    for v, voice in enumerate(PARTS):
        row = rule.get(voice, "." * steps)
        shared, own = phrase.random(steps), take.random(steps)
        redraw = take.random(steps) < 0.12
        for step, mark in enumerate(row):
            if (own if redraw[step] else shared)[step] < _chance(mark, factors):
                velocity[v, step] = _VELOCITY[mark]
    return velocity


def _fill(velocity: np.ndarray, factors: Factors, rng: np.random.Generator) -> None:
    """Replace the end of the pattern by a run over the snare and down the toms, growing louder."""
    steps = velocity.shape[1]
    length = int(rng.choice([4, 6, 8, 12]))
    start = steps - length
    velocity[:, start:] = 0.0
    voices = [PARTS.index(name) for name in ("snare", "tom_high", "tom_mid", "tom_low")]
    for step in range(start, steps):
        along = (step - start) / length
        if step == start or rng.random() < 0.55 + 0.45 * factors.complexity:
            velocity[voices[min(3, int(4 * along + rng.uniform(-0.4, 0.4)))], step] = 0.55 + 0.4 * along
        if rng.random() < 0.15:
            velocity[PARTS.index("kick"), step] = 0.7
    velocity[PARTS.index("crash"), 0] = 0.9


def swung(steps: np.ndarray, unit: int, swing: float) -> np.ndarray:
    """Where each step falls, in steps, when the second of every two units comes late by ``swing`` units.

    What lies between is stretched and pressed together with it, as a player does: in a shuffle the sixteenth
    before the late eighth is late by half as much.
    """
    late = swing * unit
    place = steps % (2 * unit)
    first = place * (unit + late) / unit
    second = unit + late + (place - unit) * (unit - late) / unit
    return steps - place + np.where(place < unit, first, second)


def _hand(velocity: np.ndarray, rule: dict, factors: Factors, rng: np.random.Generator) -> np.ndarray:
    """Play a pattern: dynamics, swing and looseness; the grid of what was played, in MIDI's own precision.

    Returns
    -------
    float32 ndarray [27, 32]
        Velocities are multiples of 1/127, timings of 1/120 step.
    """
    voices, steps = velocity.shape
    spread = 0.03 + 0.12 * factors.dynamics
    accent = (velocity - 0.72) * (0.35 + 0.9 * factors.dynamics)
    loud = np.clip(np.round(127 * (0.72 + accent + spread * rng.standard_normal((voices, steps)))), 1, 127)
    when = swung(np.arange(steps), rule["swing_unit"], factors.swing)
    when = when + factors.looseness * rng.standard_normal((voices, steps))
    for voice, delay in rule.get("lay_back", {}).items():
        when[PARTS.index(voice)] += delay
    # nothing sounds before the pattern starts or after it ends
    ticks = np.clip(np.round(when * TICKS_PER_STEP), 0, (steps - 0.5) * TICKS_PER_STEP - 1)
    grid = np.zeros((3 * voices, STEPS), np.float32)
    for voice, step in zip(*np.nonzero(velocity), strict=True):
        at = int(np.floor(ticks[voice, step] / TICKS_PER_STEP + 0.5))
        if loud[voice, step] / 127 > grid[voices + voice, at]:  # a swung stroke may meet its neighbour
            grid[voice, at] = 1.0
            grid[voices + voice, at] = loud[voice, step] / 127
            grid[2 * voices + voice, at] = ticks[voice, step] / TICKS_PER_STEP - at
    return grid


def pattern(seed: int, index: int) -> Pattern:
    """Make item ``index`` of the set with that seed; it does not depend on how many others are made."""
    phrase, take = divmod(index, TAKES_PER_PHRASE)
    names = sorted(styles())
    style = names[phrase % len(names)]
    rule = styles()[style]
    of_phrase = np.random.default_rng([seed, 11, phrase])
    low, high = rule["swing"]
    factors = Factors(
        complexity=float(of_phrase.random()),
        ghosts=float(of_phrase.random()),
        swing=float(of_phrase.uniform(low, high)),
        looseness=float(of_phrase.uniform(0.0, 0.07)),
        dynamics=float(of_phrase.random()),
        fill=float(of_phrase.random() < 0.2),
    )
    bpm = float(round(of_phrase.uniform(*rule["bpm"])))
    steps = len(rule["kick"])
    rng = np.random.default_rng([seed, 12, index])
    velocity = _played(rule, steps, factors, of_phrase, rng)
    if factors.fill:
        _fill(velocity, factors, rng)
    opened = velocity[PARTS.index("hat_open")] > 0
    velocity[PARTS.index("hat_closed"), opened] = 0.0  # one pair of hats
    grid = _hand(velocity, rule, factors, rng)
    return Pattern(
        name=f"{style}_{phrase:05d}_{take}",
        style=style,
        group=f"{style}_{phrase:05d}",
        meter=rule["meter"],
        steps=steps,
        bpm=bpm,
        fill=bool(factors.fill),
        factors=factors,
        grid=grid,
    )


def patterns(seed: int, items: int) -> Iterator[Pattern]:
    """Yield the first ``items`` patterns of the set with that seed."""
    for index in range(items):
        yield pattern(seed, index)


def to_midi(one: Pattern) -> mido.MidiFile:
    """Render one pattern as a ``mido.MidiFile`` on channel 10, note lengths of half a step."""
    import mido

    events: list[tuple[int, int, int]] = []
    for voice, step in zip(*np.nonzero(one.grid[:9]), strict=True):
        tick = round((step + float(one.grid[18 + voice, step])) * TICKS_PER_STEP)
        velocity = round(127 * float(one.grid[9 + voice, step]))
        events.append((tick, GM_NOTES[voice], velocity))
        events.append((tick + TICKS_PER_STEP // 2, GM_NOTES[voice], 0))
    beats, unit = (int(part) for part in one.meter.split("/"))
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name=one.name))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(one.bpm)))
    track.append(mido.MetaMessage("time_signature", numerator=beats, denominator=unit))
    now = 0
    for tick, note, velocity in sorted(events, key=lambda event: (event[0], event[2] > 0, event[1])):
        track.append(mido.Message("note_on", channel=9, note=note, velocity=velocity, time=tick - now))
        now = tick
    end = max(now, one.steps * TICKS_PER_STEP)
    track.append(mido.MetaMessage("end_of_track", time=end - now))
    return mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT, tracks=[track])


def describe(one: Pattern) -> dict:
    """Manifest entry of one pattern."""
    return {
        "name": one.name,
        "style": one.style,
        "group": one.group,
        "meter": one.meter,
        "steps": one.steps,
        "bpm": one.bpm,
        "fill": one.fill,
        "factors": asdict(one.factors),
    }
