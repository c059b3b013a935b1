"""Several voices: they add up to as many oscillators, play in turn, in chords and by their own jacks."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from tests.firmware import test_instrument_oscillator as plain
from tests.firmware.test_instrument_oscillator import C2_HZ, RATE_HZ, code, model, pulses

__all__ = ["model"]
JACKS = ("cv_1", "cv_2", "cv_3", "cv_4")
GATES = ("gate", "gate_2", "gate_3", "gate_4")
PATCH = (
    """
title = "Test"
kind = "oscillator"

[models]
voice = "v.onnx"

[options]
voices = 4

[[control]]
to = "chord"
knob = "knob_1"

[[control]]
to = "release"
knob = "knob_2"

[[control]]
to = "breath"
knob = "knob_3"

[[control]]
to = "spread"
knob = "knob_4"

[[control]]
to = "width"
default = 0.0

[[control]]
to = "level"
default = 1.0

[[output]]
jack = "audio_out_1"
from = "left"

[[output]]
jack = "audio_out_2"
from = "right"

[[output]]
jack = "cv_out_2"
from = "pitch"

[[output]]
jack = "gate_out_1"
from = "note"
"""
    + "".join(
        f'\n[[control]]\nto = "{pitch}"\ncv = "{jack}"\nsmoothing = 0.0\ndead_band = 0.0\n'
        for pitch, jack in zip(("pitch", "pitch.2", "pitch.3", "pitch.4"), JACKS, strict=True)
    )
    + "".join(
        f'\n[[gate]]\nto = "{gate}"\njack = "{jack}"\n'
        for gate, jack in zip(GATES, ("gate_in_1", "gate_in_2", "cv_5", "cv_6"), strict=True)
    )
)
KNOBS = {"knob_1": 0.0, "knob_2": 0.5, "knob_3": 0.0, "knob_4": 0.0}
CHORDS = 11
"""Steps of the chord knob."""


class Choir(plain.Module):
    """Four voices, for this machine."""

    def __init__(self, folder, model, block=48):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "test.toml"
        self.path.write_text(PATCH)
        self.models = {"voice": model}
        self.built = generate(
            self.path, "patch_sm", folder / "out", models=self.models, block=block, target="host"
        )
        self.host = HostInstrument(host_library(self.built))
        self.block = block

    def signals(self, ticks, volts=(2.0, 0.0, 0.0, 0.0), gates=None, knobs=None):
        """``gates``: of each voice, spans of samples."""
        gates = gates or {0: [(48, ticks)]}
        made = super().signals(ticks, knobs={**KNOBS, **(knobs or {})}, gate=pulses(ticks, *gates.get(0, ())))
        made.gates[1] = pulses(ticks, *gates.get(1, ()))
        adcs = {adc.name: at for at, adc in enumerate(self.built.board.adcs)}

        def put(jack, signal):
            at = adcs[jack]
            made.inputs[at] = code(self.built.board.adcs[at], np.broadcast_to(signal, ticks))

        for jack, volt in zip(JACKS, volts, strict=True):
            put(jack, volt)
        put("cv_5", pulses(ticks, *gates.get(2, ())))
        put("cv_6", pulses(ticks, *gates.get(3, ())))
        return made

    def play(self, ticks, **told):
        self.host.begin()
        return self.host.render(self.signals(ticks, **told), self.block)

    def of(self, name):
        """Position of the chord knob."""
        from firmware.instruments.kinds.oscillator import CHORDS as names

        return {"knob_1": names.index(name) / (len(names) - 1)}


@pytest.fixture(scope="module")
def choir(model, tmp_path_factory):
    return Choir(tmp_path_factory.mktemp("choir"), model)


def heard_hz(sound, near):
    """Frequencies of the strongest lines near some others."""
    power = np.abs(np.fft.rfft(sound * np.blackman(len(sound)), 1 << 18))
    hz = np.fft.rfftfreq(1 << 18, 1 / RATE_HZ)
    found = []
    for wanted in near:
        window = np.abs(1200 * np.log2(np.maximum(hz, 1) / wanted)) < 40
        found.append(hz[window][np.argmax(power[window])])
    return np.array(found)


def strength(sound, hz):
    """Amplitude of a line, dB."""
    n = np.arange(len(sound))
    window = np.hanning(len(sound))
    return 20 * np.log10(
        np.abs(np.sum(sound * window * np.exp(-2j * np.pi * hz * n / RATE_HZ))) / window.sum()
    )


def test_a_voice_sounds_as_the_oscillator_does_and_voices_add_up(choir, model, tmp_path):
    """Each by its own volts and gate; with next to no noise, which is one for all."""
    ticks = 16_000
    volts = (1.0, 2.25, 0.5, 3.1)
    spans = {0: [(480, 15_000)], 1: [(2400, 6000), (7200, 15_000)]}
    alone = plain.Module(tmp_path, model)
    parts = []
    for voice, gates in spans.items():
        alone.host.begin()
        one = alone.play(ticks, volts=volts[voice], gate=pulses(ticks, *gates), knobs={"knob_3": 0.0}).audio[
            0
        ]
        made = choir.play(ticks, volts=volts, gates={voice: gates}).audio
        np.testing.assert_array_equal(made[0], made[1])
        for harmonic in range(1, 8):
            hz = harmonic * C2_HZ * 2 ** volts[voice]
            levels = [strength(sound[9600:14_400].astype(float), hz) for sound in (one, made[0])]
            assert levels[0] > -80 and abs(levels[1] - levels[0]) < 0.1, (voice, harmonic)
        parts.append(made[0])
    both = choir.play(ticks, volts=volts, gates=spans).audio[0]
    assert np.abs(both).max() > 0.1
    # a note that begins goes before the frame of a voice that sounds, which then comes a millisecond later
    assert np.abs(both - (parts[0] + parts[1])).max() < 0.02 * np.abs(both).max()


def test_four_notes_at_once_sound_within_six_milliseconds(choir):
    """Of a chord, each at its own pitch: the last voice's turn comes 4 ms after the gate."""
    for begin in range(9600, 9800, 37):
        gates = {0: [(begin, 20_000)]}
        sound = choir.play(20_000, gates=gates, knobs=choir.of("minor seventh")).audio[0].astype(float)
        assert not np.any(sound[:begin])
        for semitones in (0, 3, 7, 10):
            hz = C2_HZ * 4 * 2 ** (semitones / 12)
            n = np.arange(len(sound))
            near = np.abs(np.convolve(sound * np.exp(-2j * np.pi * hz * n / RATE_HZ), np.ones(96), "valid"))
            first = int(np.argmax(near > 0.03 * near.max())) + 95
            assert 0 < first - begin <= 0.006 * RATE_HZ, (begin, semitones)


def test_silence_before_and_after_notes_is_silence(choir):
    made = choir.play(60_000, gates={0: [(480, 4000)], 1: [(960, 5000)], 2: [(500, 3000)]})
    assert not np.any(made.audio[0][:480]) and not np.any(made.audio[0][-4800:])
    assert np.abs(made.audio[0]).max() > 0.05 and made.gates[2000] == 1 and made.gates[-1] == 0


def test_each_voice_follows_its_own_volts_within_three_cents(choir):
    volts = (1.0, 1.58, 2.33, 2.9)
    made = choir.play(RATE_HZ, volts=volts, gates={v: [(480, RATE_HZ)] for v in range(4)})
    wanted = np.array([C2_HZ * 2**volt for volt in volts])
    found = heard_hz(made.audio[0][RATE_HZ // 4 :], wanted)
    assert np.abs(1200 * np.log2(found / wanted)).max() < 3


def test_a_chord_on_one_volt(choir):
    """A minor seventh: 0, 3, 7 and 10 semitones."""
    made = choir.play(RATE_HZ, volts=(2.0, 0, 0, 0), knobs=choir.of("minor seventh"))
    wanted = C2_HZ * 4 * 2 ** (np.array([0, 3, 7, 10]) / 12)
    sound = made.audio[0][RATE_HZ // 4 :].astype(float)
    found = heard_hz(sound, wanted)
    assert np.abs(1200 * np.log2(found / wanted)).max() < 3
    between = C2_HZ * 4 * 2 ** (5 / 12)
    assert min(strength(sound, hz) for hz in found) > strength(sound, between) + 30


def test_notes_in_turn_ring_on(choir):
    """The second note takes another voice, and the first goes on dying at its own pitch."""
    ticks = 24_000
    volts = np.where(np.arange(ticks) < 9600, 2.0, 2.5)
    gates = {0: [(480, 9000), (9600, 20_000)]}
    made = choir.play(ticks, volts=(volts, 0, 0, 0), gates=gates, knobs={"knob_2": 1.0})
    after = made.audio[0][11_000:14_000].astype(float)
    first, second = C2_HZ * 4, C2_HZ * 2**2.5
    assert strength(after, first) > strength(after, second) - 20
    assert strength(after, second) > -40
    assert made.cv[1][-1] == pytest.approx(2.5, abs=0.003)
    unison = choir.play(
        ticks, volts=(volts, 0, 0, 0), gates=gates, knobs={"knob_2": 1.0, **choir.of("unison")}
    )
    later = unison.audio[0][11_000:14_000].astype(float)
    assert strength(later, first) < strength(later, second) - 30


def test_the_first_gate_leaves_a_voice_alone_that_its_own_gate_plays(choir):
    """A chord takes three voices; the second goes on with its own note."""
    ticks = RATE_HZ
    made = choir.play(
        ticks,
        volts=(2.0, 3.05, 0, 0),
        gates={0: [(9600, ticks)], 1: [(480, 4800)]},
        knobs=choir.of("major") | {"knob_2": 1.0},
    )
    sound = made.audio[0][12_000:].astype(float)
    root, third, fifth = (C2_HZ * 4 * 2 ** (n / 12) for n in (0, 4, 7))
    assert strength(sound, root) > -50 and strength(sound, fifth) > -50
    assert strength(sound, third) < strength(sound, fifth) - 25


def test_the_spread_detunes_voices_and_width_parts_them(choir):
    made = choir.play(2 * RATE_HZ, knobs=choir.of("unison") | {"knob_4": 1.0})
    sound = made.audio[0][RATE_HZ:].astype(float)
    apart = C2_HZ * 4 * 2 ** np.array([-0.05, 0.05])
    assert min(strength(sound, hz) for hz in apart) > strength(sound, C2_HZ * 4) + 10


def test_noise_of_voices_adds_up_by_power(choir):
    """Two voices of one pitch: their noise is 3 dB louder, not 6."""
    levels = []
    for gates in ({1: [(480, RATE_HZ)]}, {1: [(480, RATE_HZ)], 2: [(480, RATE_HZ)]}):
        made = choir.play(RATE_HZ, volts=(0, 4.0, 4.0, 0), gates=gates, knobs={"knob_3": 1.0})
        sound = made.audio[0][-(1 << 15) :].astype(float)
        power = np.abs(np.fft.rfft(sound * np.blackman(1 << 15))) ** 2
        place = np.fft.rfftfreq(1 << 15, 1 / RATE_HZ) / (C2_HZ * 16)
        between = (np.abs(place - np.rint(place)) > 0.3) & (place < 12)
        levels.append(10 * np.log10(power[between].mean()))
    assert levels[1] - levels[0] == pytest.approx(3.0, abs=0.7)


def test_blocks_change_nothing_while_hands_rest(choir, model, tmp_path):
    gates = {0: [(100, 7000), (9000, 15_000)], 1: [(200, 5000)]}  # a voltage is read once a block
    told = {"volts": (1.0, 2.0, 2.5, 3.0), "gates": gates, "knobs": {"knob_3": 0.7, **choir.of("fifths")}}
    whole = choir.play(16_000, **told).audio
    for block in (17, 256):
        other = Choir(tmp_path / str(block), model, block).play(16_000, **told).audio
        np.testing.assert_array_equal(other, whole)


def test_the_emulated_module_plays_the_same_bits(choir, tmp_path):
    from bench.emulated import EmulatedInstrument

    built = generate(choir.path, "patch_sm", tmp_path / "m7", models=choir.models)
    gates = {0: [(100, 1500), (1800, 2400)], 1: [(200, 2000)], 2: [(777, 2000)]}
    made = choir.signals(2400, volts=(1.0, 2.0, 2.5, 3.0), gates=gates, knobs={"knob_3": 0.8, "knob_4": 0.5})
    emulated, _ = EmulatedInstrument(built, tmp_path / "m7").render(made, 48)
    choir.host.begin()
    found = choir.host.render(made, 48)
    np.testing.assert_array_equal(emulated.audio, found.audio)
    np.testing.assert_array_equal(emulated.cv, found.cv)
    assert np.abs(found.audio).max() > 0.01


def test_absurd_volts_and_chattering_gates_end_in_numbers(choir):
    ticks = 24_000
    chatter = [(at, at + 24) for at in range(48, ticks, 48)]
    made = choir.signals(ticks, volts=(-9.0, 9.0, np.nan, 2.0), gates=dict.fromkeys(range(4), chatter))
    choir.host.begin()
    sound = choir.host.render(made, 48).audio
    assert np.isfinite(sound).all() and np.abs(sound).max() <= 1
    after = choir.play(ticks).audio[0]
    assert np.abs(after[5000:15_000]).max() > 0.02
