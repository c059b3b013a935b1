"""The parameters a player sees of a plug-in: sounds first, then jacks as buses, then MIDI, page by page."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from firmware.build import Built
from firmware.instruments.assignment import Assignment, Parameter
from firmware.instruments.schema import Control
from firmware.instruments.words import title
from firmware.play.render import resting_knobs

TRAVEL = 1000
"""Steps of a travel, 100.0 %: ROW_TRAVEL in plugin.h."""
INPUT_BUSES, OUTPUT_BUSES, LAST_BUS = 12, 8, 64
"""As in abi.h: the module's inputs, then its outputs, then what only algorithms reach."""
MOST_ROWS, MOST_POINTS = 255, 255
PAGE_ROWS = 16


@dataclass(frozen=True)
class Row:
    """One parameter of the plug-in; `kind` is an enumerator of plugin.h.

    Attributes
    ----------
    unit : str
        Enumerator of abi.h.
    shown : Parameter, optional
        Of the instrument, whose value is printed beside the travel.
    parameter : int
        Its number.
    names : list of str
        Of the choices.
    """

    kind: str
    index: int
    name: str
    page: str
    most: int
    default: int
    unit: str
    rest: float = 0.0
    parameter: int = 0
    shown: Parameter | None = None
    mark: str = ""
    names: tuple[str, ...] = ()


def rows_of(built: Built, counters: bool = False) -> list[Row]:
    """All parameters of a plug-in, in their order.

    Raises
    ------
    Refusal
        More parameters than a page can number, or more jacks than the module has buses.
    """
    assignment = built.assignment
    rows = [*_knobs(built), *_settings(assignment), *_buttons(assignment)]
    inputs, outputs = list(_inputs(assignment)), list(_outputs(assignment))
    jacks = len(inputs) + len(outputs)
    if jacks > LAST_BUS:
        raise Refusal(
            f"{built.name} uses {jacks} jacks, and the disting NT has {LAST_BUS} buses; take some out of the "
            "instrument's file."
        )
    rows += inputs
    for row in outputs:
        rows += [row, Row("ROW_MODE", row.index, f"{row.name} mode", row.page, 1, 0, "NT_UNIT_OUTPUT_MODE")]
    if assignment.loaded.spec.midi is not None:
        channel = assignment.loaded.spec.midi.channel or 0
        rows.append(Row("ROW_CHANNEL", 0, "MIDI channel", "MIDI", 16, channel, "NT_UNIT_NONE"))
    if counters:
        rows.append(Row("ROW_SEND", 0, "Send counters", "Counters", 1, 0, "NT_UNIT_CONFIRM"))
    if len(rows) > MOST_ROWS:
        raise Refusal(
            f"{built.name} would have {len(rows)} parameters, and the disting NT numbers {MOST_ROWS}; use "
            "fewer parts, or a model with fewer latents."
        )
    return rows


def pages_of(rows: list[Row]) -> list[tuple[str, list[int]]]:
    """Rows by page, in order; a long page is cut."""
    pages: list[tuple[str, list[int]]] = []
    for number, row in enumerate(rows):
        if not pages or pages[-1][0] != row.page or len(pages[-1][1]) >= PAGE_ROWS:
            pages.append((row.page, []))
        pages[-1][1].append(number)
    return pages


def guid(name: str) -> str:
    """Four characters that presets know an instrument by: a capital V and three of its name's hash."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = zlib.crc32(name.encode())
    return "V" + "".join(letters[number // 62**place % 62] for place in range(3))


def row_of(rows: list[Row], assignment: Assignment, parameter: int) -> int:
    """Return the row that moves a parameter of the instrument."""
    knob = assignment.parameters[parameter].knob
    wanted = ("ROW_KNOB", knob) if knob >= 0 else ("ROW_SET", parameter)
    return next(number for number, row in enumerate(rows) if (row.kind, row.index) == wanted)


def _knobs(built: Built) -> Iterator[Row]:
    assignment = built.assignment
    rests = resting_knobs(built)
    for index, adc in enumerate(assignment.board.adcs):
        moved = [number for number, one in enumerate(assignment.parameters) if one.knob == index]
        depths = [one for one in assignment.loaded.spec.control if one.attenuverter == adc.name]
        if adc.kind != "knob" or not (moved or depths):
            continue
        if not moved:
            name = f"{_name(depths[0].to)} CV"
            rest = 0.5
            yield Row("ROW_KNOB", index, name, "Sound", TRAVEL, TRAVEL // 2, "NT_UNIT_STRINGS", rest)
            continue
        control = _control(assignment, adc.name)
        yield _travel(assignment, "ROW_KNOB", index, moved[0], _name(control.to), "Sound", rests[adc.name])


def _settings(assignment: Assignment) -> Iterator[Row]:
    """What no knob moves; names tell an engine's own decay from the one that its model has learnt."""
    taken = {_name(control.to) for control in assignment.loaded.spec.control if control.knob is not None}
    plain = {one.name for one in assignment.parameters if "attribute" not in one.name} | assignment.moved
    for number, one in enumerate(assignment.parameters):
        if one.knob < 0:
            name = _name(one.name)
            if "attribute" in one.name and one.name.replace("attribute/", "") in plain:
                name += " (model)"
            elif name in taken:
                name += " (engine)"
            yield _travel(assignment, "ROW_SET", number, number, name, "More", one.rest)


def _travel(
    assignment: Assignment, kind: str, index: int, parameter: int, name: str, page: str, rest: float
) -> Row:
    one = assignment.parameters[parameter]
    names = tuple(name.replace("_", " ") for name in assignment.choices.get(one.name, []))
    if len(names) > 1:
        most = len(names) - 1
        return Row(
            kind,
            index,
            name,
            page,
            most,
            round(one.rest * most),
            "NT_UNIT_ENUM",
            rest,
            parameter,
            names=names,
        )
    is_printed = "latent" in one.name or "attribute" in one.name
    return Row(
        *(kind, index, name, page, TRAVEL, round(one.rest * TRAVEL), "NT_UNIT_STRINGS", rest, parameter),
        shown=one if is_printed and len(one.table) <= MOST_POINTS else None,
        mark=_mark(name) if is_printed else "",
    )


def _buttons(assignment: Assignment) -> Iterator[Row]:
    first = len(assignment.board.gates_in)
    for number, button in enumerate(assignment.board.buttons):
        gates = [gate for gate in assignment.loaded.spec.gate if button.name in gate.jacks]
        if gates:
            name = f"Hold {_name(gates[0].to)}"
            yield Row("ROW_BUTTON", first + number, name, "Play", 1, 0, "NT_UNIT_ENUM", names=("off", "on"))


def _inputs(assignment: Assignment) -> Iterator[Row]:
    """Gates and audio at the module's first inputs; CV nowhere: the module maps CV to parameters itself."""
    bus = iter(range(1, INPUT_BUSES + 1))
    for number, gate in enumerate(assignment.board.gates_in):
        functions = [one for one in assignment.loaded.spec.gate if gate.name in one.jacks]
        if functions:
            name = f"{_name(functions[0].to)} gate"
            yield Row("ROW_GATE_IN", number, name, "Inputs", LAST_BUS, next(bus, 0), "NT_UNIT_CV_INPUT")
    for channel in _audio_heard(assignment):
        name = f"Audio in {channel + 1}"
        yield Row("ROW_AUDIO_IN", channel, name, "Inputs", LAST_BUS, next(bus, 0), "NT_UNIT_AUDIO_INPUT")
    for index, adc in enumerate(assignment.board.adcs):
        said = [one for one in assignment.loaded.spec.control if one.cv == adc.name]
        raised = any(row.cv == index for row in assignment.gates)
        if adc.kind == "cv" and (said or raised):
            name = f"{_name(said[0].to)} CV" if said else adc.name.replace("_", " ").upper()
            yield Row("ROW_CV_IN", index, name, "Inputs", LAST_BUS, 0, "NT_UNIT_CV_INPUT")


def _audio_heard(assignment: Assignment) -> list[int]:
    """Channels of audio inputs that do something: those of gates, and the first of what changes a sound."""
    heard = {row.audio for row in assignment.gates if row.audio >= 0}
    if any(model.about.input_with("audio") is not None for model in assignment.models.values()):
        heard.add(0)
    return sorted(heard)


def _outputs(assignment: Assignment) -> Iterator[Row]:
    bus = iter(range(INPUT_BUSES + 1, INPUT_BUSES + OUTPUT_BUSES + 1))
    said = {one.jack: one.source for one in assignment.loaded.spec.output}
    board = assignment.board
    rows = (
        *(
            ("ROW_AUDIO_OUT", "NT_UNIT_AUDIO_OUTPUT", n, f"audio_out_{n + 1}")
            for n in range(board.audio.outputs)
        ),
        *(("ROW_GATE_OUT", "NT_UNIT_CV_OUTPUT", n, gate.name) for n, gate in enumerate(board.gates_out)),
        *(("ROW_CV_OUT", "NT_UNIT_CV_OUTPUT", n, dac.name) for n, dac in enumerate(board.dacs)),
    )
    for kind, unit, index, jack in rows:
        if jack in said:
            is_twice = list(said.values()).count(said[jack]) > 1
            name = f"{_name(said[jack])} {index + 1 if is_twice else 'out'}"
            yield Row(kind, index, name, "Outputs", LAST_BUS, next(bus, 0), unit)


def _control(assignment: Assignment, knob: str) -> Control:
    return next(one for one in assignment.loaded.spec.control if one.knob == knob)


def _name(name: str) -> str:
    """As the module's lists have it: the first letter large."""
    plain = title(name.replace("/", ".").replace(".attribute.", "."))
    return plain[:1].upper() + plain[1:]


def _mark(name: str) -> str:
    """Up to three characters for the display: the number of a latent, else letters."""
    last = name.split()[-1]
    return last if last.isdigit() else last[:3].upper()


def travel_of(row: Row, value: float) -> int:
    """Return the value of a row that is nearest to a position 0 … 1."""
    return int(np.clip(np.floor(value * row.most + 0.5), 0, row.most))
