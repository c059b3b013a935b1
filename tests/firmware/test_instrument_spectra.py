"""Spectra: a gate plays the network's magnitudes at the pitch that volts ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from tests.firmware import test_instrument_oscillator as plain
from tests.firmware.test_instrument_oscillator import pulses

RATE_HZ, HOP = 48_000, 256
C2_HZ = 440 * 2 ** ((36 - 69) / 12)
LATENTS = 4
PATCH = plain.PATCH.replace('kind = "oscillator"', 'kind = "spectra"').replace(
    'voice = "v.onnx"', 'spectra = "spectra"'
)
for _of_voices, _of_spectra in (("vibrato", "tonality"), ("breath", "life"), ("glide", "release")):
    PATCH = PATCH.replace(f'to = "{_of_voices}"', f'to = "{_of_spectra}"')
KNOBS = {"knob_1": 0.5, "knob_2": 1.0, "knob_3": 0.5, "knob_4": 0.1}


def written(path, width=16):
    """A small network of harmonics that fall with age, uneven about their tops as a trained one's are."""
    from train.export.export import export_module
    from train.kinds import load_recipe
    from train.tasks.spectra import SpectraTask

    torch.manual_seed(3)
    task = SpectraTask(load_recipe("spectra_quick", [f"model.width={width}", f"model.latents={LATENTS}"]))
    with torch.no_grad():
        outlet = task.model.decoder.outlet
        outlet.weight *= 0.1
        bins = torch.arange(512)
        number = ((bins + 2) // 4).clamp(min=1).float()
        shape = torch.tensor([0.0, -0.65, -5.0, -0.75])[bins % 4]
        outlet.bias[:] = shape - 0.8 * torch.log(number) - 2.0
        outlet.bias[:2] = -8.0
    task.eval()
    latents = [
        {"name": f"z{i + 1}", "mean": 0.0, "std": 1.0, "quantiles": np.linspace(-2, 2, 33).tolist()}
        for i in range(LATENTS)
    ]
    told = {"kind": "spectra", "part": "decoder", "latents": latents, "sample_rate_hz": RATE_HZ}
    export_module(task.model.decoder, *task.decoder_ports(), told, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return written(tmp_path_factory.mktemp("spectra") / "s.onnx")


class Module(plain.Module):
    """The same with spectra."""

    def __init__(self, folder, model, block=48):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "test.toml"
        self.path.write_text(PATCH)
        self.built = generate(
            self.path, "patch_sm", folder / "out", models={"spectra": model}, block=block, target="host"
        )
        self.host = HostInstrument(host_library(self.built))
        self.block = block

    def signals(self, ticks, knobs=None, **told):
        return super().signals(ticks, knobs=KNOBS | (knobs or {}), **told)


@pytest.fixture(scope="module")
def module(model, tmp_path_factory):
    return Module(tmp_path_factory.mktemp("instrument"), model)


def loudness(sound):
    return float(np.sqrt(np.mean(sound**2)))


@pytest.mark.parametrize("volts", [0.0, 1.25, 2.5, 4.0])
def test_a_note_has_the_pitch_that_volts_ask_for(module, volts):
    """Judged by librosa's YIN, which knows nothing of this."""
    from librosa import yin

    hz = C2_HZ * 2**volts
    sound = module.play(RATE_HZ // 2, volts=volts).audio[0][RATE_HZ // 8 :]
    found = yin(sound.astype(float), fmin=hz / 1.8, fmax=hz * 1.8, sr=RATE_HZ, frame_length=4096)
    assert abs(1200 * np.log2(np.median(found) / hz)) < 10


def test_nothing_sounds_before_a_gate_and_a_note_ends_in_silence(module):
    gate = pulses(RATE_HZ, (9_600, 19_200))
    sound = module.play(RATE_HZ, gate=gate).audio[0]
    assert not sound[:9_600].any()
    assert loudness(sound[12_000:19_000]) > 0.01
    assert not sound[-4_800:].any()
    begun = int(np.argmax(np.abs(sound) > 3e-4))
    assert 0 < begun - 9_600 < 1_100  # two hops, and half of a window's rise


def test_blocks_change_nothing_while_hands_rest(module, model, tmp_path):
    gate = pulses(16_800, (960, 9_600))
    other = Module(tmp_path / "other", model, block=32).play(16_800, gate=gate)
    mine = module.play(16_800, gate=gate)
    np.testing.assert_array_equal(mine.audio[0], other.audio[0])
    assert (mine.gates[1_000:9_000] & 1).all()


def test_without_tonality_there_is_no_pitch_but_the_same_spectrum(module):
    tone, noise = (module.play(RATE_HZ, knobs={"knob_2": v}).audio[0][12_000:] for v in (1.0, 0.0))
    power = [np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2 for x in (tone, noise)]
    hz = C2_HZ * 4
    bin_of = lambda f: round(f * len(tone) / RATE_HZ)  # noqa: E731
    near, wide = slice(bin_of(hz) - 3, bin_of(hz) + 4), slice(bin_of(hz) - 60, bin_of(hz) + 61)
    assert power[0][near].sum() > 0.9 * power[0][wide].sum()
    assert power[1][near].sum() < 0.4 * power[1][wide].sum()
    assert 0.25 < power[1].sum() / power[0].sum() < 2


def test_an_accent_is_louder_and_the_jacks_say_the_note(module):
    plain = module.play(24_000)
    struck = module.play(24_000, accent=pulses(24_000, (0, 24_000)))
    rise = 20 * np.log10(loudness(struck.audio[0][9_600:]) / loudness(plain.audio[0][9_600:]))
    assert rise == pytest.approx(6.0, abs=0.3)
    assert plain.cv[0][-1] == pytest.approx(5.0, abs=0.02)
    assert plain.cv[1][-1] == pytest.approx(2.0, abs=0.02)


def test_a_model_that_says_no_magnitudes_is_refused(tmp_path):
    from tests.firmware.test_instrument_oscillator import written as voice

    with pytest.raises(Refusal, match="spectra"):
        Module(tmp_path / "m", voice(tmp_path / "v.onnx"))
