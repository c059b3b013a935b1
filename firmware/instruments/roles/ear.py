"""The ear as a part of an instrument: its role, its parameters, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

from common.refusal import Refusal
from firmware.compiler.passes.split_sound import TICKS_PER_HOP
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.hearing import ear_of, ear_tables
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.hops import HEAR_CYCLES, Step, network_steps
from firmware.instruments.kinds.base import ModelRole
from hardware.board import Board

GROUPS = ("kick", "snare", "hat", "tom", "perc")
SCENES = 4
MOST_EMBEDDING = 32
"""LISTENER_EMBEDDING of engine/instruments/listening.h."""
BEGIN_CYCLES = 7_000
"""What happens at once when a hop is complete: its loudness."""
DECIDE_CYCLES = 1_500
LOGITS = (8.0, -8.0)
HOLD_HOPS, PATIENCE_HOPS = (2.0, 48.0), (0.0, 8.0)


class EarRole(ModelRole):
    """A network that hears (``engine/instruments/listening.h``)."""

    name = "ear"

    def __init__(self, required: bool = True):
        self.required = required

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
        return f"""{ear_tables(ear, role)}
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
    .ear = {ear_of(ear, role)},
    .embedding = {embedding},
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""


WORDS: Mapping[str, str] = {
    "threshold": "How sure it must be that a stroke began: right, only of clear ones.",
    "hold": "How long after a stroke no other counts, from ten milliseconds to a quarter of a second.",
    "patience": "How long it listens to a stroke before it says which: at once, up to 43 milliseconds.",
    "near": "How like the learnt strokes one must be.",
    "kick": "How readily a stroke is taken for a kick.",
    "snare": "How readily a stroke is taken for a snare.",
    "hat": "How readily a stroke is taken for a hat or cymbal.",
}


def add_parameters(assignment: Assignment, prefix: str = "", learns: bool = True) -> None:
    """What is decided: ``PREFIXthreshold`` and so on; how like a learnt stroke must be, where it `learns`."""
    assignment.add(f"{prefix}threshold", (-4.0, 4.0), 0.5)
    assignment.add(f"{prefix}hold", HOLD_HOPS, 4.0 / 46.0)
    assignment.add(f"{prefix}patience", PATIENCE_HOPS, 0.75)
    if learns:
        assignment.add(f"{prefix}near", (0.0, 1.0), 0.7)
    for group in GROUPS[:3]:
        assignment.add(f"{prefix}{group}", LOGITS[::-1], 0.5)


def steps(report: Report) -> list[Step]:
    """All steps of a hop, in order."""
    return [
        *(Step("hear", part, float(cycles)) for part, cycles in enumerate(HEAR_CYCLES)),
        *network_steps("think", report),
        Step("decide", 0, float(DECIDE_CYCLES)),
    ]


def steps_text(name: str, placed: tuple[tuple[int, str, int], ...]) -> str:
    """Return the C of steps that were placed, as an array `name`."""
    rows = "\n".join(f"    {{{due}, LISTENER_STAGE_{stage.upper()}, {part}}}," for due, stage, part in placed)
    return f"static const ListenerStep {name}[] = {{\n{rows}\n}};"


def spec_text(assignment: Assignment, model: CompiledModel, name: str, count: int, prefix: str = "") -> str:
    """Return a ``ListeningSpec``; `name` is that of its `count` steps."""
    index = assignment.index
    names = ("threshold", "hold", "patience", "near", *GROUPS[:3])
    parameters = "\n".join(f"        .{one} = {index.get(prefix + one, -1)}," for one in names)
    return f"""{{
        .model = &{model.table},
        .memory = &{model.state.name},
{parameters}
        .steps = {name},
        .count = {count},
    }}"""
