"""The fields of an instrument file that every kind has; a kind adds tables of its own (`kinds/`)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from common.reading.toml_source import Located

LAWS = ("linear", "square", "cube", "root", "s")  # in the order of engine/control/law.h

_JACK_IN = re.compile(r"^(knob|cv)_[1-9][0-9]?$")
_JACK_GATE = re.compile(r"^(gate_in|button|toggle|cv|audio_in)_[1-9][0-9]?$")
_JACK_OUT = re.compile(r"^(audio_out|cv_out|gate_out)_[1-9][0-9]?$")


def _within_travel(span: tuple[float, float]) -> tuple[float, float]:
    if not all(0.0 <= end <= 1.0 for end in span):
        raise ValueError("both ends lie between 0 and 1")
    return span


Span = Annotated[tuple[float, float], AfterValidator(_within_travel)]
"""Part of a travel, 0 … 1; reversed, it turns the travel round."""


class Table(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Control(Table):
    """What moves one parameter: position = law(knob + attenuverter · CV), clamped."""

    to: str
    words: str = ""
    """What it does to the sound, for those who play; pages and screen readers say it."""
    knob: str | None = None
    cv: str | None = None
    attenuverter: float | str = 1.0
    """−1 … 1, or the name of the knob that sets it."""
    volts: tuple[float, float] = (-5.0, 5.0)
    """The CV's range: its full swing is the full travel."""
    law: Literal["linear", "square", "cube", "root", "s"] = "linear"
    smoothing: float = Field(0.85, ge=0.0, le=0.99)
    dead_band: float = Field(0.0015, ge=0.0, le=0.05)
    """Half width, in travel; 0 for pitch."""
    default: float | None = Field(None, ge=0.0, le=1.0)
    """Position without a knob."""
    range: Span = (0.0, 1.0)
    """Part of the parameter's travel that the control covers; reversed to turn it round."""

    @field_validator("knob", "cv")
    @classmethod
    def _is_an_input(cls, name: str | None) -> str | None:
        if name is not None and not _JACK_IN.match(name):
            raise ValueError("an input is called knob_N or cv_N")
        return name

    @field_validator("attenuverter")
    @classmethod
    def _is_a_share_or_a_knob(cls, value: float | str) -> float | str:
        if isinstance(value, str):
            if not _JACK_IN.match(value):
                raise ValueError("an attenuverter is a number from -1 to 1 or a knob_N")
        elif not -1.0 <= value <= 1.0:
            raise ValueError("an attenuverter lies between -1 and 1")
        return value

    @field_validator("volts")
    @classmethod
    def _is_a_range(cls, volts: tuple[float, float]) -> tuple[float, float]:
        if not (math.isfinite(volts[0]) and math.isfinite(volts[1]) and 0.5 <= volts[1] - volts[0] <= 40.0):
            raise ValueError("give the lowest and the highest volts, such as [-5, 5] or [0, 8]")
        return volts


class Gate(Table):
    """What raises one gate function."""

    to: str
    words: str = ""
    jack: str | list[str]
    inverted: bool = False

    @property
    def jacks(self) -> list[str]:
        """The jacks, one or several."""
        return [self.jack] if isinstance(self.jack, str) else self.jack

    @field_validator("jack")
    @classmethod
    def _is_a_gate(cls, jack: str | list[str]) -> str | list[str]:
        for name in [jack] if isinstance(jack, str) else jack:
            if not _JACK_GATE.match(name):
                raise ValueError("a gate comes from gate_in_N, button_N, toggle_N, cv_N or audio_in_N")
        return jack


class Output(Table):
    """What one jack carries."""

    jack: str
    words: str = ""
    source: str = Field(alias="from")

    @field_validator("jack")
    @classmethod
    def _is_an_output(cls, jack: str) -> str:
        if not _JACK_OUT.match(jack):
            raise ValueError("an output is called audio_out_N, cv_out_N or gate_out_N")
        return jack


class DemoTable(Table):
    """What the instrument plays to show itself."""

    about: str
    """One sentence: what one hears."""
    script: str
    """A CV script beside the file."""
    sounds: dict[str, str] = {}
    """Jack → a sound file beside this one, or the name of a phrase of `vaectrol toy phrase`."""
    other_model: DemoTable | None = None
    """What to play when a model is not the instrument's own, whose latents the script knows."""


class MidiNote(Table):
    """What keys do: those of a range, while they are held or when they are struck."""

    notes: int | tuple[int, int] = (0, 127)
    """One key, or the lowest and the highest."""
    trigger: int | None = Field(None, ge=1, le=32)
    """Number of the part that is struck, with the key's velocity."""
    gate: str | None = None
    """Gate function that is high while a key is held."""
    velocity: str | None = None
    """Parameter that is moved: hard is 1."""
    pitch: str | None = None
    """Parameter that follows as by its CV, one volt an octave."""
    middle: int = Field(60, ge=0, le=127)
    """Key of 0 V."""
    voices: int = Field(1, ge=1, le=8)
    """Keys that sound at once: the second has the gate ``GATE_2`` and the parameter ``PITCH.2``, and so on.

    Each takes the voice that was let go first, else that of the oldest key.
    """
    set: dict[str, float | str] = {}
    """Parameters moved before the stroke, to a position or to a class by name; a name that the model does not
    know moves nothing."""

    @property
    def span(self) -> tuple[int, int]:
        """Lowest and highest key."""
        return (self.notes, self.notes) if isinstance(self.notes, int) else self.notes

    def gate_of(self, voice: int) -> str | None:
        """Gate function of a voice, from 1 on."""
        return self.gate if self.gate is None or voice == 1 else f"{self.gate}_{voice}"

    def pitch_of(self, voice: int) -> str | None:
        """Parameter that says the pitch of a voice, from 1 on."""
        return self.pitch if self.pitch is None or voice == 1 else f"{self.pitch}.{voice}"

    @field_validator("notes")
    @classmethod
    def _are_keys(cls, notes: int | tuple[int, int]) -> int | tuple[int, int]:
        low, high = (notes, notes) if isinstance(notes, int) else notes
        if not 0 <= low <= high <= 127:
            raise ValueError("give a key from 0 to 127, or the lowest and the highest")
        return notes

    @field_validator("set")
    @classmethod
    def _are_positions(cls, positions: dict[str, float | str]) -> dict[str, float | str]:
        if not all(isinstance(at, str) or 0.0 <= at <= 1.0 for at in positions.values()):
            raise ValueError("a position lies between 0 and 1")
        return positions


class MidiController(Table):
    """What one controller moves."""

    cc: int = Field(ge=0, le=119)
    to: str
    """A parameter, or a group of them, as controls name it."""
    range: Span = (0.0, 1.0)
    """Positions at 0 and at 127."""


class MidiTable(Table):
    """What comes by MIDI, from a file, a cable or a browser, and what it does."""

    channel: int | None = Field(None, ge=1, le=16)
    """The one that is listened to; none: all."""
    note: list[MidiNote] = []
    cc: list[MidiController] = []
    clock: int | None = Field(None, ge=1, le=96)
    """So many pulses of the clock, 24 a quarter note, make one of the instrument; none: it has no clock."""
    start: bool = False
    """Whether start resets the instrument."""
    bend: float = Field(2.0, ge=0.0, le=24.0)
    """Semitones at the ends of the pitch wheel, for keys that have a pitch."""


class LatentsTable(Table):
    """What happens to latents between the panel and the model; what is not asked for costs nothing."""

    hold: bool | list[int] = False
    """A gate ``hold`` for all latents (true) or those of these numbers; a parameter ``hold.glide``."""
    wander: bool = False
    """Parameters ``wander.depth`` and ``wander.rate``."""
    shape: bool = False
    """Parameters ``latents.scale`` and ``latents.bias``."""
    slew: bool = False
    """A parameter ``latents.slew``."""
    sequence: bool = False
    """Sixteen steps: gates ``record``, ``clear``, ``clock``, ``reset``; parameters ``sequence.…``."""
    tables: bool = False
    """Two recordings: gates ``table_a``, ``table_b``, ``table_start``; parameters ``table.…``."""
    prior: bool = False
    """Goes on by itself with the model of role ``prior``: a gate ``listen``; parameters ``prior.…``."""


class InstrumentFile(Table):
    """The whole file, as far as all kinds agree."""

    title: str
    kind: str
    about: str = ""
    ideas: tuple[str, ...] = ()
    """Patches to try, a sentence or two each; ``{cv_1}`` becomes what the panel says there."""
    demo: DemoTable | None = None
    models: dict[str, str] = {}
    latents: LatentsTable | None = None
    macro: bool = False
    """A parameter ``macro`` that moves all others, and a gate ``learn``."""
    morph: bool = False
    """A parameter ``model.morph`` from the model that plays to another of its shape."""
    control: list[Control] = []
    gate: list[Gate] = []
    output: list[Output] = []
    midi: MidiTable | None = None


@dataclass(frozen=True)
class LoadedInstrument:
    """An instrument file, valid in itself, with the lines it was read from."""

    name: str
    spec: InstrumentFile
    located: Located
