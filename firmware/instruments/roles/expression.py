"""The model that says how a voice's notes move: its role, its parameters, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from common.refusal import Refusal
from firmware.compiler.passes.split_sound import TICKS_PER_HOP
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.literals import floats
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.kinds.base import ModelRole
from firmware.instruments.tone import position_of
from firmware.models.model_file import ModelFile
from hardware.board import Board

CALLS, CALL_CYCLES = 8, 400
"""Calls of the network in a frame, OSCILLATOR_CALLS; what each takes beside the layers."""
FRAME_CYCLES = 1_500
"""What it takes to say what the network is told."""
VELOCITY, VELOCITY_REST = (-1.0, 1.0), 0.75
LIFE = (0.0, 2.0)
EVENTS = (0.0, 1.0, 2.0, 3.0, 4.0)
TOLD_BESIDE_TIMBRE = 20
CURVES = ["loudness", "cents", "breath"]
SEED = 0x766F6963
WORDS: Mapping[str, str] = {
    "velocity": "How hard a note is struck or blown; read where it begins.",
    "life": "How much chance there is in a note: none, as in the notes that were learnt, twice as much.",
    "event": "What sets a note in motion: nothing that is told, a pluck, a bow, breath, a stroke.",
}


class ExpressionModel(ModelRole):
    """A network that says how notes move (``engine/instruments/expression.h``)."""

    name = "control"
    model_kind = "expression"
    required = False

    def source(self, model: CompiledModel) -> str:
        """Return the functions and tables of an ``ExpressionModel``."""
        role, name, about = model.role, model.name, model.model.about
        latents, timbre = len(about.latents), timbre_of(model.model)
        return f"""static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_process(void *state, uint8_t ticks, const float *latent, const float *told, float *curves)
{{
    const {name}_inputs in = {{
        .latent = latent, .latent_stride = 1,
        .told = told, .told_stride = 1,
    }};
    const {name}_outputs out = {{.curves = curves, .curves_stride = 1}};
    {name}_process(state, ticks, &in, &out);
}}

_Static_assert({latents} <= EXPRESSION_LATENTS && {timbre} <= EXPRESSION_TIMBRE, "of the engine");
_Static_assert({TOLD_BESIDE_TIMBRE} == EXPRESSION_TOLD - EXPRESSION_TIMBRE, "of the engine");
_Static_assert({TICKS_PER_HOP}u == OSCILLATOR_TICKS && {CALLS}u == OSCILLATOR_CALLS, "of the engine");
static const float {role}_spread[] = {floats([latent.std for latent in about.latents])};
static const ExpressionModel {model.table} = {{
    .latents = {latents},
    .timbre = {timbre},
    .seed = 0x{SEED:x}u,
    .spread = {role}_spread,
    .reset = {role}_reset_model,
    .process = {role}_process,
}};
"""

    def cycles(self, report: Report, board: Board) -> tuple[float, float]:
        """A callback's share of a frame; the kind knows the worst (`Oscillator.load`)."""
        cycles = report["cycles_per_callback"]
        return cycles["mean"], cycles["mean"]

    def states(self, assignment: Assignment) -> int:
        """One a voice."""
        return assignment.voices


def timbre_of(model: ModelFile) -> int:
    """How many latents of a voice an expression is told; a `Refusal` where it is told other things."""
    told = model.about.input_with("condition")
    channels = list(told.channels) if told else []
    curves = model.about.output_with("condition")
    latents = sum(name.startswith("z") for name in channels)
    if len(channels) != latents + TOLD_BESIDE_TIMBRE or not curves or list(curves.channels) != CURVES:
        raise Refusal(f"{model.path.name}: it says other things than this version asks; train it again.")
    return latents


def frame_cycles(report: Report) -> float:
    """What a frame takes on a Cortex-M7."""
    ticks = max(1, int(report["block"] * Fraction(report["ticks_per_sample"])))
    return report["cycles_per_callback"]["mean"] * TICKS_PER_HOP / ticks + CALLS * CALL_CYCLES + FRAME_CYCLES


def add_parameters(assignment: Assignment) -> None:
    """Velocity, chance and event; how notes are played, which rests where nothing special was done.

    Raises
    ------
    Refusal
        When it was trained for another voice.
    """
    model, voice = assignment.models["control"], assignment.models["voice"]
    if model.about.voice_codec != voice.about.codec or timbre_of(model) != len(voice.about.latents):
        raise Refusal(
            f"{assignment.loaded.name}: {model.path.name} was trained for another voice than "
            f"{voice.path.name} ({model.about.voice_codec[:8]}, not {voice.about.codec[:8]}); "
            "train it again for this one."
        )
    assignment.add("velocity", VELOCITY, VELOCITY_REST)
    assignment.add("life", LIFE, 0.5)
    assignment.add("event", EVENTS, 0.0)
    for number, latent in enumerate(model.about.latents, 1):
        assignment.add(f"manner.{number}", latent.quantiles, position_of(latent.quantiles, 0.0))


def words_of(parameter: str) -> str:
    """Say what a parameter of how a note is played does; "" for others."""
    found, _, number = parameter.rpartition(".")
    return (
        f"How a note is played, number {number}: softer or firmer, swelling or dying."
        if found == "manner"
        else ""
    )


def spec_text(assignment: Assignment, models: Mapping[str, CompiledModel]) -> str:
    """Members of an ``OscillatorSpec`` that say how notes move; "" where habits do."""
    if "control" not in models:
        return ""
    at = assignment.index
    return f"""
    .expression = &{models["control"].table},
    .expression_state = {{{", ".join(models["control"].state.addresses)}}},
    .life = {at["life"]},
    .event = {at["event"]},
    .manner = {at["manner.1"]},"""
