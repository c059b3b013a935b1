"""Predict one model on one board: callbacks on the emulated Cortex-M7, layer by layer, and where memory goes.

Inputs are noise inside the ranges that the model file states, seeded; every callback's output is compared
bit for bit with the host build of the same model. Two runs on one commit give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.m7.model import EmulatedModel
from bench.report.schema import (
    BlockRow,
    Cpu,
    EventPrediction,
    Latency,
    Layer,
    Memory,
    Prediction,
    StreamPrediction,
)
from common import model_metadata
from common.refusal import Refusal
from firmware.compiler.ops.hit import EVALUATION_TICKS, RESTING_TICKS
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.plan.memory import STACK
from firmware.compiler.report import Report
from firmware.instruments.kinds.base import DECODE_CYCLES
from hardware.board import Board

if TYPE_CHECKING:
    from firmware.compiler.binding import EventModel

CALLBACKS = 100
SWEEP = (8, 16, 32, 48, 64, 128, 256)
Progress = Callable[[str], None]
Feed = dict[str, np.ndarray]


def silent(_: str) -> None:
    """Show no progress."""


def require_m7(board: Board) -> None:
    """Refuse a board whose cycles this model does not know."""
    if board.processor.core != "cortex-m7":
        raise Refusal(
            f"{board.title} has a {board.processor.core}: cycles are predicted for the Cortex-M7 only; "
            "use `vaectrol bench MODEL --live` on the board itself."
        )


def input_maker(
    model: EmulatedModel, onnx_path: Path | None, seed: int = 1
) -> Callable[[dict[str, int]], Feed]:
    """Return a function: frames due per input → random inputs inside the stated ranges."""
    ranges = _ranges(onnx_path)
    rng = np.random.default_rng(seed)
    channels = {p["label"]: p["channels"] for p in model.inputs}

    def make(due: dict[str, int]) -> dict[str, np.ndarray]:
        made = {}
        for label, frames in due.items():
            low, high = ranges.get(label, (-1.0, 1.0))
            made[label] = rng.uniform(low, high, (channels[label], frames)).astype(np.float32)
        return made

    return make


def _ranges(path: Path | None) -> dict[str, tuple[float, float]]:
    """Ranges of the inputs as the model file's metadata states them; ±1 where it does not."""
    return {spec.name: spec.limits for spec in model_metadata.read_file(path).inputs} if path else {}


def predict_model(
    path: Path,
    board: Board,
    *,
    block: int | None = None,
    callbacks: int = CALLBACKS,
    check: bool = True,
    progress: Progress = silent,
) -> Prediction:
    """Predict a streamed or event model.

    Parameters
    ----------
    path : ONNX file, float or QDQ.
    block : samples per callback; the board's by default.
    callbacks : how many go through the pipeline model, after the model has filled up.
    check : compare every output with the host build.

    Returns
    -------
    StreamPrediction or EventPrediction
        The ``predicted`` part of a report; all cycles are predicted.

    Raises
    ------
    Refusal
        A board without a Cortex-M7, a model the compiler refuses or that does not fit, or outputs that
        differ.
    """
    require_m7(board)
    block = board.audio.block if block is None else block
    program = compile_onnx(path, "m7", board, block)
    progress(f"{program.name}: {program.report['parameters']:,} parameters, linking")
    model = EmulatedModel(program, board)
    make = input_maker(model, path)
    if program.report["event"]:
        from firmware.compiler.binding import EventModel, load_host

        host = load_host(compile_onnx(path, "host", board, block))
        assert isinstance(host, EventModel)
        return _event(model, make, board, block, host)
    return _stream(path, model, make, board, Run(block, callbacks, check), progress)


@dataclass(frozen=True)
class Run:
    """How a streamed model is run: samples a callback, callbacks that count, whether the host compares."""

    block: int
    callbacks: int
    check: bool


def _stream(
    path: Path,
    model: EmulatedModel,
    make: Callable[[dict[str, int]], Feed],
    board: Board,
    run: Run,
    progress: Progress,
) -> StreamPrediction:
    """Predict a streamed model, after it has filled up."""
    from firmware.compiler.binding import StreamModel, load_host

    program, report, block, callbacks = model.program, model.program.report, run.block, run.callbacks
    host = load_host(compile_onnx(path, "host", board, block)) if run.check else None
    assert host is None or isinstance(host, StreamModel)
    rate = block * Fraction(report["ticks_per_sample"])
    longest = max((int(c["period"]) for c in report["clocks"]), default=1)
    warm = ceil(Fraction(report["latency_samples"]) / block + 2 * longest / rate) + 2
    differing, compared = 0, 0
    per_callback: list[int] = []
    layers: dict[int, list[int]] = {}
    traffic: dict[str, dict[str, int]] = {}
    stalls: dict[str, int] = {}
    stack = 0
    total = warm + callbacks
    for k in range(total):
        if k % 16 == 0:
            progress(f"{program.name}: callback {k} of {total}")
        ticks = ticks_of_callback(k, rate)
        if ticks == 0:  # nothing is due, so the engine does not call the model
            per_callback += [0] * (k >= warm)
            continue
        inputs = make(model.frames_due(ticks))
        outputs = model.process(inputs, ticks, traced=k >= warm)
        if host is not None:
            for label, expected in host.process(inputs, ticks).items():
                differing += int(np.count_nonzero(outputs[label].view(np.int32) != expected.view(np.int32)))
                compared += expected.size
        if k < warm:
            continue
        call = model.call
        per_callback.append(call.cycles)
        stack = max(stack, call.stack_bytes)
        for layer, (cycles, instructions) in call.layers.items():
            row = layers.setdefault(layer, [0, 0, 0])
            row[0] += cycles
            row[1] += instructions
            row[2] += sum(call.layer_fills.get(layer, {}).values())
        for name, found in call.traffic.items():
            row_ = traffic.setdefault(name, dict.fromkeys(vars(found), 0))
            for key, value in vars(found).items():
                row_[key] += value
        for reason, cycles in call.stalls.items():
            stalls[reason] = stalls.get(reason, 0) + cycles
    if differing:
        raise _disagreement(program.name, differing, compared)
    budget = board.cycles_per_frame * block
    return {
        "model": program.name,
        "block": block,
        "callbacks": callbacks,
        "clock_hz": board.processor.clock_hz,
        "cycles_per_callback": budget,
        "cpu": summary(per_callback, budget),
        "callback_cycles": per_callback,
        "layers": _layers(report, layers, callbacks, budget, board, block),
        "memory": _memory(model, report, board),
        "stack_bytes": stack,
        "latency": _latency(report, board, block),
        "traffic": {
            n: {k: v // callbacks for k, v in row.items()} for n, row in traffic.items() if any(row.values())
        },
        "stalls": {k: v // callbacks for k, v in sorted(stalls.items(), key=lambda i: -i[1])},
        "bit_exact": {"compared": compared, "differing": differing},
        "macs_per_sample": report["macs_per_sample"],
        "parameters": report["parameters"],
        "weight_bytes": report["weight_bytes"],
        "state_bytes": report["state_bytes"],
        "heap_bytes": report["heap_bytes"],
        "compiler_estimate": {
            "cpu_mean": report["cycles_per_callback"]["mean"] / budget,
            "cpu_worst": report["cycles_per_callback"]["worst"] / budget,
        },
    }


def _disagreement(name: str, differing: int, compared: int) -> Refusal:
    return Refusal(
        f"{name}: {differing} of {compared} outputs differ between the emulated M7 and this machine; the "
        "kernels disagree, so cycles would mean nothing."
    )


def ticks_of_callback(number: int, rate: Fraction) -> int:
    """Base ticks that fall into a callback, of a model that has `rate` of them in one on average."""
    return int((number + 1) * rate) - int(number * rate)


def summary(cycles: list[int], budget: float) -> Cpu:
    """Mean, worst, 99th percentile, headroom as fractions of one core, and worst/mean."""
    array = np.array(cycles, float)
    return {
        "mean": float(array.mean() / budget),
        "worst": float(array.max() / budget),
        "p99": float(np.percentile(array, 99) / budget),
        "headroom": float(1.0 - array.max() / budget),
        "worst_over_mean": float(array.max() / array.mean()),
        "mean_cycles": float(array.mean()),
        "worst_cycles": float(array.max()),
    }


def _layers(
    report: Report,
    found: dict[int, list[int]],
    callbacks: int,
    budget: float,
    board: Board,
    block: int,
) -> list[Layer]:
    """One row per layer, and one for the scheduler: MAC, cycles, cycle/MAC, region, share."""
    regions: dict[str, str] = {}
    for tensor in report["tensors"]:
        if tensor["name"].endswith(("_weights", "_stream")):
            regions[tensor["layer"]] = tensor["region"]
    rows: list[Layer] = []
    total = max(1, sum(row[0] for row in found.values()))
    seconds = block / board.audio.sample_rate_hz
    for layer, (cycles, instructions, fills) in sorted(found.items()):
        known = report["layers"][layer] if layer >= 0 else None
        macs = known["macs_per_second"] * seconds if known else 0.0
        per_callback = cycles / callbacks
        rows.append(
            {
                "index": layer,
                "name": known["name"] if known else "scheduler",
                "what": known["what"] if known else "clocks, rings and calls",
                "kernel": known["kernel"] if known else "",
                "region": regions.get(known["name"], "") if known else "",
                "macs": round(macs, 3),
                "cycles": round(per_callback, 1),
                "cycles_per_mac": round(per_callback / macs, 3) if macs else None,
                "share": round(cycles / total, 5),
                "cpu": round(per_callback / budget, 6),
                "instructions": round(instructions / callbacks, 1),
                "line_fills": round(fills / callbacks, 2),
            }
        )
    return rows


def _memory(model: EmulatedModel, report: Report, board: Board) -> list[Memory]:
    """Per region: bytes the image uses (code, tables, state), taken by the port, and left."""
    used = {region.name: 0 for region in board.memory}
    for section in model.machine.elf.sections:
        name = section.name.lstrip(".").split(".")[0]
        if name in used:
            used[name] += section.size
    used[model.state_region] += report["state_bytes"]
    for tensor in report["tensors"]:
        used[tensor["region"]] += tensor["bytes"] if tensor["name"] == STACK else 0
    return [
        {
            "region": r.name,
            "title": r.title,
            "bytes": r.bytes,
            "port": r.reserved_bytes,
            "used": used[r.name],
            "left": r.bytes - r.reserved_bytes - used[r.name],
        }
        for r in board.memory
    ]


def _latency(report: Report, board: Board, block: int) -> Latency:
    """Where the delay from control to sound comes from, in milliseconds."""
    rate = board.audio.sample_rate_hz
    parts = {
        "schedule, look-ahead and alignment": report["latency_samples"] / rate,
        "block": block / rate,
        "output buffer": block * (board.audio.periods - 1) / rate,
        "converters": board.audio.converter_frames / rate,
    }
    pqmf = sum(
        (layer_taps - 1) / 2 / rate
        for layer_taps in (t["bytes"] // 4 for t in report["tensors"] if t["name"].endswith("_window"))
    )
    return {
        "parts_ms": {name: round(1e3 * value, 4) for name, value in parts.items()},
        "total_ms": round(1e3 * sum(parts.values()), 4),
        "filter_bank_group_delay_ms": round(1e3 * pqmf, 4),
        "compiler_samples": report["latency_samples"],
    }


def _event(
    model: EmulatedModel, make: Callable[[dict[str, int]], Feed], board: Board, block: int, host: EventModel
) -> EventPrediction:
    """Predict an event model: the whole cost, and the steps that are spread over callbacks."""
    report = model.program.report
    frames = {p["label"]: int(p.get("frames", 1)) for p in model.inputs}
    inputs = make(frames)
    model.evaluate(inputs, DECODE_CYCLES, traced=True)
    steps = model.evaluate(inputs, DECODE_CYCLES, traced=True)
    expected, found = host.evaluate(inputs), model.result()
    compared = sum(array.size for array in expected.values())
    differing = sum(
        int(np.count_nonzero(found[name].view(np.int32) != array.view(np.int32)))
        for name, array in expected.items()
    )
    if differing:
        raise _disagreement(model.name, differing, compared)
    budget = board.cycles_per_frame * block
    return {
        "model": model.name,
        "block": block,
        "event": True,
        "bit_exact": {"compared": compared, "differing": differing},
        "clock_hz": board.processor.clock_hz,
        "cycles_per_callback": budget,
        "steps": steps,
        "cycles": sum(steps),
        "milliseconds_alone": round(1e3 * sum(steps) / board.processor.clock_hz, 4),
        "cpu": _without_pause(steps, report, budget) if "sound" in report else summary(steps[1:], budget),
        "memory": _memory(model, report, board),
        "parameters": report["parameters"],
        "weight_bytes": report["weight_bytes"],
        "state_bytes": report["state_bytes"],
        "heap_bytes": report["heap_bytes"],
    }


def _without_pause(steps: list[int], report: Report, budget: float) -> Cpu:
    """Predict what callbacks a drum's network takes part of: it is asked anew as soon as it has answered."""
    whole = sum(steps) + report["sound"]["cycles_per_evaluation"]
    mean, hit = (whole * report["block"] / ticks for ticks in (RESTING_TICKS, EVALUATION_TICKS))
    worst = hit + report["cycles_per_step"]["worst"]
    return {
        "mean": mean / budget,
        "worst": worst / budget,
        "p99": worst / budget,
        "headroom": 1.0 - worst / budget,
        "worst_over_mean": worst / mean,
        "mean_cycles": mean,
        "worst_cycles": worst,
    }


def sweep(path: Path, board: Board, *, frames: int = 1536, progress: Progress = silent) -> list[BlockRow]:
    """CPU at block sizes 8 to 256 (up to the board's largest), each over `frames` samples."""
    rows: list[BlockRow] = []
    for block in (b for b in SWEEP if b <= board.audio.max_block):
        progress(f"block {block}")
        try:
            found = predict_model(path, board, block=block, callbacks=-(-frames // block), check=False)
        except Refusal as refusal:
            rows.append({"block": block, "refused": str(refusal)})
            continue
        if "event" in found:
            break
        rows.append(
            {
                "block": block,
                "cpu_mean": found["cpu"]["mean"],
                "cpu_worst": found["cpu"]["worst"],
                "latency_ms": found["latency"]["total_ms"],
            }
        )
    return rows
