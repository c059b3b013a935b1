"""An instrument file: which model, which control moves what, what goes out of which jack.

A builder writes one without touching C. The file alone is read and checked here;
`firmware.instruments.layout` brings it together with its models and a board.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from common.drums import PARTS
from common.refusal import Refusal
from firmware.instruments.model_file import MODELS_DIR, ModelFile, find_model, read_model
from firmware.instruments.toml_source import Located, read_toml

INSTRUMENTS_DIR = Path(__file__).parent
LAWS = ("linear", "square", "cube", "root", "s")  # in the order of engine/control/law.h
GATES = {  # in the order of the enums of engine/instruments/*.h
    "drum": ("trigger", "accent", "choke"),
    "rhythm": ("clock", "reset", "fill", "freeze"),
    "drive": ("bypass",),
    "groove": ("clock", "reset", "fill", "freeze"),
}
GATE_SOURCES = {
    "drum": ("trigger",),
    "rhythm": (*PARTS, "accent", "step", "start"),
    "drive": (),
    "groove": (*PARTS, "accent", "step", "start"),
}
CV_SOURCES = {
    "drum": ("envelope",),
    "rhythm": (*(f"velocity.{voice}" for voice in PARTS), "velocity", "phase"),
    "drive": ("envelope",),
    "groove": (*(f"velocity.{voice}" for voice in PARTS), "velocity", "phase"),
}
AUDIO_SOURCES = {"drum": ("mix",), "rhythm": (), "drive": ("mix",), "groove": ("left", "right")}
MODELS = {"drum": ("drum",), "rhythm": ("rhythm",), "drive": ("drive",), "groove": ("rhythm", "drum")}

_JACK_IN = re.compile(r"^(knob|cv)_[1-9][0-9]?$")
_JACK_GATE = re.compile(r"^(gate_in|button|toggle|cv|audio_in)_[1-9][0-9]?$")
_JACK_OUT = re.compile(r"^(audio_out|cv_out|gate_out)_[1-9][0-9]?$")


class _Part(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Control(_Part):
    """What moves one parameter: position = law(knob + attenuverter · CV), clamped."""

    to: str
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
    range: tuple[float, float] = (0.0, 1.0)
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

    @field_validator("range")
    @classmethod
    def _is_within_travel(cls, span: tuple[float, float]) -> tuple[float, float]:
        if not all(0.0 <= end <= 1.0 for end in span):
            raise ValueError("both ends lie between 0 and 1")
        return span


class Gate(_Part):
    """What raises one gate function."""

    to: str
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


class Output(_Part):
    """What one jack carries."""

    jack: str
    source: str = Field(alias="from")

    @field_validator("jack")
    @classmethod
    def _is_an_output(cls, jack: str) -> str:
        if not _JACK_OUT.match(jack):
            raise ValueError("an output is called audio_out_N, cv_out_N or gate_out_N")
        return jack


class GrooveVoice(_Part):
    """One drum of a groove."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    plays: list[str]
    """Voices of the rhythm that strike it."""
    drum_class: str | None = Field(None, alias="class")
    latents: dict[str, float] = {}
    """Positions 0 … 1 of single latents ("1" is the first); the others sit at their mean."""
    attributes: dict[str, float] = {}
    """Positions 0 … 1."""
    chokes: list[str] = []
    level: float = Field(0.8, ge=0.0, le=1.0)
    decay: float = Field(1.0, ge=0.0, le=1.0)
    pan: float = Field(0.0, ge=-1.0, le=1.0)

    @field_validator("plays")
    @classmethod
    def _plays_known_voices(cls, plays: list[str]) -> list[str]:
        for name in plays:
            if name not in PARTS:
                raise ValueError(f"a rhythm has no voice {name!r}; there are {', '.join(PARTS)}")
        return plays


class Options(_Part):
    """What is neither a knob nor a jack."""

    voices: int = Field(1, ge=1, le=4)
    """Hits of a drum that may sound at once."""
    retrigger: Literal["ring", "cut"] = "ring"
    """Whether a hit lets the one before it ring (where there is a voice left) or ends it."""


class DemoTable(_Part):
    """What the instrument plays to show itself."""

    about: str
    script: str
    """A CV script beside the file."""
    sounds: dict[str, str] = {}
    """Jack → a sound file beside this one, or the name of a phrase of `vaectrol toy phrase`."""


class Instrument(_Part):
    """The whole file."""

    title: str
    kind: Literal["drum", "rhythm", "drive", "groove"]
    about: str = ""
    demo: DemoTable | None = None
    models: dict[str, str]
    options: Options = Options()
    control: list[Control] = []
    gate: list[Gate] = []
    output: list[Output] = []
    voice: list[GrooveVoice] = []

    @model_validator(mode="after")
    def _names_its_models(self) -> Instrument:
        wanted = MODELS[self.kind]
        for role in wanted:
            if role not in self.models:
                raise ValueError(f"a {self.kind} needs [models] {role} = …")
        for role in self.models:
            if role not in wanted:
                raise ValueError(f"a {self.kind} takes {' and '.join(wanted)}, no model {role!r}")
        if (self.kind == "groove") != bool(self.voice):
            raise ValueError("a groove, and only a groove, lists its drums as [[voice]]")
        names = [voice.name for voice in self.voice]
        for voice in self.voice:
            for choked in voice.chokes:
                if choked not in names:
                    raise ValueError(f"voice {voice.name!r} chokes {choked!r}, which is no voice here")
        if len(set(names)) < len(names):
            raise ValueError("two voices have the same name")
        if len(self.voice) > 6:
            raise ValueError("a groove has six drums at most")
        return self


@dataclass(frozen=True)
class LoadedInstrument:
    """An instrument file, valid in itself, with the lines it was read from."""

    name: str
    spec: Instrument
    located: Located


def available_instruments() -> list[str]:
    """Names of the instruments in ``firmware/instruments``, sorted."""
    return sorted(path.stem for path in INSTRUMENTS_DIR.glob("*.toml"))


def load_instrument(name_or_path: str | Path) -> LoadedInstrument:
    """Read an instrument by name (``drum``) or from a TOML file.

    Raises
    ------
    Refusal
        Unknown name, not TOML, or a field that is wrong: file, line, field, reason.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in available_instruments():
            raise Refusal(
                f"there is no instrument {str(name_or_path)!r}; choose {', '.join(available_instruments())}, "
                "or give the path of a .toml file."
            )
        path = INSTRUMENTS_DIR / f"{name_or_path}.toml"
    located = read_toml(path)
    return LoadedInstrument(path.stem, located.validated(Instrument), located)


def find_models(loaded: LoadedInstrument, given: Mapping[str, Path] | None = None) -> dict[str, ModelFile]:
    """Read the models an instrument names; `given` replaces them by role.

    Raises
    ------
    Refusal
        A model that is not there, or of another kind than the instrument needs.
    """
    given = dict(given or {})
    for role in given:
        if role not in loaded.spec.models:
            raise Refusal(f"{loaded.name} takes no model {role!r}; it takes {', '.join(loaded.spec.models)}.")
    models = {}
    for role, name in loaded.spec.models.items():
        path = Path(given[role]) if role in given else find_model(name, loaded.located.path.parent)
        if path is None:
            raise loaded.located.refusal(
                ("models", role),
                f"there is no model {name!r} (looked beside the file and in {MODELS_DIR}); train one with "
                f"`vaectrol make` or `vaectrol train`, or say --model {role}=FILE.onnx",
            )
        model = read_model(path)
        if model.kind != role:
            raise loaded.located.refusal(
                ("models", role), f"{path.name} is a {model.kind} model, and this needs a {role} model"
            )
        models[role] = model
    return models
