"""What the page knows of an instrument: its jacks, controls and events, for `engine.js` and `panel.js`."""

from __future__ import annotations

from typing import TypedDict

from firmware.build import Built
from firmware.instruments import kinds
from firmware.instruments.assignment import Assignment
from firmware.instruments.presets import load_presets, positions
from firmware.instruments.words import title
from firmware.midi.player import MidiColumns, MidiPlayer
from firmware.play.render import resting_knobs
from firmware.script.cv_script import EVENTS, GATE, SET, Script
from hardware.panel import panel_of


class InputAbout(TypedDict):
    """A knob or CV jack; volts of its converter, position at which it rests, what it moves."""

    name: str
    kind: str
    low: float
    high: float
    travel: tuple[float, float]
    inverted: bool
    rest: float
    volts: tuple[float, float]
    moves: str
    words: str


class GateAbout(TypedDict):
    """A gate jack, or a button of the panel, and what it does."""

    name: str
    button: bool
    moves: str
    words: str


class OutputAbout(TypedDict):
    """An output jack, and what it carries; "" for nothing."""

    name: str
    carries: str
    words: str


class ParameterAbout(TypedDict):
    """One row of the engine's panel; numbers of its knob and CV inputs, −1: none; names along its travel."""

    name: str
    rest: float
    knob: int
    cv: int
    words: str
    labels: list[str]


class PresetAbout(TypedDict):
    """A factory preset: positions by the parameter's name; model slot that it names, which a page has not."""

    name: str
    slot: int | None
    words: str
    set: dict[str, float]


class ScriptAbout(TypedDict):
    """A CV script: knots of each column, and its length."""

    columns: dict[str, tuple[list[float], list[float]]]
    seconds: float


class About(TypedDict):
    """The whole of it; ``printed`` is what the panel says at each part."""

    name: str
    title: str
    kind: str
    about: str
    board: str
    boardName: str
    version: str
    modelHash: str
    rateHz: float
    block: int
    voltsIn: float
    voltsOut: float
    audioIn: int
    audioOut: int
    cvOut: int
    gateOut: int
    latencyTicks: int
    printed: dict[str, str]
    inputs: list[InputAbout]
    gates: list[GateAbout]
    outputs: list[OutputAbout]
    parameters: list[ParameterAbout]
    presets: list[PresetAbout]
    listens: list[str]
    events: dict[str, int]
    set: int
    gate: int
    gateFunctions: list[str]
    midi: MidiColumns | None


def describe(built: Built, block: int) -> About:
    """Describe an instrument on its board.

    Parameters
    ----------
    block : int
        Samples per callback.
    """
    assignment, board = built.assignment, built.board
    rests = resting_knobs(built)
    return About(
        name=built.name,
        title=assignment.loaded.spec.title,
        kind=assignment.kind,
        about=assignment.loaded.spec.about,
        board=board.title,
        boardName=board.name,
        version=built.version,
        modelHash=built.model_hash if built.assignment.models else "",
        rateHz=board.audio.sample_rate_hz,
        block=block,
        voltsIn=board.audio.full_scale_volts_in,
        voltsOut=board.audio.full_scale_volts_out,
        audioIn=board.audio.inputs,
        audioOut=board.audio.outputs,
        cvOut=len(board.dacs),
        gateOut=len(board.gates_out),
        latencyTicks=int(built.report["latency_samples"]),
        printed={part.name: part.label for part in panel_of(board).parts if part.label},
        inputs=[
            InputAbout(
                name=adc.name,
                kind=adc.kind,
                low=adc.low_volts,
                high=adc.high_volts,
                travel=(adc.travel_low_volts, adc.travel_high_volts),
                inverted=adc.inverted,
                rest=rests.get(adc.name, 0.5),
                volts=_volts_of(assignment, adc.name),
                **_moved_by(assignment, adc.name),
            )
            for adc in board.adcs
        ],
        gates=[
            *(
                GateAbout(name=gate.name, button=False, **_raised_by(assignment, gate.name))
                for gate in board.gates_in
            ),
            *(
                GateAbout(name=button.name, button=True, **_raised_by(assignment, button.name))
                for button in board.buttons
            ),
        ],
        outputs=_outputs(assignment),
        parameters=[
            ParameterAbout(
                name=one.name,
                rest=one.rest,
                knob=one.knob,
                cv=one.cv,
                words=_words_of(assignment, one.name),
                labels=[name.replace("_", " ") for name in assignment.choices.get(one.name, [])],
            )
            for one in assignment.parameters
        ],
        presets=[
            PresetAbout(name=one.name, slot=one.slot, words=one.words, set=positions(one, assignment))
            for one in load_presets(assignment.loaded)
        ],
        listens=[],
        events=dict(EVENTS),
        set=SET,
        gate=GATE,
        gateFunctions=list(assignment.gate_names),
        midi=_midi(assignment),
    )


class _Said(TypedDict):
    moves: str
    words: str


def _moved_by(assignment: Assignment, name: str) -> _Said:
    """Say what a knob or CV jack moves."""
    controls = [one for one in assignment.loaded.spec.control if name in (one.knob, one.cv, one.attenuverter)]
    return _Said(
        moves=", ".join(title(one.to) for one in controls),
        words=" ".join(one.words for one in controls),
    )


def _volts_of(assignment: Assignment, name: str) -> tuple[float, float]:
    """Volts over which a CV jack moves its parameter from end to end."""
    return next((one.volts for one in assignment.loaded.spec.control if one.cv == name), (-5.0, 5.0))


def _raised_by(assignment: Assignment, name: str) -> _Said:
    """Say what a gate jack or a button does."""
    gates = [one for one in assignment.loaded.spec.gate if name in one.jacks]
    return _Said(moves=", ".join(one.to for one in gates), words=" ".join(one.words for one in gates))


def _outputs(assignment: Assignment) -> list[OutputAbout]:
    """Every output jack of the board."""
    board = assignment.board
    names = [
        *(f"audio_out_{number + 1}" for number in range(board.audio.outputs)),
        *(dac.name for dac in board.dacs),
        *(gate.name for gate in board.gates_out),
    ]
    said = {one.jack: one for one in assignment.loaded.spec.output}
    return [
        OutputAbout(name=name, carries=said[name].source, words=said[name].words)
        if name in said
        else OutputAbout(name=name, carries="", words="")
        for name in names
    ]


def _words_of(assignment: Assignment, address: str) -> str:
    """Say what a parameter does: what its control says, else what its kind or its model does."""
    name = address.replace("/", ".")
    kind = kinds.named(assignment.kind)
    for control in assignment.loaded.spec.control:
        if control.to == name or (control.to in kind.groups and name.startswith(f"{control.to}.")):
            return control.words
    return kind.words_of(assignment, name)


def _midi(assignment: Assignment) -> MidiColumns | None:
    """Say what MIDI does, where the file says so."""
    if assignment.loaded.spec.midi is None:
        return None
    names = [one.name for one in assignment.parameters]
    return MidiPlayer(assignment.loaded, names, assignment.choices).columns()


def describe_script(script: Script) -> ScriptAbout:
    """Write a CV script down for the page, every number as it is."""
    columns = {name: (times.tolist(), values.tolist()) for name, (times, values) in script.columns.items()}
    return ScriptAbout(columns=columns, seconds=script.seconds)
