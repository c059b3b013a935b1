"""The layer between panel and model (``engine/latents/``): its gate, its parameters, its C."""

from __future__ import annotations

import numpy as np

from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import Held
from firmware.instruments.c.literals import floats, number
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.latents import macro, prior, sequence, tables
from firmware.instruments.schema import InstrumentFile, LatentsTable
from firmware.models.model_file import ModelFile
from hardware.board import Board

GATE = "hold"
POINTS = 33
SECONDS = tuple(10.0 * (at / (POINTS - 1)) ** 3 for at in range(POINTS))
"""0 to 10 s, fine at the short end."""
RATES_HZ = tuple(0.02 * 1000.0 ** (at / (POINTS - 1)) for at in range(POINTS))
"""Changes of velocity a second: 0.02 to 20."""
SCALES = tuple(2.0 * at / (POINTS - 1) for at in range(POINTS))
BIASES = tuple(2.0 * at / (POINTS - 1) - 1.0 for at in range(POINTS))
MAIN = "dtcm"
"""Region in which the small parts lie."""
BYTES = 512
"""Of a ``LatentBus``; a test measures it."""
WORDS = {
    "hold.glide": "How long held latents take back to what moves them, up to 10 s.",
    "wander.depth": "How far latents leave the knobs for a walk through what the model has learnt.",
    "wander.rate": "How quickly the walk turns.",
    "latents.scale": "Left: all sounds near the middle one; right: twice as far from it.",
    "latents.bias": "Moves all latents together.",
    "latents.slew": "How slowly latents follow, up to 10 s.",
    **sequence.WORDS,
    **tables.WORDS,
}
ENGINE = ("latents/latents.c", "latents/hold.c", "latents/wander.c")
"""Sources below ``engine/`` of every layer."""


def words_of(parameter: str) -> str:
    """Say what a parameter of the layer does; "" for those that are not its own."""
    return {**WORDS, **sequence.CLOCK_WORDS, **prior.WORDS}.get(parameter, "")


def gates(spec: InstrumentFile, of_kind: tuple[str, ...]) -> list[str]:
    """Names of the gate functions that the layer adds to those of the kind."""
    table = spec.latents or LatentsTable()
    return [
        *([GATE] if table.hold else []),
        *(sequence.gates(of_kind) if table.sequence else []),
        *(tables.GATES if table.tables else []),
        *([prior.GATE] if table.prior else []),
    ]


def engine(spec: InstrumentFile) -> set[str]:
    """Sources below ``engine/`` that the layer is made of."""
    if spec.latents is None:
        return set()
    asked = spec.latents
    return {
        *ENGINE,
        *(sequence.ENGINE if asked.sequence else ()),
        *(tables.ENGINE if asked.tables else ()),
        *(prior.ENGINE if asked.prior else ()),
    }


def layer_bytes(spec: InstrumentFile, board: Board) -> dict[str, int]:
    """Memory of the layer by region, on a 32-bit processor, in bytes."""
    asked = spec.latents
    found = {MAIN: macro.BYTES if spec.macro else 0}
    if asked is None:
        return found
    found[MAIN] += BYTES
    found[MAIN] += sequence.BYTES if asked.sequence else 0
    found[MAIN] += tables.STATE_BYTES if asked.tables else 0
    found[MAIN] += prior.BYTES if asked.prior else 0
    if asked.tables:
        region = tables.region_of(board)
        found[region] = found.get(region, 0) + tables.BYTES
    return found


def calls(spec: InstrumentFile) -> dict[str, list[str]]:
    """C of the layer's own by verb of ``port.h``; what it remembers stands in braces."""
    found: dict[str, list[str]] = {}
    asked = spec.latents or LatentsTable()
    own = (
        (spec.macro, macro.CALLS),
        (asked.tables, tables.CALLS),
        (asked.sequence, sequence.CALLS),
        (asked.prior, prior.CALLS),
    )
    for wanted, made in own:
        for verb, text in made.items() if wanted else ():
            found.setdefault(verb, []).append(text)
    return found


def add_layer(assignment: Assignment, model: ModelFile) -> None:
    """Add the parameters that the file's ``[latents]`` asks for; all rest where they change nothing."""
    table = assignment.loaded.spec.latents
    if prior.ROLE in assignment.models and not (table and table.prior):
        raise assignment.loaded.located.refusal(
            ("models",), "its prior is not asked for; say prior = true in [latents]"
        )
    if table is None:
        return
    count = len(model.about.latents)
    if count == 0:
        raise assignment.loaded.located.refusal(("latents",), f"the {model.kind} model has no latents")
    if isinstance(table.hold, list):
        for wanted in table.hold:
            if not 1 <= wanted <= count:
                raise assignment.loaded.located.refusal(
                    ("latents", "hold"), f"there is no latent {wanted}; the {model.kind} model has {count}"
                )
    if table.hold:
        assignment.add("hold.glide", SECONDS, 0.0)
    if table.wander:
        assignment.add("wander.depth", (0.0, 1.0), 0.0)
        assignment.add("wander.rate", RATES_HZ, 0.5)
    if table.shape:
        assignment.add("latents.scale", SCALES, 0.5)
        assignment.add("latents.bias", BIASES, 0.5)
    if table.slew:
        assignment.add("latents.slew", SECONDS, 0.0)
    if table.sequence:
        sequence.add_sequence(assignment)
    if table.tables:
        tables.add_tables(assignment)
    if table.prior:
        prior.add_prior(assignment)


def layer_tables(
    assignment: Assignment, compiled: CompiledModel, name: str, stray: float = 0.0
) -> tuple[list[str | Held], str]:
    """Return the C of the layer and what a ``ToneSpec`` says of it; nothing without the table.

    Parameters
    ----------
    name : str
        Of the tone whose latents they are, and prefix of the C.
    stray : float
        How far a latent may be beyond the ends of its quantile table, in what the table covers.
    """
    table = assignment.loaded.spec.latents
    if table is None:
        return [], ""
    latents = compiled.model.about.latents
    points = max(len(latent.quantiles) for latent in latents)
    travel = np.linspace(0.0, 1.0, points)
    rows = [
        np.interp(travel, np.linspace(0.0, 1.0, len(latent.quantiles)), latent.quantiles)
        for latent in latents
    ]
    held = range(1, len(latents) + 1) if table.hold is True else table.hold or []
    at = assignment.index
    hold = assignment.gate_names.index(GATE) if table.hold else -1
    rate_hz = assignment.board.audio.sample_rate_hz
    shape = (
        f".latents = {len(latents)}, .points = {points}, .sample_rate_hz = {number(rate_hz)},\n"
        f"    .quantile = {name}_layer_quantiles"
    )
    knobs = len(assignment.tones[name].knob)
    stages: list[str | Held] = []
    if table.tables:
        stages.append(tables.tables_text(assignment, compiled.model))
        stages += tables.tables_held(compiled, tables.region_of(assignment.board))
    if table.sequence:
        stages += sequence.sequence_tables(assignment, compiled.model, shape, knobs)
    if table.prior:
        stages += prior.prior_tables(assignment)
    played = {
        "sequence": f"&{sequence.SPEC}" if table.sequence else "NULL",
        "tables": f"&{tables.SPEC}" if table.tables else "NULL",
        "prior": f"&{prior.SPEC}" if table.prior else "NULL",
    }
    declared: list[str | Held] = [
        '#include "latents/latents.h"',
        f"static const float {name}_layer_quantiles[] = {floats(np.concatenate(rows))};",
        f"static const float {name}_layer_rests[] = {floats(latent.at_rest for latent in latents)};",
        *stages,
        f"""static const LatentSpec {name}_layer = {{
    .process = latents_process,
    {shape}, .rest = {name}_layer_rests,
    .held = 0x{sum(1 << (one - 1) for one in held):x}u, .hold = {hold}, .glide = {at.get("hold.glide", -1)},
    .scale = {at.get("latents.scale", -1)}, .bias = {at.get("latents.bias", -1)},
    .depth = {at.get("wander.depth", -1)}, .rate = {at.get("wander.rate", -1)},
    .slew = {at.get("latents.slew", -1)}, .stray = {number(stray)},
    .sequence = {played["sequence"]}, .tables = {played["tables"]},
    .prior = {played["prior"]},
}};""",
        Held("LatentBus", f"{name}_bus"),
    ]
    kept = [
        sequence.HELD if table.sequence else "",
        tables.HELD if table.tables else "",
        prior.HELD if table.prior else "",
    ]
    memory = f"{{&{name}_bus, {', '.join(f'&{one}' if one else 'NULL' for one in kept)}}}"
    return declared, f",\n             .layer = &{name}_layer, .memory = {memory}"
