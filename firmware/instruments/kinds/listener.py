"""A listener: strokes in a sound become gates, and what they are becomes voltages."""

from __future__ import annotations

from collections.abc import Mapping

from common.refusal import Refusal
from firmware.compiler.passes.split_sound import TICKS_PER_HOP
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.hearing import ear_of, ear_tables
from firmware.instruments.c.held import KindTables
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.hops import HEAR_CYCLES, Step, load_of, network_steps, placed
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.tone import UNIT
from hardware.board import Board

GROUPS = ("kick", "snare", "hat", "tom", "perc")
SCENES = 4
MOST_EMBEDDING = 32
"""LISTENER_EMBEDDING of engine/instruments/listener.h."""
BEGIN_CYCLES = 7_000
"""What happens at once when a hop is complete: its loudness."""
DECIDE_CYCLES = 1_500
LOGITS = (8.0, -8.0)
HOLD_HOPS, PATIENCE_HOPS = (2.0, 48.0), (0.0, 8.0)


class EarRole(ModelRole):
    """A network that hears (``engine/instruments/listener.h``)."""

    name = "ear"

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """A callback's share of a hop; the kind knows the worst."""
        mean = report["cycles_per_callback"]["mean"]
        return mean, mean

    def source(self, model: CompiledModel) -> str:
        """Return the functions and tables of a ``ListenerModel``."""
        ear, about = model.ends.ear, model.model.about
        channels = {spec.name: len(spec.channels) for spec in about.outputs}
        wanted = {"strokes": 1 + len(GROUPS), "scene": SCENES}
        if ear is None or any(channels.get(name) != count for name, count in wanted.items()):
            raise Refusal(
                f"{model.file.name}: it does not say what an ear says; train one by `vaectrol train ear`."
            )
        embedding = channels.get("embedding", 0)
        if not 1 <= embedding <= MOST_EMBEDDING:
            raise Refusal(
                f"{model.file.name}: its embedding has {embedding} numbers; the engine has room for "
                f"1 to {MOST_EMBEDDING}."
            )
        role, name = model.role, model.name
        outputs = "\n".join(f"        .{one} = answer->{one}, .{one}_stride = 1," for one in channels)
        return f"""{ear_tables(ear)}
static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, uint8_t ticks, const float *heard, ListenerAnswer *answer)
{{
    const {name}_inputs in = {{.heard = heard, .heard_stride = 1}};
    const {name}_outputs out = {{
{outputs}
    }};
    {name}_process(state, ticks, &in, &out);
}}

_Static_assert(LISTENER_TICKS == {TICKS_PER_HOP}u, "of the engine");
static const ListenerModel {model.table} = {{
    .ear = {ear_of(ear)},
    .embedding = {embedding},
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""


class Listener(InstrumentKind):
    """Audio in, gates out."""

    gates = ("learn",)
    gate_sources = ("onset", *GROUPS, "user")
    cv_sources = (*gate_sources, "group", "confidence", "velocity", "scene", "likeness")
    audio_sources = ("mix",)
    roles = (EarRole(),)
    midi_notes: Mapping[str, int] = {"kick": 36, "snare": 38, "hat": 42, "tom": 45, "perc": 56, "user": 39}
    words: Mapping[str, str] = {
        "threshold": "How sure it must be that a stroke began: right, only of clear ones.",
        "hold": "How long after a stroke no other counts, from ten milliseconds to a quarter of a second.",
        "patience": "How long it listens to a stroke before it says which: at once, up to 43 milliseconds.",
        "near": "How like the learnt strokes one must be.",
        "kick": "How readily a stroke is taken for a kick.",
        "snare": "How readily a stroke is taken for a snare.",
        "hat": "How readily a stroke is taken for a hat or cymbal.",
        "gain": "How loud the sound goes in.",
        "monitor": "From the sound as it came in to a beep for each stroke, of another pitch for each group.",
        "level": "Loudness of everything that leaves the module.",
    }
    struct_bytes = 32 * 1024
    callback_cycles, sample_cycles = 3_700, 85

    def add_parameters(self, assignment: Assignment) -> None:
        """What is decided, and levels."""
        assignment.add("threshold", (-4.0, 4.0), 0.5)
        assignment.add("hold", HOLD_HOPS, 4.0 / 46.0)
        assignment.add("patience", PATIENCE_HOPS, 0.75)
        assignment.add("near", (0.0, 1.0), 0.7)
        for group in GROUPS[:3]:
            assignment.add(group, LOGITS[::-1], 0.5)
        assignment.add("gain", (0.0, 2.0), 0.5)
        assignment.add("monitor", UNIT, 0.0)
        assignment.add("level", UNIT, 1.0)

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Spread the steps of a hop evenly over it."""
        assignment.steps = placed(steps(reports), BEGIN_CYCLES)

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Of a hop's steps, as they are due."""
        return load_of(steps(reports), BEGIN_CYCLES, assignment.steps, block)

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``ListenerSpec``."""
        model = models["ear"]
        parameters = "\n".join(f"    .{name} = {number}," for name, number in assignment.index.items())
        steps_text = "\n".join(
            f"    {{{due}, LISTENER_STAGE_{stage.upper()}, {part}}}," for due, stage, part in assignment.steps
        )
        constants = f"static const ListenerStep listener_steps[] = {{\n{steps_text}\n}};"
        spec = f"""{{
    .model = &{model.table},
    .memory = &{model.state.name},
{parameters}
    .steps = listener_steps,
    .count = {len(assignment.steps)},
    .outputs = OUTPUTS,
}}"""
        return KindTables([constants, model.state], spec)


def steps(reports: Mapping[str, Report]) -> list[Step]:
    """All steps of a hop, in order."""
    return [
        *(Step("hear", part, float(cycles)) for part, cycles in enumerate(HEAR_CYCLES)),
        *network_steps("think", reports["ear"]),
        Step("decide", 0, float(DECIDE_CYCLES)),
    ]


KIND = Listener()
