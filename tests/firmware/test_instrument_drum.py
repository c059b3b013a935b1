"""The drum's voices: hits where they were struck, no clicks where they end."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.fast

TRIGGER, ACCENT, CHOKE = 1, 2, 4
FRAME = 48
"""Samples of a model's frame: so much later a hit sounds, always."""


class Drum:
    def __init__(self, shim, voices=2, cut=False, cosine=False):
        self.ffi, self.lib = shim.ffi, shim.lib
        self.lib.shim_drum_init(voices, cut, cosine)

    def run(self, hits, ticks, block=48, bits=TRIGGER):
        gates = np.zeros(ticks, np.uint32)
        for at in hits:
            gates[at : at + 48] |= bits
        return self.play(gates, block)

    def play(self, gates, block=48):
        audio, out = np.zeros(gates.size, np.float32), np.zeros(gates.size, np.uint32)
        self.lib.shim_drum_run(
            self.ffi.from_buffer("uint32_t[]", gates),
            gates.size,
            block,
            self.ffi.from_buffer("float[]", audio),
            self.ffi.from_buffer("uint32_t[]", out),
        )
        self.gates = out
        return audio


def sine(n):
    t = np.arange(n)
    return np.sin(0.02 * t) * np.exp(-t / 9600.0)


@pytest.mark.parametrize("block", [1, 7, 48, 256])
@pytest.mark.parametrize("at", [0, 1, 47, 48, 1000])
def test_a_hit_starts_a_frame_after_its_sample_and_is_the_models_own_sound(instruments, block, at):
    audio = Drum(instruments, cosine=True).run([at], 6000, block)
    begin = at + FRAME
    assert not audio[:begin].any()
    t = np.arange(6000 - begin)
    assert np.allclose(audio[begin:], np.cos(0.02 * t) * np.exp(-t / 9600.0), atol=1e-6)


@pytest.mark.parametrize("voices", [1, 2])
@pytest.mark.parametrize("cut", [False, True])
def test_retriggering_makes_no_click(instruments, voices, cut):
    rng = np.random.default_rng(4)
    hits = np.cumsum(rng.integers(100, 4000, 60))
    audio = Drum(instruments, voices, cut).run(hits, int(hits[-1]) + 9600)
    # the sine itself moves by 0.02 per sample; a voice's tail of at most 1 fades by 4 % of itself
    steepest = 0.02 * voices + 0.04 + 0.02
    assert np.abs(np.diff(audio)).max() < steepest


def test_two_voices_ring_together(instruments):
    audio = Drum(instruments, voices=2).run([0, 2000], 6000)
    both = np.zeros(6000)
    both[FRAME:] = sine(6000 - FRAME)
    both[2000 + FRAME :] += sine(4000 - FRAME)
    assert np.allclose(audio, np.clip(both, -1, 1), atol=1e-5)


def test_a_cut_ends_the_hit_before_within_5_ms(instruments):
    audio = Drum(instruments, voices=2, cut=True).run([0, 2000], 6000)
    assert np.allclose(audio[2260:], sine(4000)[260 - FRAME : -FRAME], atol=2e-4)


def test_choke_ends_the_sound_within_5_ms_without_a_click(instruments):
    gates = np.zeros(6000, np.uint32)
    gates[0:48] = TRIGGER
    gates[2000:2048] = CHOKE
    audio = Drum(instruments).play(gates)
    assert not audio[2241:].any()
    assert np.abs(np.diff(audio)).max() < 0.03


def test_hits_nearer_than_2_ms_are_one(instruments):
    drum = Drum(instruments)
    gates = np.zeros(48_000, np.uint32)
    gates[::48] = TRIGGER
    audio = drum.play(gates)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() <= 1.0


def test_the_block_size_does_not_change_the_sound(instruments):
    rng = np.random.default_rng(5)
    hits = np.cumsum(rng.integers(100, 4000, 30))
    first = Drum(instruments).run(hits, 96_000, 48)
    for block in (1, 13, 64, 255, 256):
        assert (Drum(instruments).run(hits, 96_000, block) == first).all()


def test_an_end_is_an_end(instruments):
    """After the window the voice is freed and nothing is computed or heard."""
    audio = Drum(instruments).run([0], 48_000 * 3)
    assert not audio[2006 * 48 :].any()


def test_no_block_has_more_frames_than_any_other(instruments):
    """A drum struck again in the midst of a block computes no frame more: the load stays even."""
    rng = np.random.default_rng(8)
    drum = Drum(instruments, voices=1)
    hits = np.cumsum(rng.integers(100, 700, 60))
    drum.run(hits, int(hits[-1]) + 4800, 48)
    assert drum.lib.shim_drum_most_frames() == 1
    drum = Drum(instruments, voices=2)
    drum.run(hits, int(hits[-1]) + 4800, 96)
    assert drum.lib.shim_drum_most_frames() == 4


def test_the_time_basis_is_the_trained_one(instruments):
    window_s, fade_s, decays_s = 2.0, 0.05, [0.002, 0.08, 0.5]
    frequencies_hz = np.geomspace(30, 1500, 48)
    t = np.arange(2100) * 48 / 48_000
    exact = (
        np.column_stack(
            [
                np.clip((window_s - t) / fade_s, 0, 1),
                t / window_s,
                *(np.exp(-t / tau) for tau in decays_s),
                *(np.sin(2 * np.pi * f * t) for f in frequencies_hz),
                *(np.cos(2 * np.pi * f * t) for f in frequencies_hz),
            ]
        )
        * (t < window_s)[:, None]
    )
    ffi = instruments.ffi
    decay = ffi.new("float[]", [float(np.exp(-0.001 / tau)) for tau in decays_s])
    angles = 2 * np.pi * frequencies_hz * 0.001
    rotation = ffi.new("float[]", np.column_stack([np.cos(angles), np.sin(angles)]).ravel().tolist())
    out = np.zeros(exact.shape, np.float32)
    instruments.lib.shim_time_basis(
        decay, 3, rotation, 48, 2000.0, 50.0, ffi.from_buffer("float[]", out), len(t)
    )
    assert np.abs(out - exact).max() < 3e-4
