"""An instrument, its models and a board, brought together: what `source.py` prints as C."""

from __future__ import annotations

import re

import numpy as np

from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.assignment import Assignment, GateAssignment
from firmware.instruments.kinds.base import InstrumentKind
from firmware.instruments.latents import layer, macro, morph, prior
from firmware.instruments.schema import LAWS, Control, LoadedInstrument
from firmware.models.model_file import ModelFile
from hardware.board import Board

MAX_PARAMETERS = 96  # port.h


def assign(loaded: LoadedInstrument, models: dict[str, ModelFile], board: Board) -> Assignment:
    """Assign an instrument's controls, gates and outputs to a board.

    Raises
    ------
    Refusal
        A control, gate or output that goes to nothing this instrument or its model has.
    """
    kind = kinds.named(loaded.spec.kind)
    voices = kind.voices(loaded.spec)
    assignment = Assignment(loaded, board, models, voices=voices, voices_asked=voices)
    gates = assignment.kind_gates = kind.gates_of(loaded.spec)
    assignment.gate_names = [*gates, *layer.gates(loaded.spec, gates), *macro.gates(loaded.spec)]
    kind.add_parameters(assignment)
    macro.add_macro(assignment)
    morph.add_morph(assignment)
    if (
        loaded.spec.latents is not None
        and not (layer.WORDS.keys() | prior.WORDS.keys()) & assignment.index.keys()
    ):
        raise loaded.located.refusal(
            ("latents",),
            f"it asks for nothing that a {kind.name} has; "
            "say hold, wander, shape, slew, sequence, tables or prior = true",
        )
    for number, control in enumerate(loaded.spec.control):
        _connect(assignment, kind, number, control)
    if len(assignment.parameters) > MAX_PARAMETERS:
        raise Refusal(
            f"{loaded.located.path.name}: {len(assignment.parameters)} parameters, and a panel holds "
            f"{MAX_PARAMETERS}; use fewer parts or a model with fewer latents."
        )
    _assign_gates(assignment, kind)
    _assign_outputs(assignment, kind)
    _check_midi(assignment, kind)
    return assignment


def _targets(assignment: Assignment, kind: InstrumentKind, to: str) -> list[int]:
    """Parameters a control moves: one, or all of a group."""
    if to in kind.groups:
        return [index for name, index in assignment.index.items() if name.startswith(f"{to}.")]
    return [assignment.index[to]] if to in assignment.index else []


def _adc_index(assignment: Assignment, name: str | None, where: str) -> int:
    if name is None:
        return -1
    names = [adc.name for adc in assignment.board.adcs]
    if name not in names:
        assignment.absent.append(f"{name} ({where})")
        return -1
    return names.index(name)


def _connect(assignment: Assignment, kind: InstrumentKind, number: int, control: Control) -> None:
    place = ("control", number)
    targets = _targets(assignment, kind, control.to)
    if not targets:
        choice = sorted({re.sub(r"\d+$", "N", name) for name in assignment.index})
        raise assignment.loaded.located.refusal(
            (*place, "to"),
            f"this {assignment.kind} has nothing called {control.to!r}"
            f"{_how_many(assignment, kind, control.to)}; there are {', '.join(choice)}",
        )
    for target in targets:
        parameter = assignment.parameters[target]
        alone = len(targets) == 1 and control.to not in kind.groups
        if alone and parameter.knob >= 0 and control.knob is not None:
            raise assignment.loaded.located.refusal((*place, "to"), f"{control.to!r} has a control already")
        table = np.asarray(parameter.table)
        if control.range != (0.0, 1.0):
            travel = np.linspace(control.range[0], control.range[1], 33)
            parameter.table = [float(v) for v in np.interp(travel, np.linspace(0, 1, len(table)), table)]
            span = control.range[1] - control.range[0]
            if span:
                parameter.rest = float(np.clip((parameter.rest - control.range[0]) / span, 0.0, 1.0))
        parameter.knob = _adc_index(assignment, control.knob, control.to)
        parameter.cv = _adc_index(assignment, control.cv, control.to)
        if isinstance(control.attenuverter, str):
            parameter.depth = _adc_index(assignment, control.attenuverter, f"attenuverter of {control.to}")
            parameter.attenuverter = 1.0
        else:
            parameter.attenuverter = control.attenuverter
        parameter.travel_per_volt = 1.0 / (control.volts[1] - control.volts[0])
        parameter.law = LAWS.index(control.law)
        parameter.smoothing, parameter.band = control.smoothing, control.dead_band
        if control.default is not None:
            parameter.rest = control.default


def _how_many(assignment: Assignment, kind: InstrumentKind, to: str) -> str:
    """Say how many latents there are to someone who asked for one too many."""
    model = kind.model_behind(assignment, to) if "latent." in to else None
    return f" (its {model.kind} model has {len(model.about.latents)} latents)" if model else ""


def _assign_gates(assignment: Assignment, kind: InstrumentKind) -> None:
    functions = assignment.gate_names
    assignment.gates = [GateAssignment() for _ in functions]
    bits = [gate.name for gate in assignment.board.gates_in] + [
        button.name for button in assignment.board.buttons
    ]
    for number, gate in enumerate(assignment.loaded.spec.gate):
        if gate.to not in functions:
            raise assignment.loaded.located.refusal(
                ("gate", number, "to"),
                f"a {kind.name} has no gate {gate.to!r}; it has {', '.join(functions) or 'none'}",
            )
        row = assignment.gates[functions.index(gate.to)]
        for jack in gate.jacks:
            if jack.startswith("cv"):
                row.cv = _adc_index(assignment, jack, gate.to)
            elif jack.startswith("audio") and int(jack.rsplit("_", 1)[1]) <= assignment.board.audio.inputs:
                row.audio = int(jack.rsplit("_", 1)[1]) - 1
            elif jack in bits:
                row.gates |= 1 << bits.index(jack)
                row.inverted |= int(gate.inverted) << bits.index(jack)
            else:
                assignment.absent.append(f"{jack} ({gate.to})")


def _assign_outputs(assignment: Assignment, kind: InstrumentKind) -> None:
    board = assignment.board
    assignment.audio_out = [-1] * board.audio.outputs
    assignment.cv_out = [-1] * len(board.dacs)
    assignment.gate_out = [-1] * len(board.gates_out)
    taken: set[str] = set()
    for number, output in enumerate(assignment.loaded.spec.output):
        place = ("output", number)
        if output.jack in taken:
            raise assignment.loaded.located.refusal((*place, "jack"), f"{output.jack} is used already")
        taken.add(output.jack)
        if output.jack.startswith("audio_out"):
            sources, row, names = kind.audio_sources, assignment.audio_out, None
        elif output.jack.startswith("cv_out"):
            sources, row, names = kind.cv_sources, assignment.cv_out, [dac.name for dac in board.dacs]
        else:
            sources, row, names = (
                kind.gate_sources,
                assignment.gate_out,
                [gate.name for gate in board.gates_out],
            )
        if output.source not in sources:
            raise assignment.loaded.located.refusal(
                (*place, "from"),
                f"a {kind.name} sends no {output.source!r} to {output.jack}; "
                f"{'it can send ' + ', '.join(sources) if sources else 'it has nothing for such a jack'}",
            )
        at = int(output.jack.rsplit("_", 1)[1]) - 1 if names is None else _place(names, output.jack)
        if not 0 <= at < len(row):
            assignment.absent.append(f"{output.jack} ({output.source})")
            continue
        row[at] = sources.index(output.source)


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else -1


def _check_midi(assignment: Assignment, kind: InstrumentKind) -> None:
    """Refuse what the ``[midi]`` table moves and this instrument does not have."""
    table = assignment.loaded.spec.midi
    if table is None:
        return
    moved: list[tuple[tuple[str | int, ...], str]] = []
    for number, note in enumerate(table.note):
        at: tuple[str | int, ...] = ("midi", "note", number)
        for voice in range(1, note.voices + 1):
            if (gate := note.gate_of(voice)) is not None and gate not in assignment.gate_names:
                raise assignment.loaded.located.refusal(
                    (*at, "gate"),
                    f"a {kind.name} has no gate {gate!r}; "
                    f"it has {', '.join(assignment.gate_names) or 'none'}",
                )
            moved += [((*at, "pitch"), to)] if (to := note.pitch_of(voice)) else []
        moved += [((*at, "set"), to) for to in note.set]
        moved += [((*at, "velocity"), note.velocity)] if note.velocity else []
    moved += [(("midi", "cc", number, "to"), controller.to) for number, controller in enumerate(table.cc)]
    for place, to in moved:
        if not _targets(assignment, kind, to):
            raise assignment.loaded.located.refusal(
                place, f"this {assignment.kind} has nothing called {to!r}{_how_many(assignment, kind, to)}"
            )
    if table.clock is not None and "clock" not in assignment.gate_names:
        raise assignment.loaded.located.refusal(("midi", "clock"), f"a {kind.name} follows no clock")
