"""Measure this machine live: every callback's time, ours beside the peers of ``bench.live.peers``.

All run the same network at the same block. What is here is *measured*, and differs from run to run; it is
kept apart from the predicted figures. On a Raspberry Pi it is the same command.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.live.timing import machine, pinned, timed
from bench.report.schema import Live
from common.refusal import Refusal

if TYPE_CHECKING:
    from bench.live.peers import ToTflite
    from firmware.compiler.binding import StreamModel
    from firmware.compiler.report import Report


def live(
    path: Path,
    block: int,
    *,
    float_path: Path | None = None,
    callbacks: int = 1000,
    to_tflite: ToTflite | None = None,
) -> Live:
    """Measure a model on this machine.

    Parameters
    ----------
    path : the model as our engine runs it.
    block : samples per callback; rounded up to whole frames of the slowest input, and said so.
    float_path : the float network for the peers; `path` itself where it is float.
    to_tflite : writes a float ONNX model as TFLite; without it LiteRT is named as absent.

    Returns
    -------
    Live
        ``ours``, a row per peer, ``absent`` with reasons, ``machine``.

    Raises
    ------
    Refusal
        The model decodes events.
    """
    from bench.live.peers import measure_peers

    host, report = streamed(path, block)
    rate = report["sample_rate_hz"]
    slowest = max(int(spec["period_ticks"]) for spec in report["ports"])
    common = -(-block // slowest) * slowest
    with pinned() as core:
        ours = timed(callback(host, block), callbacks, block / rate)
        turns = max(20, callbacks * block // common)
        name = "vaectrol" if float_path is None or float_path == path else "vaectrol, integers"
        rows = {name: timed(callback(host, common), turns, common / rate)}
        if name != "vaectrol" and float_path is not None:
            plain, _ = streamed(float_path, block)
            rows["vaectrol, float"] = timed(callback(plain, common), turns, common / rate)
        found, absent = measure_peers(float_path or path, common, turns, rate, to_tflite)
    return {
        "machine": machine(),
        "core": core,
        "block": block,
        "ours": ours,
        "side_by_side": {"block": common, "rows": {**rows, **found}, "absent": absent},
    }


def streamed(path: Path, block: int) -> tuple[StreamModel, Report]:
    """Compile and load a streaming model for this machine; the compiler's report beside it."""
    from firmware.compiler.binding import StreamModel, load_host
    from firmware.compiler.pipeline import compile_onnx

    program = compile_onnx(path, "host", None, block)
    if program.report["event"]:
        raise Refusal(f"{path.name} decodes events, not a stream; there are no callbacks to time.")
    model = load_host(program)
    assert isinstance(model, StreamModel)
    return model, program.report


def callback(host: StreamModel, ticks: int) -> Callable[[], object]:
    """Return one callback of `ticks` samples on noise that was made before, as the peers' is.

    Buffers are handed over once where every port has whole frames in a block, as the peers' are bound.
    """
    rng = np.random.default_rng(1)
    channels = {p["label"]: p["channels"] for p in host.inputs}
    noise = {label: rng.standard_normal((n, ticks)).astype(np.float32) for label, n in channels.items()}
    if all(ticks % int(port["period_ticks"]) == 0 for port in (*host.inputs, *host.outputs)):
        return host.bound({n: noise[n][:, :due] for n, due in host.frames_due(ticks).items()}, ticks)[0]

    def step() -> object:
        return host.process({n: noise[n][:, :due] for n, due in host.frames_due(ticks).items()}, ticks)

    return step
