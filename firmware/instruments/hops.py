"""Work that is done hop by hop, spread over the next hop so that every callback does its share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from firmware.compiler.passes.split_sound import TICKS_PER_HOP
from firmware.compiler.report import Report

HOP = 256
CALLS = 16
"""Parts into which the ticks of a network are called."""
CALL_CYCLES = 400
"""Of every such call, beside the layers."""
HEAR_CYCLES = (6_500, 6_100, 6_100, 6_100, 8_700, 4_300, 4_200, 4_200, 3_900)
"""Of the pieces of hearing (``engine/dsp/ear.h``) on a Cortex-M7, counted by `vaectrol emulate`."""
GRID = 8
"""Samples between which nothing falls due."""


@dataclass(frozen=True)
class Step:
    """A part of a stage: what the engine is told, and what it costs."""

    stage: str
    part: int
    cycles: float


def hop_cycles(report: Report) -> float:
    """Cycles of one hop of a network."""
    ticks = max(1, int(report["block"] * Fraction(report["ticks_per_sample"])))
    return report["cycles_per_callback"]["mean"] * TICKS_PER_HOP / ticks


def network_steps(stage: str, report: Report) -> list[Step]:
    """A network as steps of a stage, each of some ticks."""
    return [Step(stage, TICKS_PER_HOP // CALLS, hop_cycles(report) / CALLS + CALL_CYCLES)] * CALLS


def placed(found: Sequence[Step], begin_cycles: float) -> tuple[tuple[int, str, int], ...]:
    """Spread the steps of a hop evenly over it: when each is due, its stage and its part."""
    due = dues([step.cycles for step in found], begin_cycles)
    return tuple((at, step.stage, step.part) for at, step in zip(due, found, strict=True))


def load_of(
    found: Sequence[Step], begin_cycles: float, steps: Sequence[tuple[int, str, int]], block: int
) -> tuple[float, float]:
    """Mean and most cycles of a callback, by steps that were :func:`placed`."""
    cycles = [begin_cycles, *(step.cycles for step in found)]
    due = (0, *(at for at, _, _ in steps))
    return sum(cycles) * block / HOP, peak(due, cycles, block)


def dues(cycles: Sequence[float], begin_cycles: float) -> tuple[int, ...]:
    """Samples after which each step is due: so that those done by then are as many as the time allows.

    The hop begins with `begin_cycles`, for which the steps wait.
    """
    total = sum(cycles) + begin_cycles
    before = begin_cycles + np.concatenate([[0.0], np.cumsum(cycles)[:-1]])
    slots = np.floor(HOP / GRID * before / total)
    return tuple(int(v) for v in GRID * np.minimum(slots, HOP // GRID - 1))


def peak(due: Sequence[int], cycles: Sequence[float], block: int) -> float:
    """Most cycles of steps that fall into one callback, wherever in it a hop ends."""
    worst = 0.0
    for first in range(0, HOP):
        worst = max(worst, sum(c for d, c in zip(due, cycles, strict=True) if (d - first) % HOP < block))
    return worst
