"""How much faster than real time `play` renders, one core: pytest bench/test_play_speed.py.

The drum with the example model named by ``VAECTROL_BENCH_DRUM`` (or the factory's), both voices sounding.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from common.audio import SAMPLE_RATE_HZ
from firmware.build import generate, host_library
from firmware.models.model_file import find_model
from firmware.play.host import HostInstrument
from firmware.script.cv_script import Script, signals

SECONDS = 5


def test_five_seconds_of_drum(benchmark, tmp_path):
    """Render five seconds with a hit every quarter of a second."""
    named = os.environ.get("VAECTROL_BENCH_DRUM")
    model = Path(named) if named else find_model("drum", tmp_path)
    if model is None:
        pytest.skip("no drum model: set VAECTROL_BENCH_DRUM=FILE.onnx")
    built = generate("drum", "host", tmp_path, models={"drum": model})
    host = HostInstrument(host_library(built))
    times = np.arange(0.0, SECONDS, 0.25)
    hits = (np.sort(np.r_[times, times + 0.01]), np.tile([1.0, 0.0], len(times)))
    script = Script(columns={"gate_in_1": hits})
    made = signals(script, built.board, SECONDS * SAMPLE_RATE_HZ, host.parameters, {})
    benchmark(host.render, made)
    benchmark.extra_info["times_real_time"] = SECONDS / benchmark.stats.stats.min
