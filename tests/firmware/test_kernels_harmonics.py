"""Harmonics of one pitch: the same bits on every target as in numpy, near their definition, no aliases."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.compiler.ops.hop_ends import harmonic_bank
from firmware.compiler.ops.hop_ends.harmonic_bank import BankConstants
from tests.firmware.hit_twin import F, quick_exp, quick_turn
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls

pytestmark = pytest.mark.fast

TARGETS = ["host", "host-asan", "m7", "aarch64", "wasm"]
FRAME, MOST = 48, 64
STATE = 3 + 2 * MOST  # words
RATE_HZ = 48_000


class Harmonics:
    """The numpy twin of engine/dsp/harmonics.c: the same numbers, rounded as there, bit for bit."""

    def __init__(self, step, count):
        self.phase, self.step, self.sounding = 0, int(step), 0
        self.level = np.zeros(count, np.float32)

    def frame(self, older, newer, part, step):
        """One frame of sound, [48]."""
        older, newer, step = F(older), F(newer), int(step)
        order = np.arange(1, len(older) + 1, dtype=np.float32)
        rate = F(step) * (F(20) / F(4294967296))
        fade = np.maximum(np.minimum(F(9.4) - rate * order, F(1)), F(0))
        to = (older + (newer - older) * F(part)) * fade
        slope = (to - self.level) * (F(1) / F(FRAME))
        ending = int(np.flatnonzero(to > 0).max(initial=-1)) + 1
        sounding = max(self.sounding, ending)
        bend = int(np.trunc((step - self.step) / FRAME))
        phases = np.cumsum(self.step + bend * np.arange(FRAME)) + self.phase
        turns = (phases % 2**32).astype(np.uint32).view(np.int32).astype(np.float32) * F(1 / 2**32)
        cosine, sine = quick_turn(turns)
        twice = cosine + cosine
        above, total = np.zeros(FRAME, np.float32), np.zeros(FRAME, np.float32)
        for k in range(sounding, 0, -1):
            d = slope[k - 1]
            level = np.cumsum(np.r_[self.level[k - 1], np.full(FRAME - 1, d)], dtype=np.float32)
            above, total = total, (twice * total - above) + level
        self.level, self.sounding = to, ending
        self.phase, self.step = int(phases[-1] % 2**32), step
        return total * sine


def asked(older, newer, part):
    return Struct([("P", Array(older, b"")), ("P", Array(newer, b"")), ("f", part), ("I", len(older))])


def steps_of(hz):
    return int(hz * 2**32 / RATE_HZ)


def played(target, rows, first_hz):
    """Frames on a target; rows: (older, newer, part, step)."""
    state = Array(np.zeros(STATE, np.uint32), b"")
    heard = make_calls(target, [Call("vk_harmonics_reset", [state, steps_of(first_hz)])])[0][0]
    sound = []
    for older, newer, part, step in rows:
        state, out = Array(heard.copy(), b""), Array(np.zeros(FRAME, np.float32), b"")
        found = make_calls(
            target, [Call("vk_harmonics_frame", [asked(older, newer, part), state, step, out])]
        )[0]
        heard = found[2]
        sound.append(found[3])
    return np.concatenate(sound)


def script(seed, count=60):
    """Levels that come and go while the pitch moves."""
    rng = np.random.default_rng(seed)
    rows, older = [], np.zeros(count, np.float32)
    for hz in (110.0, 113.0, 700.0, 4000.0):
        newer = (rng.random(count) / np.arange(1, count + 1)).astype(np.float32)
        newer[rng.random(count) < 0.2] = 0
        rows += [(older, newer, part, steps_of(hz)) for part in (0.25, 0.5, 0.75, 1.0)]
        older = newer
    silent = np.zeros(count, np.float32)
    return [*rows, (older, silent, 1.0, steps_of(4000)), (silent, silent, 1.0, steps_of(4000))]


@pytest.mark.parametrize("target", TARGETS)
def test_harmonics_are_the_twins(target):
    rows = script(1)
    twin = Harmonics(steps_of(110), 60)
    wanted = np.concatenate([twin.frame(*row) for row in rows])
    np.testing.assert_array_equal(played(target, rows, 110), wanted)
    assert np.abs(wanted).max() > 0.1 and not np.any(wanted[-FRAME:])


@pytest.mark.parametrize("target", TARGETS)
def test_levels_are_the_same_on_every_target(target):
    logs = np.random.default_rng(2).uniform(-20, 5, 61).astype(np.float32)
    level = Array(np.zeros(64, np.float32), b"")
    call = Call("vk_harmonics_levels", [Array(logs, b""), level, 61], [-1.5])
    found = make_calls(target, [call])[0][1]
    x = logs + F(-1.5)
    wanted = np.where(x > F(-13.9), quick_exp(np.clip(x, F(-14), F(1))), F(0))
    np.testing.assert_array_equal(found[:61], wanted)
    assert not np.any(found[61:])


def test_the_twin_is_near_the_definition():
    """As the domain operator says it, hop by hop, at all pitches of a cello and a flute."""
    rng = np.random.default_rng(3)
    hops = 12
    octaves = np.linspace(-2.7, 3.0, hops)
    logs = rng.normal(-5, 2, (60, hops))
    wanted = harmonic_bank.tones(logs, octaves)
    steps = harmonic_bank.steps_of(octaves)
    ends = harmonic_bank.quarter_ends(steps)
    twin = Harmonics(steps[0], 60)
    older, made = np.zeros(60, np.float32), []
    for hop in range(hops):
        x = F(logs[:, hop])
        newer = np.where(x > F(-13.9), quick_exp(np.clip(x, F(-14), F(1))), F(0))
        for q in range(4):
            made.append(twin.frame(older, newer, F((q + 1) / 4), ends[4 * hop + q]))
        older = newer
    error = np.concatenate(made) - wanted
    assert np.abs(error).max() < 1e-4 * np.abs(wanted).max()


def test_nothing_is_mirrored_at_half_the_sample_rate():
    """Sixty harmonics of 4 kHz, of which five are below 20 kHz: what is no harmonic is below −70 dBFS."""
    level = np.full(60, 0.2, np.float32)
    twin = Harmonics(steps_of(4001.3), 60)
    sound = np.concatenate([twin.frame(level, level, F(1), steps_of(4001.3)) for _ in range(700)])[4800:]
    sound = sound[: 1 << 14] * np.blackman(1 << 14)
    power = np.abs(np.fft.rfft(sound)) * 2 / np.blackman(1 << 14).sum()
    hz = np.fft.rfftfreq(1 << 14, 1 / RATE_HZ)
    near = np.abs(hz[:, None] - 4001.3 * np.arange(1, 6)).min(1) < 20
    assert power[near].max() > 0.19
    assert 20 * np.log10(power[~near].max()) < -70


def test_the_pitch_is_that_of_the_step():
    for hz in (32.7, 261.6256, 1046.5):
        twin = Harmonics(steps_of(hz), 8)
        level = np.r_[np.float32(0.5), np.zeros(7, np.float32)]
        sound = np.concatenate([twin.frame(level, level, F(1), steps_of(hz)) for _ in range(1000)])
        rising = np.flatnonzero((sound[:-1] < 0) & (sound[1:] >= 0))
        at = rising + sound[rising] / (sound[rising] - sound[rising + 1])
        found = (len(at) - 1) / (at[-1] - at[0]) * RATE_HZ
        assert abs(1200 * np.log2(found / hz)) < 0.05


def test_the_definition_has_noise_and_harmonics_at_the_loudness_that_is_told():
    filters = np.zeros((4, 128))
    filters[:, 63:65] = 0.5
    constants = BankConstants(4, filters, 3)
    numbers = np.full((8, 50), -20.0)
    numbers[0] = 0.0
    control = np.stack([np.zeros(50), np.zeros(50), np.full(50, 0.5)])  # −20 dB
    made = harmonic_bank.sound(constants, numbers, control)[4800:]
    assert np.abs(made).max() == pytest.approx(0.1, rel=0.01)
