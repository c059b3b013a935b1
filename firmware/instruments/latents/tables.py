"""Tables of latents that are recorded and played (``engine/latents/tables.h``): gates, parameters, C."""

from __future__ import annotations

import json
import zlib

import numpy as np

from firmware.compiler.slots.part import number_at
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import Held
from firmware.instruments.c.literals import floats, number
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.tone import UNIT
from firmware.models.model_file import ModelFile
from hardware.board import Board

TABLES = ("a", "b")
GATES = ("table_a", "table_b", "table_start")
LATENTS, FRAMES, FRAME_HZ = 16, 2000, 100
"""PORT_TABLE_LATENTS, PORT_TABLE_FRAMES and TABLE_FRAME_HZ of the engine."""
FULL = 32767
"""TABLE_FULL: the end of a latent's quantile table."""
FASTEST = 4.0
SPEED_ONE = (1.0 + FASTEST) / (2.0 * FASTEST)
"""Position at which a table is played as it was recorded."""
ENGINE = ("latents/tables.c", "latents/table_store.c")
BYTES = len(TABLES) * FRAMES * LATENTS * 2
"""Of the frames of all tables."""
STATE_BYTES = 640
"""Of ``Tables`` and ``TableStore``; a test measures them."""
HELD, STORE, SPEC = "latent_tables", "latent_table_store", "latent_tables_spec"
HELD_FRAMES = "latent_table_frames"
CALLS = {
    "init": f"tables_init(&{{{HELD}}}, {{{HELD_FRAMES}}});\n    table_store_init(&{{{STORE}}});",
    "idle": f"table_store_idle(&{{{STORE}}}, &{{{HELD}}}, &{SPEC}, storage)",
    "table": f"tables_read(&{{{HELD}}}, &{SPEC}, which, table)",
    "table_write": f"tables_write(&{{{HELD}}}, &{SPEC}, which, hash, at, frame, frames)",
}
"""C by the verb of ``port.h`` in which it belongs; what is remembered stands in braces."""
WORDS = {
    "table.depth": "How far latents leave the hands for the tables that were recorded.",
    "table.speed": "How fast the tables are played: left backwards, in the middle not at all.",
    "table.position": "Where the tables are read, from their beginning on: a voltage scrubs them.",
    "table.begin": "Where the loop begins in the tables.",
    "table.length": "How much of the tables the loop is.",
    "table.morph": "From the first table to the second.",
}


def latents_hash(model: ModelFile) -> int:
    """Hash of what a table of this model means: its codec and its quantile tables."""
    rows = [[float(value) for value in latent.quantiles] for latent in model.about.latents]
    return zlib.crc32(json.dumps([model.about.codec, rows]).encode())


def region_of(board: Board) -> str:
    """Region in which tables lie: the largest that can be written."""
    largest = max((r for r in board.memory if r.kind != "flash"), key=lambda r: r.left_bytes, default=None)
    return largest.name if largest else ""


def add_tables(assignment: Assignment) -> None:
    """Add the parameters of the tables, which are empty at first, so none of them changes anything."""
    assignment.add("table.depth", UNIT, 1.0)
    assignment.add("table.speed", (-FASTEST, FASTEST), SPEED_ONE)
    assignment.add("table.position", UNIT, 0.0)
    assignment.add("table.begin", UNIT, 0.0)
    assignment.add("table.length", UNIT, 1.0)
    assignment.add("table.morph", UNIT, 0.0)


def tables_text(assignment: Assignment, model: ModelFile) -> str:
    """Return the C of a ``TablesSpec``."""
    ends = np.array([[one.quantiles[0], one.quantiles[-1]] for one in model.about.latents], np.float64)
    rate_hz = assignment.board.audio.sample_rate_hz
    at, names = assignment.index, assignment.gate_names
    record = ", ".join(str(names.index(gate)) for gate in GATES[:2])
    hash_ = number_at("uint32_t", f"{SPEC}.hash", f"0x{latents_hash(model):08x}u")
    return f"""#include "latents/table_store.h"
static const float latent_centres[] = {floats(ends.mean(axis=1))};
static const float latent_reaches[] = {floats((ends[:, 1] - ends[:, 0]) / (2 * FULL))};
MODEL_NUMBERS TablesSpec {SPEC} = {{
    .play = tables_play,
    .latents = {len(ends)}, .sample_rate_hz = {number(rate_hz)},
    .centre = latent_centres, .reach = latent_reaches, .hash = {hash_},
    .record = {{{record}}}, .start = {names.index(GATES[2])},
    .depth = {at["table.depth"]}, .speed = {at["table.speed"]}, .position = {at["table.position"]},
    .begin = {at["table.begin"]}, .length = {at["table.length"]}, .morph = {at["table.morph"]},
}};"""


def tables_held(compiled: CompiledModel, region: str) -> list[Held]:
    """What tables remember."""
    frames = compiled.held("TableFrame", HELD_FRAMES, len(TABLES) * FRAMES, region=region)
    return [frames, Held("Tables", HELD), Held("TableStore", STORE)]
