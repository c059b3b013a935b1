"""The drum's voices: hits where they were struck, no clicks where they end."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.fast

TRIGGER, ACCENT, CHOKE = 1, 2, 4
WAIT = 96
"""Samples of an evaluation: so much later a hit sounds, always."""


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
def test_a_hit_starts_an_evaluation_after_its_sample_and_is_the_models_own_sound(instruments, block, at):
    audio = Drum(instruments, cosine=True).run([at], 6000, block)
    begin = at + WAIT
    assert not audio[:begin].any()
    t = np.arange(6000 - begin)
    assert np.allclose(audio[begin:], np.cos(0.02 * t) * np.exp(-t / 9600.0), atol=5e-5)


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
    both[WAIT:] = sine(6000 - WAIT)
    both[2000 + WAIT :] += sine(4000 - WAIT)
    assert np.allclose(audio, np.clip(both, -1, 1), atol=5e-5)


def test_a_cut_ends_the_hit_before_within_5_ms(instruments):
    audio = Drum(instruments, voices=2, cut=True).run([0, 2000], 6000)
    assert np.allclose(audio[2260:], sine(4000)[260 - WAIT : -WAIT], atol=2e-4)


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
    assert not audio[2000 * 48 + WAIT :].any()


def test_no_block_has_more_work_than_its_samples(instruments):
    """The network is asked without a pause, and anew at a hit: the load stays even."""
    rng = np.random.default_rng(8)
    drum = Drum(instruments, voices=2)
    hits = np.cumsum(rng.integers(100, 700, 60))
    drum.run(hits, int(hits[-1]) + 4800, 48)
    assert drum.lib.shim_drum_most_work() <= 48
    assert drum.lib.shim_drum_evaluations() >= int(hits[-1]) // WAIT


def test_a_hit_sounds_as_the_panel_stood_when_it_was_struck(instruments):
    drum = Drum(instruments, cosine=True)
    drum.run([], 4800)
    drum.lib.shim_drum_set(3, 0.05)
    drum.run([], 4800)
    drum.lib.shim_drum_set(3, 0.5)
    quiet = drum.run([0], 480)  # in the very block in which the latent moves
    drum.run([], 96_000)
    drum.lib.shim_drum_set(3, 0.5)
    loud = drum.run([100], 480)
    assert abs(quiet[WAIT]) < 0.5  # the ramp has just begun
    assert loud[100 + WAIT] == pytest.approx(1.0, abs=1e-3)


def test_a_latent_moves_the_sound_that_rings_without_a_click(instruments):
    drum = Drum(instruments)
    first = drum.run([0], 2400)
    drum.lib.shim_drum_set(3, 0.05)
    moved = drum.run([], 4800)
    still = sine(7200)[2400 - WAIT :][:4800]
    sound = np.concatenate([first, moved])
    assert np.abs(np.diff(sound)).max() < 0.03
    late = slice(2400, 4800)
    assert np.sqrt(np.mean(moved[late] ** 2)) == pytest.approx(
        0.1 * np.sqrt(np.mean(still[late] ** 2)), rel=0.05
    )


def test_what_rests_stays_in_phase(instruments):
    """Evaluations that say the same change nothing: after a second the wave is where it should be."""
    audio = Drum(instruments).run([0], 48_000)
    wanted = np.concatenate([np.zeros(WAIT), sine(48_000 - WAIT)])
    late = slice(40_000, 48_000)
    assert np.corrcoef(audio[late], wanted[late])[0, 1] > 0.9999
