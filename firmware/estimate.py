"""What a whole instrument costs on a board: memory, cycles and latency, predicted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.version import version
from firmware.compiler.report import Report
from firmware.instruments import kinds
from firmware.instruments.assignment import Assignment
from firmware.instruments.kinds.base import ModelRole
from firmware.instruments.latents.layer import layer_bytes
from firmware.report import InstrumentReport, ModelReport
from hardware.board import Board

BUSIEST = 0.85
"""Share of the processor that an instrument may fill in its worst callback.

What is left is for converters, USB and surprises.
"""

# Memory of the engine's own structs on a 32-bit processor, rounded up; a test measures them.
PANEL_BYTES = 12 * 1024 + 512


def has_time(assignment: Assignment, role: ModelRole, report: Report, busy: float, block: int) -> bool:
    """Whether the board plays all voices and a model in `BUSIEST` of its time.

    Parameters
    ----------
    role, report : the model, compiled.
    busy : worst cycles per callback of the models before it.
    """
    board = assignment.board
    budget = BUSIEST * board.processor.clock_hz * block / board.audio.sample_rate_hz
    worst = busy + engine_cycles(assignment, block) + assignment.voices * role.voice_cycles(report)[1]
    return worst + role.cycles(report, board)[1] <= budget


def engine_cycles(assignment: Assignment, block: int) -> float:
    """Cycles per callback of what surrounds the models; 0 where they have not been counted."""
    if assignment.board.processor.core != "cortex-m7":
        return 0.0
    return kinds.named(assignment.kind).engine_cycles(block, assignment.voices)


def instrument_bytes(assignment: Assignment) -> dict[str, int]:
    """Memory of the engine itself by region."""
    own = kinds.named(assignment.kind).memory_bytes(assignment)
    parts = [own, {"dtcm": PANEL_BYTES}, layer_bytes(assignment.loaded.spec, assignment.board)]
    regions = {region for part in parts for region in part}
    return {region: sum(part.get(region, 0) for part in parts) for region in sorted(regions)}


def without(board: Board, taken: Mapping[str, int]) -> Board:
    """Return the board with `taken` bytes of its regions reserved."""
    memory = tuple(
        region.model_copy(
            update={"reserved_bytes": min(region.bytes, region.reserved_bytes + taken.get(region.name, 0))}
        )
        for region in board.memory
    )
    return board.model_copy(update={"memory": memory})


def predict(assignment: Assignment, reports: Mapping[str, Report], block: int) -> InstrumentReport:
    """Predict memory, CPU and latency of the whole instrument, all voices sounding.

    An estimate, layer by layer; `vaectrol emulate` counts whole callbacks on the emulated processor.
    """
    kind, board = kinds.named(assignment.kind), assignment.board
    engine = engine_cycles(assignment, block)
    mean, worst = (engine + cycles for cycles in kind.load(assignment, reports, block))
    latency = max((float(report["latency_samples"]) for report in reports.values()), default=0.0)
    used: dict[str, int] = {}
    budget = board.processor.clock_hz * block / board.audio.sample_rate_hz
    for report in reports.values():
        for region, use in report["regions"].items():
            used[region] = used.get(region, 0) + int(use["used"])
    there = {region.name for region in board.memory}
    for region, own in instrument_bytes(assignment).items():
        if region in there:
            used[region] = used.get(region, 0) + own
    counts_voices = kind.voice_cycles > 0
    left = {region.name: region.left_bytes for region in board.memory}
    return {
        "version": version(),
        "instrument": assignment.loaded.name,
        "kind": assignment.kind,
        "board": board.name,
        "block": block,
        "cycles_per_callback": {"mean": mean, "worst": worst, "available": budget, "engine": engine},
        "cpu_mean": mean / budget,
        "cpu_worst": worst / budget,
        "worst_over_mean": worst / mean if mean else 1.0,
        "latency_samples": latency + kind.wait_ticks(assignment),
        "regions": {
            name: {"used": size, "left": left.get(name, 0) - size} for name, size in sorted(used.items())
        },
        "voices": assignment.voices if counts_voices else None,
        "voices_asked": assignment.voices_asked if counts_voices else None,
        "parameters": [parameter.name for parameter in assignment.parameters],
        "not_on_this_board": assignment.absent,
        "models": {role: _brief(assignment.models[role].path, report) for role, report in reports.items()},
        "cost_model": next((str(report["cost_model"]) for report in reports.values()), ""),
    }


def _brief(file: Path, report: Report) -> ModelReport:
    """What matters of a model's own report."""
    return {
        "file": str(file),
        "parameters": report["parameters"],
        "macs_per_sample": report["macs_per_sample"],
        "weight_bytes": report["weight_bytes"],
        "state_bytes": report["state_bytes"],
        "cycles_per_callback": report["cycles_per_callback"],
    }
