"""How a time is measured: pinned, warmed up, as percentiles, with the machine named."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.report.schema import Machine, Timing

WARM_UP = 50


@contextmanager
def pinned() -> Iterator[int | None]:
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


def machine() -> Machine:
    """Say what was measured on: processor, cores, governor, how many programs wanted to run meanwhile."""
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
        "load_of_a_minute": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def percentiles(seconds: np.ndarray, period: float) -> Timing:
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


def timed(step: Callable[[], object], callbacks: int, period: float) -> Timing:
    """Time `callbacks` calls of `step` after a warm-up."""
    for _ in range(WARM_UP):
        step()
    spent = np.empty(callbacks)
    for k in range(callbacks):
        start = time.perf_counter()
        step()
        spent[k] = time.perf_counter() - start
    return percentiles(spent, period)
