"""The drum's voices: hits where they were struck, no clicks where they end."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from firmware.script.cv_script import Script, readings
from tests.firmware.hit_twin import FRAME, Modes

pytestmark = pytest.mark.fast

TRIGGER, ACCENT, CHOKE = 1, 2, 4
WAIT = 96
"""Samples of an evaluation: so much later a hit sounds, always."""


class Drum:
    def __init__(self, shim, voices=2, cut=False, cosine=False, ringing=False):
        self.ffi, self.lib = shim.ffi, shim.lib
        self.lib.shim_drum_init(voices, cut, cosine, ringing)

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


def test_hits_nearer_than_an_evaluation_are_one(instruments):
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


def test_what_still_rings_at_the_end_is_faded_in_50_ms(instruments):
    """A cymbal outlasts its voice: −12 dB are left at the end of the window."""
    audio = Drum(instruments, ringing=True).run([0], 48_000 * 3)
    end = 2000 * 48 + WAIT
    t = np.arange(end - WAIT)
    wanted = np.sin(0.02 * t) * np.exp(-t / (48_000 * 0.06 * np.exp(3.2)))
    assert np.abs(wanted[-400:]).max() > 0.2
    wanted[-2400:] *= np.linspace(1, 0, 2401)[1:]
    assert np.allclose(audio[WAIT:end], wanted, atol=2e-3)
    assert not audio[end:].any()


def test_no_block_has_more_work_than_its_samples(instruments):
    """The network is asked without a pause, and anew at a hit: the load stays even."""
    rng = np.random.default_rng(8)
    drum = Drum(instruments, voices=2)
    hits = np.cumsum(rng.integers(100, 700, 60))
    drum.run(hits, int(hits[-1]) + 4800, 48)
    assert drum.lib.shim_drum_most_work() <= 48
    assert drum.lib.shim_drum_evaluations() >= int(hits[-1]) // 108


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


@pytest.fixture(scope="module")
def host_drum(model_files, tmp_path_factory):
    """The drum with a small model, and the file that onnxruntime can open."""
    folder = tmp_path_factory.mktemp("host")
    built = generate("drum", "host", folder, models={"drum": model_files["drum"]})
    return built, host_library(built), model_files["drum"]


def struck(host_drum, positions, ticks, block=48):
    """One hit at sample 480, knobs where they are said to be: sound, and what the network was asked."""
    built, library, _ = host_drum
    knobs = {name: np.full(ticks, 5.0 * at) for name, at in positions.items()}
    gate = np.zeros(ticks)
    gate[480:960] = 5.0
    host = HostInstrument(library)
    script = Script(columns={}, seconds=ticks / 48_000)
    signals = readings(script, built.board, slice(0, ticks), {**knobs, "gate_in_1": gate})
    audio = host.render(signals, block).audio[0]
    tables = {p.name: p.table for p in built.assignment.parameters}

    def asked(name):
        table = tables[name]
        return float(np.interp(host.position(name), np.linspace(0, 1, len(table)), table))

    z = [asked(f"latent/{n + 1}") for n in range(8)]
    lower, rest = divmod(host.position("class") * 7, 1)
    upper = float(np.clip((rest - 0.35) / 0.3, 0, 1))  # one class at a time, short blends between: tone.c
    knob = [(1 - upper) * (n == lower) + upper * (n == lower + 1) for n in range(8)]
    return (
        audio,
        np.array(z, np.float32),
        np.array([*knob, asked("attribute/brightness"), asked("attribute/decay")], np.float32),
    )


@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_hit_is_what_onnxruntime_makes_of_the_file(host_drum, place):
    import onnxruntime

    ticks = 24_000
    audio, z, knobs = struck(host_drum, {"knob_1": place / 7, "knob_2": 0.3, "knob_4": 0.6}, ticks)
    feed = {"z": z[None, :, None], "knobs": knobs[None, :, None]}
    (wanted,) = onnxruntime.InferenceSession(str(host_drum[2])).run(None, feed)
    begin = 480 + WAIT
    assert not audio[:begin].any()
    made, wanted = audio[begin:], wanted[0, 0, : ticks - begin]
    gain = float(made @ wanted / (wanted @ wanted))
    assert 0.1 < gain < 1.0  # level and accent
    error = np.sqrt(np.mean((made / gain - wanted) ** 2) / np.mean(wanted**2))
    assert error < 1e-3


@pytest.mark.parametrize("block", [1, 7, 256])
def test_any_block_plays_the_same_while_the_panel_rests(host_drum, block):
    first = struck(host_drum, {"knob_1": 0.4}, 9600)[0]
    assert np.array_equal(struck(host_drum, {"knob_1": 0.4}, 9600, block)[0], first)


def test_absurd_numbers_stay_numbers():
    """Sets that no network would say, one after the other, through modes that never start anew."""
    rng = np.random.default_rng(9)
    modes = Modes(np.geomspace(1e-3, 0.3, 8).astype(np.float32), np.full(8, 0.3, np.float32), 4)
    raw = np.zeros((5, 8), np.float32)
    raw[3] = 1.0
    modes.decode(raw)
    modes.decode_glide(np.zeros(2, np.float32))
    modes.start()
    for frame in range(3000):
        if frame % 2 == 0:
            modes.decode(rng.choice([-100, -12, -1, 0, 1, 100], (5, 8)).astype(np.float32))
            modes.decode_glide(rng.choice([-100, 0, 100], 2).astype(np.float32))
        sound = modes.frame(frame % 2000, np.zeros(FRAME, np.float32))
        assert np.isfinite(sound).all() and np.abs(sound).max() < 8 * 4.6
    assert np.abs(np.hypot(modes.state[:, 0], modes.state[:, 1]) - 1).max() < 1e-2
