"""A groove: a rhythm plays up to six drums, its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, field_validator, model_validator

from common.drums import PARTS
from firmware.compiler.ops.hit import EVALUATION_TICKS
from firmware.instruments.assignment import Assignment, ToneAssignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.literals import number
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds import drum, rhythm
from firmware.instruments.kinds.base import InstrumentKind
from firmware.instruments.schema import InstrumentFile, Table
from firmware.instruments.tone import BEND_REST, UNIT, position_of, tone_tables
from firmware.models.model_file import ModelFile, knob_channels

MAX_PARTS = 6  # GROOVE_VOICES in engine/instruments/groove.h
SETS_REGION = "axi"
"""Where the parts' sets lie: they are too large for fast memory, and each is read once a millisecond."""
PART_WORDS = {
    "level": "How loud the {} is in the kit.",
    "decay": "How long the {} may ring: fully right as long as the drum itself.",
}
ALL_DRUMS = "drums"
"""Prefix of a control that moves every part."""


class GroovePart(Table):
    """One drum of a groove."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    plays: list[str]
    """Parts of the rhythm that strike it."""
    drum_class: str | None = Field(None, alias="class")
    latents: dict[str, float] = Field(default_factory=dict)
    """Positions 0 … 1 of single latents ("1" is the first); the others sit at their mean."""
    attributes: dict[str, float] = Field(default_factory=dict)
    """Positions 0 … 1."""
    chokes: list[str] = Field(default_factory=list)
    level: float = Field(0.8, ge=0.0, le=1.0)
    decay: float = Field(1.0, ge=0.0, le=1.0)
    pan: float = Field(0.0, ge=-1.0, le=1.0)

    @field_validator("plays")
    @classmethod
    def _plays_known_parts(cls, plays: list[str]) -> list[str]:
        for name in plays:
            if name not in PARTS:
                raise ValueError(f"a rhythm has no part {name!r}; there are {', '.join(PARTS)}")
        return plays


class GrooveFile(InstrumentFile):
    """The whole file."""

    part: list[GroovePart] = Field(default_factory=list)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> GrooveFile:
        if not self.part:
            raise ValueError("a groove lists its drums as [[part]], and there is none")
        names = [part.name for part in self.part]
        for part in self.part:
            for choked in part.chokes:
                if choked not in names:
                    raise ValueError(f"part {part.name!r} chokes {choked!r}, which is no part here")
        if len(set(names)) < len(names):
            raise ValueError("two parts have the same name")
        if len(self.part) > MAX_PARTS:
            raise ValueError(f"a groove has {MAX_PARTS} parts at most")
        return self


def _parts(assignment: Assignment) -> list[GroovePart]:
    spec = assignment.loaded.spec
    assert isinstance(spec, GrooveFile)
    return spec.part


class PartsModel(drum.HitModel):
    """The drum's network, asked for one part after the other; a hit takes what is known of its part."""

    resting_ticks = EVALUATION_TICKS

    def wait_ticks(self, model: ModelFile) -> int:
        """A hit waits for nothing."""
        return 0


class Groove(InstrumentKind):
    """A clock in, a whole kit out."""

    schema = GrooveFile
    renamed_tables: Mapping[str, str] = {"voice": "[[part]]"}
    gates = rhythm.KIND.gates
    gate_sources = rhythm.KIND.gate_sources
    cv_sources = rhythm.KIND.cv_sources
    audio_sources = ("left", "right")
    roles = (*rhythm.KIND.roles, PartsModel())
    audition = rhythm.KIND.audition
    words = rhythm.KIND.words
    groups = rhythm.KIND.groups
    engine = ("rhythm", "decision", "step_clock", "voice", "hit", "tone")
    struct_bytes = 48 * 1024
    callback_cycles, sample_cycles, voice_cycles = 7_000, 340, drum.VOICE_CYCLES

    def voices(self, spec: InstrumentFile) -> int:
        """One for each part."""
        assert isinstance(spec, GrooveFile)
        return len(spec.part)

    def memory_bytes(self, assignment: Assignment) -> dict[str, int]:
        """A set for each part beside the struct, and one that is being worked out."""
        return {"dtcm": self.struct_bytes, SETS_REGION: (len(_parts(assignment)) + 1) * drum.SET_BYTES}

    def add_parameters(self, assignment: Assignment) -> None:
        """Those of the rhythm; the level of the whole; what controls move of the parts."""
        rhythm.KIND.add_parameters(assignment)
        assignment.add("level", UNIT, 0.8)
        for place, part in enumerate(_parts(assignment)):
            assignment.tones[part.name] = _PartParameters(assignment, place, part).added()

    def model_behind(self, assignment: Assignment, parameter: str) -> ModelFile | None:
        """Return the drums' model behind ``PART.latent.N``, else the rhythm's."""
        return assignment.models["drum" if parameter.count(".") > 1 else "rhythm"]

    def words_of(self, assignment: Assignment, parameter: str) -> str:
        """Those of the rhythm, and those of a drum for each part."""
        part, _, rest = parameter.partition(".")
        if part in assignment.tones and rest in PART_WORDS:
            return PART_WORDS[rest].format(part.replace("_", " "))
        return drum.KIND.words["level"] if parameter == "level" else super().words_of(assignment, parameter)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``GrooveSpec``."""
        played = rhythm.KIND.tables(assignment, models)
        parts = _parts(assignment)
        names = [part.name for part in parts]
        sets = models["drum"].held("HitSet", "drum_sets", len(parts) + 1, region=SETS_REGION)
        declared, rows = [*played.declared, models["drum"].state, sets], []
        for part in parts:
            tone_declared, tone = tone_tables(
                assignment, assignment.tones[part.name], f"voice_{part.name}", "drum"
            )
            declared.append(tone_declared)
            plays = sum(1 << PARTS.index(name) for name in part.plays)
            chokes = sum(1 << names.index(name) for name in part.chokes)
            rows.append(
                f"    {{.plays = 0x{plays:x}, .chokes = 0x{chokes:x},\n     .tone = {tone},\n"
                f"     .level = {assignment.index[part.name + '.level']}, "
                f".decay = {assignment.index[part.name + '.decay']},\n"
                f"     .left = {number(min(1.0, 1.0 - part.pan))}, "
                f".right = {number(min(1.0, 1.0 + part.pan))}}}, /* {part.name} */"
            )
        declared.append("static const GrooveVoice voices[] = {\n" + "\n".join(rows) + "\n};")
        spec = f"""{{
    .rhythm = {played.spec},
    .drum = &{models["drum"].table},
    .voices = {len(parts)},
    .players = {assignment.voices},
    .voice = voices,
    .state = &drum_state,
    .set = drum_sets,
    .level = {assignment.index["level"]},
}}"""
        return KindTables(declared, spec)


@dataclass
class _PartParameters:
    """Adds the parameters of one part: level and decay always, the rest only where a control moves it."""

    assignment: Assignment
    number: int
    part: GroovePart

    def added(self) -> ToneAssignment:
        """Add them, and say where latents and knobs of the part lie."""
        tone = ToneAssignment()
        self._add_latents(tone)
        self._add_knobs(tone)
        decays = drum.decay_table(self.assignment.board.audio.sample_rate_hz)
        self.assignment.add(f"{self.part.name}.level", UNIT, self.part.level)
        self.assignment.add(f"{self.part.name}.decay", decays, self.part.decay)
        return tone

    @property
    def _model(self) -> ModelFile:
        return self.assignment.models["drum"]

    def _refuse(self, field: str, what: str) -> Exception:
        return self.assignment.loaded.located.refusal(("part", self.number, field), what)

    def _moved(self, suffix: str, table: Sequence[float], rest: float) -> int:
        """Number of the parameter that a control moves, of this part or of all; −1: none does."""
        for owner in (self.part.name, ALL_DRUMS):
            name = f"{owner}.{suffix}"
            if name in self.assignment.index:
                return self.assignment.index[name]
            if name in self.assignment.moved:
                return self.assignment.add(name, table, rest)
        return -1

    def _add_latents(self, tone: ToneAssignment) -> None:
        part, latents = self.part, self._model.about.latents
        for key in part.latents:
            if not key.isdigit() or not 1 <= int(key) <= len(latents):
                raise self._refuse(
                    "latents", f"there is no latent {key!r}; the drum model has {len(latents)}"
                )
        for number_, latent in enumerate(latents, 1):
            at = float(part.latents.get(str(number_), position_of(latent.quantiles, latent.at_rest)))
            tone.latent_rest.append(_value_at(latent.quantiles, at))
            tone.latent.append(self._moved(f"latent.{number_}", latent.quantiles, at))

    def _add_knobs(self, tone: ToneAssignment) -> None:
        part = self.part
        channels = knob_channels(self._model)
        classes = {
            name.removeprefix("class:"): at for at, name in enumerate(channels) if name.startswith("class:")
        }
        wanted = part.drum_class or next(iter(classes), None)
        if wanted is not None and wanted not in classes:
            raise self._refuse(
                "class", f"the drum model has no class {wanted!r}; it has {', '.join(classes) or 'none'}"
            )
        attributes = {attribute.name: attribute for attribute in self._model.about.attributes}
        for name in part.attributes:
            if name not in attributes:
                there = ", ".join(attributes) or "none"
                raise self._refuse("attributes", f"the drum model has no attribute {name!r}; it has {there}")
        for channel, name in enumerate(channels):
            if name.startswith("class:"):
                tone.knob.append(-1)
                tone.knob_rest.append(1.0 if wanted is not None and classes[wanted] == channel else 0.0)
                continue
            attribute = attributes[name.removeprefix("attribute:")]
            default_at = position_of(attribute.quantiles, attribute.default)
            at = float(part.attributes.get(attribute.name, default_at))
            tone.knob_rest.append(_value_at(attribute.quantiles, at))
            tone.knob.append(self._moved(f"attribute.{attribute.name}", attribute.quantiles, at))
        for bend in self._model.about.bends:
            tone.knob_rest.append(bend.neutral)
            tone.knob.append(self._moved(bend.name, bend.table, BEND_REST))


def _value_at(table: Sequence[float], position: float) -> float:
    return float(np.interp(position, np.linspace(0, 1, len(table)), table))


KIND = Groove()
