"""Gates: no trigger is missed, none is invented, each lands where it was."""

from __future__ import annotations

import numpy as np
import pytest


def triggers(control, pulses, poll_hz, block, *, phase=0.3, drift_ppm=0.0, seed=1):
    worst = control.ffi.new("double *")
    poll_samples = 48_000.0 / poll_hz * (1.0 + drift_ppm * 1e-6)
    seen = control.lib.shim_triggers(pulses, poll_samples, phase, block, seed, worst)
    return seen, worst[0]


@pytest.mark.parametrize("block", [1, 16, 48, 64, 255, 256])
@pytest.mark.parametrize("drift_ppm", [0.0, 300.0, -300.0])  # 48,014.3 Hz against a timer at 48,000
def test_every_1_ms_trigger_is_seen_within_one_sample(control, block, drift_ppm):
    seen, worst = triggers(control, 100_000, 48_000, block, drift_ppm=drift_ppm)
    assert seen == 100_000
    assert worst <= 1.0 + 1e-9 if drift_ppm == 0.0 else worst <= 2.0


@pytest.mark.parametrize("poll_hz", [2_500, 8_000, 16_000, 96_000])
def test_a_slower_timer_still_misses_none(control, poll_hz):
    seen, worst = triggers(control, 20_000, poll_hz, 256)
    assert seen == 20_000
    assert worst <= 2.0 * max(48_000 / poll_hz, 1.0)


def test_a_noisy_slope_makes_one_edge(control):
    rng = np.random.default_rng(2)
    slope = np.concatenate([np.linspace(0, 5, 2000), np.linspace(5, 0, 2000)] * 20)
    volts = slope + rng.normal(0, 0.05, slope.size)
    level = control.ffi.new("uint8_t[]", slope.size)
    control.lib.shim_schmitt(control.ffi.new("float[]", volts.tolist()), level, slope.size)
    edges = np.diff(np.frombuffer(control.ffi.buffer(level), np.uint8).astype(int))
    assert (edges == 1).sum() == 20
    assert (edges == -1).sum() == 20


def test_thresholds_are_one_volt_and_half_a_volt(control):
    volts = [0.9, 1.01, 0.6, 0.51, 0.49, 0.9, float("nan"), 1.1, float("nan")]
    level = control.ffi.new("uint8_t[]", len(volts))
    control.lib.shim_schmitt(control.ffi.new("float[]", volts), level, len(volts))
    assert list(level) == [0, 1, 1, 1, 0, 0, 0, 1, 1]
