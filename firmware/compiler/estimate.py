"""Answer ``budget``: run the compiler up to its report and judge it against the board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.refusal import DoesNotFit
from firmware.compiler.answer import Budget
from firmware.compiler.pipeline import compile_onnx

if TYPE_CHECKING:
    from onnx import ModelProto

    from hardware.board import Board

USABLE = 0.95
"""Part of a callback a model may take: audio conversion, controls and the port need the rest."""


def measure(
    model: str | Path | ModelProto, board: str | Path | Board, block: int | None, as_if_quantized: bool = True
) -> Budget:
    """See ``firmware.compiler.budget``."""
    if isinstance(board, (str, Path)):
        from hardware.board import load_board

        board = load_board(board)
    target = {"m7": "m7", "aarch64": "aarch64"}.get(board.processor.target, "host")
    reasons = []
    try:
        program = compile_onnx(model, target, board, block, as_if_quantized=as_if_quantized, witness=False)
    except DoesNotFit as refusal:
        reasons.append(str(refusal))
        size = board.audio.block if block is None else block
        program = compile_onnx(model, target, None, size, as_if_quantized=as_if_quantized, witness=False)
    report = program.report
    clock_hz, rate = float(board.processor.clock_hz), report["sample_rate_hz"]
    frames = board.audio.block if block is None else block
    per_callback = clock_hz * frames / rate
    cycles = report["cycles_per_callback"]
    mean, worst = cycles["mean"] / per_callback, cycles["worst"] / per_callback
    if worst > USABLE:
        layers = sorted(report["layers"], key=lambda entry: -entry["cycles_per_second"])[:3]
        names = ", ".join(f"{e['name']} ({e['cycles_per_second'] / clock_hz:.0%})" for e in layers)
        reasons.append(
            f"the worst callback takes {worst:.0%} of the time {board.title} has; the costliest layers "
            f"are {names}."
        )
    return Budget(
        parameters=report["parameters"],
        macs_per_sample=report["macs_per_sample"],
        macs_per_event=report.get("macs_per_event", 0.0),
        cycles_per_second=report["cycles_per_second"],
        cpu_mean=mean,
        cpu_worst=worst,
        weight_bytes=report["weight_bytes"],
        state_bytes=report["state_bytes"],
        regions=report["regions"],
        latency_samples=report["latency_samples"],
        layers=report["layers"],
        fits=not reasons,
        reasons=reasons,
    )
