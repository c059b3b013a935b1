"""The voice: it follows one volt per octave, speaks soon after its gate, and is silent when it should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.script.cv_script import Script, signals

RATE_HZ, LATENTS = 48_000, 4
C2_HZ = 65.40639
PATCH = """
title = "Test"
kind = "oscillator"

[models]
voice = "v.onnx"

[[control]]
to = "latent.1"
knob = "knob_1"

[[control]]
to = "vibrato"
knob = "knob_2"

[[control]]
to = "breath"
knob = "knob_3"

[[control]]
to = "glide"
knob = "knob_4"

[[control]]
to = "pitch"
cv = "cv_5"
smoothing = 0.0
dead_band = 0.0

[[gate]]
to = "gate"
jack = "gate_in_1"

[[gate]]
to = "accent"
jack = "gate_in_2"

[[output]]
jack = "audio_out_1"
from = "mix"

[[output]]
jack = "cv_out_1"
from = "envelope"

[[output]]
jack = "cv_out_2"
from = "pitch"

[[output]]
jack = "gate_out_1"
from = "note"
"""
KNOBS = {"knob_1": 0.5, "knob_2": 0.0, "knob_3": 0.5, "knob_4": 0.0}


def written(path, *, habits=True, width=16):
    """A small voice of nearly constant levels: harmonics that fall by 6 dB an octave, next to no noise."""
    from train.analysis.note.habits import plain
    from train.export.export import export_module
    from train.kinds import load_recipe
    from train.models.voice.shape import HARMONICS
    from train.tasks.voice import VoiceTask

    torch.manual_seed(3)
    task = VoiceTask(load_recipe("voice_quick", [f"model.width={width}", f"model.latents={LATENTS}"]))
    with torch.no_grad():
        outlet = task.model.decoder.network.outlet
        outlet.weight *= 0.05
        outlet.bias[:HARMONICS] = -torch.log(torch.arange(1, HARMONICS + 1).float()) - 0.5
        outlet.bias[HARMONICS:] = -8.0
    task.eval()
    latents = [
        {"name": f"z{i + 1}", "mean": 0.0, "std": 1.0, "quantiles": np.linspace(-2, 2, 33).tolist()}
        for i in range(LATENTS)
    ]
    told = {"kind": "voice", "part": "decoder", "latents": latents, "sample_rate_hz": RATE_HZ}
    if habits:
        rows = plain(LATENTS)
        rows[3, -1] = 0.0  # no decay
        told["habits"] = rows.tolist()
    export_module(task.model.decoder, *task.decoder_ports(), told, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return written(tmp_path_factory.mktemp("voice") / "v.onnx")


class Module:
    """An instrument of the test's own file, for this machine."""

    def __init__(self, folder, model, block=48):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "test.toml"
        self.path.write_text(PATCH)
        self.built = generate(
            self.path, "patch_sm", folder / "out", models={"voice": model}, block=block, target="host"
        )
        self.host = HostInstrument(host_library(self.built))
        self.block = block

    def signals(self, ticks, volts=2.0, knobs=None, gate=None, accent=None):
        resting = {**resting_knobs(self.built), **KNOBS, **(knobs or {})}
        made = signals(Script(), self.built.board, ticks, {}, {}, resting)
        cv = next(i for i, one in enumerate(self.built.board.adcs) if one.name == "cv_5")
        made.inputs[cv] = code(self.built.board.adcs[cv], np.broadcast_to(volts, ticks))
        made.gates[0] = pulses(ticks, (48, ticks)) if gate is None else gate
        if accent is not None:
            made.gates[1] = accent
        return made

    def play(self, ticks, **told):
        self.host.reset()
        return self.host.render(self.signals(ticks, **told), self.block)


def code(spec, volts):
    """Converter code, 0 … 1, of volts at an ideal input."""
    part = (volts - spec.low_volts) / (spec.high_volts - spec.low_volts)
    return np.clip(1 - part if spec.inverted else part, 0, 1).astype(np.float32)


def pulses(ticks, *spans):
    """A gate that is high in spans of samples."""
    gate = np.zeros(ticks)
    for first, last in spans:
        gate[first:last] = 5.0
    return gate


def sounding_hz(sound, near_hz):
    """Frequency of the fundamental, by the phase of its band over the sound."""
    n = np.arange(len(sound))
    turning = sound * np.exp(-2j * np.pi * near_hz * n / RATE_HZ)
    size = int(6 * RATE_HZ / near_hz) | 1
    window = np.hanning(size) / np.hanning(size).sum()
    low = np.convolve(turning, window, "valid")
    middle = low[len(low) // 10 : -len(low) // 10]
    turns = np.unwrap(np.angle(middle)) / (2 * np.pi)
    return near_hz + np.polyfit(np.arange(len(turns)), turns, 1)[0] * RATE_HZ


def test_it_follows_a_volt_per_octave_within_three_cents(model, tmp_path):
    module = Module(tmp_path, model)
    for volts in (-1.0, -0.25, 0.5, 1.0, 2.0, 3.1, 4.0):
        sound = module.play(RATE_HZ // 2, volts=volts).audio[0][9600:].astype(float)
        wanted = C2_HZ * 2**volts
        assert abs(1200 * np.log2(sounding_hz(sound, wanted) / wanted)) < 3, volts


def test_a_note_sounds_within_six_milliseconds_of_its_gate(model, tmp_path):
    module = Module(tmp_path, model)
    for begin in range(4000, 4200, 17):
        made = module.play(12_000, gate=pulses(12_000, (begin, 11_000))).audio[0]
        assert np.abs(made[:begin]).max() == 0.0
        loud = np.abs(made).max()
        first = int(np.argmax(np.abs(made) > 0.03 * loud))
        assert 0 < first - begin <= 0.006 * RATE_HZ


def test_blocks_change_nothing_while_hands_rest(model, tmp_path):
    gate = pulses(20_000, (100, 7000), (7100, 7150), (9000, 15_000))
    whole = Module(tmp_path / "a", model).play(20_000, gate=gate).audio
    for block in (1, 31, 256):
        other = Module(tmp_path / str(block), model, block).play(20_000, gate=gate).audio
        np.testing.assert_array_equal(other, whole)


def test_the_emulated_module_plays_the_same_bits(model, tmp_path):
    from bench.emulated import EmulatedInstrument

    module = Module(tmp_path, model)
    built = generate(module.path, "patch_sm", tmp_path / "m7", models={"voice": model})
    made = module.signals(
        4800, volts=2.3, knobs={"knob_2": 0.7}, gate=pulses(4800, (300, 2400), (2500, 4000))
    )
    emulated, _ = EmulatedInstrument(built, tmp_path / "m7").render(made, 48)
    found = module.host.render(made, 48)
    np.testing.assert_array_equal(emulated.audio, found.audio)
    np.testing.assert_array_equal(emulated.cv, found.cv)
    assert np.abs(found.audio).max() > 0.01


def test_a_released_note_dies_and_silence_is_silence(model, tmp_path):
    module = Module(tmp_path, model)
    made = module.play(60_000, gate=pulses(60_000, (100, 10_000)))
    assert np.abs(made.audio[0][2000:10_000]).max() > 0.02
    assert not np.any(made.audio[0][-4800:])
    assert made.cv[0][-1] == 0.0 and made.cv[0][8000] > 0.05
    assert made.gates[5000] == 1 and made.gates[20_000] == 0


def test_an_accented_note_is_six_decibels_louder(model, tmp_path):
    module = Module(tmp_path, model)
    levels = [
        np.std(module.play(20_000, accent=np.full(20_000, volts)).audio[0][10_000:]) for volts in (0.0, 5.0)
    ]
    assert 20 * np.log10(levels[1] / levels[0]) == pytest.approx(6, abs=1.0)


def test_vibrato_comes_in_as_deep_as_its_knob_says(model, tmp_path):
    module = Module(tmp_path, model)
    made = module.play(3 * RATE_HZ, knobs={"knob_2": 0.5})
    volts = made.cv[1][2 * RATE_HZ :]
    assert np.ptp(volts) / 2 * 1200 == pytest.approx(50, rel=0.1)
    assert np.ptp(made.cv[1][1000:2400]) * 600 < 10
    crossings = np.flatnonzero((volts[:-1] < volts.mean()) & (volts[1:] >= volts.mean()))
    assert RATE_HZ / np.diff(crossings).mean() == pytest.approx(5.5, rel=0.05)


def test_a_vibrato_by_voltage_has_no_steps(model, tmp_path):
    """50 cents at 5 Hz: what lies further from the fundamental than modulation reaches is below −60 dB."""
    module = Module(tmp_path, model)
    ticks = 2 * RATE_HZ
    volts = 3.0 + 50 / 1200 * np.sin(2 * np.pi * 5 * np.arange(ticks) / RATE_HZ)
    sound = module.play(ticks, volts=volts).audio[0][RATE_HZ:].astype(float) * np.blackman(RATE_HZ)
    power = np.abs(np.fft.rfft(sound))
    hz = np.fft.rfftfreq(RATE_HZ, 1 / RATE_HZ)
    carrier = C2_HZ * 8
    beside = (np.abs(hz - carrier) > 80) & (np.abs(hz - carrier) < 240)
    assert 20 * np.log10(power[beside].max() / power[np.abs(hz - carrier) < 40].max()) < -60


def test_a_glide_reaches_its_note(model, tmp_path):
    module = Module(tmp_path, model)
    volts = np.where(np.arange(3 * RATE_HZ) < RATE_HZ, 1.0, 2.0)
    made = module.play(3 * RATE_HZ, volts=volts, knobs={"knob_4": 0.4})
    assert 1.1 < made.cv[1][RATE_HZ + 3000] < 1.9
    assert made.cv[1][-1] == pytest.approx(2.0, abs=0.003)


def test_breath_is_noise(model, tmp_path):
    """Between the harmonics of 1 kHz it gets 35 dB louder; the harmonics stay."""
    module = Module(tmp_path, model)
    between, at = [], []
    for knob in (0.5, 1.0):
        sound = module.play(30_000, volts=4.0, knobs={"knob_3": knob}).audio[0][-(1 << 14) :]
        power = np.abs(np.fft.rfft(sound * np.blackman(1 << 14))) ** 2
        place = np.fft.rfftfreq(1 << 14, 1 / RATE_HZ) / (C2_HZ * 16)
        beside = np.abs(place - np.rint(place))
        between.append(10 * np.log10(power[(beside > 0.3) & (place < 12)].mean()))
        at.append(10 * np.log10(power[(beside < 0.01) & (place > 0.5)].max()))
    assert between[1] - between[0] == pytest.approx(20 * 4 / np.log(10), abs=6)
    assert abs(at[1] - at[0]) < 1


def test_absurd_volts_and_a_chattering_gate_end_in_numbers(model, tmp_path):
    module = Module(tmp_path, model)
    ticks = 24_000
    gate = np.where(np.arange(ticks) // 24 % 2, 5.0, 0.0)
    made = module.signals(ticks, volts=-9.0, gate=gate)
    cv = next(i for i, one in enumerate(module.built.board.adcs) if one.name == "cv_5")
    made.inputs[cv][8000:16_000] = np.nan
    sound = module.host.render(made, 48).audio[0]
    assert np.isfinite(sound).all() and np.abs(sound).max() <= 1
    assert np.abs(sound[2400:]).max() > 1e-3  # it speaks all the same
    after = module.play(ticks, gate=pulses(ticks, (100, 20_000))).audio[0]
    assert np.abs(after[5000:15_000]).max() > 0.02


def test_a_model_that_says_nothing_of_loudness_is_refused(tmp_path):
    path = written(tmp_path / "v.onnx", habits=False)
    with pytest.raises(Refusal, match="does not say how its loudness moves"):
        Module(tmp_path / "m", path)
