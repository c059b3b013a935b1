"""What a whole instrument costs on a board: memory, cycles and latency, predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware.instruments.layout import Layout
from hardware.board import Board


def instances(layout: Layout, role: str) -> int:
    """How many states of a model an instrument holds."""
    return layout.voices if role == "drum" else 1


def _has_time(layout: Layout, report: Mapping[str, Any], board: Board, busy: float, block: int) -> bool:
    """Whether a board plays all voices of a drum, all struck in the worst callback, in `BUSIEST` of its time.

    Parameters
    ----------
    report : the drum model's, compiled beside the states of all voices.
    busy : worst cycles per callback of the models before it.
    """
    budget = BUSIEST * board.processor.clock_hz * block / board.audio.sample_rate_hz
    worst = busy + engine_cycles(layout, block, layout.voices)
    return worst + layout.voices * _cycles(report, board)[1] <= budget


def _cycles(report: Mapping[str, Any], board: Board) -> tuple[float, float]:
    """Predicted mean and worst cycles of one model per callback.

    A drum's worst is the one in which it is struck: the hit begins a frame after its trigger and so computes
    none more (``engine/instruments/voice.h``), but it clears the model's state.
    """
    if report["event"]:
        return DECODE_CYCLES, max(DECODE_CYCLES, report["cycles_per_step"]["worst"])
    cycles = report["cycles_per_callback"]
    if report["kind"] != "drum" or board.processor.core != "cortex-m7":
        return cycles["mean"], cycles["worst"]
    region = board.region(_state_region(report))
    fill = 0 if region.kind == "tcm" else region.line_fill_cycles or 0
    per_byte = CLEAR_CYCLES_PER_BYTE + fill / (board.processor.cache_line_bytes or 32)
    return cycles["mean"], cycles["worst"] + per_byte * report["state_bytes"]


def _state_region(report: Mapping[str, Any]) -> str:
    """Region that the memory plan chose for a model's state."""
    return next((str(t["region"]) for t in report["tensors"] if t["name"] == "state"), "dtcm")


DECODE_CYCLES = 7_000
"""Of a pattern, per callback, as in ``engine/instruments/rhythm.c``: 1.5 % of 480 MHz at block 48.

A pattern of 500,000 cycles takes 80 ms; the very first, before anything sounds, 6 ms.
"""


CLEAR_CYCLES_PER_BYTE = 0.3
"""Of a state that a hit clears, in tightly coupled memory."""


BUSIEST = 0.85
"""Share of the processor that an instrument may fill in its worst callback.

What is left is for converters, USB and surprises.
"""


# The engine around the models on a Cortex-M7, by emulation at blocks of 16 and 48 (`vaectrol emulate`).
ENGINE_CYCLES = {"drum": (3_500, 200), "rhythm": (4_000, 155), "drive": (4_000, 135), "groove": (7_000, 340)}
"""Per callback and per sample: controls, gates, mixing, outputs."""


VOICE_CYCLES = 65
"""Per sample and sounding drum: time basis, envelope, sum."""


def engine_cycles(layout: Layout, block: int, voices: int) -> float:
    """Cycles per callback of what surrounds the models; 0 where they have not been counted."""
    if layout.board.processor.core != "cortex-m7":
        return 0.0
    callback, sample = ENGINE_CYCLES[layout.kind]
    return callback + (sample + VOICE_CYCLES * voices) * block


# Memory of the engine's own structs on a 32-bit processor, rounded up; a test measures them.
PANEL_BYTES = 9 * 1024


INSTRUMENT_BYTES = {"drum": 13 * 1024, "rhythm": 12 * 1024, "drive": 8 * 1024, "groove": 32 * 1024}


def _instrument_bytes(layout: Layout) -> dict[str, int]:
    return {"dtcm": PANEL_BYTES + INSTRUMENT_BYTES[layout.kind]}


def _without(board: Board, taken: Mapping[str, int]) -> Board:
    """Return the board with `taken` bytes of its regions reserved."""
    memory = tuple(
        region.model_copy(
            update={"reserved_bytes": min(region.bytes, region.reserved_bytes + taken.get(region.name, 0))}
        )
        for region in board.memory
    )
    return board.model_copy(update={"memory": memory})


def predict(
    layout: Layout, reports: Mapping[str, Mapping[str, Any]], board: Board, block: int
) -> dict[str, Any]:
    """Predict memory, CPU and latency of the whole instrument, all voices sounding.

    An estimate, layer by layer; `vaectrol emulate` counts whole callbacks on the emulated processor.
    """
    engine = engine_cycles(layout, block, layout.voices if "drum" in reports else 0)
    mean = worst = engine
    used: dict[str, int] = {}
    budget = board.processor.clock_hz * block / board.audio.sample_rate_hz
    for role, report in reports.items():
        count = instances(layout, role)
        mean += count * _cycles(report, board)[0]
        worst += count * _cycles(report, board)[1]
        for region, use in report["regions"].items():
            used[region] = used.get(region, 0) + int(use["used"])
        region = _state_region(report)
        used[region] = used.get(region, 0) + (count - 1) * int(report["state_bytes"])
    for region, own in _instrument_bytes(layout).items():
        if region in used:
            used[region] += own
    left = {region.name: region.left_bytes for region in board.memory}
    return {
        "instrument": layout.loaded.name,
        "kind": layout.kind,
        "board": board.name,
        "block": block,
        "cycles_per_callback": {"mean": mean, "worst": worst, "available": budget, "engine": engine},
        "cpu_mean": mean / budget,
        "cpu_worst": worst / budget,
        "worst_over_mean": worst / mean if mean else 1.0,
        "latency_samples": max(
            (float(r["latency_samples"]) + layout.models[role].wait() for role, r in reports.items()),
            default=0.0,
        ),
        "regions": {
            name: {"used": size, "left": left.get(name, 0) - size} for name, size in sorted(used.items())
        },
        "voices": layout.voices if "drum" in reports else None,
        "voices_asked": layout.voices_asked if "drum" in reports else None,
        "parameters": [parameter.name for parameter in layout.parameters],
        "not_on_this_board": layout.absent,
        "models": {role: {"file": str(layout.models[role].path), **_brief(r)} for role, r in reports.items()},
        "cost_model": next(iter(reports.values()))["cost_model"],
    }


def _brief(report: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("parameters", "macs_per_sample", "weight_bytes", "state_bytes", "cycles_per_callback")
    return {key: report[key] for key in keys}
