"""Sound of magnitudes: the engine's inversion is its twin's, the same everywhere, as good as is said."""

from __future__ import annotations

import numpy as np
import pytest

from common.refusal import Refusal
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls
from train.models.spectra.spsi import (
    BINS,
    HOP,
    PARTIALS,
    SIZE,
    Asked,
    Spsi,
    convergence_db,
    inverted,
    magnitudes,
    with_phases,
)

pytestmark = pytest.mark.fast

OTHERS = ["host-asan", "m7", "aarch64", "wasm"]
PIECES = 18
WORDS = BINS + 3 + 5 * PARTIALS + 2 * (PARTIALS + 4) + SIZE + 2 * (BINS + 8) + 2 * BINS
RATE_HZ = 48_000


def filled(values):
    return Array(np.ascontiguousarray(values), b"")


def roots(target):
    begin = Call("vk_fft_begin", [filled(np.zeros(2048 + 512, np.float32))])
    return make_calls(target, [begin])[0][0]


def inverted_on(target, rows):
    """Sound of (logs, asked) rows; all calls of a frame act on one state."""
    table, state, hops = roots(target), np.zeros(WORDS, np.float32), []
    for logs, asked in rows:
        fields = (asked.scale, asked.grid, asked.pull, asked.stretch, asked.tone, asked.noise)
        said = Struct([("f", value) for value in fields])
        for piece in range(PIECES):
            call = Call("vk_spsi_piece", [filled(table), said, filled(logs), filled(state), piece])
            state = make_calls(target, [call])[0][-1]
        state, hop = make_calls(
            target, [Call("vk_spsi_sound", [filled(state), filled(np.zeros(HOP, np.float32))])]
        )[0]
        hops.append(hop)
    return np.concatenate(hops)


def glide(seconds, hz=196.0, noise=1e-3):
    """Twelve harmonics that glide by a third, and noise."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    turns = np.cumsum(hz * (1 + 0.25 * t / seconds)) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * h * turns + h * h) / h for h in range(1, 13))
    return 0.2 * tones + noise * np.random.default_rng(1).normal(size=len(t))


@pytest.fixture(scope="module")
def rows():
    """Frames of a glide, each asked otherwise."""
    logs = np.log(np.maximum(magnitudes(glide(0.1)), 1e-6)).astype(np.float32)
    asked = [
        Asked(),
        Asked(),
        Asked(1.5, 4, 0.5, 0.01, 0.7, -1.0),
        Asked(0.4, 4, 1.0, 0.0, 0.0, 0.5),
        Asked(8.0, 4, 0.1, -0.01, 1.0, 0.0),
    ]
    return list(zip(logs[4:], asked, strict=False))


@pytest.fixture(scope="module")
def heard(rows):
    return inverted_on("host", rows)


def test_the_engine_inverts_as_its_twin(rows, heard):
    twin = Spsi()
    wanted = np.concatenate([twin.hop(logs.astype(float), asked) for logs, asked in rows])
    assert np.abs(wanted).max() > 0.1
    assert np.abs(heard - wanted).max() < 3e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("target", OTHERS)
def test_the_inversion_is_the_same_everywhere(target, rows, heard):
    np.testing.assert_array_equal(inverted_on(target, rows), heard)


def test_an_inversion_keeps_magnitudes_where_no_phase_and_random_ones_do_not():
    """The witness is numpy's transform; a sound of partials, as notes are."""
    wanted = magnitudes(np.r_[np.zeros(SIZE), glide(0.6)])
    made = magnitudes(inverted(wanted))[: len(wanted)]
    found = convergence_db(made, wanted)
    assert found < -20
    rng = np.random.default_rng(0)
    for phases in (np.zeros_like(wanted), rng.uniform(0, 2 * np.pi, wanted.shape)):
        assert found < convergence_db(magnitudes(with_phases(wanted, phases))[: len(wanted)], wanted) - 6


@pytest.mark.parametrize("hz", [65.4, 110.0, 261.6, 1046.5])
def test_a_pitch_is_as_asked_whatever_the_spectrums_own(hz):
    """Also where harmonics lie nearer than the sound's bins; judged by a long transform of numpy's."""
    axis = np.full(BINS, 1e-5)
    for harmonic in range(1, BINS // 4 - 1):  # uneven shoulders, as a network says them
        axis[4 * harmonic - 1 : 4 * harmonic + 2] = np.array([0.45, 1.0, 0.52]) * np.exp(-0.05 * harmonic)
    twin, asked = Spsi(), Asked(hz / 187.5, 4, 0.3)
    sound = np.concatenate([twin.hop(np.log(axis), asked) for _ in range(64)])[2 * SIZE :]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 20))
    around = np.arange(len(spectrum)) * RATE_HZ / (1 << 20)
    for harmonic in (1, 2, 3):
        near = np.abs(around / (harmonic * hz) - 1) < 0.03
        found = around[near][np.argmax(spectrum[near])]
        assert abs(1200 * np.log2(found / (harmonic * hz))) < 1.5


def test_silence_stays_silent_and_sizes_are_checked():
    assert np.abs(inverted(np.zeros((8, BINS)))).max() < 1e-7
    with pytest.raises(Refusal, match="not a power of two; take 1024"):
        magnitudes(np.zeros(4000), 1000, 250)
    with pytest.raises(Refusal, match="not a quarter of the window"):
        magnitudes(np.zeros(4000), 1024, 512)
