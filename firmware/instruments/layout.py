"""An instrument, its models and a board, brought together: the lists that `source.py` prints as C.

Every latent, attribute and setting of an instrument is a *parameter*, a row of the engine's panel. A control
of the instrument file connects inputs of the board to one; what has no control rests at its default and can
still be set by OSC, the serial port or a preset.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.drums import PARTS
from common.refusal import Refusal
from firmware.instruments.model_file import ModelFile
from firmware.instruments.spec import (
    AUDIO_SOURCES,
    CV_SOURCES,
    GATE_SOURCES,
    GATES,
    LAWS,
    Control,
    GrooveVoice,
    LoadedInstrument,
)
from hardware.board import Board

MAX_PARAMETERS = 64  # port.h
RATIOS = ("1/12", "1/8", "1/6", "1/4", "1/3", "1/2", "1", "2", "3", "4", "6", "8")  # step_clock.c


@dataclass
class Parameter:
    """One row of the panel's parameter table; inputs are numbers in the board's order, −1: none."""

    name: str
    table: list[float]
    rest: float = 0.5
    knob: int = -1
    cv: int = -1
    depth: int = -1
    attenuverter: float = 0.0
    travel_per_volt: float = 0.0
    law: int = 0
    smoothing: float = 0.85
    band: float = 0.0015


@dataclass
class ToneLayout:
    """Where latents and knobs of one model come from: parameter numbers, −1: the value at rest."""

    latent: list[int]
    latent_rest: list[float]
    knob: list[int]
    knob_rest: list[float]
    class_parameter: int = -1
    classes: int = 0
    first_class: int = 0
    plane: tuple[int, int] | None = None


@dataclass
class GateLayout:
    """What raises one gate function: gate bits (some of them inverted), an input, an audio channel."""

    gates: int = 0
    inverted: int = 0
    cv: int = -1
    audio: int = -1


@dataclass
class Layout:
    """An instrument, its models and a board, brought together."""

    loaded: LoadedInstrument
    board: Board
    models: dict[str, ModelFile]
    parameters: list[Parameter] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    tones: dict[str, ToneLayout] = field(default_factory=dict)
    gates: list[GateLayout] = field(default_factory=list)
    audio_out: list[int] = field(default_factory=list)
    cv_out: list[int] = field(default_factory=list)
    gate_out: list[int] = field(default_factory=list)
    voices: int = 1
    """Drums that may sound at once: what the file asks for, or fewer where the board has no time for them."""
    absent: list[str] = field(default_factory=list)
    """Jacks the instrument names and the board lacks, in words."""

    @property
    def voices_asked(self) -> int:
        """Drums that the instrument file asks for."""
        spec = self.loaded.spec
        return len(spec.voice) if spec.kind == "groove" else spec.options.voices

    @property
    def kind(self) -> str:
        """Kind of the instrument."""
        return self.loaded.spec.kind


def fit(loaded: LoadedInstrument, models: dict[str, ModelFile], board: Board) -> Layout:
    """Lay an instrument out on a board.

    Raises
    ------
    Refusal
        A control, gate or output that goes to nothing this instrument or its model has.
    """
    layout = Layout(loaded, board, models)
    layout.voices = layout.voices_asked
    _add_parameters(layout)
    for number, control in enumerate(loaded.spec.control):
        _connect(layout, number, control)
    if len(layout.parameters) > MAX_PARAMETERS:
        raise Refusal(
            f"{loaded.located.path.name}: {len(layout.parameters)} parameters, and a panel holds "
            f"{MAX_PARAMETERS}; use fewer voices or a model with fewer latents."
        )
    _lay_gates(layout)
    _lay_outputs(layout)
    return layout


# ---- parameters ------------------------------------------------------------------------------------------


def _linear(low: float, high: float) -> list[float]:
    return [low, high]


def decay_table(sample_rate_hz: float, points: int = 33) -> list[float]:
    """Share of the level lost per sample over the travel: time constants 15 ms … 8 s, and none at the end."""
    seconds = 0.015 * (8.0 / 0.015) ** np.linspace(0.0, 1.0, points)
    loss = -np.expm1(-1.0 / (seconds * sample_rate_hz))
    loss[-1] = 0.0
    return [float(value) for value in loss]


def position_of(table: Sequence[float], value: float) -> float:
    """Return the travel at which a rising table reaches `value`."""
    return float(np.interp(value, table, np.linspace(0.0, 1.0, len(table))))


def _add(layout: Layout, name: str, table: Sequence[float], rest: float) -> int:
    layout.index[name] = len(layout.parameters)
    layout.parameters.append(Parameter(name.replace(".", "/"), [float(v) for v in table], float(rest)))
    return layout.index[name]


def _add_parameters(layout: Layout) -> None:
    kind = layout.kind
    rate = layout.board.audio.sample_rate_hz
    if kind in ("rhythm", "groove"):
        layout.tones["rhythm"] = _tone(layout, layout.models["rhythm"], "")
        for voice in PARTS:
            _add(layout, f"density.{voice}", _linear(0.0, 1.0), 0.5)
        _add(layout, "ratio", _linear(0.0, 1.0), RATIOS.index("1") / (len(RATIOS) - 1))
        _add(layout, "tempo", _linear(40.0, 240.0), 0.4)
        _add(layout, "swing", _linear(0.0, 1.0), 0.0)
        _add(layout, "timing", _linear(0.0, 1.0), 1.0)
        _add(layout, "accent", _linear(0.0, 1.0), 0.25)
        _add(layout, "fill", _linear(0.0, 1.0), 0.7)
    if kind == "drum":
        layout.tones["drum"] = _tone(layout, layout.models["drum"], "")
        _add(layout, "decay", decay_table(rate), 1.0)
        _add(layout, "accent", _linear(0.0, 1.0), 0.6)
        _add(layout, "level", _linear(0.0, 1.0), 0.8)
    if kind == "drive":
        layout.tones["drive"] = _tone(layout, layout.models["drive"], "")
        _add(layout, "mix", _linear(0.0, 1.0), 1.0)
        _add(layout, "gain", _linear(0.0, 2.0), 0.5)
        _add(layout, "match", _linear(0.0, 1.0), 1.0)
        _add(layout, "level", _linear(0.0, 1.0), 1.0)
    if kind == "groove":
        _add(layout, "level", _linear(0.0, 1.0), 0.8)
        for number, drum in enumerate(layout.loaded.spec.voice):
            _add_voice(layout, number, drum)


def _tone(layout: Layout, model: ModelFile, prefix: str) -> ToneLayout:
    """Add a parameter for every latent and knob of `model` and say where they lie."""
    plane = model.plane
    moved = {control.to for control in layout.loaded.spec.control}
    tone = ToneLayout([], [], [], [])
    if plane is not None:
        tone.plane = (
            _add(layout, f"{prefix}x", _linear(0.0, 1.0), 0.5),
            _add(layout, f"{prefix}y", _linear(0.0, 1.0), 0.5),
        )
    for number, latent in enumerate(model.latents, 1):
        name = f"{prefix}latent.{number}"
        tone.latent_rest.append(float(latent["mean"]))
        if plane is not None and name not in moved:
            tone.latent.append(-1)
            continue
        quantiles = [float(value) for value in latent["quantiles"]]
        tone.latent.append(_add(layout, name, quantiles, position_of(quantiles, float(latent["mean"]))))
    _tone_knobs(layout, model, tone, prefix)
    return tone


def knob_channels(model: ModelFile) -> list[str]:
    """Names of the channels of the model's knob input: classes as ``class:NAME``, attributes by name."""
    entry = model.input_with("class", "attribute", "condition")
    return [str(name) for name in entry["channels"]] if entry else []


def _tone_knobs(layout: Layout, model: ModelFile, tone: ToneLayout, prefix: str) -> None:
    channels = knob_channels(model)
    classes = [number for number, name in enumerate(channels) if name.startswith("class:")]
    if classes:
        tone.class_parameter = _add(layout, f"{prefix}class", _linear(0.0, 1.0), 0.0)
        tone.classes, tone.first_class = len(classes), classes[0]
    for number, name in enumerate(channels):
        if number in classes:
            tone.knob.append(-1)
            tone.knob_rest.append(1.0 if number == classes[0] else 0.0)
            continue
        attribute = model.attributes.get(name.removeprefix("attribute:"))
        if attribute is None:
            raise Refusal(f"{model.path.name}: its input names {name!r}, which its attribute table lacks.")
        quantiles = [float(value) for value in attribute["quantiles"]]
        rest = float(attribute["default"])
        tone.knob_rest.append(rest)
        tone.knob.append(
            _add(layout, f"{prefix}attribute.{attribute['name']}", quantiles, position_of(quantiles, rest))
        )


def _add_voice(layout: Layout, number: int, voice: GrooveVoice) -> None:
    """Parameters of one drum of a groove: level and decay always, the rest only where a control moves it."""
    model = layout.models["drum"]
    moved = {control.to for control in layout.loaded.spec.control}
    prefixes = (f"{voice.name}.", "drums.")
    place = ("voice", number)
    tone = ToneLayout([], [], [], [])

    def parameter(suffix: str, table: Sequence[float], rest: float) -> int:
        for prefix in prefixes:
            name = prefix + suffix
            if name in layout.index:
                return layout.index[name]
            if name in moved:
                return _add(layout, name, table, rest)
        return -1

    for key in voice.latents:
        if not key.isdigit() or not 1 <= int(key) <= len(model.latents):
            raise layout.loaded.located.refusal(
                (*place, "latents"), f"there is no latent {key!r}; the drum model has {len(model.latents)}"
            )
    for latent_number, latent in enumerate(model.latents, 1):
        quantiles = [float(value) for value in latent["quantiles"]]
        mean_at = position_of(quantiles, float(latent["mean"]))
        at = float(voice.latents.get(str(latent_number), mean_at))
        tone.latent_rest.append(float(np.interp(at, np.linspace(0, 1, len(quantiles)), quantiles)))
        tone.latent.append(parameter(f"latent.{latent_number}", quantiles, at))
    _voice_knobs(layout, place, voice, model, tone, parameter)
    _add(layout, f"{voice.name}.level", _linear(0.0, 1.0), voice.level)
    _add(layout, f"{voice.name}.decay", decay_table(layout.board.audio.sample_rate_hz), voice.decay)
    layout.tones[voice.name] = tone


def _voice_knobs(
    layout: Layout,
    place: tuple[str | int, ...],
    voice: GrooveVoice,
    model: ModelFile,
    tone: ToneLayout,
    parameter: Callable[[str, Sequence[float], float], int],
) -> None:
    channels = knob_channels(model)
    classes = {name.removeprefix("class:"): n for n, name in enumerate(channels) if name.startswith("class:")}
    wanted = voice.drum_class or next(iter(classes), None)
    if wanted is not None and wanted not in classes:
        raise layout.loaded.located.refusal(
            (*place, "class"),
            f"the drum model has no class {wanted!r}; it has {', '.join(classes) or 'none'}",
        )
    for name in voice.attributes:
        if name not in model.attributes:
            raise layout.loaded.located.refusal(
                (*place, "attributes"),
                f"the drum model has no attribute {name!r}; it has {', '.join(model.attributes) or 'none'}",
            )
    for number, name in enumerate(channels):
        if name.startswith("class:"):
            tone.knob.append(-1)
            tone.knob_rest.append(1.0 if wanted is not None and classes[wanted] == number else 0.0)
            continue
        attribute = model.attributes[name.removeprefix("attribute:")]
        quantiles = [float(value) for value in attribute["quantiles"]]
        default_at = position_of(quantiles, float(attribute["default"]))
        at = float(voice.attributes.get(attribute["name"], default_at))
        tone.knob_rest.append(float(np.interp(at, np.linspace(0, 1, len(quantiles)), quantiles)))
        tone.knob.append(parameter(f"attribute.{attribute['name']}", quantiles, at))


# ---- connections -----------------------------------------------------------------------------------------


def _targets(layout: Layout, to: str) -> list[int]:
    """Parameters a control moves: one, or all densities for plain ``density``."""
    if to == "density":
        return [index for name, index in layout.index.items() if name.startswith("density.")]
    return [layout.index[to]] if to in layout.index else []


def _adc_index(layout: Layout, name: str | None, where: str) -> int:
    if name is None:
        return -1
    names = [adc.name for adc in layout.board.adcs]
    if name not in names:
        layout.absent.append(f"{name} ({where})")
        return -1
    return names.index(name)


def _connect(layout: Layout, number: int, control: Control) -> None:
    place = ("control", number)
    targets = _targets(layout, control.to)
    if not targets:
        choice = sorted({re.sub(r"\d+$", "N", name) for name in layout.index})
        raise layout.loaded.located.refusal(
            (*place, "to"),
            f"this {layout.kind} has nothing called {control.to!r}"
            f"{_how_many(layout, control.to)}; there are {', '.join(choice)}",
        )
    for target in targets:
        parameter = layout.parameters[target]
        if parameter.knob >= 0 and control.knob is not None and len(targets) == 1 and control.to != "density":
            raise layout.loaded.located.refusal((*place, "to"), f"{control.to!r} has a control already")
        table = np.asarray(parameter.table)
        if control.range != (0.0, 1.0):
            travel = np.linspace(control.range[0], control.range[1], 33)
            parameter.table = [float(v) for v in np.interp(travel, np.linspace(0, 1, len(table)), table)]
            span = control.range[1] - control.range[0]
            if span:
                parameter.rest = float(np.clip((parameter.rest - control.range[0]) / span, 0.0, 1.0))
        parameter.knob = _adc_index(layout, control.knob, control.to)
        parameter.cv = _adc_index(layout, control.cv, control.to)
        if isinstance(control.attenuverter, str):
            parameter.depth = _adc_index(layout, control.attenuverter, f"attenuverter of {control.to}")
            parameter.attenuverter = 1.0
        else:
            parameter.attenuverter = control.attenuverter
        parameter.travel_per_volt = 1.0 / (control.volts[1] - control.volts[0])
        parameter.law = LAWS.index(control.law)
        parameter.smoothing, parameter.band = control.smoothing, control.dead_band
        if control.default is not None:
            parameter.rest = control.default


def _how_many(layout: Layout, to: str) -> str:
    """Say how many latents there are to someone who asked for one too many."""
    if "latent." not in to:
        return ""
    of_drums = layout.kind == "groove" and to.count(".") > 1
    model = layout.models["drum" if of_drums or layout.kind == "drum" else next(iter(layout.models))]
    return f" (its {model.kind} model has {len(model.latents)} latents)"


def _lay_gates(layout: Layout) -> None:
    functions = GATES[layout.kind]
    layout.gates = [GateLayout() for _ in functions]
    bits = [gate.name for gate in layout.board.gates_in] + [button.name for button in layout.board.buttons]
    for number, gate in enumerate(layout.loaded.spec.gate):
        if gate.to not in functions:
            raise layout.loaded.located.refusal(
                ("gate", number, "to"),
                f"a {layout.kind} has no gate {gate.to!r}; it has {', '.join(functions)}",
            )
        row = layout.gates[functions.index(gate.to)]
        for jack in gate.jacks:
            if jack.startswith("cv"):
                row.cv = _adc_index(layout, jack, gate.to)
            elif jack.startswith("audio") and int(jack.rsplit("_", 1)[1]) <= layout.board.audio.inputs:
                row.audio = int(jack.rsplit("_", 1)[1]) - 1
            elif jack in bits:
                row.gates |= 1 << bits.index(jack)
                row.inverted |= int(gate.inverted) << bits.index(jack)
            else:
                layout.absent.append(f"{jack} ({gate.to})")


def _lay_outputs(layout: Layout) -> None:
    board, kind = layout.board, layout.kind
    layout.audio_out = [-1] * board.audio.outputs
    layout.cv_out = [-1] * len(board.dacs)
    layout.gate_out = [-1] * len(board.gates_out)
    taken: set[str] = set()
    for number, output in enumerate(layout.loaded.spec.output):
        place = ("output", number)
        if output.jack in taken:
            raise layout.loaded.located.refusal((*place, "jack"), f"{output.jack} is used already")
        taken.add(output.jack)
        if output.jack.startswith("audio_out"):
            sources, row, names = AUDIO_SOURCES[kind], layout.audio_out, None
        elif output.jack.startswith("cv_out"):
            sources, row, names = CV_SOURCES[kind], layout.cv_out, [dac.name for dac in board.dacs]
        else:
            sources, row, names = GATE_SOURCES[kind], layout.gate_out, [gate.name for gate in board.gates_out]
        if output.source not in sources:
            raise layout.loaded.located.refusal(
                (*place, "from"),
                f"a {kind} sends no {output.source!r} to {output.jack}; "
                f"{'it can send ' + ', '.join(sources) if sources else 'it has nothing for such a jack'}",
            )
        at = int(output.jack.rsplit("_", 1)[1]) - 1 if names is None else _place(names, output.jack)
        if not 0 <= at < len(row):
            layout.absent.append(f"{output.jack} ({output.source})")
            continue
        row[at] = sources.index(output.source)


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else -1
