"""Measure this machine live: every callback's time, ours beside onnxruntime and torch.

All run the same network at the same block. What is here is *measured*, and differs from run to run; it is
kept apart from the predicted figures. On a Raspberry Pi it is the same command. Peers get the network with
explicit state (``bench.streamed``), so that nobody computes anything twice; who is absent is named.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hardware.refusal import Refusal

WARM_UP = 50


@contextmanager
def pinned():
    """Run on one core; yields its number, or None where pinning is not allowed."""
    try:
        before = os.sched_getaffinity(0)
        core = max(before)
        os.sched_setaffinity(0, {core})
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def machine() -> dict[str, Any]:
    """Say what was measured on: processor, cores, governor."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "governor": governor.read_text().strip() if governor.exists() else "unknown",
        "system": platform.platform(),
    }


def percentiles(seconds: np.ndarray, period: float) -> dict[str, float]:
    """p50, p99, p99.9, max and jitter in microseconds; xruns are callbacks longer than their period."""
    micro = 1e6 * np.asarray(seconds)
    p50 = float(np.percentile(micro, 50))
    return {
        "p50_us": p50,
        "p99_us": float(np.percentile(micro, 99)),
        "p999_us": float(np.percentile(micro, 99.9)),
        "max_us": float(micro.max()),
        "jitter_us": float(np.percentile(micro, 99) - p50),
        "xruns": int(np.count_nonzero(micro > 1e6 * period)),
        "load": float(micro.mean() / (1e6 * period)),
        "callbacks": int(micro.size),
    }


def timed(step: Callable[[], object], callbacks: int, period: float) -> dict[str, float]:
    """Time `callbacks` calls of `step` after a warm-up."""
    for _ in range(WARM_UP):
        step()
    spent = np.empty(callbacks)
    for k in range(callbacks):
        start = time.perf_counter()
        step()
        spent[k] = time.perf_counter() - start
    return percentiles(spent, period)


def live(path: Path, block: int, *, float_path: Path | None = None, callbacks: int = 1000) -> dict[str, Any]:
    """Measure a model on this machine.

    Parameters
    ----------
    path : the model as our engine runs it.
    block : samples per callback; rounded up to whole frames of the slowest input, and said so.
    float_path : the float network for the peers; `path` itself where it is float.

    Returns
    -------
    dict
        ``ours``, a row per peer, ``absent`` with reasons, ``machine``.
    """
    from firmware.compiler.binding import StreamModel, load_host
    from firmware.compiler.pipeline import compile_onnx

    program = compile_onnx(path, "host", None, block)
    if program.report["event"]:
        raise Refusal(f"{path.name} decodes events, not a stream; there are no callbacks to time.")
    rate = program.report["sample_rate_hz"]
    slowest = max(int(p["period_ticks"]) for p in program.report["ports"])
    common = -(-block // slowest) * slowest
    host = load_host(program)
    assert isinstance(host, StreamModel)
    rng = np.random.default_rng(1)
    with pinned() as core:
        result: dict[str, Any] = {"machine": machine(), "core": core, "block": block}

        def ours(ticks: int) -> Callable[[], object]:
            def step() -> object:
                due = host.frames_due(ticks)
                channels = {p["label"]: p["channels"] for p in host.inputs}
                feeds = {n: rng.standard_normal((channels[n], f)).astype(np.float32) for n, f in due.items()}
                return host.process(feeds, ticks)

            return step

        result["ours"] = timed(ours(block), callbacks, block / rate)
        turns = max(20, callbacks * block // common)
        rows = {"vaectrol": timed(ours(common), turns, common / rate)}
        absent: dict[str, str] = {}
        _peers(float_path or path, common, turns, rate, rows, absent)
    result["side_by_side"] = {"block": common, "rows": rows, "absent": absent}
    return result


def _peers(
    path: Path, block: int, turns: int, rate: float, rows: dict[str, dict], absent: dict[str, str]
) -> None:
    """Add a row for every runtime that is here and can run the float network with explicit state."""
    from bench.streamed import torch_module, with_states

    absent["LiteRT"] = "it has no streaming form of this network (no state as inputs in TFLite here)"
    try:
        model, states = with_states(path)
    except Refusal as refusal:
        absent.update(dict.fromkeys(("onnxruntime", "torch eager", "TorchScript"), str(refusal)))
        return
    import onnx

    rng = np.random.default_rng(2)
    feeds: dict[str, np.ndarray] = {}
    for port in onnx.load(str(path), load_external_data=False).graph.input:
        channels = port.type.tensor_type.shape.dim[1].dim_value
        frames = max(1, block // _period(path, port.name))
        feeds[port.name] = rng.standard_normal((1, channels, frames)).astype(np.float32)
    names = [*feeds, *(old for old, _, _ in states)]
    period = block / rate
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        held = {**feeds, **{old: np.zeros(shape, np.float32) for old, _, shape in states}}
        outputs = [o.name for o in session.get_outputs()]

        def run_onnxruntime() -> None:
            found = dict(zip(outputs, session.run(None, held), strict=True))
            held.update({old: found[new] for old, new, _ in states})

        rows["onnxruntime"] = timed(run_onnxruntime, turns, period)
    except ImportError:
        absent["onnxruntime"] = "it is not installed"
    try:
        import torch
    except ImportError:
        absent["torch eager"] = absent["TorchScript"] = "torch is not installed"
        return
    torch.set_num_threads(1)
    network = torch_module(model, states)
    first = len(model.graph.output) - len(states)
    tensors = [torch.from_numpy(v) for v in feeds.values()]
    start = [*tensors, *(torch.zeros(shape) for _, _, shape in states)]
    assert len(start) == len(names)
    with torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(network, tuple(start), check_trace=False))
        for name, module in (("torch eager", network), ("TorchScript", traced)):
            now = list(start)

            def run_torch(module: Any = module, now: list = now) -> None:
                now[len(tensors) :] = module(*now)[first:]

            rows[name] = timed(run_torch, turns, period)


def _period(path: Path, name: str) -> int:
    """Samples per frame of an input, from the model file's metadata."""
    import json
    from fractions import Fraction

    import onnx

    for entry in onnx.load(str(path), load_external_data=False).metadata_props:
        if entry.key == "vaectrol.inputs":
            for port in json.loads(entry.value):
                if port["name"] == name:
                    return int(1 / Fraction(port["rate"]))
    return 1


def round_trip(
    play_and_record: Callable[[np.ndarray], np.ndarray], rate: float, repeats: int = 20
) -> dict[str, float]:
    """Measure the round trip through a loopback cable: emit an impulse, find it, repeat.

    Parameters
    ----------
    play_and_record : samples out → as many samples in, as the audio driver does both at once.

    Returns
    -------
    dict
        Median, smallest and largest delay in milliseconds and how many impulses were lost.

    Raises
    ------
    Refusal
        No impulse came back.
    """
    delays = []
    for k in range(repeats):
        sent = np.zeros(int(0.25 * rate), np.float32)
        at = int(0.01 * rate) + 37 * k
        sent[at] = 0.9
        heard = np.abs(np.asarray(play_and_record(sent), np.float64))
        peak = int(heard.argmax())
        noise = float(np.median(heard)) + 1e-6
        if heard[peak] > 20 * noise and heard[peak] > 0.01 and peak >= at:
            delays.append(1e3 * (peak - at) / rate)
    if not delays:
        raise Refusal("no impulse came back; is a cable between output 1 and input 1, and are the levels up?")
    found = np.array(delays)
    return {
        "median_ms": float(np.median(found)),
        "min_ms": float(found.min()),
        "max_ms": float(found.max()),
        "spread_ms": float(found.max() - found.min()),
        "lost": repeats - len(delays),
    }
