"""What lies where: an instrument, its models and a board, brought together.

Every latent, attribute and setting of an instrument is a *parameter*, a row of the engine's panel. A control
of the instrument file connects inputs of the board to one; what has no control rests at its default and can
still be set by OSC, the serial port or a preset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware.instruments.schema import LoadedInstrument
from firmware.models.model_file import ModelFile
from hardware.board import Board


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
class ToneAssignment:
    """Where latents and knobs of one model come from: parameter numbers, −1: the value at rest."""

    latent: list[int] = field(default_factory=list)
    latent_rest: list[float] = field(default_factory=list)
    knob: list[int] = field(default_factory=list)
    knob_rest: list[float] = field(default_factory=list)
    class_parameter: int = -1
    classes: int = 0
    first_class: int = 0
    plane: tuple[int, int] | None = None


@dataclass
class GateAssignment:
    """What raises one gate function: gate bits (some of them inverted), an input, an audio channel."""

    gates: int = 0
    inverted: int = 0
    cv: int = -1
    audio: int = -1


@dataclass
class Assignment:
    """An instrument, its models and a board, brought together.

    Attributes
    ----------
    index : dict
        Parameter numbers by the names that controls use.
    tones : dict
        Latents and knobs by role of the model, or by whatever name the kind gives them.
    kind_gates : tuple of str
        Of the kind alone.
    gate_names : list of str
        Of the gate functions: the kind's, and those of the file's ``[latents]``.
    voices, voices_asked : int
        Hits that may sound at once: what the file asks for, and fewer where the board has no time for them.
    steps : tuple of (int, str, int)
        Of a kind whose work is spread over samples: when each is due, what it does, and which part of that.
    ear_steps : tuple of (int, str, int)
        The same of an ear that listens beside it.
    absent : list of str
        Jacks the instrument names and the board lacks, in words.
    """

    loaded: LoadedInstrument
    board: Board
    models: dict[str, ModelFile]
    parameters: list[Parameter] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    tones: dict[str, ToneAssignment] = field(default_factory=dict)
    gates: list[GateAssignment] = field(default_factory=list)
    kind_gates: tuple[str, ...] = ()
    gate_names: list[str] = field(default_factory=list)
    audio_out: list[int] = field(default_factory=list)
    cv_out: list[int] = field(default_factory=list)
    gate_out: list[int] = field(default_factory=list)
    voices: int = 1
    voices_asked: int = 1
    steps: tuple[tuple[int, str, int], ...] = ()
    ear_steps: tuple[tuple[int, str, int], ...] = ()
    absent: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Kind of the instrument."""
        return self.loaded.spec.kind

    @property
    def moved(self) -> set[str]:
        """Names that controls of the file move."""
        return {control.to for control in self.loaded.spec.control}

    @property
    def choices(self) -> dict[str, list[str]]:
        """OSC address → names along the travel, of the parameters that choose among a model's classes."""
        return {
            self.parameters[tone.class_parameter].name: list(self.models[role].about.classes)
            for role, tone in self.tones.items()
            if tone.class_parameter is not None and role in self.models
        }

    def is_patched(self, gate: str) -> bool:
        """Whether anything can raise the gate function of this name."""
        row = self.gates[self.gate_names.index(gate)]
        return row.gates != 0 or row.cv >= 0 or row.audio >= 0

    def add(self, name: str, table: Sequence[float], rest: float) -> int:
        """Add a parameter and return its number.

        Parameters
        ----------
        name : as controls name it; dots become slashes in its OSC address.
        table : values over the travel, evenly spaced; at least two.
        rest : position 0 … 1 without a knob.
        """
        self.index[name] = len(self.parameters)
        self.parameters.append(
            Parameter(name.replace(".", "/"), [float(value) for value in table], float(rest))
        )
        return self.index[name]
