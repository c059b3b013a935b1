"""Calibrate a CV input: known volts at the jack, one at a time, checked before they are believed.

A CV output is calibrated through an input that is calibrated already: with a cable from the one to the other
the module holds the output at one voltage after another (`firmware/engine/control/trims.h`).

Two points (1 V and 3 V) remove gain and offset; points an octave apart also remove the bend. What is measured
is the mean converter code; the module draws straight lines between the points and stores them
(`firmware/engine/control/calibration.h`).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from common.refusal import ModuleGone, Refusal
from hardware.board import Adc, Board, Dac
from hardware.protocol import Link

CENTS_PER_VOLT = 1200.0
TWO_POINTS = (1.0, 3.0)
NEAR_VOLTS = 0.5
"""Farther from what was asked for, it is another voltage or another jack."""
RAIL_CODE = 0.001
"""Nearer to either end of the converter, the reading says nothing about the voltage."""
STILL_VOLTS = 0.02
"""A voltage that moves by more between readings is a sequence or an LFO, not a reference."""
FROM_END_VOLTS = 0.5
"""How near to the ends of its converter an output is measured; parts may end early."""
OUTPUT_POINTS = 9
READINGS = 8
READING_S = 0.08
HOLD_S = 0.1
"""Until a held output stands still and has been read."""
HOLD_TRIES = 20
HOLD_BLOCKS = 50
"""Blocks that a module has rendered before its output is read: a simulated one may lag behind the clock."""


@dataclass(frozen=True)
class Measured:
    """One point: the code read for known volts, its spread, and what the module said it was before."""

    volts: float
    code: float
    spread_volts: float
    said_volts: float


@dataclass(frozen=True)
class Outcome:
    """A finished calibration of one jack; errors in cents of 1 V/octave."""

    jack: str
    points: tuple[Measured, ...]
    before_cents: tuple[float, ...]
    after_cents: tuple[float, ...]
    between_cents: float | None
    """Largest error between the points: of an input at a point that is left out, of an output as measured."""
    stored: bool
    why_not: str


def octave_points(adc: Adc) -> tuple[float, ...]:
    """One point per volt inside the converter's range, away from its ends; eleven at most."""
    low = math.ceil(adc.low_volts + 0.25)
    high = math.floor(adc.high_volts - 0.25)
    return tuple(float(volts) for volts in range(low, high + 1))[-11:]


def line_through(points: Sequence[tuple[float, float]], code: float) -> float:
    """Volts of `code` on the straight lines between (code, volts) points; the outer lines go on."""
    ordered = sorted(points)
    at = 1
    while at + 1 < len(ordered) and code > ordered[at][0]:
        at += 1
    (code_0, volts_0), (code_1, volts_1) = ordered[at - 1], ordered[at]
    return volts_0 + (code - code_0) * (volts_1 - volts_0) / (code_1 - code_0)


def left_out_cents(points: Sequence[Measured]) -> float | None:
    """Largest error in cents when each inner point is predicted from the others; None below three points."""
    ordered = sorted(points, key=lambda point: point.code)
    errors = [
        CENTS_PER_VOLT
        * abs(line_through([(p.code, p.volts) for p in ordered if p is not one], one.code) - one.volts)
        for one in ordered[1:-1]
    ]
    return max(errors) if errors else None


def measure(link: Link, index: int, adc: Adc, volts: float) -> Measured:
    """Read one input while `volts` are patched into it.

    Raises
    ------
    Refusal
        The reading moves, sits at the converter's end, or is not near `volts`.
    """
    link.report()  # starts the module's averaging afresh
    codes, said = [], []
    for _ in range(READINGS):
        time.sleep(READING_S)
        report = link.report()
        reported = report.volts[index]
        if len(report.codes) <= index or report.over == 0 or reported is None:
            raise Refusal(f"{link.device}: the module sends no converter codes; is its audio running?")
        codes.append(report.codes[index])
        said.append(reported)
    code = statistics.fmean(codes)
    seen = adc.volts(code * adc.full_code)
    spread = (max(codes) - min(codes)) * (adc.high_volts - adc.low_volts)
    name = f"{adc.name} ({adc.silk})"
    if not RAIL_CODE < code < 1.0 - RAIL_CODE:
        raise Refusal(
            f"{name} is at the end of its range with {volts:g} V asked for; its converter reads "
            f"{adc.low_volts:g} to {adc.high_volts:g} V: use a voltage well inside that."
        )
    if spread > STILL_VOLTS:
        raise Refusal(
            f"{name} moved by {spread * 1000:.0f} mV while it was read; patch a voltage that stands still."
        )
    if abs(seen - volts) > NEAR_VOLTS:
        raise Refusal(
            f"{name} reads about {seen:.2f} V where {volts:g} V was asked for; is the cable in that jack, "
            "and is the source right?"
        )
    return Measured(volts, code, spread, statistics.fmean(said))


def input_index(board: Board, inputs: int, name: str) -> int:
    """Return the module's number of the input called `name`, by our name or by its silk screen."""
    for index, adc in enumerate(board.adcs[:inputs]):
        if name.lower() in (adc.name, adc.silk.lower()):
            if adc.kind == "knob":
                raise Refusal(f"{name} is a knob; only CV inputs are calibrated.")
            return index
    choices = ", ".join(adc.name for adc in board.adcs[:inputs] if adc.kind == "cv")
    raise Refusal(f"{board.name} has no CV input {name!r} in this instrument; it has {choices or 'none'}.")


def calibrate(
    link: Link,
    board: Board,
    name: str,
    voltages: Sequence[float],
    patch: Callable[[Adc, float], float],
    say: Callable[[str], None] = lambda _: None,
    tries: int = 3,
) -> Outcome:
    """Lead through the calibration of one input.

    Parameters
    ----------
    link, board : the open port and the board it is.
    name : str
        `cv_1`, or the silk screen's name.
    voltages : sequence of float
        What to patch, in volts; two or more.
    patch : callable
        Asks for a voltage at the jack; returns the volts that are really there (a meter may know better).
    say : callable
        Is told why a point was not taken, before it is asked for again.
    tries : int
        How often one point is asked for.

    Raises
    ------
    Refusal
        A point stays implausible, or the module does not take the points; the old calibration then stands.
    """
    if len(voltages) < 2 or len(set(voltages)) != len(voltages):
        raise Refusal("a calibration needs at least two different voltages; the usual ones are 1 and 3.")
    if len(voltages) > 11:
        raise Refusal(f"a module keeps at most 11 points of an input; {len(voltages)} were asked for.")
    hello = link.hello()
    index = input_index(board, hello.inputs, name)
    adc = board.adcs[index]
    measured: list[Measured] = []
    for volts in voltages:
        for attempt in range(tries):
            real_volts = patch(adc, volts)
            try:
                measured.append(measure(link, index, adc, real_volts))
                break
            except Refusal as refusal:
                gone = isinstance(refusal, ModuleGone)
                if gone or attempt + 1 == tries:
                    told = f"{refusal} The old calibration stands."
                    raise (ModuleGone(told) if gone else Refusal(told)) from refusal
                say(str(refusal))
    return _hand_over(link, index, adc, measured)


def _hand_over(link: Link, index: int, adc: Adc, measured: list[Measured]) -> Outcome:
    points = [(point.code, point.volts) for point in measured]
    answer, kept = _store(link, adc.name, points, input=index)
    return Outcome(
        jack=adc.name,
        points=tuple(measured),
        before_cents=tuple(CENTS_PER_VOLT * (point.said_volts - point.volts) for point in measured),
        after_cents=tuple(
            CENTS_PER_VOLT * (line_through(kept, point.code) - point.volts) for point in measured
        ),
        between_cents=left_out_cents(measured),
        stored=answer.get("stored") is True,
        why_not=str(answer.get("why", "")),
    )


def _store(
    link: Link, name: str, points: Sequence[tuple[float, float]], **jack: int
) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """Hand points over; return the module's answer and what it keeps."""
    rounded = [[round(code, 7), round(volts, 6)] for code, volts in points]
    answer = link.ask("calibrate", timeout_s=5.0, points=rounded, **jack)
    taken = link.ask("calibration", **jack).get("points", [])
    if len(taken) != len(points):
        raise Refusal(f"{name}: the module keeps {len(taken)} points of {len(points)}; try again.")
    return answer, [(float(code), float(volts)) for code, volts in taken]


# Outputs ------------------------------------------------------------------------------------------


def output_index(board: Board, outputs: int, name: str) -> int | None:
    """Return the module's number of the CV output called `name`, by our name or by its silk screen."""
    for index, dac in enumerate(board.dacs[:outputs]):
        if name.lower() in (dac.name, dac.silk.lower()):
            return index
    return None


def output_points(dac: Dac, adc: Adc) -> tuple[float, ...]:
    """Volts to ask an output for: inside the ends of its converter and of the one that measures it."""
    low = max(dac.low_volts, adc.low_volts) + FROM_END_VOLTS
    high = min(dac.high_volts, adc.high_volts) - FROM_END_VOLTS
    if high - low < 1.0:
        raise Refusal(
            f"{dac.name} goes from {dac.low_volts:g} to {dac.high_volts:g} V and {adc.name} reads "
            f"{adc.low_volts:g} to {adc.high_volts:g} V; choose an input that reads what the output says."
        )
    step = (high - low) / (OUTPUT_POINTS - 1)
    return tuple(low + step * i for i in range(OUTPUT_POINTS))


def calibrate_output(
    link: Link,
    board: Board,
    name: str,
    through: str,
    patch: Callable[[Dac, Adc], None],
) -> Outcome:
    """Calibrate a CV output through a calibrated input that hears it.

    Parameters
    ----------
    link, board : the open port and the board it is.
    name, through : str
        `cv_out_1` and `cv_5`, or the silk screen's names.
    patch : callable
        Asks for the cable from the one to the other.

    Raises
    ------
    Refusal
        The input is not calibrated, the cable is not there, or the module does not take the points; the old
        calibration then stands.
    """
    hello = link.hello()
    output = output_index(board, hello.cv_outs, name)
    if output is None:
        choices = ", ".join(dac.name for dac in board.dacs[: hello.cv_outs])
        raise Refusal(f"{board.name} has no CV output {name!r}; it has {choices or 'none'}.")
    index = input_index(board, hello.inputs, through)
    dac, adc = board.dacs[output], board.adcs[index]
    asked = output_points(dac, adc)
    kept = link.ask("calibration", input=index).get("points", [])
    ends = sorted(volts for _, volts in kept)
    if len(kept) <= 2 and ends == sorted((adc.low_volts, adc.high_volts)):
        raise Refusal(
            f"{adc.name} is not calibrated, and an output is only as true as the input that measures it; "
            f"first: vaectrol calibrate {adc.name} --at=octaves."
        )
    patch(dac, adc)
    try:
        before = [_held(link, output, index, adc, volts, raw=True) for volts in asked]
        span = dac.high_volts - dac.low_volts
        points = [((p.said_volts - dac.low_volts) / span, p.volts) for p in before]
        answer, _ = _store(link, dac.name, points, output=output)
        after = [_held(link, output, index, adc, volts, raw=False) for volts in asked]
        middles = [(low + high) / 2 for low, high in pairwise(asked)]
        between = [_held(link, output, index, adc, volts, raw=False) for volts in middles]
    except ModuleGone:
        raise
    except Refusal as refusal:
        raise Refusal(f"{refusal} The cable goes from {dac.silk} to {adc.silk}.") from refusal
    finally:
        with suppress(Refusal):
            link.ask("hold")
    return Outcome(
        jack=dac.name,
        points=tuple(before),
        before_cents=tuple(_cents(before)),
        after_cents=tuple(_cents(after)),
        between_cents=max(map(abs, _cents(between))),
        stored=answer.get("stored") is True,
        why_not=str(answer.get("why", "")),
    )


def _cents(points: Sequence[Measured]) -> list[float]:
    return [CENTS_PER_VOLT * (point.said_volts - point.volts) for point in points]


def _held(link: Link, output: int, index: int, adc: Adc, volts: float, *, raw: bool) -> Measured:
    """Measure what comes when an output is held at `volts`."""
    link.ask("hold", output=output, volts=round(volts, 6), raw=int(raw))
    begun = link.report().blocks
    for _ in range(HOLD_TRIES):
        time.sleep(HOLD_S)
        if link.report().blocks - begun >= HOLD_BLOCKS:
            break
    return measure(link, index, adc, volts)
