"""The prior between panel and model (``engine/latents/prior.h``): its gate, its parameters, its C."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from common.model_metadata import PriorTables, TensorSpec
from common.refusal import Refusal
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import Held
from firmware.instruments.c.literals import floats, number
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.tone import UNIT
from firmware.models.model_file import ModelFile

ROLE = "prior"
GATE = "listen"
HOTTEST = 2.0
MOST_LATENTS, MOST_HELD, CELLS = 32, 192, 256
"""PRIOR_LATENTS, PRIOR_HELD and PRIOR_CELLS of the engine."""
LAST_CELL = 1 / 1024
"""Beyond which a normal number does not go: 3.1 spreads."""
STRAY = 0.5
"""How far beyond the training data what is drawn may be, in what they cover."""
DUE = 0.75
"""Share of a frame after which its network is done (DUE of the engine)."""
PLAY_CYCLES = 2_500
"""Of drawing or playing a frame, beside the network."""
ENGINE = ("latents/prior.c",)
BYTES = 3 * 1024
"""Of a ``Prior``; a test measures it."""
HELD, SPEC, NETWORK = "latent_prior", "latent_prior_spec", "prior_network"
CALLS = {
    "init": f"prior_init(&{{{HELD}}}, &{SPEC}, &{{{ROLE}_state}});",
    "reset": f"prior_reset(&{{{HELD}}}, &{SPEC});",
    "render": f"prior_advance(&{{{HELD}}}, &{SPEC}, &{{panel}});",
}
"""C statements by the verb of ``port.h`` in which they belong; what is remembered stands in braces."""
WORDS = {
    "prior.depth": "How far latents leave what is heard for what the prior says by itself.",
    "prior.temperature": "How freely the prior goes on: left it repeats itself, in the middle it is as "
    "lively as what it learnt from.",
}


def tables_of(model: ModelFile) -> PriorTables:
    """What ties a prior's file to latents; a `Refusal` where it says nothing of that."""
    if model.about.part != ROLE or model.about.prior is None:
        raise Refusal(
            f"{model.path.name} is the {model.about.part or 'whole'} of a {model.kind}, not a prior; "
            "make one with `vaectrol train prior`."
        )
    return model.about.prior


def add_prior(assignment: Assignment) -> None:
    """Add the prior's parameters; its depth is 0 at first, so that it only listens."""
    refuse = assignment.loaded.located.refusal
    model = assignment.models.get(ROLE)
    if model is None:
        raise refuse(("latents", "prior"), f'it needs a model: say {ROLE} = "NAME" in [models]')
    found = tables_of(model)
    latents, held = len(found.data), len(_state(model).channels)
    if latents > MOST_LATENTS or held > MOST_HELD:
        raise Refusal(
            f"{model.path.name} has {latents} latents and remembers {held} numbers; the engine has room for "
            f"{MOST_LATENTS} and {MOST_HELD}; train a smaller one."
        )
    assignment.add("prior.depth", UNIT, 0.0)
    assignment.add("prior.temperature", (0.0, HOTTEST), 0.5)


def _state(model: ModelFile) -> TensorSpec:
    spec = model.about.input_with("state")
    if spec is None:
        raise Refusal(f"{model.path.name}: no input has the role state.")
    return spec


def network_source(model: CompiledModel) -> str:
    """Return the functions of a ``PriorNetwork`` and the table of them."""
    name, role = model.name, model.role
    latent, state = model.input("latent"), model.input("state")
    steps, chances, after = (spec.name for spec in model.model.about.outputs)
    return f"""#include "latents/prior.h"
static void {role}_reset_model(void *state)
{{
    {name}_reset(state);
}}

static void {role}_begin(void *state, const float *latent, const float *held)
{{
    const {name}_inputs in = {{
        .{latent} = latent, .{latent}_stride = 1,
        .{state} = held, .{state}_stride = 1,
    }};
    {name}_event_begin(state, &in);
}}

static void {role}_reach(void *state, uint32_t part, uint32_t whole)
{{
    {name}_event_reach(state, part, whole);
}}

static void {role}_result(const void *state, float *steps, float *chances, float *held)
{{
    const {name}_outputs out = {{
        .{steps} = steps, .{steps}_stride = 1,
        .{chances} = chances, .{chances}_stride = 1,
        .{after} = held, .{after}_stride = 1,
    }};
    {name}_event_result(state, &out);
}}

static const PriorNetwork {NETWORK} = {{
    .reset = {role}_reset_model,
    .begin = {role}_begin,
    .reach = {role}_reach,
    .result = {role}_result,
}};
"""


def prior_tables(assignment: Assignment) -> list[str | Held]:
    """Return the C of a ``PriorSpec`` and what it remembers; the network's state is the kind's to declare."""
    model = assignment.models[ROLE]
    found = tables_of(model)
    data, own = np.array(found.data), np.array(found.own)
    reach = STRAY * (data[:, -1] - data[:, 0])
    ticks = round(found.ticks * assignment.board.audio.sample_rate_hz / model.about.sample_rate_hz)
    normal = [NormalDist().inv_cdf(min(max(i / CELLS, LAST_CELL), 1 - LAST_CELL)) for i in range(CELLS + 1)]
    at = assignment.index
    text = f"""static const float prior_temperatures[] = {floats(found.temperatures)};
static const float prior_own[] = {floats(own.ravel())};
static const float prior_data[] = {floats(data.ravel())};
static const float prior_low[] = {floats(data[:, 0] - reach)};
static const float prior_high[] = {floats(data[:, -1] + reach)};
static const float prior_normal[] = {floats(normal)};
static const PriorSpec {SPEC} = {{
    .play = prior_play, .network = &{NETWORK},
    .latents = {len(data)}, .held = {len(_state(model).channels)}, .ticks = {ticks},
    .widest = {number(found.widest)}, .narrowest = {number(found.narrowest)},
    .temperatures = {len(found.temperatures)}, .points = {data.shape[1]},
    .temperature = prior_temperatures, .own = prior_own, .data = prior_data,
    .low = prior_low, .high = prior_high, .normal = prior_normal,
    .listen = {assignment.gate_names.index(GATE)},
    .depth = {at["prior.depth"]}, .heat = {at["prior.temperature"]},
}};"""
    return [text, Held("Prior", HELD)]


def load(assignment: Assignment, report: Report, block: int) -> tuple[float, float]:
    """Mean and worst cycles per callback of a prior: its network over most of a frame, and the rest."""
    ticks = tables_of(assignment.models[ROLE]).ticks
    whole = float(report["cycles_per_event"])
    mean = (whole + PLAY_CYCLES) * block / ticks
    worst = whole * block / (DUE * ticks) + report["cycles_per_step"]["worst"] + PLAY_CYCLES
    return mean, worst
