"""The texture instrument: what it plays is what its two halves say, bent by hands, held by a gate."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from common import pitch
from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.script.cv_script import Script, signals

HOP, LATENTS = 256, 4
PATCH = """
title = "Test"
kind = "texture"

[[control]]
to = "latent.1"
knob = "knob_2"

[[gate]]
to = "freeze"
jack = "gate_in_1"

[[output]]
jack = "audio_out_1"
from = "mix"

[[output]]
jack = "cv_out_1"
from = "pitch"

[[output]]
jack = "gate_out_1"
from = "onset"
"""


def written(folder, seed, codec):
    """A small codec of random weights as two model files, its latents in a table."""
    from train.export.export import export_module
    from train.kinds import load_recipe
    from train.tasks.texture import TextureTask

    torch.manual_seed(seed)
    sizes = ["model.encoder=8", "model.decoder=16", f"model.latents={LATENTS}", "model.bands=16"]
    task = TextureTask(load_recipe("texture_quick", sizes))
    with torch.no_grad():
        outlet = task.model.decoder.network.outlet
        outlet.bias[16:32] = -4.0  # more tone than noise
    task.eval()
    latents = [
        {
            "name": f"z{i + 1}",
            "mean": 0.1 * i,
            "std": 1.0,
            "variance_share": 0.25,
            "sign": "",
            "quantiles": np.linspace(-2, 2, 33).tolist(),
        }
        for i in range(LATENTS)
    ]
    told = {"kind": "texture", "codec": codec, "latents": latents, "sample_rate_hz": 48_000}
    files = {"encoder": folder / "t.encoder.onnx", "decoder": folder / "t.onnx"}
    export_module(task.encoder_module(), *task.encoder_ports(), {**told, "part": "encoder"}, files["encoder"])
    made = {**told, "part": "decoder", **task.decoder_metadata()}
    export_module(task.model.decoder, *task.decoder_ports(), made, files["decoder"])
    return files


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return written(tmp_path_factory.mktemp("texture"), 1, "abc")


@pytest.fixture(scope="module")
def phrase():
    """Two notes with a rest between, in whole hops."""
    n = np.arange(48 * HOP * 2)
    hz = np.where(n < len(n) // 2, 196.0, 293.7)
    saw = 2 * ((np.cumsum(hz) / 48_000) % 1) - 1
    level = np.interp(n / len(n), [0, 0.02, 0.4, 0.45, 0.5, 0.52, 1], [0, 0.5, 0.4, 0, 0, 0.5, 0.3])
    return (0.15 * saw * level).astype(np.float32)


TRANSPOSED = """
[[control]]
to = "transpose"
knob = "knob_1"
"""


class Module:
    """An instrument of the test's own file, for this machine."""

    def __init__(self, folder, models, block=48, more=""):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "test.toml"
        path.write_text(PATCH + more)
        self.built = generate(path, "patch_sm", folder / "out", models=models, block=block, target="host")
        self.host = HostInstrument(host_library(self.built))
        self.block = block

    def signals(self, sound, knobs=None, gates=None):
        resting = {**resting_knobs(self.built), **(knobs or {})}
        made = signals(Script(), self.built.board, len(sound), {}, {"audio_in_1": sound}, resting)
        if gates is not None:
            made.gates[0] = gates
        return made

    def play(self, sound, knobs=None, gates=None):
        return self.host.render(self.signals(sound, knobs, gates), self.block)


def through_the_files(models, sound):
    """What onnxruntime and the tracker's twin make of a sound."""
    encoder, decoder = (onnxruntime.InferenceSession(str(models[k])) for k in ("encoder", "decoder"))
    z, loudness = encoder.run(None, {"audio": sound[None, None]})
    period, voicing = pitch.track(sound)
    told = np.concatenate([np.stack([pitch.octaves(period), voicing])[None], loudness], 1)
    return decoder.run(None, {"latent": z, "control": told.astype(np.float32)})[0][0, 0]


def test_it_plays_what_its_two_halves_say(models, phrase, tmp_path):
    module = Module(tmp_path, models)
    wanted = through_the_files(models, phrase)
    played = module.play(phrase).audio[0][HOP:]
    wanted = wanted[: len(played)]
    assert np.sqrt(np.mean(wanted**2)) > 0.01
    assert np.sqrt(np.mean((played - wanted) ** 2)) < 0.02 * np.sqrt(np.mean(wanted**2))
    assert module.built.report["latency_samples"] == HOP + 192


def test_blocks_change_nothing_while_hands_rest(models, phrase, tmp_path):
    whole = Module(tmp_path / "a", models).play(phrase).audio
    for block in (1, 31, 256):
        other = Module(tmp_path / str(block), models, block).play(phrase).audio
        np.testing.assert_array_equal(other, whole)


def test_the_emulated_module_plays_the_same_bits(models, phrase, tmp_path):
    from bench.emulated import EmulatedInstrument

    module = Module(tmp_path, models)
    built = generate(tmp_path / "test.toml", "patch_sm", tmp_path / "m7", models=models)
    short = phrase[: 48 * 60]
    emulated, _ = EmulatedInstrument(built, tmp_path / "m7").render(module.signals(short), 48)
    found = module.play(short)
    np.testing.assert_array_equal(emulated.audio, found.audio)
    np.testing.assert_array_equal(emulated.cv, found.cv)
    assert np.abs(found.audio).max() > 0.01


def test_pitch_goes_out_as_volts_an_octave_and_a_sound_raises_the_gate(models, phrase, tmp_path):
    module = Module(tmp_path, models)
    played = module.play(phrase)
    volts = played.cv[0]
    low, high = (volts[round(len(volts) * at)] for at in (0.35, 0.95))
    assert low == pytest.approx(np.log2(196 / 220) + 2.75, abs=0.02)
    assert high == pytest.approx(np.log2(293.7 / 220) + 2.75, abs=0.02)
    raised = np.flatnonzero(np.diff(played.gates.astype(int)) == 1) / len(phrase)
    assert len(raised) == 2 and raised[0] < 0.1 and 0.5 < raised[1] < 0.6


def test_an_octave_up_is_an_octave_up(models, phrase, tmp_path):
    module = Module(tmp_path, models, more=TRANSPOSED)
    note = phrase[: len(phrase) // 3]
    raised = module.play(note, {"knob_1": 0.75}).audio[0]
    period, voicing = pitch.track(raised[: len(raised) // HOP * HOP])
    assert voicing[-10:].min() > 0.75
    assert np.median(pitch.octaves(period[-10:])) == pytest.approx(np.log2(196 / 220) + 1, abs=0.03)


def test_a_frozen_sound_goes_on_without_drift_or_click(models, phrase, tmp_path):
    module = Module(tmp_path, models)
    begin = len(phrase) // 3
    sound = np.concatenate([phrase[:begin], np.zeros(48_000 * 6, np.float32)])
    sound = sound[: len(sound) // 48 * 48]
    gates = np.zeros(len(sound))
    gates[begin - 2000 :] = 5.0
    played = module.play(sound, gates=gates).audio[0]
    held = played[begin + 4800 :]
    thirds = [10 * np.log10(np.mean(x**2)) for x in np.array_split(held, 3)]
    assert np.ptp(thirds) < 0.15 and thirds[0] > -40
    assert np.abs(np.diff(played[begin - 2400 :])).max() < 1.5 * np.abs(np.diff(held)).max()


def test_silence_in_is_silence_out(models, tmp_path):
    played = Module(tmp_path, models).play(np.zeros(24_000, np.float32)).audio[0]
    assert 10 * np.log10(np.mean(played[4800:] ** 2) + 1e-12) < -70


def test_an_encoder_alone_is_a_source_of_voltages(models, phrase, tmp_path):
    module = Module(tmp_path, {"encoder": models["encoder"]})
    played = module.play(phrase)
    assert played.cv[0][round(0.35 * len(phrase))] == pytest.approx(np.log2(196 / 220) + 2.75, abs=0.02)
    late = module.built.report["latency_samples"]
    np.testing.assert_allclose(played.audio[0][int(late) :], phrase[: len(phrase) - int(late)], atol=1e-5)


def test_a_decoder_alone_plays_by_hand(models, tmp_path):
    module = Module(tmp_path, {"decoder": models["decoder"]})
    silence = np.zeros(48_000, np.float32)
    played = module.play(silence).audio[0]
    assert np.sqrt(np.mean(played[9600:] ** 2)) > 0.003


def test_halves_that_do_not_belong_together_are_refused(models, tmp_path):
    other = written(tmp_path, 2, "xyz")
    for given, words in (
        ({"encoder": models["encoder"], "decoder": other["decoder"]}, "different runs"),
        ({"encoder": models["decoder"], "decoder": models["encoder"]}, "exchange them"),
        ({}, "an encoder, a decoder or both"),
    ):
        with pytest.raises(Refusal, match=words):
            Module(tmp_path / words[:4], given)


def test_every_callback_does_its_share(models, tmp_path):
    module = Module(tmp_path, models)
    dues = [due for due, _, _ in module.built.assignment.steps]
    assert dues == sorted(dues) and dues[-1] < HOP
    report = module.built.report
    assert report["cpu_worst"] <= 1.15 * report["cpu_mean"]
    assert (report["latency_samples"] + 2 * 48) / 48 <= 12


def test_a_half_that_is_absent_costs_nothing(models, tmp_path):
    whole, encoder = (
        Module(tmp_path / name, given).built
        for name, given in (("both", models), ("one", {"encoder": models["encoder"]}))
    )
    assert {stage for _, stage, _ in encoder.assignment.steps} == {"track", "hear", "encode", "play"}
    assert encoder.report["cpu_mean"] < 0.7 * whole.report["cpu_mean"]
