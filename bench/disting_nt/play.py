"""A script played by plug-ins in the module that is not there, and what this computer makes of the same.

Buses are floats of volts: a script's signals are first rounded to what a bus and a parameter of the plug-
in can say, and both then play exactly that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bench.disting_nt.host import BUSES, FASTEST, Instance, Module
from common.refusal import DoesNotFit
from firmware.build import Built
from firmware.play.host import Rendered
from firmware.ports.disting_nt.rows import Row, rows_of, travel_of
from firmware.script.cv_script import EVENTS, SET, Event, Signals

KNOB_MARGIN = np.float32(0.005)
"""As in signals.c, which has it from control/panel.c."""
TRAVEL_STEP = np.float32(1.0 / 1000.0)
GATE_VOLTS = 5.0
NO_BUS = 0


@dataclass
class Patch:
    """Which bus each jack of an instance is on.

    Attributes
    ----------
    rows : list of Row
    bus : dict of int to int
        Row → bus from 1; inputs that several instances share are the same in each.
    """

    rows: list[Row]
    bus: dict[int, int] = field(default_factory=dict)

    def apply(self, module: Module, instance: Instance) -> None:
        """Set the parameters of an instance."""
        for number, bus in self.bus.items():
            module.set(instance, number, bus)


def patches(built: Built, count: int = 1) -> list[Patch]:
    """Give every jack that plays a bus: inputs shared by all instances, outputs each their own."""
    rows = rows_of(built, built.counters)
    free = iter(range(1, BUSES + 1))
    inputs = {n: next(free) for n, row in enumerate(rows) if row.kind.endswith("_IN")}
    made = []
    for _ in range(count):
        outputs = {n: next(free, NO_BUS) for n, row in enumerate(rows) if row.kind.endswith("_OUT")}
        made.append(Patch(rows, {**inputs, **outputs}))
    return made


def as_played(played: Signals, built: Built, block: int) -> tuple[Signals, dict[int, NDArray[np.int64]]]:
    """Round a script to what buses and parameters can say, step by step.

    Returns
    -------
    signals : Signals
        What the instrument reads, on any machine.
    values : dict of int to array, shape (ticks,)
        Row → value of the plug-in's parameter in every sample, for rows that are knobs.
    """
    rows = rows_of(built, built.counters)
    board = built.board
    inputs = played.inputs.copy()
    commands = without_presets(played.events, [one.rest for one in built.assignment.parameters])
    values: dict[int, NDArray[np.int64]] = {}
    for index, adc in enumerate(board.adcs):
        span = np.float32(adc.high_volts - adc.low_volts)
        if adc.kind == "cv":
            volts = (inputs[index].astype(np.float64) * float(span) + adc.low_volts).astype(np.float32)
            inputs[index] = (volts - np.float32(adc.low_volts)) / span
    for number, row in enumerate(rows):
        if row.kind != "ROW_KNOB":
            continue
        travel = (inputs[row.index].astype(np.float64) - 0.005) / 0.99
        for event in commands:  # what a remote would set, the plug-in's own parameter is turned to
            if event.kind == SET and built.assignment.parameters[event.index].knob == row.index:
                travel[event.tick // block * block :] = event.value
        steps = np.floor(np.clip(travel, 0.0, 1.0) * row.most + 0.5).astype(np.int64)
        values[number] = steps
        inputs[row.index] = knob_reading(row, steps)
    events = [
        replace(e, value=_set_value(rows, e)) if e.kind == SET else e
        for e in commands
        if e.kind != SET or built.assignment.parameters[e.index].knob < 0
    ]
    return Signals(inputs, played.gates, played.audio, events), values


def without_presets(events: Sequence[Event], rests: Sequence[float]) -> list[Event]:
    """Replace the engine's presets by what they recall: a module keeps presets of its own."""
    now = list(rests)
    kept: dict[int, list[float]] = {}
    made = []
    for event in events:
        if event.kind == EVENTS["save"]:
            kept[event.index] = list(now)
        elif event.kind == EVENTS["preset"]:
            for index, value in enumerate(kept.get(event.index, now)):
                if value != now[index]:
                    now[index] = value
                    made.append(Event(event.tick, SET, index, value))
        else:
            if event.kind == SET:
                now[event.index] = event.value
            made.append(event)
    return made


def knob_reading(row: Row, value: NDArray[np.int64]) -> NDArray[np.float32]:
    """What signals.c makes of a knob's value, in its own arithmetic."""
    plain = value.astype(np.float32)
    travel = plain / np.float32(row.most) if row.names else plain * TRAVEL_STEP
    margin = np.float32(1.0) - np.float32(2.0) * KNOB_MARGIN
    reading = KNOB_MARGIN + travel * margin
    return np.where(value == row.default, np.float32(row.rest), reading).astype(np.float32)


def _set_value(rows: Sequence[Row], event: Event) -> float:
    """Position that a parameter of the plug-in has after a script set it."""
    row = next((row for row in rows if row.kind == "ROW_SET" and row.index == event.index), None)
    if row is None:
        return event.value
    value = travel_of(row, event.value)
    if value == row.default:
        return float(np.float32(row.rest))
    step = np.float32(value) / np.float32(row.most) if row.names else np.float32(value) * TRAVEL_STEP
    return float(step)


def _added(module: Module, level: int) -> Instance:
    """Add an instance as a player would: with less in fast memory where there is not enough left."""
    try:
        return module.add(level)
    except DoesNotFit:
        if level == 0:
            raise
        return _added(module, level - 1)


def _all_added(module: Module, count: int, level: int) -> list[Instance]:
    """Add instances side by side: where the last has no room, the first have less in fast memory too."""
    instances: list[Instance] = []
    try:
        for _ in range(count):
            instances.append(_added(module, level))
    except DoesNotFit:
        for instance in instances:
            module.remove(instance)
        if level == 0:
            raise
        return _all_added(module, count, level - 1)
    return instances


class Player:
    """Instances of one plug-in, all played by one script.

    Parameters
    ----------
    module : Module
    built : Built
        What the plug-in was built from, for the names of its jacks.
    count : int
        So many instances, side by side.
    level : int
        How much of each lies in fast memory, at most.
    """

    def __init__(self, module: Module, built: Built, count: int = 1, level: int = FASTEST):
        self.module, self.built = module, built
        self.patches = patches(built, count)
        self.instances = _all_added(module, count, level)
        for patch, instance in zip(self.patches, self.instances, strict=True):
            patch.apply(module, instance)
        self.cycles: list[list[int]] = [[] for _ in self.instances]
        self.functions: dict[str, int] = {}
        """Predicted cycles of every function over all traced steps of the first instance."""

    def render(self, played: Signals, block: int, traced: range = range(0), warm: int = 4) -> list[Rendered]:
        """Play a script in steps of `block` frames, a multiple of four.

        Parameters
        ----------
        played : Signals
            From `as_played` or not: it is rounded again, which changes nothing.
        traced : range
            Steps whose cycles are counted; `warm` before them go through the pipeline model uncounted.
        """
        played, knobs = as_played(played, self.built, block)
        ticks = played.inputs.shape[1]
        made = [self._blank(ticks) for _ in self.instances]
        waiting = list(reversed(played.events))
        last: dict[int, int] = {}
        for number, begin in enumerate(range(0, ticks - ticks % 4, block)):
            size = min(block, ticks - begin) // 4 * 4
            span = slice(begin, begin + size)
            self._turn(knobs, begin, last)
            self._buttons(played, begin, last)
            while waiting and waiting[-1].tick < begin + size:
                self._post(waiting.pop())
            buses = np.zeros((BUSES, size), np.float32)
            self._feed(buses, played, span)
            for place, instance in enumerate(self.instances):
                warming = traced.start - warm <= number < traced.stop
                call = self.module.step(instance, buses, traced=warming)
                if number in traced:
                    self.cycles[place].append(call.cycles)
                    if place == 0:
                        self._count()
                self._take(made[place], self.patches[place], buses, span)
        return made

    def _blank(self, ticks: int) -> Rendered:
        board = self.built.board
        return Rendered(
            np.zeros((board.audio.outputs, ticks), np.float32),
            np.zeros((len(board.dacs), ticks), np.float32),
            np.zeros(ticks, np.uint32),
            np.zeros((0, 0), np.float32),
        )

    def _turn(self, knobs: dict[int, NDArray[np.int64]], begin: int, last: dict[int, int]) -> None:
        for row, steps in knobs.items():
            value = int(steps[begin])
            if last.get(row, self.patches[0].rows[row].default) != value:
                last[row] = value
                for instance in self.instances:
                    self.module.set(instance, row, value)

    def _buttons(self, played: Signals, begin: int, last: dict[int, int]) -> None:
        for number, row in enumerate(self.patches[0].rows):
            if row.kind == "ROW_BUTTON":
                value = int(played.gates[row.index, begin] > 1.0)
                if last.get(number, 0) != value:
                    last[number] = value
                    for instance in self.instances:
                        self.module.set(instance, number, value)

    def _post(self, event: Event) -> None:
        """Set a parameter; anything else a plug-in is told by MIDI."""
        for number, row in enumerate(self.patches[0].rows):
            if event.kind == SET and row.kind == "ROW_SET" and row.index == event.index:
                travel = event.value if event.value != float(np.float32(row.rest)) else row.default / row.most
                for instance in self.instances:
                    self.module.set(instance, number, travel_of(row, travel))

    def _feed(self, buses: NDArray[np.float32], played: Signals, span: slice) -> None:
        board = self.built.board
        for number, bus in self.patches[0].bus.items():
            row = self.patches[0].rows[number]
            if row.kind == "ROW_CV_IN":
                adc = board.adcs[row.index]
                width = np.float64(adc.high_volts - adc.low_volts)
                volts = played.inputs[row.index, span].astype(np.float64) * width + adc.low_volts
                buses[bus - 1] = volts.astype(np.float32)
            elif row.kind == "ROW_GATE_IN":
                buses[bus - 1] = played.gates[row.index, span]
            elif row.kind == "ROW_AUDIO_IN":
                buses[bus - 1] = played.audio[row.index, span] * np.float32(board.audio.full_scale_volts_in)

    def _take(self, made: Rendered, patch: Patch, buses: NDArray[np.float32], span: slice) -> None:
        volts = np.float32(self.built.board.audio.full_scale_volts_out)
        for number, bus in patch.bus.items():
            row = patch.rows[number]
            if bus == NO_BUS:
                continue
            if row.kind == "ROW_AUDIO_OUT":
                made.audio[row.index, span] = buses[bus - 1] / volts
            elif row.kind == "ROW_CV_OUT":
                made.cv[row.index, span] = buses[bus - 1]
            elif row.kind == "ROW_GATE_OUT":
                high = (buses[bus - 1] == np.float32(GATE_VOLTS)).astype(np.uint32)
                made.gates[span] |= high << np.uint32(row.index)

    def _count(self) -> None:
        pipeline = self.module.machine.pipeline
        functions = self.module.machine.elf.functions
        spent = pipeline.cycles_at()
        used = np.flatnonzero(spent)
        owners = (
            np.searchsorted(
                [s.address for s in functions], np.asarray(pipeline.addresses)[used], side="right"
            )
            - 1
        )
        for owner, cycles in zip(owners, spent[used], strict=True):
            name = functions[owner].name
            self.functions[name] = self.functions.get(name, 0) + int(cycles)
