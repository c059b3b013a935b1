"""Steps of latents between panel and model (``engine/latents/sequence.h``): their gates, parameters, C."""

from __future__ import annotations

import json
import zlib

from firmware.compiler.slots.part import number_at
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import Held
from firmware.instruments.latents.tables import latents_hash
from firmware.instruments.ratios import RATIO_ONE
from firmware.instruments.tone import UNIT
from firmware.models.model_file import ModelFile, knob_channels

CLOCK_GATES = ("clock", "reset")
GATES = ("record", "clear")
STRUCK = "trigger"
"""The gate function that a step raises, where the kind has it."""
STEPS = 16
STRIKES = 4
POINTS = 33
SHARES = tuple((at / (POINTS - 1)) ** 2 for at in range(POINTS))
"""0 to 1, fine at the short end."""
ENGINE = ("latents/sequence.c", "latents/sequence_store.c", "instruments/step_clock.c")
BYTES = 6 * 1024
"""Of a ``Sequence`` and its ``SequenceStore``; a test measures them."""
HELD, STORE = "latent_sequence", "latent_sequence_store"
SPEC = "latent_sequence_spec"
CALLS = {
    "init": f"sequence_init(&{{{HELD}}}, &{SPEC});\n    {{{STORE}}} = (SequenceStore){{{{0}}}};",
    "reset": f"sequence_reset(&{{{HELD}}}, &{SPEC});",
    "render": f"sequence_advance(&{{{HELD}}}, &{SPEC}, &{{panel}});",
    "idle": f"sequence_store_idle(&{{{STORE}}}, &{{{HELD}}}, &{SPEC}, storage)",
}
"""C statements by the verb of ``port.h`` in which they belong; what is remembered stands in braces."""
CLOCK_WORDS = {
    "ratio": "Steps per clock pulse, from a twelfth to eight.",
    "tempo": "Speed of the steps where no clock is plugged in, from 40 to 240 beats a minute.",
}
WORDS = {
    "sequence.depth": "How far latents leave the knobs for the steps that were recorded.",
    "sequence.steps": "How many steps are played before the first comes again, up to sixteen.",
    "sequence.glide": "How much of a step the latents take to get to it.",
    "sequence.probability": "How many of the steps are played; for the others the last one goes on.",
    "sequence.ratchet": "Strikes in each step, one to four.",
    "sequence.mutation": "How far each step goes, as it comes, to a point of what the model has learnt.",
}


def gates(of_kind: tuple[str, ...]) -> list[str]:
    """Names of the gate functions that the sequence adds to those of a kind, whose clock it shares."""
    return [*(name for name in CLOCK_GATES if name not in of_kind), *GATES]


def add_sequence(assignment: Assignment) -> None:
    """Add the sequence's parameters; nothing is recorded at first, so none of them changes anything."""
    assignment.add("sequence.depth", UNIT, 1.0)
    assignment.add("sequence.steps", (1.0, float(STEPS)), 1.0)
    assignment.add("sequence.glide", UNIT, 0.0)
    assignment.add("sequence.probability", UNIT, 1.0)
    assignment.add("sequence.ratchet", (1.0, float(STRIKES)), 0.0)
    assignment.add("sequence.mutation", SHARES, 0.0)
    if CLOCK_GATES[0] not in assignment.kind_gates:
        assignment.add("ratio", UNIT, RATIO_ONE)
        assignment.add("tempo", (40.0, 240.0), 0.4)


def sequence_hash(model: ModelFile, knobs: int) -> int:
    """Hash of what a stored step means: the model's latents, and the knobs that are told beside them."""
    bends = [[bend.name, bend.site] for bend in model.about.bends]
    return zlib.crc32(json.dumps([latents_hash(model), knob_channels(model), bends, knobs]).encode())


def sequence_tables(assignment: Assignment, model: ModelFile, shape: str, knobs: int) -> list[str | Held]:
    """Return the C of the sequence.

    Parameters
    ----------
    model : ModelFile
        Whose latents they are.
    shape : str
        Initialisers of the fields that it shares with the layer: latents, points, rate, quantiles.
    knobs : int
        How many numbers beside its latents the model is told.
    """
    at, names = assignment.index, assignment.gate_names
    hash_ = number_at("uint32_t", f"{SPEC}.hash", f"0x{sequence_hash(model, knobs):08x}u")
    strike = names.index(STRUCK) if STRUCK in names else -1
    text = f"""#include "latents/sequence_store.h"
MODEL_NUMBERS SequenceSpec {SPEC} = {{
    .play = sequence_play,
    {shape}, .knobs = {knobs}, .hash = {hash_},
    .clocked = {"true" if assignment.is_patched("clock") else "false"},
    .clock = {names.index("clock")}, .reset = {names.index("reset")},
    .record = {names.index("record")}, .clear = {names.index("clear")}, .strike = {strike},
    .depth = {at["sequence.depth"]}, .steps = {at["sequence.steps"]}, .glide = {at["sequence.glide"]},
    .probability = {at["sequence.probability"]}, .ratchet = {at["sequence.ratchet"]},
    .mutation = {at["sequence.mutation"]}, .ratio = {at["ratio"]}, .tempo = {at["tempo"]},
}};"""
    return [text, Held("Sequence", HELD), Held("SequenceStore", STORE)]
