"""Resonators that a sound drives: the same bits on every target, near their definition, and bounded."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from tests.firmware.hit_twin import F, bits, hash32, quick_exp, quick_turn, value
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls

pytestmark = pytest.mark.fast

TARGETS = ["host", "host-asan", "m7", "aarch64", "wasm"]
MODES, FRAME, SEED = 32, 48, 7
RATE_HZ = 48_000
WORDS = 2 + 8 * MODES
GOLDEN = 0x9E3779B9
RESTING = {
    "cycles": 220 / RATE_HZ,
    "stretch": 1.1,
    "scatter": 0.2,
    "loss": 2e-4,
    "damping": 0.6,
    "brightness": -0.7,
    "position": 0.17,
    "choke": 0.0,
}


def quick_log(x):
    """As dsp/quick.h."""
    word = bits(x) - np.uint32(0x3F3504F3)
    m = value((word & np.uint32(0x007FFFFF)) + np.uint32(0x3F3504F3))
    n = F(word.view(np.int32) >> 23)
    s = (m - F(1)) / (m + F(1))
    z = s * s
    p = z * (F(1) / F(9)) + F(1) / F(7)
    for divisor in (5, 3):
        p = p * z + F(1) / F(divisor)
    p = (p * z) * s + s
    return n * F(0.693359375) + (n * F(-2.12194440e-4) + (p + p))


class Resonators:
    """The numpy twin of engine/dsp/resonators.c, rounded as there."""

    def __init__(self):
        self.order = np.arange(1, MODES + 1, dtype=np.float32)
        self.log_order = quick_log(self.order)
        words = hash32((np.arange(MODES) + SEED * GOLDEN) % 2**32)
        self.scatter = F(words.view(np.int32)) * F(2**-31)
        self.scatter[0] = 0
        self.re, self.im = np.zeros(MODES, np.float32), np.zeros(MODES, np.float32)

    def tune(self, told):
        """Coefficients of a frame."""
        ratio = F(told["stretch"]) * self.log_order + F(told["scatter"]) * self.scatter
        self.cycles = np.minimum(F(told["cycles"]) * quick_exp(ratio), F(0.5))
        own = F(told["loss"]) * quick_exp(F(told["damping"]) * ratio)
        kept = quick_exp(F(0) - np.minimum(own + F(told["choke"]), F(0.1)))
        _, place = quick_turn(self.order * (F(0.5) * F(told["position"])))
        fade = np.maximum(np.minimum(F(9.4) - F(20) * self.cycles, F(1)), F(0))
        self.gain = (quick_exp(F(told["brightness"]) * ratio) * place) * fade
        cosine, sine = quick_turn(self.cycles)
        self.cosine, self.sine = kept * cosine, kept * sine
        sounds = np.abs(self.re) + np.abs(self.im) > F(1e-12)
        self.re, self.im = np.where(sounds, self.re, F(0)), np.where(sounds, self.im, F(0))
        parts = np.zeros(4, np.float32)
        for k in range(0, MODES, 4):
            parts += np.abs(self.gain[k : k + 4])
        self.loudness = (parts[0] + parts[1]) + (parts[2] + parts[3])

    def ring(self, x):
        """Sound of a frame."""
        out = np.zeros(len(x), np.float32)
        for k in range(0, MODES, 4):
            four = slice(k, k + 4)
            re, im = self.re[four], self.im[four]
            for n, driven in enumerate(F(x)):
                across = re * self.cosine[four] - im * self.sine[four]
                im = re * self.sine[four] + im * self.cosine[four]
                re = across + self.gain[four] * driven
                out[n] += (im[0] + im[1]) + (im[2] + im[3])
            self.re[four], self.im[four] = re, im
        return out


def played(target, frames):
    """Sound of (told, x) by frames, and the loudness of the last, on a target."""
    state = np.zeros(WORDS, np.uint32)
    state = make_calls(target, [Call("vk_resonators_begin", [Array(state, b""), MODES, SEED])])[0][0]
    sound = []
    for told, x in frames:
        asked = Struct([("f", told[name]) for name in RESTING])
        tuned = make_calls(target, [Call("vk_resonators_tune", [Array(state, b""), asked])])[0][0]
        arrays = [Array(tuned.copy(), b""), Array(F(x), b""), Array(np.zeros(len(x), np.float32), b"")]
        found = make_calls(target, [Call("vk_resonators_ring", [*arrays, len(x)])])[0]
        state = found[0]
        sound.append(found[2])
    return np.concatenate(sound), state[1 + 6 * MODES : 2 + 6 * MODES].view(np.float32)[0]


def script():
    """A stroke, then noise, while everything moves; the last frames are silent."""
    rng = np.random.default_rng(4)
    frames = []
    for at in range(14):
        told = {
            "cycles": 0.002 * 1.5**at,
            "stretch": 0.4 + 0.1 * at,
            "scatter": 0.04 * at,
            "loss": 1e-4 * 1.4**at,
            "damping": 0.1 * at,
            "brightness": 0.5 - 0.15 * at,
            "position": 0.02 + 0.03 * at,
            "choke": 0.02 * (at == 9),
        }
        x = np.zeros(FRAME if at != 5 else 17)
        x[0] = at == 0
        x += 0.1 * rng.uniform(-1, 1, len(x)) * (3 < at < 11)
        frames.append((told, x))
    return frames


@pytest.mark.parametrize("target", TARGETS)
def test_resonators_are_the_twins(target):
    frames = script()
    twin, wanted = Resonators(), []
    for told, x in frames:
        twin.tune(told)
        wanted.append(twin.ring(x))
    sound, loudness = played(target, frames)
    np.testing.assert_array_equal(sound, np.concatenate(wanted))
    assert loudness == twin.loudness
    assert np.abs(sound).max() > 0.05


def test_the_twin_is_near_the_definition():
    """scipy's filters, a pair of poles for each mode, in doubles."""
    x = np.random.default_rng(5).uniform(-1, 1, 40 * FRAME)
    twin, sound = Resonators(), []
    for at in range(0, len(x), FRAME):
        twin.tune(RESTING)
        sound.append(twin.ring(x[at : at + FRAME]))
    log_ratio = RESTING["stretch"] * np.log(np.arange(1, MODES + 1)) + RESTING["scatter"] * twin.scatter
    cycles = np.minimum(RESTING["cycles"] * np.exp(log_ratio), 0.5)
    kept = np.exp(-np.minimum(RESTING["loss"] * np.exp(RESTING["damping"] * log_ratio), 0.1))
    gain = np.exp(RESTING["brightness"] * log_ratio) * np.clip(9.4 - 20 * cycles, 0, 1)
    gain *= np.sin(np.pi * np.arange(1, MODES + 1) * RESTING["position"])
    wanted = sum(
        lfilter([0, g * r * np.sin(2 * np.pi * c)], [1, -2 * r * np.cos(2 * np.pi * c), r * r], x)
        for g, r, c in zip(gain, kept, cycles, strict=True)
    )
    error = np.concatenate(sound) - wanted
    assert np.abs(error).max() < 1e-4 * np.abs(wanted).max()


def test_no_movement_makes_the_bank_louder_than_what_drove_it():
    """Struck once; then pitch, shape and decay jump in every frame for a second."""
    rng = np.random.default_rng(6)
    twin, loudest = Resonators(), 0.0
    for at in range(1000):
        told = {
            **RESTING,
            "cycles": rng.uniform(1e-4, 0.1),
            "stretch": rng.uniform(0.4, 1.8),
            "loss": rng.uniform(1e-6, 1e-3),
        }
        twin.tune(told)
        if at == 0:
            struck = twin.loudness
        loudest = max(loudest, float(np.abs(twin.ring(np.eye(1, 8)[0] * (at == 0))).max()))
    assert 0 < loudest <= struck
