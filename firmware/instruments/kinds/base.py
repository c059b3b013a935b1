"""What a kind of instrument says about itself; subclasses override what differs from one without models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware.compiler.plan.memory import STACK
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.latents import layer, macro, morph, prior
from firmware.instruments.schema import InstrumentFile
from firmware.models.model_file import ModelFile
from hardware.board import Board

DECODE_CYCLES = 7_000
"""Of an event model, per callback, as in ``engine/instruments/decision.c``: 1.5 % of 480 MHz at block 48.

A pattern of 500,000 cycles takes 80 ms; the very first, before anything sounds, 6 ms.
"""


def stack_bytes(report: Report) -> int:
    """Bytes of the stack that a chunk of a model takes for what passes within it."""
    return sum(t["bytes"] for t in report["tensors"] if t["name"] == STACK)


def state_region(report: Report) -> str:
    """Region that the memory plan chose for a model's state."""
    return next((t["region"] for t in report["tensors"] if t["name"] == "state"), "dtcm")


@dataclass(frozen=True)
class Pitch:
    """What a gate source plays: the CV source of its pitch, one volt per octave, and how long.

    Attributes
    ----------
    cv : str
        The CV source.
    until_next : bool
        Whether the note lasts until the next rise; else as long as the gate is high.
    """

    cv: str
    until_next: bool = False


class ModelRole:
    """One model of an instrument: what it is for, how C calls it, what its worst callback is.

    Attributes
    ----------
    name : str
        The role.
    model_kind : str
        The kind that the model file must say it is; the role's name where it is empty.
    required : bool
        Whether an instrument file must name one; a role that is not may be absent.
    runs : bool
        Whether it is a network to compile; else the kind reads what its file says.
    also : tuple of str
        Further kinds of model files that can play it.
    shared_recipe : str
        Recipe by which `vaectrol make` trains it for an instrument that holds another model too: a smaller
        one than the role's own.
    """

    name: str
    model_kind = ""
    required = True
    runs = True
    also: tuple[str, ...] = ()
    shared_recipe = ""

    def source(self, model: CompiledModel) -> str:
        """Return the C functions that call the model and the table of them, ``model.table``."""
        raise NotImplementedError(self.name)

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """Mean and worst cycles per callback, from the compiler's report."""
        if report["event"]:
            return DECODE_CYCLES, max(DECODE_CYCLES, report["cycles_per_step"]["worst"])
        cycles = report["cycles_per_callback"]
        return cycles["mean"], cycles["worst"]

    def voice_cycles(self, report: Report) -> tuple[float, float]:
        """Cycles per callback of each voice that the engine plays with it: sounding, and struck in it."""
        return 0.0, 0.0

    def wait_ticks(self, model: ModelFile) -> int:
        """Samples that the instrument lets pass before the model begins."""
        return 0

    def states(self, assignment: Assignment) -> int:
        """How many states of it the instrument keeps: one for each that it is asked for apart."""
        return 1


class PriorRole(ModelRole):
    """What goes on by itself in the latents of the kind's model (``engine/latents/prior.h``)."""

    name = prior.ROLE
    required = False

    def __init__(self, model_kind: str):
        self.model_kind = model_kind

    def source(self, model: CompiledModel) -> str:
        """Return the functions of a ``PriorNetwork``."""
        return prior.network_source(model)


class InstrumentKind:
    """One kind of instrument; its C is ``engine/instruments/NAME.h`` and ``.c``, named as its Python file.

    Attributes
    ----------
    schema : type
        The instrument file's fields: `InstrumentFile`, or a subclass with tables of the kind's own.
    renamed_tables : dict
        Older words of tables and what they are called now, as a file would write them.
    gates, gate_sources, cv_sources, audio_sources : tuple of str
        Gate functions that jacks raise, and what gate, CV and audio outputs can carry; each in the order of
        the enum in the kind's header.
    roles : tuple of ModelRole
        Models, in the order in which they get the board's fast memory.
    midi_notes : dict
        Gate sources that are notes in a MIDI file, and their numbers there.
    pitched : dict
        Gate sources that are notes whose pitch a CV source says, each on a channel of its own.
    audition : dict
        Gates that make it sound, and how often a second they are pulsed, where a preset is heard.
    words : dict
        What parameters without a control do to the sound: for pages and manuals.
    groups : tuple of str
        Names by which a control moves all parameters ``NAME.…`` at once.
    engine : tuple of str
        Further sources of ``engine/instruments`` that the kind's own C calls.
    struct_bytes : int
        Of the instrument's C struct on a 32-bit processor, rounded up; a test measures it.
    callback_cycles, sample_cycles, voice_cycles : int
        What the engine takes around the models on a Cortex-M7: per callback, per sample, and per sample and
        sounding voice; counted by `vaectrol emulate` at blocks of 16 and 48.
    """

    schema: type[InstrumentFile] = InstrumentFile
    renamed_tables: Mapping[str, str] = {}
    gates: tuple[str, ...] = ()
    gate_sources: tuple[str, ...] = ()
    cv_sources: tuple[str, ...] = ()
    audio_sources: tuple[str, ...] = ()
    roles: tuple[ModelRole, ...] = ()
    midi_notes: Mapping[str, int] = {}
    pitched: Mapping[str, Pitch] = {}
    audition: Mapping[str, float] = {}
    words: Mapping[str, str] = {}
    groups: tuple[str, ...] = ()
    engine: tuple[str, ...] = ()
    struct_bytes = 0
    callback_cycles = 0
    sample_cycles = 0
    voice_cycles = 0

    @property
    def name(self) -> str:
        """The kind's name: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def struct(self) -> str:
        """Name of the instrument's C struct."""
        return self.name.title().replace("_", "")

    def role(self, name: str) -> ModelRole:
        """Return the role of this name."""
        return next(role for role in self.roles if role.name == name)

    def voices(self, spec: InstrumentFile) -> int:
        """How many hits or notes may sound at once, as the file asks."""
        return 1

    def gates_of(self, spec: InstrumentFile) -> tuple[str, ...]:
        """Gate functions of an instrument with this file: the first of `gates`, or all."""
        return self.gates

    def memory_bytes(self, assignment: Assignment) -> dict[str, int]:
        """Of all that the kind's C keeps, by region, on a 32-bit processor."""
        return {"dtcm": self.struct_bytes}

    def add_parameters(self, assignment: Assignment) -> None:
        """Add what controls can move; a `Refusal` for a table of the file that the models do not bear out."""

    def model_behind(self, assignment: Assignment, parameter: str) -> ModelFile | None:
        """Return the model whose latent a control called `parameter` would move."""
        return next(iter(assignment.models.values()), None)

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Settle in `assignment` what depends on what the compiled models cost."""

    def wait_ticks(self, assignment: Assignment) -> int:
        """Samples that the instrument lets pass beside those of its models."""
        return max(
            (self.role(name).wait_ticks(model) for name, model in assignment.models.items()), default=0
        )

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Mean and worst cycles per callback of the models and of what plays them, all voices sounding."""
        mean = worst = 0.0
        for name, report in reports.items():
            cycles = self.role(name).cycles(report, assignment.board)
            voice = self.role(name).voice_cycles(report)
            mean += cycles[0] + assignment.voices * voice[0]
            worst += cycles[1] + assignment.voices * voice[1]
        return mean, worst

    def words_of(self, assignment: Assignment, parameter: str) -> str:
        """Say what a parameter does to the sound: its own words, its attribute's, or those of all latents."""
        if parameter in self.words:
            return self.words[parameter]
        if parameter == macro.PARAMETER:
            return macro.WORDS
        if parameter == morph.PARAMETER:
            return morph.WORDS
        if layered := layer.words_of(parameter):
            return layered
        *_, name = parameter.rpartition("latent.")
        if parameter.endswith(f"latent.{name}") and name.isdigit():
            return f"Latent {name} of the model: the higher its number, the finer what it changes."
        _, found, name = parameter.rpartition("attribute.")
        model = self.model_behind(assignment, parameter)
        bends = model.about.bends if model is not None else []
        bent = next((bend.words for bend in bends if parameter.endswith(bend.name)), "")
        if bent:
            return bent
        attribute = model.about.attribute(name) if found and model is not None else None
        return attribute.definition or f"From little {name} to much." if attribute else ""

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return the kind's C: what its spec is, and what that points to."""
        raise NotImplementedError(self.name)

    def engine_cycles(self, block: int, voices: int) -> float:
        """Cycles per callback of what surrounds the models on a Cortex-M7, so many voices sounding."""
        return self.callback_cycles + (self.sample_cycles + self.voice_cycles * voices) * block
