"""The panel: from readings to latents, and what presets, remote messages and storage do to it."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.fast

SET, TRIGGER, CLOCK, RESET_STEP, GATE, RECALL, SAVE = range(1, 8)
LATENT = [-4.0, -0.7, 0.0, 0.7, 4.0]


class Panel:
    """The shim's panel: knob 0 + CV 1 (inverted input) by attenuverter knob 2; CV 3; a bare parameter."""

    def __init__(self, control):
        self.ffi, self.lib = control.ffi, control.lib
        self.lib.shim_panel_init()

    def block(self, knob=0.5, cv=0.0, depth=0.5, other=0.0, gates=0, which=0, ticks=48, audio=None, blocks=1):
        ffi = self.ffi
        readings = ffi.new("float[]", [knob, 0.5 - cv / 10.0, depth, 0.5 + other / 10.0])
        bits = ffi.new("uint32_t[]", list(np.broadcast_to(gates, ticks)))
        sound = ffi.NULL if audio is None else ffi.new("float[]", list(np.broadcast_to(audio, ticks)))
        out, rises = ffi.new("float[]", ticks), ffi.new("uint32_t[]", ticks)
        for _ in range(blocks):
            self.lib.shim_panel_block(readings, bits, sound, ticks, which, out, rises)
        return np.array(list(out)), np.array(list(rises))

    def at(self, **inputs):
        return self.block(**inputs, blocks=200)[0][-1]


@pytest.fixture
def panel(control):
    control.ffi.memmove(control.lib.shim_flash(), b"\xff" * 16384, 16384)
    control.lib.shim_power(0xFFFFFFFF, 1)
    return Panel(control)


def test_position_is_knob_plus_attenuverter_times_cv_through_the_quantiles(panel):
    for knob, cv, depth in [(0.5, 0, 0.5), (0.5, 2.5, 1.0), (0.5, 2.5, 0.0), (0.2, 5, 1.0), (0.9, 5, 1.0)]:
        turn = {0.5: 0.0, 1.0: 1.0, 0.0: -1.0}[depth]
        position = np.clip((knob - 0.005) / 0.99 + turn * cv / 10.0, 0.0, 1.0)
        expected = np.interp(position, np.linspace(0, 1, 5), LATENT)
        assert panel.at(knob=knob, cv=cv, depth=depth) == pytest.approx(expected, abs=0.02)


def test_the_ends_of_a_tired_pot_are_reached(panel):
    assert panel.at(knob=0.004) == pytest.approx(-4.0, abs=1e-5)
    assert panel.at(knob=0.996) == pytest.approx(4.0, abs=1e-5)


def test_the_first_block_does_not_ramp_and_later_ones_do(panel):
    first = panel.block(knob=0.8)[0]
    assert np.ptp(first) == 0.0
    second = panel.block(knob=0.1)[0]
    assert (np.diff(second) < 0).all()
    assert np.abs(np.diff(second)).max() == pytest.approx(np.abs(np.diff(second)).min(), rel=1e-3)


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), float("-inf"), 1e30])
def test_rubbish_readings_stay_in_range(panel, rubbish):
    for ticks in (1, 48, 256):
        out, _ = panel.block(knob=rubbish, cv=rubbish, depth=rubbish, other=rubbish, ticks=ticks, blocks=5)
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 4.0


def test_gates_of_every_source_rise_once(panel):
    gates = [0] * 10 + [1] * 10 + [0] * 28
    audio = [0.0] * 30 + [0.3] * 18
    _, rises = panel.block(gates=gates, audio=audio, other=0.0)
    assert list(np.flatnonzero(rises & 1)) == [10]
    assert list(np.flatnonzero(rises & 4)) == [30]
    _, rises = panel.block(gates=0, audio=0.3, other=3.0)
    assert list(np.flatnonzero(rises & 2)) == [0]
    assert not (rises & 4).any()
    assert [panel.lib.shim_panel_edges(f) for f in range(3)] == [1, 1, 1]


def test_a_gate_that_goes_up_at_a_border_is_one_edge(panel):
    panel.block(gates=[0] * 47 + [1])
    _, rises = panel.block(gates=[1] * 48)
    assert not rises.any()


def test_remote_settings_hold_until_the_knob_passes(panel):
    assert panel.at(knob=0.2) == pytest.approx(
        np.interp((0.2 - 0.005) / 0.99, np.linspace(0, 1, 5), LATENT), abs=0.02
    )
    panel.lib.shim_panel_post(SET, 0, 0.75)
    assert panel.at(knob=0.2) == pytest.approx(0.7, abs=0.01)
    assert panel.at(knob=0.5) == pytest.approx(0.7, abs=0.01)  # on its way: still the remote's
    for knob in np.linspace(0.5, 0.9, 50):
        panel.block(knob=knob)
    assert panel.at(knob=0.9) > 1.5


def test_presets_come_back_after_power_off(panel):
    panel.at(knob=0.3)
    panel.lib.shim_panel_post(SET, 2, 0.6)
    panel.block(knob=0.3)
    panel.lib.shim_panel_post(SAVE, 3, 0.0)
    panel.block(knob=0.3)
    assert panel.lib.shim_panel_idle() == panel.ffi.NULL
    panel.lib.shim_panel_init()
    assert panel.lib.shim_panel_idle() == panel.ffi.NULL
    panel.block(knob=0.9)
    panel.lib.shim_panel_post(RECALL, 3, 0.0)
    assert panel.at(knob=0.9, which=2) == pytest.approx(0.6, abs=1e-3)
    expected = np.interp((0.3 - 0.005) / 0.99, np.linspace(0, 1, 5), LATENT)
    assert panel.at(knob=0.9) == pytest.approx(expected, abs=0.01)


def test_an_empty_or_absurd_preset_is_not_recalled(panel):
    before = panel.at(knob=0.4)
    for index in (0, 7, 8, 200, 255):
        panel.lib.shim_panel_post(RECALL, index, 0.0)
        assert panel.at(knob=0.4) == before


def test_the_queue_says_when_it_is_full(panel):
    assert [panel.lib.shim_panel_post(SET, 2, 0.1) for _ in range(20)] == [True] * 16 + [False] * 4
    panel.block()
    assert panel.lib.shim_panel_post(SET, 2, 0.1)


def test_absurd_commands_are_harmless(panel):
    for kind in range(256):
        for value in (float("nan"), float("inf"), -1e30):
            panel.lib.shim_panel_post(kind, 255 - kind, value)
            panel.lib.shim_panel_post(kind, kind % 3, value)
        out, _ = panel.block(which=kind % 3)
        assert np.isfinite(out).all()


def test_a_calibration_takes_effect_and_survives(panel):
    ffi = panel.ffi
    panel.lib.shim_panel_idle()
    codes = [0.5 + 0.01 + v * 0.1 * 1.02 for v in (1.0, 3.0)]
    assert (
        panel.lib.shim_panel_calibrate(3, 2, ffi.new("float[]", codes), ffi.new("float[]", [1.0, 3.0]))
        == ffi.NULL
    )
    panel.block(other=2.04 + 0.1)
    assert panel.lib.shim_panel_volts(3) == pytest.approx(2.0, abs=1e-4)
    assert panel.lib.shim_panel_idle() == ffi.NULL
    panel.lib.shim_panel_init()
    panel.lib.shim_panel_idle()
    panel.block(other=2.04 + 0.1)
    assert panel.lib.shim_panel_volts(3) == pytest.approx(2.0, abs=1e-4)
    refused = panel.lib.shim_panel_calibrate(
        3, 2, ffi.new("float[]", [0.6, 0.6]), ffi.new("float[]", [1.0, 3.0])
    )
    assert refused != ffi.NULL


def test_a_flash_that_fails_is_said_and_nothing_stored_is_lost(panel):
    panel.lib.shim_panel_idle()
    panel.block()
    panel.lib.shim_panel_post(SAVE, 0, 0.0)
    panel.block()
    assert panel.lib.shim_panel_idle() == panel.ffi.NULL
    panel.lib.shim_panel_post(SET, 2, 0.9)
    panel.block()
    panel.lib.shim_panel_post(SAVE, 0, 0.0)
    panel.block()
    panel.lib.shim_power(100, 1)
    assert b"could not be written" in panel.ffi.string(panel.lib.shim_panel_idle())
    panel.lib.shim_power(0xFFFFFFFF, 1)
    panel.lib.shim_panel_init()
    panel.lib.shim_panel_idle()
    panel.lib.shim_panel_post(RECALL, 0, 0.0)
    assert panel.at(which=2) == pytest.approx(0.25, abs=1e-3)
