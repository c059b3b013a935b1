"""CV scripts: what the hands, the patch cables and the remote do over time, as a CSV table.

The first column is ``time`` in seconds; every other one is named after what it moves:

- ``knob_1`` position 0 … 1 and ``cv_1`` volts: straight lines between rows; a knob that has no column stands
  where the instrument's parameter rests without one, so that a board with fewer knobs sounds the same;
- ``gate_in_1``, ``button_1``: 0 or 1 (or volts), held until the next value;
- ``audio_in_1``: volts, straight lines (a sound is better given as a WAV);
- a parameter by its OSC address (``latent/3``, ``attribute/density``, ``mix``): position 0 … 1, set then;
- ``trigger`` (number of the part, from 1; a drum has one), ``clock``, ``reset``, ``preset`` (number, from 1),
  ``save``: events;
- ``trigger/2``: a stroke of that part, as hard as the value, 0 … 1;
- ``gate/fill``: a gate function by its name, held by the remote: 1 and 0.

An empty cell says nothing. What else a spreadsheet may write is in `firmware.script.cv_table`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.refusal import Refusal
from firmware.script.cv_table import Table, place
from hardware.board import Board

GATE_VOLTS = 5.0
EVENTS = {"trigger": 2, "clock": 3, "reset": 4, "preset": 6, "save": 7}  # PortCommand kinds, engine/port.h
SET, GATE = 1, 5
STROKE = re.compile(r"trigger/([1-9]|[12][0-9]|3[0-2])")
LONGEST_S = 3600.0
MOST_VOLTS = 100.0
"""More is a slip of the pen: no module gives or stands it."""


@dataclass
class Script:
    """A script, column by column, still in seconds.

    Attributes
    ----------
    columns : dict
        Knots of each column: times in seconds and values, shape (knots,) each.
    seconds : float
        Time of the last row.
    lines : dict
        Line of the file of each knot, by column; empty where the script is no file.
    """

    path: Path | None = None
    columns: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=dict)
    seconds: float = 0.0
    lines: dict[str, list[int]] = field(default_factory=dict)

    def place(self, name: str, knot: int) -> str:
        """Say where a value was written."""
        if self.path is None or name not in self.lines:
            return f"the script: {name}"
        return place(self.path, self.lines[name][knot], 1 + list(self.columns).index(name), name)


@dataclass(frozen=True)
class Event:
    """One command of the remote: PortCommand and the sample it belongs to."""

    tick: int
    kind: int
    index: int
    value: float


def read_script(path: Path) -> Script:
    """Read a CSV script.

    Raises
    ------
    Refusal
        No such file, no ``time`` column, a cell that is no finite number, time that runs backwards: with the
        line and the column.
    """
    table = Table(path)
    names = table.header.cells[1:]
    knots: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    script = Script(path, lines={name: [] for name in names})
    last = -math.inf
    for row in table:
        time = table.number(row, 0)
        if time is None or not 0.0 <= time <= LONGEST_S or time < last:
            raise Refusal(
                f"{path.name} line {row.line}: time must rise from row to row, from 0 to {LONGEST_S:.0f} s."
            )
        last = time
        for column, name in enumerate(names, 1):
            value = table.number(row, column)
            if value is not None:
                knots[name].append((time, value))
                script.lines[name].append(row.line)
    script.seconds = max(last, 0.0)
    for name, points in knots.items():
        array = np.array(points, np.float64).reshape(-1, 2)
        script.columns[name] = (array[:, 0], array[:, 1])
    return script


def script_text(script: Script) -> str:
    """Write a script as CSV that reads back the same, number by number."""
    names = list(script.columns)
    rows: dict[tuple[float, int], dict[str, float]] = {}
    for name, (times, values) in script.columns.items():
        at, turn = -1.0, 0
        for time, value in zip(times.tolist(), values.tolist(), strict=True):
            turn = turn + 1 if time == at else 0  # one column twice at one time takes two rows
            at = time
            rows.setdefault((time, turn), {})[name] = value
    rows.setdefault((script.seconds, len(rows)), {})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", *names])
    for (time, _), cells in sorted(rows.items(), key=lambda row: row[0]):
        writer.writerow([repr(time), *(repr(cells[name]) if name in cells else "" for name in names)])
    return text.getvalue()


def _check_ranges(script: Script, positions: Collection[str]) -> None:
    """Refuse what a file asks of a knob, a parameter or a jack and none of them can be."""
    for name in script.lines:
        values = script.columns[name][1]
        if name in EVENTS:
            continue
        low, high, unit = (0.0, 1.0, "") if name in positions else (-MOST_VOLTS, MOST_VOLTS, " V")
        wrong = np.flatnonzero((values < low) | (values > high))
        if len(wrong):
            at = int(wrong[0])
            what = "a position" if not unit else "a voltage"
            raise Refusal(
                f"{script.place(name, at)} is {values[at]:g}; {what} lies between {low:g} and {high:g}{unit}."
            )


@dataclass
class Signals:
    """A script as a board sees it.

    Attributes
    ----------
    inputs : array, shape (inputs, ticks), float32
        Converter readings 0 … 1, in the board's order.
    gates : array, shape (gates, ticks), float32
        Volts, gate inputs then buttons.
    audio : array, shape (channels, ticks), float32
        ±1 = full scale.
    events : list of Event
        Sorted by tick.
    """

    inputs: NDArray[np.float32]
    gates: NDArray[np.float32]
    audio: NDArray[np.float32]
    events: list[Event]


def signals(
    script: Script,
    board: Board,
    ticks: int,
    parameters: dict[str, int],
    sounds: Mapping[str, NDArray[np.float32]],
    resting: Mapping[str, float] | None = None,
    gates: Sequence[str] = (),
) -> Signals:
    """Turn a script into what a board's converters read.

    Parameters
    ----------
    script : Script
    board : Board
    ticks : int
        Length in samples.
    parameters : dict
        OSC address → parameter number.
    sounds : dict
        Jack → volts per sample (for ``audio_in_N``: ±1), from audio files; they win over the script.
    resting : dict, optional
        Knob → position where neither script nor sound names it; the others stand in their middle.
    gates : sequence of str
        Gate functions of the instrument's kind, in its order.

    Raises
    ------
    Refusal
        A column that names neither a jack of this board nor a parameter of this instrument; a position or a
        voltage of a file that is outside its range.
    """
    check(script, board, parameters, sounds, gates)
    made = readings(script, board, slice(0, ticks), sounds, resting)
    return replace(made, events=events(script, board, parameters, gates))


def check(
    script: Script,
    board: Board,
    parameters: Mapping[str, int],
    jacks: Collection[str],
    gates: Sequence[str] = (),
) -> None:
    """Refuse a column or a sound for nothing that is here, and a value outside its range; see `signals`."""
    gate_names = [gate.name for gate in board.gates_in] + [button.name for button in board.buttons]
    audio_names = [f"audio_in_{n + 1}" for n in range(board.audio.inputs)]
    known = [adc.name for adc in board.adcs] + gate_names + audio_names
    held = {f"gate/{gate}" for gate in gates}
    for name in [*script.columns, *jacks]:
        remote = name in parameters or name in EVENTS or name in held or STROKE.fullmatch(name)
        if name not in known and not remote:
            where = f"{script.path.name}: " if script.path and name in script.columns else ""
            raise Refusal(
                f"{where}there is no {name!r} here; {board.name} has {', '.join(known)}, and the instrument "
                f"{', '.join([*parameters, *sorted(held)])}."
            )
    knobs = [adc.name for adc in board.adcs if adc.kind == "knob"]
    strokes = [name for name in script.columns if STROKE.fullmatch(name)]
    _check_ranges(script, {*knobs, *parameters, *held, *strokes})


def readings(
    script: Script,
    board: Board,
    span: slice,
    sounds: Mapping[str, NDArray[np.float32]],
    resting: Mapping[str, float] | None = None,
) -> Signals:
    """Return what a board's converters read in a span of samples, without the events; see `signals`.

    Parameters
    ----------
    sounds : mapping
        Jack → volts in that span.
    """
    ticks = span.stop - span.start
    time = np.arange(span.start, span.stop) / board.audio.sample_rate_hz
    gate_names = [gate.name for gate in board.gates_in] + [button.name for button in board.buttons]
    audio_names = [f"audio_in_{n + 1}" for n in range(board.audio.inputs)]
    inputs = np.zeros((len(board.adcs), ticks), np.float32)
    for row, adc in enumerate(board.adcs):
        volts = sounds.get(adc.name)
        if volts is None:
            volts = _line(script, adc.name, time, None)
            if volts is None:  # nothing patched: 0 V
                rest = (resting or {}).get(adc.name, 0.5) if adc.kind == "knob" else 0.0
                volts = np.full(ticks, rest)
            if adc.kind == "knob":
                volts = adc.travel_low_volts + volts * (adc.travel_high_volts - adc.travel_low_volts)
        part = (volts - adc.low_volts) / (adc.high_volts - adc.low_volts)
        inputs[row] = np.clip(1.0 - part if adc.inverted else part, 0.0, 1.0)  # NaN stays NaN
    gates = np.zeros((len(gate_names), ticks), np.float32)
    for row, name in enumerate(gate_names):
        level = sounds.get(name)
        if level is None:
            level = _steps(script, name, time)
            level = np.where((level > 0) & (level <= 1), level * GATE_VOLTS, level)
        gates[row] = level
    audio = np.zeros((board.audio.inputs, ticks), np.float32)
    for row, name in enumerate(audio_names):
        if name in sounds:
            audio[row] = sounds[name]
        elif (volts := _line(script, name, time, None)) is not None:
            audio[row] = volts / board.audio.full_scale_volts_in
    return Signals(inputs, gates, audio, [])


def _line(script: Script, name: str, time: NDArray, default: float | None) -> NDArray | None:
    times, values = script.columns.get(name, (np.zeros(0), np.zeros(0)))
    if not len(times):
        return None if default is None else np.full(len(time), default)
    return np.interp(time, times, values)


def _steps(script: Script, name: str, time: NDArray) -> NDArray:
    times, values = script.columns.get(name, (np.zeros(0), np.zeros(0)))
    if not len(times):
        return np.zeros(len(time))
    at = np.searchsorted(times, time, side="right") - 1
    return np.where(at >= 0, values[np.maximum(at, 0)], 0.0)


def events(
    script: Script, board: Board, parameters: Mapping[str, int], gates: Sequence[str] = ()
) -> list[Event]:
    """Commands of the remote over the whole script, sorted by tick."""
    rate = board.audio.sample_rate_hz
    found = []
    for name, (times, values) in script.columns.items():
        for knot, (time, value) in enumerate(zip(times, values, strict=True)):
            if name in ("trigger", "preset", "save"):
                value = _whole(script, name, knot, value)
            command = command_of(name, float(value), parameters, gates)
            if command is None:
                break
            found.append(Event(round(float(time) * rate), *command))
    return sorted(found, key=lambda event: event.tick)


def command_of(
    name: str, value: float, parameters: Mapping[str, int], gates: Sequence[str] = ()
) -> tuple[int, int, float] | None:
    """Return kind, index and value of the PortCommand of a column; None for a jack, which is no command."""
    if name in parameters:
        return SET, parameters[name], value
    if stroke := STROKE.fullmatch(name):
        return EVENTS["trigger"], int(stroke[1]) - 1, value
    if name.startswith("gate/") and name.removeprefix("gate/") in gates:
        return GATE, gates.index(name.removeprefix("gate/")), value
    if name == "trigger":
        return EVENTS[name], int(value) - 1, 1.0
    if name in EVENTS:
        return EVENTS[name], int(value) - 1 if name in ("preset", "save") else 0, 0.0
    return None


def _whole(script: Script, name: str, knot: int, value: float) -> int:
    if not 1 <= value <= 32 or value != int(value):
        raise Refusal(f"{script.place(name, knot)} takes whole numbers from 1 to 32, not {value:g}.")
    return int(value)
